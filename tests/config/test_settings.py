"""Which settings go together, and which values they take."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ConfigError, Layer, Settings, build
from exporter.config.tree import leaves

PROJECT: dict[str, Any] = {"project_id": "p1", "region": "eu-west-101", "users": ["alice"]}


def settings(**values: Any) -> Settings:
    return build(Layer("test.yml", {"projects": [PROJECT], **values}))


def project(**values: Any) -> Settings:
    return settings(projects=[PROJECT | values])


def refusals(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(**values)
    return [str(mistake).removeprefix("test.yml: ") for mistake in caught.value.mistakes]


def project_refusals(**values: Any) -> list[str]:
    return refusals(projects=[PROJECT | values])


def test_defaults_are_those_of_the_interface() -> None:
    """What is left out has the documented value."""
    default = settings()
    assert default.model_dump(exclude={"projects"}) == {
        "http": {"proxy": None, "ca_file": None},
        "poll": {
            "interval": 60.0,
            "user_interval": 300.0,
            "timeout": 10.0,
            "concurrency": 16,
            "rate_limit": 180.0,
            "source": "auto",
            "bulk_lookback": 86_400.0,
            "stale_after": None,
        },
        "metrics": {
            "per_user": "all",
            "user_label": "name",
            "hash_key": None,
            "hash_key_file": None,
            "max_label_values": 100,
        },
        "web": {
            "listen_address": ":10099",
            "telemetry_path": "/metrics",
            "config_file": None,
            "enable_lifecycle": False,
        },
        "shard": {"index": 0, "total": 1},
        "log": {"level": "info", "format": "logfmt"},
    }
    assert default.projects[0].endpoints.metadata == "http://169.254.169.254"


def test_a_project_is_named_by_its_id_unless_told() -> None:
    assert settings().projects[0].name == "p1"
    assert project(name="berlin").projects[0].name == "berlin"


def test_project_names_are_unique_after_defaulting() -> None:
    assert refusals(projects=[PROJECT, PROJECT | {"project_id": "x", "name": "p1"}]) == [
        "projects[1].name: is also the name of projects[0]; give each project its own"
    ]


def test_at_least_one_project_is_needed() -> None:
    assert refusals(projects=[]) == ["projects: needs at least one entry"]


def test_users_come_from_the_list_or_a_file_and_an_empty_list_is_a_statement() -> None:
    assert project(users=[]).projects[0].users == ()
    mistakes = refusals(projects=[{"project_id": "p", "region": "r"}])
    assert mistakes == ["projects[0].users: is required: name the users here or in users_file"]


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"token": "t"},
        {"access_key": "a", "secret_key": "s"},
        {"access_key": "a", "secret_key": "s", "security_token": "t"},
        {"username": "u", "domain": "d", "password": "p"},
    ],
)
def test_each_complete_way_to_authenticate_is_right(auth: dict[str, str]) -> None:
    project(auth=auth)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("auth", "wrong"),
    [
        ({"access_key": "a"}, ["secret_key"]),
        ({"security_token": "a"}, ["access_key", "secret_key"]),
        ({"username": "a"}, ["domain", "password"]),
        ({"password": "a"}, ["username", "domain"]),
    ],
)
def test_a_way_to_authenticate_is_complete(auth: dict[str, str], wrong: list[str]) -> None:
    mistakes = project_refusals(auth=auth)
    assert [mistake.partition(":")[0] for mistake in mistakes] == [f"projects[0].auth.{name}" for name in wrong]


def test_only_one_way_to_authenticate_is_taken() -> None:
    assert project_refusals(auth={"token": "t", "access_key": "a"}) == [
        "projects[0].auth: has several ways to authenticate; keep one of token, access_key and username"
    ]


def test_a_secret_and_its_file_contradict(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s")
    assert project_refusals(auth={"token": "t", "token_file": file}) == [
        "projects[0].auth.token_file: contradicts token: keep one of them"
    ]
    assert refusals(metrics={"hash_key": "t", "hash_key_file": file}) == [
        "metrics.hash_key_file: contradicts hash_key: keep one of them"
    ]


def test_hashed_labels_need_a_key() -> None:
    assert refusals(metrics={"user_label": "hash"}) == [
        "metrics.user_label: needs hash_key or hash_key_file to be set for hash"
    ]
    settings(metrics={"user_label": "hash", "hash_key": "k"})


def test_the_region_may_be_left_out_only_with_every_endpoint_that_is_used() -> None:
    endpoints = {"sessions": "https://s", "users": "http://u:8080"}
    password = {"username": "u", "domain": "d", "password": "p"}
    assert project(region=None, endpoints=endpoints).projects[0].region is None
    assert project_refusals(region=None, endpoints=endpoints, auth=password) == [
        "projects[0].region: is required, unless endpoints has all of sessions, users, iam"
    ]
    project(region=None, endpoints=endpoints | {"iam": "https://i"}, auth=password)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "https://",
        "x",
        "https://u:p@x",
        "https://x?a",
        "https://x#a",
        "http://[::1",
        "http://x y",
        "",
        "https://a..b",
        f"https://{'a' * 64}",
    ],
)
def test_an_endpoint_is_a_bare_http_url(url: str) -> None:
    [mistake] = project_refusals(endpoints={"sessions": url})
    assert mistake.startswith("projects[0].endpoints.sessions: must be an http:// or https:// URL with a host")


def test_an_endpoint_loses_its_last_slash() -> None:
    endpoints = project(endpoints={"sessions": "https://x/", "users": "http://[::1]:8/v1/"}).projects[0].endpoints
    assert (endpoints.sessions, endpoints.users) == ("https://x", "http://[::1]:8/v1")


def test_a_proxy_may_hold_a_password_and_never_shows_it() -> None:
    http = settings(http={"proxy": "http://u:s3cret@proxy:3128"}).http
    assert http.proxy is not None
    assert http.proxy.get_secret_value() == "http://u:s3cret@proxy:3128"
    assert "s3cret" not in repr(http)
    assert "s3cret" not in refusals(http={"proxy": "socks5://u:s3cret@proxy"})[0]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (":10099", None, 10099),
        ("[::1]:2", "::1", 2),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:10099", "0.0.0.0", 10099),  # noqa: S104 - nothing is bound
    ],
)
def test_a_listen_address_has_host_and_port(address: str, host: str | None, port: int) -> None:
    web = settings(web={"listen_address": address}).web
    assert (web.host, web.port) == (host, port)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "address",
    [
        "10099",
        "localhost",
        ":65536",
        "::1:2",
        "[::g]:2",
        "a b:1",
        ":-1",
        "",
        "[1:2]:3",
        "a..b:80",
        ".a:80",
        ".:80",
        f"{'a' * 64}:80",
        "a:80x",
        "a:80\n",
    ],
)
def test_another_listen_address_is_refused(address: str) -> None:
    [mistake] = refusals(web={"listen_address": address})
    assert mistake.startswith("web.listen_address: must be [host]:port")


@pytest.mark.bad_input
@given(st.from_regex(r"[A-Za-z0-9._-]{0,70}", fullmatch=True))
def test_an_accepted_host_is_one_that_the_socket_can_encode(host: str) -> None:
    with contextlib.suppress(ConfigError):
        assert (settings(web={"listen_address": f"{host}:1"}).web.host or "").encode("idna") is not None


@pytest.mark.parametrize("path", ["/", "/-/ready", "metrics", "/a b", "/a?b", "/{x}", ""])
def test_the_metrics_take_no_path_of_the_exporter(path: str) -> None:
    [mistake] = refusals(web={"telemetry_path": path})
    assert mistake.startswith("web.telemetry_path: must begin with /")


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("section", "values", "reason"),
    [
        ("poll", {"interval": True}, "poll.interval: must be a duration"),
        ("poll", {"concurrency": 1.5}, "poll.concurrency: must be a whole number"),
        ("poll", {"concurrency": "16"}, "poll.concurrency: must be written without quotes"),
        ("poll", {"concurrency": "x"}, "poll.concurrency: must be a whole number"),
        ("poll", {"rate_limit": "1.5"}, "poll.rate_limit: must be written without quotes"),
        ("web", {"enable_lifecycle": "true"}, "web.enable_lifecycle: must be written without quotes"),
        ("poll", {"concurrency": 0}, "poll.concurrency: must be at least 1"),
        ("poll", {"rate_limit": 0}, "poll.rate_limit: must be greater than 0"),
        ("poll", {"rate_limit": float("inf")}, "poll.rate_limit: must be a finite number"),
        ("poll", {"rate_limit": True}, "poll.rate_limit: must be a number"),
        ("poll", {"intervall": 1}, "poll.intervall: is unknown; did you mean interval?"),
        ("poll", {"x": 1}, "poll.x: is unknown; known here: interval, user_interval"),
        ("poll", None, "poll: must not be empty: give a value or leave it out"),
        ("poll", [], "poll: must be a mapping of settings"),
        ("projects", {}, "projects: must be a list"),
        ("web", {"listen_address": [":1"]}, "web.listen_address: must be text"),
        ("web", {"enable_lifecycle": "no"}, "web.enable_lifecycle: must be true or false"),
        ("http", {"ca_file": 1}, "http.ca_file: must be the path of a file"),
        ("log", {"level": "warn"}, "log.level: must be debug, info, warning or error"),
        ("intervals", {"a": 1}, "intervals: is unknown; known here: projects, http, poll"),
    ],
)
def test_types_are_strict_and_reasons_plain(section: str, values: object, reason: str) -> None:
    [mistake] = refusals(**{section: values})
    assert mistake.startswith(reason)


def test_a_number_for_a_project_id_is_told_to_be_quoted() -> None:
    [mistake] = project_refusals(project_id=1234)
    assert mistake.startswith("projects[0].project_id: must be text: put a value that looks like a number")


def test_every_mistake_is_told_at_once() -> None:
    mistakes = refusals(
        projects=[PROJECT | {"project_id": "ü", "auth": {"username": "u", "token_file": "/nowhere/token"}}],
        poll={"interval": "soon", "timeout": 0},
        log=3,
    )
    assert [mistake.partition(":")[0] for mistake in mistakes] == [
        "projects[0].project_id",
        "projects[0].auth",
        "projects[0].auth.token_file",
        "poll.interval",
        "poll.timeout",
        "log",
    ]


def test_doubled_names_are_told_whatever_else_is_wrong() -> None:
    assert refusals(
        projects=[
            PROJECT | {"users": ["alice", " alice ", 7, "a,b", "a,b"]},
            PROJECT | {"region": "EU"},
            PROJECT | {"name": ""},
            PROJECT | {"name": ""},
            "p1",
        ],
        pol={},
    ) == [
        "projects[0].users[1]: is the same user as test.yml: projects[0].users[0]; keep one of them",
        "projects[0].users[2]: must be a name, in quotes if it looks like a number, or {name: …, id: …}",
        "projects[0].users[3].name: must not contain a comma: users_file separates name and id with it",
        "projects[0].users[4].name: must not contain a comma: users_file separates name and id with it",
        "projects[1].name: is also the name of projects[0]; give each project its own",
        "projects[1].region: must be lowercase letters, digits and hyphens such as eu-west-101",
        "projects[2].name: must not be empty",
        "projects[3].name: must not be empty",
        "projects[4]: must be a mapping of settings",
        "pol: is unknown; did you mean poll?",
    ]


def test_rules_over_several_settings_hold_whatever_else_is_wrong() -> None:
    """Neither an unknown key nor a wrong value hides that another setting is missing."""
    assert refusals(
        projects=[
            {"project_id": "p", "regoin": "x", "auth": {"access_key": "a", "tokn": "b"}, "users": []},
            {"project_id": "ü", "region": "r", "auth": {"access_key": 5, "secret_key": ["s"], "token": "t"}},
        ],
        metrics={"user_label": "hash", "per_usr": "none"},
    ) == [
        "projects[0].region: is required, unless endpoints has all of sessions, users",
        "projects[0].regoin: is unknown; did you mean region?",
        "projects[0].auth.secret_key: is required: access_key, secret_key go together",
        "projects[0].auth.tokn: is unknown; did you mean token?",
        "projects[1].users: is required: name the users here or in users_file",
        "projects[1].project_id: must be letters, digits, hyphens and underscores",
        "projects[1].auth: has several ways to authenticate; keep one of token, access_key and username",
        "projects[1].auth.access_key: must be text: put a value that looks like a number or a date in quotes",
        "projects[1].auth.secret_key: must be text: put a value that looks like a number or a date in quotes",
        "metrics.user_label: needs hash_key or hash_key_file to be set for hash",
        "metrics.per_usr: is unknown; did you mean per_user?",
    ]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"auth": {"access_key": "a", "secret_key": 5}}, ["auth.secret_key"]),
        ({"auth": {"access_key": "a", "secret_key_file": 5}}, ["auth.secret_key_file"]),
        ({"auth": 5}, ["auth"]),
        ({"users": None}, ["users"]),
        ({"users_file": 5, "users": 7}, ["users", "users_file"]),
        ({"region": None, "endpoints": 5}, ["endpoints"]),
        ({"region": None, "endpoints": {"sessions": "", "users": "https://u"}}, ["endpoints.sessions"]),
        ({"project_id": None}, ["project_id"]),
    ],
)
def test_what_a_wrong_value_causes_is_not_told_besides(values: dict[str, object], told: list[str]) -> None:
    assert [mistake.partition(":")[0] for mistake in project_refusals(**values)] == [
        f"projects[0].{each}" for each in told
    ]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "user",
    [
        "Mallory, B",
        "Mallory\x00",
        "Mallory\ud800",
        {"name": "Mallory\nB"},
        {"Mallory": 1},
        {"name": "x", "Mallory": 1},
        ["Mallory"],
    ],
)
def test_a_user_is_never_named_in_a_mistake(user: object) -> None:
    mistakes = project_refusals(users=["bob", user])
    assert all(mistake.startswith("projects[0].users[1]") for mistake in mistakes)
    assert "Mallory" not in "".join(mistakes)


def test_user_names_are_stripped_and_ids_optional() -> None:
    users = project(users=[" a ", {"name": "b", "id": "7"}]).projects[0].users
    assert [(user.name, user.id) for user in users] == [("a", None), ("b", "7")]


@pytest.mark.parametrize("key", ["name", "id"])
def test_names_and_ids_have_at_most_128_characters(key: str) -> None:
    longest = "ü" * 128
    project(users=[{"name": "a", key: longest}])
    assert project_refusals(users=[{"name": "a", key: f"{longest}x"}]) == [
        f"projects[0].users[0].{key}: must not be longer than 128 characters"
    ]


def test_secrets_are_never_shown() -> None:
    loaded = project(auth={"username": "u", "domain": "d", "password": "s3cret"})
    assert "s3cret" not in repr(loaded)
    assert "s3cret" not in "".join(project_refusals(auth={"password": "s3cret\nx", "token": ["s3cret"]}))


def test_every_path_is_named_file_and_every_file_is_a_path() -> None:
    """Relative paths are found by that name."""
    for leaf in leaves():
        assert leaf.path.endswith("_file") == ("pathlib.Path" in repr(leaf.field.annotation)), leaf.path


def test_the_settings_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().poll.interval = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("shard", "reason"),
    [
        ({"index": 2, "total": 2}, "shard.index: must be less than total, 2: shards are counted from 0"),
        ({"index": 1}, "shard.index: must be less than total, 1: shards are counted from 0"),
        ({"index": -1, "total": 2}, "shard.index: must be at least 0"),
        ({"total": 0}, "shard.total: must be at least 1"),
    ],
)
def test_a_shard_is_one_of_all(shard: dict[str, int], reason: str) -> None:
    assert any(reason in mistake for mistake in refusals(shard=shard))
