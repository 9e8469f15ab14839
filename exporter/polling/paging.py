"""Reading a listing that changes while it is read, page by page, without losing or doubling an entry. Pure."""

from collections.abc import Iterable, Sequence

OVERLAP = 10  # default number of entries of a page that were on the page before
MOST_PAGES = 2000  # a longer listing is not believed
MOST_STEPS_BACK = 10  # pages in a row that do not join on to the one before, after which a listing is given up
MOST_PASSES = 3  # how often a listing is read in all to find the entries that came in behind the place that was read at


def entry_keys(ids: Iterable[str | None], offset: int) -> list[str]:
    """Return the keys of a page's entries: their ids, or their places in the listing."""
    return [entry_id or f"at {place}" for place, entry_id in enumerate(ids, start=offset)]


class TornError(Exception):
    """The pages do not fit together: the listing changed too much while it was read, or the cloud pages oddly."""


class Paging:
    """Decides which page to request next, and whether all pages together are the whole listing.

    If an entry before the offset is removed, later entries move to pages that have been read. So pages overlap. A page
    without any of the last entries leaves a gap, and the next request is for an earlier page. If an entry is inserted
    before the offset, later entries move to the next page. Their keys identify them there, but the new entry is not
    seen. If fewer entries were seen than the cloud counts, another pass begins at the start. The listing ends when none
    is missing, or when a whole pass brings nothing new.
    """

    def __init__(self, limit: int, overlap: int = OVERLAP) -> None:
        """``limit`` is the size of a page, ``overlap`` the number of its entries that were on the page before."""
        self.offset = 0  # where the next page begins
        self.seen: set[str] = set()  # the keys of all entries so far
        self.pages = 0  # pages taken
        self.done = False
        self.missing = 0  # entries that the cloud counts and never listed
        self._limit = limit
        self._overlap = overlap
        self._last_entries: frozenset[str] = frozenset()
        self._steps_back = 0
        self._passes = 1
        self._seen_before_this_pass = 0

    def take(self, keys: Sequence[str], total: int | None) -> None:
        """Take the page at the offset: the keys of its entries, and how many the cloud says there are in all.

        Raises:
            TornError: the pages will not become a whole.
        """
        self.pages += 1
        if self.pages > MOST_PAGES:
            raise TornError(f"more than {MOST_PAGES} pages")
        if self.offset and self._last_entries.isdisjoint(keys):
            self._step_back()
        else:
            self._join(keys, total)

    def _step_back(self) -> None:
        self._steps_back += 1
        if self._steps_back > MOST_STEPS_BACK:
            raise TornError("pages do not join on to each other")
        self.offset = max(self.offset - self._limit // 2, 0)

    def _join(self, keys: Sequence[str], total: int | None) -> None:
        end = self.offset + len(keys)
        if keys and total is not None and total < end:
            raise TornError(f"the cloud lists {end} entries and says that there are {total}")
        seen_before = len(self.seen)
        self.seen.update(keys)
        self._steps_back = 0
        nothing_new = len(self.seen) == seen_before
        # The last page is not full: a cloud may count what is on the page, or tell no total.
        if total is None and nothing_new and len(keys) < self._limit:
            self.done = True
        elif total is not None and end >= total and len(keys) < self._limit:
            self._end_of_pass(total)
            return
        elif total is not None and self._passes > 1:
            self.done = len(self.seen) >= total
        elif nothing_new:
            raise TornError("a page brings nothing new, and yet there is to be more")
        self._last_entries = frozenset(keys[-self._overlap :])
        self.offset = max(end - self._overlap, self.offset + 1)

    def _end_of_pass(self, total: int) -> None:
        passed_in_vain = self._passes > 1 and len(self.seen) == self._seen_before_this_pass
        if len(self.seen) >= total or passed_in_vain:  # the cloud counts an entry twice, or one that it does not list
            self.done = True
            self.missing = max(total - len(self.seen), 0)
            return
        self._passes += 1
        if self._passes > MOST_PASSES:
            raise TornError(f"of {total} entries only {len(self.seen)} were seen")
        self._seen_before_this_pass = len(self.seen)
        self.offset = 0


class LoosePaging(Paging):
    """The same for a listing with a total that may be wrong: its end is a page that is not full.

    Where more entries are counted than seen, the listing is read on, and once more from its beginning. ``tolerance`` is
    how many may be missing without that: entries that came in while the listing was read.
    """

    def __init__(self, limit: int, tolerance: int = 0) -> None:
        super().__init__(limit)
        self._tolerance = tolerance

    def _join(self, keys: Sequence[str], total: int | None) -> None:
        seen_before = len(self.seen)
        self.seen.update(keys)
        self._steps_back = 0
        nothing_new = len(self.seen) == seen_before
        self._last_entries = frozenset(keys[-self._overlap :])
        self.missing = max((total or 0) - len(self.seen), 0)
        all_seen = total is not None and self.missing <= self._tolerance
        if len(keys) < self._limit and (nothing_new or all_seen):
            self.done = self.missing <= self._tolerance or self._passes > 1
            self._passes, self.offset = self._passes + 1, 0
            return
        if nothing_new and self._passes == 1:
            raise TornError("a page brings nothing new, and yet it is full")
        self.offset = max(self.offset + len(keys) - self._overlap, self.offset + 1)
