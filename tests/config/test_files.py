"""Files are strict YAML 1.2; mistakes name line and column without repeating the text."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.files import UnusableError, parse_yaml


def test_plain_yaml_is_read() -> None:
    assert parse_yaml("a: {b: [1, x, true, 'no']}\n") == {"a": {"b": [1, "x", True, "no"]}}


def test_no_is_text_as_in_yaml_1_2() -> None:
    assert parse_yaml("country: no") == {"country": "no"}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_an_empty_document_is_none(text: str) -> None:
    assert parse_yaml(text) is None


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb:\n  c: 2\n  c: 3", "line 4, column 3: repeats a key of the same mapping; keep one of them"),
        ("a: 1\n---\nb: 2", "line 2, column 1: begins a second document"),
        ("a:\n\tb: 1", "line 2, column 1: is not valid YAML"),
        ("a: [1", "line 1, column 6: is not valid YAML"),
        ("a: {b: 1\nc: 2\n", "look here and above for an open bracket or quote"),
        ("a: %b", "special characters such as * without quotes"),
        ("a: &x 1", "line 1, column 4: has an anchor"),
        ("a: *x", "line 1, column 4: has an anchor"),
        ("a: [*]", "special characters such as * without quotes"),
        ("a: [*-test]", "alias (*) or tag (!); write the value out, in quotes if it begins so"),
        ("a: !!binary x", "line 1, column 4: has an anchor"),
        ("%YAML 1.1\n---\na: no", "directive"),
        ("a: 2024-99-99", "put dates and long numbers in quotes"),
        ("? [a, [b]]\n: c", "has a key or value that YAML cannot read"),
        ("a: \x07", "is not valid YAML"),
        ('a: "\\U99999999"', "has a key or value that YAML cannot read"),
        ('a: "\\ud800"', "line 1, column 4: has an escape for half a character"),
        ("[" * 5000, "line 1, column 21: is nested too deeply"),
    ],
)
def test_a_rejection_names_line_and_column(text: str, reason: str) -> None:
    with pytest.raises(UnusableError) as caught:
        parse_yaml(text)
    assert reason in str(caught.value)


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["a: *s3cret", "a: @s3cret", "a: !s3cret x", "a: 's3cret", "a: s3cret\na: s3cret"])
def test_a_rejection_never_repeats_the_text(text: str) -> None:
    with pytest.raises(UnusableError) as caught:
        parse_yaml(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.bad_input
@given(st.text(alphabet="a:-[]{}&*!|>'\"#%? \n\t0.,~\x00é", max_size=40))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with contextlib.suppress(UnusableError):
        parse_yaml(text)
