"""Where the client in C++ is: its headers, and what CMake finds it by."""

from __future__ import annotations

from pathlib import Path

import feedmux


def headers(folder: str) -> Path:
    """Return a folder of the client in C++: of the installed package, or of the source that runs.

    Args:
        folder: ``include`` or ``cmake``.
    """
    package = Path(feedmux.__file__).resolve().parent
    installed = package / folder
    return installed if installed.is_dir() else package.parents[1] / folder
