"""Reading a listing that changes while it is read, page by page, without losing or doubling an entry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_STEPS_BACK = 10
"""Pages that did not join on to the one before, after which a listing is given up."""

MOST_PASSES = 3
"""How often a listing is read in all to find the entries that came in behind the place that was read at."""


class TornError(Exception):
    """The pages do not fit together: the listing changed too much while it was read, or the cloud pages oddly."""


class Paging:
    """Which page to ask for next, and whether all pages together are the whole listing.

    What is removed before the place that has been read to, moves entries to a page that has been read already. So pages
    overlap: one that shows none of the last entries of the page before leaves a gap, and one from further ahead is
    asked for. What is inserted there moves entries to the next page, where they are recognized by their keys, and is
    not seen itself: where fewer entries have been seen in the end than there are, the listing is read once more from
    its beginning, until that is made up for.
    """

    def __init__(self, limit: int, overlap: int) -> None:
        """``limit`` is how many entries are asked for, ``overlap`` how many of these have been on the page before."""
        self.offset = 0
        """Where the next page begins."""
        self.seen: set[str] = set()
        """The keys of all entries so far."""
        self.total: int | None = None
        """Entries on all pages together, as last told."""
        self.done = False
        self._limit = limit
        self._overlap = overlap
        self._last_entries: frozenset[str] = frozenset()
        self._steps_back = 0
        self._passes = 1

    def take(self, keys: Sequence[str], total: int | None) -> None:
        """Take the page at the offset: the keys of its entries, and how many the cloud says there are in all.

        Raises:
            TornError: the pages will not become a whole.
        """
        self.total = total
        if self.offset and self._last_entries.isdisjoint(keys):
            self._step_back()
            return
        before = len(self.seen)
        self.seen.update(keys)
        end = self.offset + len(keys)
        last_page = end >= total if total is not None else len(keys) < self._limit
        if last_page or self._passes > 1:
            self.done = total is None or len(self.seen) >= total
        if last_page and not self.done:
            self._begin_again()
        elif self._passes == 1 and len(self.seen) == before and not self.done:
            raise TornError("a page brings nothing new, and yet there is to be more")
        else:
            self._last_entries = frozenset(keys[-self._overlap :])
            self.offset = max(end - self._overlap, self.offset + 1)

    def _step_back(self) -> None:
        self._steps_back += 1
        if self._steps_back > MOST_STEPS_BACK:
            raise TornError("pages do not join on to each other")
        self.offset = max(self.offset - self._limit // 2, 0)

    def _begin_again(self) -> None:
        self._passes += 1
        if self._passes > MOST_PASSES:
            raise TornError(f"of {self.total} entries only {len(self.seen)} were seen")
        self.offset = 0
