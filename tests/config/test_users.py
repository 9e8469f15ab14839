"""The users file, line by line."""

from exporter.config.load import parse_users


def users(text: str) -> list[tuple[object, object]]:
    return [(user.name, user.id) for _, user in parse_users(text)]


def test_a_line_is_a_name_or_a_name_and_an_id() -> None:
    assert users("alice\nbob,7a \n") == [("alice", None), ("bob", "7a")]


def test_comments_blank_lines_and_windows_line_ends_do_not_matter() -> None:
    assert users("# head\r\n\r\nalice # first\r\n  # middle\nbob\t# second") == [("alice", None), ("bob", None)]


def test_a_hash_within_a_name_starts_no_comment() -> None:
    assert users("al#ice") == [("al#ice", None)]


def test_every_user_has_the_number_of_its_line() -> None:
    assert [number for number, _ in parse_users("# head\nalice\n\n,1")] == [2, 4]
