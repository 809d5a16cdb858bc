# Each target installs what it needs first; a fresh machine has python3, pip, make and a C compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests start many processes: their byte code is kept, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo run test unit laws models asan e2e peers lint bench soak stability partition live rivals clean

install: $(STAMP)

$(STAMP): pyproject.toml setup.py $(wildcard src/feedmux/_native/*.pyx src/feedmux/_native/*/*.[ch] src/feedmux/_native/*/*.pxi)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "feedmux needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 install"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing feedmux into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' || \
		{ echo "The installation failed: the lines above say which package or extension could not be built (a C compiler is needed)."; exit 1; }
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/feedmux demo

run: $(STAMP)
	@$(BIN)/feedmux serve

test: unit laws e2e

unit: $(STAMP)
	@$(BIN)/python -m pytest -n 4 --dist worksteal -m "not e2e and not law"

laws: $(STAMP)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m law

models: $(STAMP)
	@FEEDMUX_EXAMPLES=10000 $(BIN)/python -m pytest -n 3 --dist worksteal -o faulthandler_timeout=0 -m law

# The native parts under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of their own.
SANITIZED := build/sanitized
asan: $(STAMP)
	@rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	@cp -r src/feedmux $(SANITIZED)/feedmux && rm -f $(SANITIZED)/feedmux/_native/*.so
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77' 'Cython>=3.1'
	@CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1" \
		$(BIN)/python setup.py --quiet build_ext --force --build-lib $(SANITIZED) --build-temp $(SANITIZED)/objects
	@LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
		ASAN_OPTIONS=detect_leaks=0 \
		$(BIN)/python -m pytest -o pythonpath="$(SANITIZED) tests" \
		tests/_native tests/core/test_outbox.py tests/core/test_outbox_laws.py tests/core/test_flush.py tests/edge/test_connection.py \
		tests/core/test_ring.py tests/core/test_ring_laws.py tests/core/test_tally.py tests/bus/test_shm.py

# A foreign client of the stories; CONTRIBUTING.md says what it needs.
PEERS := tests/peers
PEERS_STAMP := $(PEERS)/node_modules/.installed
$(PEERS_STAMP): $(PEERS)/package.json $(PEERS)/package-lock.json
	@command -v npm >/dev/null || \
		{ echo "The stories need Node.js 18 or newer with npm; install both (Debian: apt-get install nodejs npm)."; exit 1; }
	@cd $(PEERS) && npm ci --silent
	@touch $@

e2e: $(STAMP) $(PEERS_STAMP)
	@$(BIN)/python -m pytest -n 3 --dist loadfile -m e2e

peers: $(STAMP) $(PEERS_STAMP)
	@FEEDMUX_PEER_MESSAGES=1000000 $(BIN)/python -m pytest tests/e2e/test_peers.py

partition: $(STAMP)
	@FEEDMUX_PARTITION_S=60 $(BIN)/python -m pytest tests/e2e/test_rango_losses.py tests/e2e/test_cluster_partition.py -k partition

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy src tests bench examples

bench: $(STAMP)
	@$(BIN)/python -m bench

soak: $(STAMP)
	@$(BIN)/python -m bench soak
	@FEEDMUX_REDIS_ROUNDS=5 $(BIN)/python -m pytest tests/e2e/test_redis_cluster_soak.py
	@FEEDMUX_SHARE_ROUNDS=5000 $(BIN)/python -m pytest tests/e2e/test_share_soak.py

# Two runs of so many minutes, then reconnects and a high rate; shorter than ten minutes it is stored apart.
MINUTES ?= 10
stability: $(STAMP)
	@$(BIN)/python -m bench.stability --minutes $(MINUTES) --store

# The testnets themselves; without a network the exit code is 2. Never in CI.
live: $(STAMP)
	@$(BIN)/python -m bench.stability.live --minutes $(MINUTES) --store

rivals: $(STAMP)
	@$(BIN)/python -m bench.rivals.install

clean:
	rm -rf $(VENV) bench/rivals/.cache bench/rivals/servers/node_modules $(PEERS)/node_modules build dist *.egg-info src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
