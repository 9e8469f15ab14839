"""A listing that changes while it is read. No entry that is always in it is lost or counted twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.polling.paging import MOST_PAGES, Paging, TornError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LIMIT, OVERLAP = 10, 3


def read(
    listing: list[str],
    change: Callable[[list[str]], None] = lambda _: None,
    *,
    total: bool = True,
    page_size: int = LIMIT,
) -> Paging:
    """Read a listing that changes after each page."""
    paging = Paging(LIMIT, OVERLAP)
    for _ in range(2 * MOST_PAGES):
        paging.take(listing[paging.offset : paging.offset + page_size], len(listing) if total else None)
        if paging.done:
            return paging
        change(listing)
    raise AssertionError("it goes on for ever")


def entries(number: int) -> list[str]:
    return [f"e{n}" for n in range(number)]


@pytest.mark.parametrize("total", [True, False])
@pytest.mark.parametrize("number", [0, 1, 9, 10, 11, 17, 18, 100])
def test_a_listing_that_stays_as_it_is_is_seen_whole(number: int, total: bool) -> None:
    assert read(entries(number), total=total).seen == set(entries(number))


@pytest.mark.parametrize("total", [True, False])
def test_a_cloud_that_gives_fewer_entries_a_page_than_requested_is_read_to_its_end(total: bool) -> None:
    assert read(entries(100), total=total, page_size=LIMIT // 2).seen == set(entries(100))


@pytest.mark.bad_input
def test_a_listing_that_has_an_entry_twice_is_whole_though_fewer_are_seen_than_it_counts() -> None:
    assert read([*entries(20), "e5", *entries(30)[20:]]).seen == set(entries(30))


@pytest.mark.bad_input
def test_a_listing_that_grows_as_fast_as_it_is_read_is_given_up() -> None:
    def grow(listing: list[str]) -> None:
        listing += [f"e{n}" for n in range(len(listing), len(listing) + LIMIT)]

    with pytest.raises(TornError, match=f"more than {MOST_PAGES} pages"):
        read(entries(30), grow)


def test_what_is_removed_from_a_page_that_was_read_hides_nothing_behind_it() -> None:
    listing = entries(30)

    def remove(listing: list[str]) -> None:
        if len(listing) > 25:
            listing.pop(0)

    assert read(listing, remove).seen >= set(listing)


def test_more_removals_than_pages_overlap_are_stepped_back_for() -> None:
    listing = entries(60)
    removals = [8]

    def remove(listing: list[str]) -> None:
        for _ in range(removals.pop() if removals else 0):
            listing.pop(0)

    assert read(listing, remove).seen >= set(listing)


def test_what_is_inserted_before_the_place_that_was_read_to_is_seen_in_the_end() -> None:
    listing = entries(30)
    new = iter(["new1", "new2"])

    def insert(listing: list[str]) -> None:
        if name := next(new, None):
            listing.insert(0, name)

    assert read(listing, insert).seen >= set(listing)


def test_an_entry_that_moves_to_the_front_is_seen() -> None:
    listing = entries(40)
    moves = iter([25])

    def move(listing: list[str]) -> None:
        if (place := next(moves, None)) is not None:
            listing.insert(0, listing.pop(place))

    assert read(listing, move).seen == set(entries(40))


@given(st.data())
def test_whatever_happens_between_pages_all_that_stood_there_throughout_is_seen_or_the_reading_is_torn(
    data: st.DataObject,
) -> None:
    listing = entries(data.draw(st.integers(0, 60)))
    throughout = set(listing)
    named = 0

    def change(listing: list[str]) -> None:
        nonlocal named, throughout
        for _ in range(data.draw(st.integers(0, 6))):
            place = data.draw(st.integers(0, len(listing)))
            if place < len(listing) and data.draw(st.integers(0, 1)):
                listing.pop(place)
            else:
                listing.insert(place, f"new{named}")
                named += 1
        throughout &= set(listing)

    try:
        paging = read(listing, change)
    except TornError:
        return
    assert paging.seen >= throughout


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("pages", "total"),
    [
        (lambda offset: entries(10), 1000),  # noqa: ARG005 - the same page for every request
        (lambda offset: entries(10), None),  # noqa: ARG005 - the same
        (lambda offset: entries(50)[offset : offset + 10], 10**9),
        (lambda offset: entries(10) if offset == 0 else [], 1000),
        (lambda offset: entries(50)[offset : offset + 10], 1),
        (lambda offset: entries(50)[offset : offset + 10], -1),
        (lambda offset: entries(50)[offset : offset + 10], 10),  # the count of a page, not of all
    ],
)
def test_a_cloud_that_pages_oddly_is_not_believed(pages: Callable[[int], Sequence[str]], total: int | None) -> None:
    paging = Paging(LIMIT, OVERLAP)

    def read_on() -> None:
        for _ in range(1000):
            paging.take(pages(paging.offset), total)
            assert not paging.done

    with pytest.raises(TornError):
        read_on()
