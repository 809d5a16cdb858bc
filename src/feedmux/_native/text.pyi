from collections.abc import Mapping
from typing import final

from feedmux.core.ticker import Unmerged
from feedmux.model.venue import ObjectPlan

def data_frame(prefix: bytes, payload: bytes, milliseconds: int, source: bytes, seq: int, /) -> bytes: ...

@final
class ObjectText:
    def __init__(self, plan: ObjectPlan) -> None: ...

@final
class MergedText:
    def __init__(self, how: ObjectText, symbol: str) -> None: ...
    def apply(self, snapshot: bool, order: int, fields: Mapping[str, str], /) -> bytes | Unmerged: ...
    def clear(self) -> None: ...
