"""Run the command line: ``python -m feedmux``."""

from feedmux.app.cli import main

if __name__ == "__main__":
    main()
