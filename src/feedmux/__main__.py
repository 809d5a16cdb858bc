"""Run the command line: ``python -m feedmux``."""

from __future__ import annotations

import sys
from typing import NoReturn

from feedmux.app.share.quick import quick_options


def main() -> NoReturn:
    """Run the command that ``sys.argv`` names and exit; see :func:`feedmux.app.cli.main`."""
    options = quick_options(sys.argv[1:])
    if options is not None:
        from feedmux.app.share import wiring

        sys.exit(wiring.main(options))
    from feedmux.app import cli

    cli.main()


if __name__ == "__main__":
    main()
