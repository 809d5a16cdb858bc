"""How many examples a law is tried with: few while one works, many in a long run."""

from __future__ import annotations

import os
from typing import Final

EXAMPLES: Final = int(os.environ.get("FEEDMUX_EXAMPLES", "200"))
