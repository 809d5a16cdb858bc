# Stage 1 builds the environment (a C compiler is at hand for extensions), stage 2 runs it.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /build
COPY pyproject.toml setup.py README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/feedmux && \
    /opt/feedmux/bin/pip install --no-cache-dir '.[rabbitmq,redis]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /app feedmux
COPY --from=build /opt/feedmux /opt/feedmux
ENV PATH=/opt/feedmux/bin:$PATH PYTHONUNBUFFERED=1 PORT=8000
# A feedmux.toml mounted here is read at start.
WORKDIR /app
USER feedmux
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD python -c "import http.client as h, os, ssl, sys; at = ('127.0.0.1', int(os.environ['PORT'])); c = h.HTTPSConnection(*at, timeout=2, context=ssl._create_unverified_context()) if os.environ.get('TLS_CERT') else h.HTTPConnection(*at, timeout=2); c.request('GET', '/ready'); sys.exit(c.getresponse().status != 200)"
CMD ["feedmux", "serve"]
