"""Count clients over several processes, and let in no more than there is room for, wherever they come.

Each process has a count of its own in a page that all of them share, and changes nothing else. To let
somebody in it adds him to its count first and looks at the sum afterwards; if that is too much, it takes
him out again. Two processes that do this at once both see both, so the sum of those who stay is
never above the bound; at worst both turn somebody away although there was room for one.

This is the specification of ``feedmux._native.tally``, whose counts are atomics with a full fence between
the adding and the looking.
"""

from __future__ import annotations

from typing import Final

from feedmux.model.errors import InvalidSetting

PLACES: Final = 64
"""How many processes may count together."""
PLACE_BYTES: Final = 64
"""One line of a processor's cache for each."""
PAGE_BYTES: Final = PLACES * PLACE_BYTES


class Tally:
    """The counts, as one process sees them.

    Args:
        page: :data:`PAGE_BYTES` that all processes share.
        place: whose count is ours, from 0.

    Raises:
        InvalidSetting: the page is too small, or there is no such place.
    """

    def __init__(self, page: bytearray | memoryview, place: int) -> None:
        check(len(page), place)
        self._page, self._place = memoryview(page).cast("B"), place

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return sum(self._count(place) for place in range(PLACES))

    @property
    def own(self) -> int:
        """Our own count."""
        return self._count(self._place)

    def enter(self, most: int, /) -> bool:
        """Count one more if there is room for him; False if there is not."""
        self._set(self._place, self.own + 1)
        if self.total <= most:
            return True
        self.leave()
        return False

    def leave(self) -> None:
        """Count one less."""
        self._set(self._place, self.own - 1)

    def clear(self, place: int, /) -> None:
        """The process of this place has died, and its clients with it.

        Raises:
            InvalidSetting: there is no such place.
        """
        check(PAGE_BYTES, place)
        self._set(place, 0)

    def _count(self, place: int) -> int:
        return int.from_bytes(self._page[place * PLACE_BYTES : place * PLACE_BYTES + 4], "little")

    def _set(self, place: int, count: int) -> None:
        self._page[place * PLACE_BYTES : place * PLACE_BYTES + 4] = count.to_bytes(4, "little")


def check(size_bytes: int, place: int) -> None:
    """Refuse a page or a place that cannot be.

    Raises:
        InvalidSetting: it cannot.
    """
    if size_bytes < PAGE_BYTES:
        raise InvalidSetting("page", f"{size_bytes} bytes", f"{PAGE_BYTES} bytes")
    if not 0 <= place < PLACES:
        raise InvalidSetting("place", place, f"one from 0 to {PLACES - 1}")
