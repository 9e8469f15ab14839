"""Who is on the list: names as people write them, the users file line by line, the same user twice, look-alikes."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ConfigError, Layer, Mistake, Project, User, build, users_of_file
from exporter.config.names import folded, plain_name

Lines = list[tuple[str, str | None]]


def project(**values: Any) -> Project:
    (made,) = build(
        Layer("test.yml", {"projects": [{"project_id": "p", "region": "r", "users": [], **values}]})
    ).projects
    return made


def rejections(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        project(**values)
    return [str(mistake).removeprefix("test.yml: projects[0].") for mistake in caught.value.mistakes]


def doubts(**values: Any) -> list[str]:
    found: list[Mistake] = []
    made = {"project_id": "p", "region": "eu-west-101", "users": [], **values}
    build(Layer("test.yml", {"projects": [made]}), warn=found.append)
    return [str(doubt).removeprefix("test.yml: projects[0].") for doubt in found]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "users.txt"


def listed(file: Path, text: str, *present: User) -> Lines:
    file.write_text(text, "utf-8", newline="")
    return [(user.name, user.id) for user in users_of_file(present, file)]


def wrong_lines(file: Path, text: str, *present: User) -> list[str]:
    file.write_text(text, "utf-8", newline="")
    with pytest.raises(ConfigError) as caught:
        users_of_file(present, file)
    return [str(mistake).removeprefix(str(file)) for mistake in caught.value.mistakes]


def test_a_line_is_a_name_or_a_name_and_an_id(file: Path) -> None:
    assert listed(file, "alice\nbob, 7a \n") == [("alice", None), ("bob", "7a")]


def test_comments_blank_lines_a_byte_order_mark_and_windows_line_ends_do_not_matter(file: Path) -> None:
    text = "\ufeff# head\r\n\r\nalice # first\r\n  # middle\nbob\t# second"
    assert listed(file, text) == [("alice", None), ("bob", None)]


def test_a_hash_within_a_name_starts_no_comment(file: Path) -> None:
    assert listed(file, "al#ice") == [("al#ice", None)]


def test_a_mistake_has_the_number_of_its_line(file: Path) -> None:
    assert wrong_lines(file, "# head\nalice\n\n,1") == [":4: name: must not be empty"]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "header",
    [
        "name",
        "name,id",
        "Name, ID",
        "user_name,id",
        "username;id",
        "User Name\tUser ID",
        '"name","id"',
        "id,name,id",
        "login,user_id",
        "USERNAME",
        "用户名,用户ID",
        "name,id,domain",
        "user,email",
        "login;domain",
    ],
)
def test_a_header_is_reported_as_one_mistake(file: Path, header: str) -> None:
    assert wrong_lines(file, f"# export\n\n{header}\nalice,7\n") == [
        ":3: looks like the header of a table; remove it, or put a user who is really called that further down"
    ]


def test_users_may_have_the_name_of_a_column_below_the_first_line(file: Path) -> None:
    assert listed(file, "alice\nname\nid,1\nusername") == [
        ("alice", None),
        ("name", None),
        ("id", "1"),
        ("username", None),
    ]
    assert project(users=["name", "id"]).users == (User("name"), User("id"))


@pytest.mark.parametrize("title", ["user", "Login", "id", "Email"])
def test_a_first_line_that_may_be_a_header_is_doubtful(file: Path, title: str) -> None:
    file.write_text(f"{title}\nalice\n")
    assert doubts(users_file=file) == [f"{file}:1: may be the header of a table; remove it if it is none of your users"]
    file.write_text(f"alice\n{title}\n")
    assert doubts(users_file=file) == []


INVISIBLE = {
    "zero-width space": "ann\u200b",
    "zero-width space first": "\u200bann",
    "zero-width joiner": "an\u200dn",
    "byte order mark": "\ufeffann",
    "soft hyphen": "an\u00adn",
    "right-to-left mark": "ann\u200f",
    "word joiner": "ann\u2060",
    "no-break space": "ann\u00a0schmidt",
    "no-break space last": "ann\u00a0",
    "narrow no-break space": "ann\u202fschmidt",
    "ideographic space": "ann\u3000schmidt",
    "em space first": "\u2003ann",
    "line separator": "ann\u2028",
    "filler": "ann\u3164",
    "joiner of graphemes": "a\u034fnn",
    "variation selector": "ann\ufe0f",
    "variation selector of the supplement": "ann\U000e0100",
    "tag": "ann\U000e0041",
    "blank of Braille": "ann\u2800",
}
FOREIGN = {
    "quotes": '"ann"',
    "a quote inside": 'an"n',
    "a quote at the end": 'ann"',
    "single quotes": "'ann'",
    "typographic quotes": "“ann”",
    "German quotes": "„ann“",
    "French quotes": "«ann»",
    "wide quotes": "\uff02ann\uff02",
    "backquotes": "`ann`",
    "a semicolon": "ann;7",
    "a wide semicolon": "ann\uff1b7",
    "a Greek question mark": "ann\u037e7",
    "a tab": "ann\t7",
    "a bar": "ann|7",
    "a colon": "ann:7",
    "an Arabic semicolon": "ann\u061b7",
    "a list of YAML": "- ann",
    "a mapping of YAML": "{name: ann}",
    "a domain before a backslash": "CORP\\ann",
    "an asterisk": "*",
    "a pattern": "ann*",
    "a wide asterisk": "ann\uff0a",
    "a question mark": "an?",
    "a set of characters": "an[na]",
    "a domain only": "@a.example",
    "an empty domain": "ann@",
}


@pytest.mark.bad_input
@pytest.mark.parametrize("name", INVISIBLE.values(), ids=list(INVISIBLE))
def test_what_nobody_can_see_is_rejected_in_every_name(file: Path, name: str) -> None:
    reason = "must not contain "
    [line] = wrong_lines(file, f"alice\n{name}\n")
    assert line.startswith(f":2: name: {reason}")
    written: list[tuple[str, dict[str, Any]]] = [
        ("users[0].name", {"users": [name]}),
        ("users[0].name", {"users": [{"name": name}]}),
        ("users[0].id", {"users": [{"name": "ann", "id": name}]}),
        ("users[0].domain", {"users": [{"name": "ann", "domain": name}]}),
        ("exclude[0]", {"exclude": [f"{name}*" if name[-1].isalpha() else name]}),
        ("discover[0].group", {"discover": [{"group": name}]}),
        ("discover[0].domain", {"discover": [{"domain": name}]}),
    ]
    for path, values in written:
        [mistake] = rejections(**values)
        assert mistake.startswith(f"{path}: {reason}"), values
        assert "ann" not in mistake


@pytest.mark.bad_input
@pytest.mark.parametrize("name", FOREIGN.values(), ids=list(FOREIGN))
def test_a_name_in_another_format_is_rejected_with_a_remedy_and_without_the_name(file: Path, name: str) -> None:
    [line] = wrong_lines(file, f"alice\n{name}\n")
    [mistake] = rejections(users=[name])
    assert line.startswith(":2: name: must ")
    assert mistake.startswith("users[0].name: must ")
    assert "ann" not in line + mistake


def test_an_export_with_quotes_is_reported_by_line(file: Path) -> None:
    assert wrong_lines(file, '"user001","id1"\n') == [
        ":1: name: must not be in quotes; remove them",
        ":1: id: must not be in quotes; remove them",
    ]


def test_a_pattern_among_the_users_points_to_discover_and_exclude() -> None:
    [mistake] = rejections(users=["*"])
    assert mistake == (
        "users[0].name: must be a name, not a pattern: `discover: [{all: true}]` watches all users, "
        "and `exclude` takes the patterns of those to leave out"
    )
    assert rejections(users="*") == ["users: must be a list; `discover: [{all: true}]` watches all users"]


@pytest.mark.parametrize(
    "name", ["o'brien", "Anna.Schmidt", "anna-schmidt_2", "Łukasz", "王小明", "ann b", "host$", "a+b"]
)
def test_real_names_are_accepted(file: Path, name: str) -> None:
    assert listed(file, name) == [(name, None)]
    assert project(users=[name]).users == (User(name),)


def test_both_unicode_forms_of_a_name_are_the_same_user(file: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Jürgen") for form in ("NFC", "NFD"))
    assert project(users=[decomposed]).users == (User(composed),)
    assert listed(file, decomposed) == [(composed, None)]
    assert rejections(users=[composed, decomposed]) == [
        "users[1]: is the same user as test.yml: projects[0].users[0]; keep one of them"
    ]
    assert wrong_lines(file, f"{decomposed}\n", User(composed)) == [
        ":1: is the same user as users[0]; keep one of them"
    ]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "again",
    [
        "ann@a.example",
        " ann@A.Example ",
        {"name": "ann", "domain": "a.example"},
        {"name": "ann", "domain": "A.EXAMPLE"},
    ],
)
def test_a_login_name_and_a_name_with_its_domain_are_the_same_user(again: object) -> None:
    for first in ("ann@a.example", {"name": "ann", "domain": "a.example"}):
        assert rejections(users=[first, again]) == [
            "users[1]: is the same user as test.yml: projects[0].users[0]; keep one of them"
        ]


def test_a_name_may_exist_in_several_domains_and_without_one() -> None:
    users = ["ann", {"name": "ann", "domain": "a.example"}, "ann@b.example", {"name": "ann", "domain": "c.example"}]
    assert project(users=users).users == (
        User("ann"),
        User("ann", None, "a.example"),
        User("ann@b.example"),
        User("ann", None, "c.example"),
    )
    assert doubts(users=users) == []


@pytest.mark.bad_input
@pytest.mark.parametrize("domain", ["@a.example", "ann@a.example", "*.example", "a.example,b.example", '"a"', "a;b"])
def test_a_domain_is_one_whole_domain(domain: str) -> None:
    for values, path in (
        ({"users": [{"name": "x", "domain": domain}]}, "users[0].domain"),
        ({"discover": [{"domain": domain}]}, "discover[0].domain"),
    ):
        [mistake] = rejections(**values)
        assert mistake.startswith(f"{path}: must ")
        assert "example" not in mistake


@pytest.mark.bad_input
def test_a_user_has_one_domain() -> None:
    assert rejections(users=[{"name": "ann@a.example", "domain": "a.example"}]) == [
        "users[0].domain: is in the name already, after the @; keep one of them"
    ]


def test_names_that_differ_only_in_case_are_doubtful(file: Path) -> None:
    file.write_text("ANNA.schmidt\nbob\n")
    assert doubts(users=["Anna.Schmidt", "anna.schmidt", "straße", "STRASSE"], users_file=file) == [
        "users[1]: differs from test.yml: projects[0].users[0] only in case; both count only if the cloud lists both",
        "users[3]: differs from test.yml: projects[0].users[2] only in case; both count only if the cloud lists both",
        f"{file}:1: differs from test.yml: projects[0].users[0] only in case; both count only if the cloud lists both",
    ]


def test_the_same_name_twice_is_a_mistake_and_not_doubtful() -> None:
    found: list[Mistake] = []
    made = {"project_id": "p", "region": "eu-west-101", "users": ["ann", "ann", {"name": "ann"}]}
    with pytest.raises(ConfigError):
        build(Layer("test.yml", {"projects": [made]}), warn=found.append)
    assert found == []


def test_names_that_differ_in_case_within_different_domains_are_not_doubtful() -> None:
    assert doubts(users=["ann@a.example", "Ann@b.example", {"name": "Ann", "domain": "c.example"}]) == []
    assert len(doubts(users=["ann@a.example", {"name": "Ann", "domain": "A.example"}])) == 1


def test_users_of_a_file_follow_the_inline_ones_and_can_be_distinguished(file: Path) -> None:
    file.write_text("bob\n")
    made = project(users=["alice"], users_file=file)
    assert (made.users, made.inline_users) == ((User("alice"), User("bob")), (User("alice"),))
    assert made.file_version is not None
    again = made.with_file((User("eve"),), None)
    assert (again.users, again.inline_users) == ((User("alice"), User("eve")), (User("alice"),))
    assert project(users=["alice"]).file_version is None


def test_a_project_without_users_is_the_same_whatever_its_file_held(file: Path) -> None:
    """So that a connection can be kept."""
    file.write_text("bob\n")
    before = project(users=["alice"], users_file=file)
    file.write_text("bob\neve\n")
    assert before.without_users() == project(users=["joe"]).without_users()


@pytest.mark.parametrize(
    ("pattern", "name", "domain"),
    [
        ("svc-*", "svc-backup", None),
        ("svc-*", "SVC-Backup", None),
        ("SVC-*", "svc-backup", "a.example"),
        ("svc-backup", "svc-backup@a.example", None),
        ("*@a.example", "ann", "A.example"),
        ("*@a.example", "ann@a.example", None),
        ("user00?", "user001", None),
        ("[ab]nn", "bnn", None),
        ("ju\u0308rgen", "J\u00fcrgen", None),
        ("J\u00fcrgen*", "ju\u0308rgen", None),
        ("STRASSE", "straße", None),
    ],
)
def test_an_exclude_pattern_matches_in_any_case_and_unicode_form(pattern: str, name: str, domain: str | None) -> None:
    assert project(exclude=[pattern]).excludes(name, domain)


@pytest.mark.parametrize(
    ("pattern", "name", "domain"),
    [
        ("svc-*", "my-svc-1", None),
        ("*@a.example", "ann", None),
        ("*@a.example", "ann", "b.example"),
        ("[!a]*", "ann", None),
    ],
)
def test_an_exclude_pattern_matches_the_whole_name(pattern: str, name: str, domain: str | None) -> None:
    assert not project(exclude=[pattern]).excludes(name, domain)


def test_several_patterns_each_exclude_names() -> None:
    excludes = project(exclude=["*-a*b*", "*-c*d*", "[x-z]?"]).excludes
    assert [name for name in ("svc-aab", "svc-cd", "svc-ad", "x1", "x12", "w1") if excludes(name)] == [
        "svc-aab",
        "svc-cd",
        "x1",
    ]


@given(st.lists(st.text(alphabet="aZßİ*?[]!-^\\\\.|(){}é\u0301 ", max_size=8), max_size=3), st.text())
def test_every_accepted_pattern_can_be_matched_and_matches_its_own_literal(patterns: list[str], name: str) -> None:
    try:
        made = project(exclude=patterns)
    except ConfigError:
        return
    assert made.excludes(name) in {True, False}
    literals = [pattern for pattern in made.exclude if not set(pattern) & set("[*?@")]
    assert all(made.excludes(literal) for literal in literals)


def test_a_file_that_projects_share_is_doubted_once(file: Path) -> None:
    file.write_text("ann\nAnn\n")
    found: list[Mistake] = []
    shared = {"region": "eu-west-101", "users_file": file}
    build(Layer("t", {"projects": [{**shared, "project_id": each} for each in ("p", "q")]}), warn=found.append)
    assert len(found) == 1


@pytest.mark.bad_input
@pytest.mark.parametrize("pattern", ["svc-*,test-*", "svc-*;test-*", "", " ", "svc\n*", "x" * 129])
def test_an_exclude_entry_is_one_pattern(pattern: str) -> None:
    [mistake] = rejections(exclude=[pattern])
    assert mistake.startswith("exclude[0]: must ")


@given(st.text())
def test_a_checked_name_stays_as_it_is_when_checked_again(text: str) -> None:
    try:
        name = plain_name(text)
    except ValueError:
        return
    assert plain_name(name) == name
    assert folded(name) == folded(name.casefold())


@given(st.lists(st.text(alphabet="aA\u0061\u030aÅ@.", min_size=1, max_size=4), max_size=6))
def test_users_in_the_file_and_in_the_configuration_are_judged_alike(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "alike.txt"
    file.write_text("\n".join(names) or "# nobody", "utf-8")
    outcomes: list[object] = []
    for values in ({"users": names}, {"users_file": file}):
        try:
            outcomes.append([user.name for user in project(**values).users])
        except ConfigError as error:
            outcomes.append([mistake.reason.partition(" as ")[0] for mistake in error.mistakes])
    assert outcomes[0] == outcomes[1] or not names
