"""The count of calls in a span of time, on which tests of the rate limit rely."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.spans import busiest


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 20))
def test_it_is_the_count_from_the_start_of_a_span_up_to_its_end(times: list[int], seconds: int) -> None:
    assert busiest(times, seconds) == max(sum(start <= time < start + seconds for time in times) for start in times)
