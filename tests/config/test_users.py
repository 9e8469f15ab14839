"""The users file, line by line."""

from pathlib import Path

import pytest

from exporter.config.users import UsersFile, parse_users


def parsed(text: str) -> UsersFile:
    return parse_users(text, Path("/etc/users.txt"))


def users(text: str) -> list[tuple[str, str | None]]:
    return [(each.user.name, each.user.id) for each in parsed(text).listed]


def mistakes(text: str) -> list[str]:
    return [str(mistake) for mistake in parsed(text).mistakes]


def test_a_line_is_a_name_or_a_name_and_an_id() -> None:
    assert users("alice\nbob , 7a \n") == [("alice", None), ("bob", "7a")]


def test_comments_blank_lines_and_windows_line_ends_do_not_matter() -> None:
    assert users("# head\r\n\r\nalice # first\r\n  # middle\nbob\t# second") == [("alice", None), ("bob", None)]


def test_a_hash_within_a_name_begins_no_comment() -> None:
    assert users("al#ice") == [("al#ice", None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bob,1,2", "the user's id must not contain a comma"),
        (",1", "the user's name must not be empty"),
        ("bob,", "the user's id must not be empty"),
        ("bob\rjim", "the user's name must not contain line breaks"),
    ],
)
def test_a_wrong_line_is_told_by_its_number_and_never_by_the_name(line: str, reason: str) -> None:
    [mistake] = mistakes(f"# head\nalice\n{line}\n")
    assert mistake.startswith(f"/etc/users.txt:3: {reason}")
    assert "bob" not in mistake


def test_every_wrong_line_is_told() -> None:
    assert len(mistakes(",1\nalice\n,2")) == 2


def test_a_file_without_any_user_is_a_mistake() -> None:
    assert mistakes("# nobody\n") == ["/etc/users.txt: names no user; leave users_file out if there are none"]
