"""Values that are valid but probably not meant are reported with their place, and without the value."""

from pathlib import Path
from typing import Any

import pytest
from huaweicloudsdkworkspace.v2.region.workspace_region import WorkspaceRegion

from exporter.config import ConfigError, Layer, Mistake, build, load
from exporter.config.doubts import REGIONS, placeholder

PROJECT: dict[str, Any] = {"project_id": "p", "region": "eu-west-101", "users": ["alice"]}
PLACEHOLDER = "looks like a placeholder: the exporter expands no variables, so write the value itself"


def doubts(*, sections: dict[str, Any] | None = None, **values: Any) -> list[str]:
    found: list[Mistake] = []
    build(Layer("test.yml", {"projects": [PROJECT | values], **(sections or {})}), warn=found.append)
    return [str(doubt).removeprefix("test.yml: ") for doubt in found]


def test_nothing_is_doubtful_about_a_usual_configuration() -> None:
    auth = {"access_key": "AK", "secret_key": "pa$$w0rd$ABC{x}%20%<>"}
    exclude = ["svc-*", "test?", "[a-c]*", "x.y*"]
    assert doubts(auth=auth, exclude=exclude, discover=[{"group": "Sales", "platform_type": "AD"}]) == []


@pytest.mark.parametrize(
    "text",
    [
        "${SK}",
        "$SK",
        "${SK:-default}",
        "abc${SK}",
        "$(SK)",
        "{{ sk }}",
        "{{sk}}x",
        "<your-sk>",
        "https://<host>",
        "https://$HOST/v1",
        "https://${HOST}",
        "%SK%",
        "changeme",
        "CHANGE_ME",
        "replace-me",
        "your-secret-key",
        " $SK ",
    ],
)
def test_a_placeholder_is_recognized(text: str) -> None:
    assert placeholder(text)


@pytest.mark.parametrize(
    "text",
    ["", "sk", "pa$SWORD", "a$", "$", "$5", "100%", "a%20b%20c", "x<y", "a<b>c"[:3], "HOST$", "}{", "yours", "{}"],
)
def test_other_text_is_no_placeholder(text: str) -> None:
    assert placeholder(text) is None


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"auth": {"access_key": "AK", "secret_key": "${SK}"}}, "projects[0].auth.secret_key"),
        ({"auth": {"token": "$TOKEN"}}, "projects[0].auth.token"),
        ({"name": "${NAME}"}, "projects[0].name"),
        ({"labels": {"site": "$SITE"}}, "projects[0].labels.site"),
        ({"users": ["${USER}"]}, "projects[0].users[0].name: must"),
        ({"users": ["<user>"]}, "projects[0].users[0]"),
        ({"users": [{"name": "$USER"}]}, "projects[0].users[0]"),
        ({"discover": [{"group": "${GROUP}"}]}, "projects[0].discover[0].group"),
        ({"exclude": ["$NAMES"]}, "projects[0].exclude[0]"),
        ({"sections": {"metrics": {"hash_key": "${KEY}"}}}, "metrics.hash_key"),
        ({"sections": {"http": {"proxy": "http://u:${PASSWORD}@proxy:3128"}}}, "http.proxy"),
    ],
)
def test_a_placeholder_in_any_setting_is_doubtful(values: dict[str, Any], path: str) -> None:
    if path.endswith("must"):  # braces are rejected
        with pytest.raises(ConfigError, match="must be a plain name"):
            doubts(**values)
    else:
        assert doubts(**values) == [f"{path}: {PLACEHOLDER}"]


def test_a_placeholder_is_found_in_file_environment_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "w.yml"
    file.write_text("projects: [{project_id: p, region: eu-west-101, users: [a], auth: {token: '${TOKEN}'}}]")
    found: list[Mistake] = []
    load(
        {"config.file": str(file), "http.proxy": "http://u:$PASSWORD@proxy:3128"},
        {"WORKSPACE_EXPORTER_METRICS__HASH_KEY": "${KEY}"},
        warn=found.append,
    )
    assert [str(doubt) for doubt in found] == [
        f"{file}: projects[0].auth.token: {PLACEHOLDER}",
        f"environment WORKSPACE_EXPORTER_METRICS__HASH_KEY: {PLACEHOLDER}",
        f"flag --http.proxy: {PLACEHOLDER}",
    ]


def test_a_placeholder_in_a_variable_of_the_sdk_is_doubtful(tmp_path: Path) -> None:
    file = tmp_path / "w.yml"
    file.write_text("projects: [{project_id: p, region: eu-west-101, users: [a]}]")
    found: list[Mistake] = []
    load({"config.file": str(file)}, {"HUAWEICLOUD_SDK_SK": "${SK}", "OTHER": "${X}"}, warn=found.append)
    assert [str(doubt) for doubt in found] == [f"environment HUAWEICLOUD_SDK_SK: {PLACEHOLDER}"]


def test_a_placeholder_in_the_file_of_a_secret_is_doubtful(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("${TOKEN}\n")
    assert doubts(auth={"token_file": secret}) == [
        f"projects[0].auth.token_file: the file {secret} holds a placeholder; write the value itself"
    ]


def test_a_placeholder_is_named_even_where_the_value_is_wrong() -> None:
    """The mistake alone would not say that nothing has replaced the variable."""
    found: list[Mistake] = []
    with pytest.raises(ConfigError, match=r"poll.interval: must be a duration"):
        build(Layer("test.yml", {"projects": [PROJECT], "poll": {"interval": "${INTERVAL}"}}), warn=found.append)
    assert [str(doubt) for doubt in found] == [f"test.yml: poll.interval: {PLACEHOLDER}"]


@pytest.mark.parametrize("user", [{"Mallory": "${X}"}, {"name": "x", "Mallory ${Y}": "$X"}])
def test_a_doubt_never_names_a_user(user: object) -> None:
    found: list[Mistake] = []
    with pytest.raises(ConfigError):
        build(Layer("test.yml", {"projects": [PROJECT | {"users": [user]}]}), warn=found.append)
    assert found
    assert "Mallory" not in "".join(map(str, found))


def test_an_unknown_region_is_doubtful_and_the_closest_is_named() -> None:
    assert doubts(region="eu-west-999") == [
        "projects[0].region: is not a region in which the official SDK knows Workspace; did you mean eu-west-101?"
    ]
    [far] = doubts(region="x")
    assert far.endswith(f"; known are {', '.join(REGIONS)}")


def test_a_region_that_no_host_depends_on_is_not_doubtful() -> None:
    assert doubts(region="x", endpoints={"sessions": "https://s", "users": "https://u"}) == []


def test_the_known_regions_are_those_of_the_sdk() -> None:
    assert set(REGIONS) == set(WorkspaceRegion.static_fields)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"platform_type": "ad"}], ["[0].platform_type: is not a documented value: AD, LOCAL, UOS"]),
        ([{"active_type": "X"}], ["[0].active_type: is not a documented value: USER_ACTIVATE, ADMIN_ACTIVATE"]),
        ([{"platform_type": "AD", "active_type": "ADMIN_ACTIVATE"}], []),
        ([{"group": "S*"}], ["[0].group: looks like a pattern; the cloud compares the whole name of the group"]),
        ([{"all": True}, {"group": "S"}], ["[0]: already includes the users of all other entries; keep it alone"]),
        ([{"group": "S"}, {"group": "S"}], ["[1]: repeats an earlier entry; keep one of them"]),
    ],
)
def test_a_filter_that_is_probably_not_meant_is_doubtful(entries: list[dict[str, Any]], expected: list[str]) -> None:
    assert doubts(discover=entries) == [f"projects[0].discover{each}" for each in expected]


@pytest.mark.parametrize(
    ("pattern", "doubt"),
    [
        ("*", "excludes every user"),
        ("**", "excludes every user"),
        ("^svc-", "looks like a regular expression; a shell pattern such as svc-* is expected"),
        ("svc-.*", "looks like a regular expression; a shell pattern such as svc-* is expected"),
        ("svc-[0-9]+$", "looks like a regular expression; a shell pattern such as svc-* is expected"),
    ],
)
def test_a_pattern_that_is_probably_not_meant_is_doubtful(pattern: str, doubt: str) -> None:
    assert doubts(exclude=[pattern]) == [f"projects[0].exclude[0]: {doubt}"]


@pytest.mark.parametrize("key", ["region", "discover", "exclude"])
@pytest.mark.parametrize(
    "value", [5, [], {}, [5], [{}], [[5]], {"a": [1]}, [{"group": 5}], [{"all": "x"}], ["a", 5], None]
)
def test_wrong_values_are_mistakes_and_never_doubted(key: str, value: Any) -> None:
    try:
        doubts(**{key: value})
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017 - either outcome is right
