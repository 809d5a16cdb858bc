#!/bin/sh
# Start the gateway: with .venv if `make install` made one, else with the feedmux on PATH.
# PORT and every other setting reach it through the environment; arguments are passed on.
set -eu
cd "$(dirname "$0")/.."
if [ -x .venv/bin/feedmux ]; then
    exec .venv/bin/feedmux serve "$@"
fi
if command -v feedmux >/dev/null; then
    exec feedmux serve "$@"
fi
echo "start.sh: feedmux is not installed; run: make install" >&2
exit 127
