"""The values that settings accept, and the rules over several settings."""

import contextlib
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from exporter.config import ConfigError, Layer, Settings, User, build, parse_duration
from exporter.config.catalog import all_settings
from exporter.config.names import RESERVED_LABELS
from exporter.config.values import is_duration, split_address
from exporter.metrics.families import DESCRIPTIONS

PROJECT: dict[str, Any] = {"project_id": "p1", "region": "eu-west-101", "users": ["alice"]}


def settings(**values: Any) -> Settings:
    return build(Layer("test.yml", {"projects": [PROJECT], **values}))


def project(**values: Any) -> Settings:
    return settings(projects=[PROJECT | values])


def rejections(**values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(**values)
    return [str(mistake).removeprefix("test.yml: ") for mistake in caught.value.mistakes]


def project_rejections(**values: Any) -> list[str]:
    return rejections(projects=[PROJECT | values])


def test_defaults_are_those_of_the_interface() -> None:
    """Every setting that is left out has the documented default."""
    default = settings()
    assert default.model_dump(exclude={"projects"}) == {
        "http": {"proxy": None, "ca_file": None},
        "poll": {
            "interval": 60.0,
            "user_interval": 300.0,
            "timeout": 10.0,
            "concurrency": 16,
            "rate_limit": 180.0,
            "failures_interval": 5.0,
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
            "listen_address": (":10099",),
            "systemd_socket": False,
            "telemetry_path": "/metrics",
            "config_file": None,
            "enable_lifecycle": False,
            "enable_config": False,
            "refresh_interval": 30.0,
        },
        "shard": {"index": 0, "total": 1},
        "log": {"level": "info", "format": "logfmt"},
    }
    assert default.projects[0].endpoints.metadata == "http://169.254.169.254"


def test_a_project_without_a_name_is_named_by_its_id() -> None:
    assert settings().projects[0].name == "p1"
    assert project(name="berlin").projects[0].name == "berlin"


def test_project_names_are_unique_after_defaulting() -> None:
    assert rejections(projects=[PROJECT, PROJECT | {"project_id": "x", "name": "p1"}]) == [
        "projects[1].name: is also the name of projects[0]; give each project its own"
    ]


def test_at_least_one_project_is_needed() -> None:
    assert rejections(projects=[]) == ["projects: needs at least one entry"]


def test_users_are_required_but_may_be_an_empty_list() -> None:
    assert project(users=[]).projects[0].users == ()
    mistakes = rejections(projects=[{"project_id": "p", "region": "r"}])
    assert mistakes == [
        "projects[0].users: is required: name the users here or in users_file, or find them with discover"
    ]


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
def test_each_complete_way_to_authenticate_is_valid(auth: dict[str, str]) -> None:
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
def test_an_incomplete_way_to_authenticate_is_rejected(auth: dict[str, str], wrong: list[str]) -> None:
    mistakes = project_rejections(auth=auth)
    assert [mistake.partition(":")[0] for mistake in mistakes] == [f"projects[0].auth.{name}" for name in wrong]


def test_two_ways_to_authenticate_are_rejected() -> None:
    assert project_rejections(auth={"token": "t", "access_key": "a"}) == [
        "projects[0].auth: has several ways to authenticate; keep one of token, access_key and username"
    ]


def test_a_secret_and_its_file_contradict_each_other(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s")
    assert project_rejections(auth={"token": "t", "token_file": file}) == [
        "projects[0].auth.token_file: contradicts token: keep one of them"
    ]
    assert rejections(metrics={"hash_key": "t", "hash_key_file": file}) == [
        "metrics.hash_key_file: contradicts hash_key: keep one of them"
    ]


def test_hashed_labels_need_a_key() -> None:
    assert rejections(metrics={"user_label": "hash"}) == [
        "metrics.user_label: needs hash_key or hash_key_file to be set for hash"
    ]
    settings(metrics={"user_label": "hash", "hash_key": "k"})


def test_the_region_is_optional_only_with_all_endpoints_in_use() -> None:
    endpoints = {"sessions": "https://s", "users": "http://u:8080"}
    password = {"username": "u", "domain": "d", "password": "p"}
    assert project(region=None, endpoints=endpoints).projects[0].region is None
    assert project_rejections(region=None, endpoints=endpoints, auth=password) == [
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
    [mistake] = project_rejections(endpoints={"sessions": url})
    assert mistake.startswith("projects[0].endpoints.sessions: must be an http:// or https:// URL with a host")


def test_an_endpoint_s_trailing_slash_is_removed() -> None:
    endpoints = project(endpoints={"sessions": "https://x/", "users": "http://[::1]:8/v1/"}).projects[0].endpoints
    assert (endpoints.sessions, endpoints.users) == ("https://x", "http://[::1]:8/v1")


def test_a_proxy_s_password_is_never_shown() -> None:
    http = settings(http={"proxy": "http://u:s3cret@proxy:3128"}).http
    assert http.proxy is not None
    assert http.proxy.get_secret_value() == "http://u:s3cret@proxy:3128"
    assert "s3cret" not in repr(http)
    assert "s3cret" not in rejections(http={"proxy": "socks5://u:s3cret@proxy"})[0]


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        (":10099", None, 10099),
        ("[::1]:2", "::1", 2),
        ("localhost:0", "localhost", 0),
        ("0.0.0.0:10099", "0.0.0.0", 10099),  # noqa: S104 - nothing is bound
        ("[fe80::1%eth0]:10099", "fe80::1%eth0", 10099),
    ],
)
def test_a_listen_address_has_host_and_port(address: str, host: str | None, port: int) -> None:
    web = settings(web={"listen_address": address}).web
    assert web.listen_address == (address,)
    assert split_address(address) == (host, port)


def test_listen_addresses_may_be_a_list() -> None:
    addresses = ["127.0.0.1:10099", "[::1]:10099", "127.0.0.1:0", "localhost:0", ":0"]
    assert settings(web={"listen_address": addresses}).web.listen_address == tuple(addresses)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ([], "needs at least one address"),
        ([":1", ":1"], "entry 2 repeats an address"),
        (["a:1", "A:1"], "entry 2 repeats an address"),
        (["[::1]:1", "[0:0:0:0:0:0:0:1]:1"], "entry 2 repeats an address"),
        (["127.0.0.1:1", "[::1]:2", ":1"], "entry 3 repeats an address"),
        ([":1", "127.0.0.1:1"], "entry 2 repeats an address"),
        ([":1", "localhost"], "entry 2 must be [host]:port"),
        ([1], "must be text"),
        (10099, "must be a list"),
    ],
)
def test_a_list_of_addresses_with_a_mistake_is_rejected(addresses: object, reason: str) -> None:
    [mistake] = rejections(web={"listen_address": addresses})
    assert reason in mistake


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
def test_an_invalid_listen_address_is_rejected(address: str) -> None:
    [mistake] = rejections(web={"listen_address": address})
    assert mistake.startswith("web.listen_address: must be [host]:port")


@pytest.mark.bad_input
@given(st.from_regex(r"[A-Za-z0-9._-]{0,70}", fullmatch=True))
def test_the_socket_can_encode_every_accepted_host(host: str) -> None:
    with contextlib.suppress(ConfigError):
        [address] = settings(web={"listen_address": f"{host}:1"}).web.listen_address
        assert (split_address(address)[0] or "").encode("idna") is not None


@pytest.mark.parametrize("path", ["/", "/-/ready", "metrics", "/a b", "/a?b", "/{x}", ""])
def test_the_telemetry_path_cannot_be_a_path_of_the_exporter(path: str) -> None:
    [mistake] = rejections(web={"telemetry_path": path})
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
        ("poll", {"concurrency": 0}, "poll.concurrency: must be a number of at least 1"),
        ("poll", {"rate_limit": 0}, "poll.rate_limit: must be a number of at least 0.1"),
        ("poll", {"rate_limit": float("inf")}, "poll.rate_limit: must be a finite number"),
        ("poll", {"rate_limit": True}, "poll.rate_limit: must be a number"),
        ("poll", {"intervall": 1}, "poll.intervall: is unknown; did you mean interval?"),
        ("poll", {"x": 1}, "poll.x: is unknown; known here: interval, user_interval"),
        ("poll", None, "poll: must not be empty: give a value or leave it out"),
        ("poll", [], "poll: must be a mapping of settings"),
        ("projects", {}, "projects: must be a list"),
        ("web", {"listen_address": {":1": ""}}, "web.listen_address: must be a list"),
        ("web", {"enable_lifecycle": "no"}, "web.enable_lifecycle: must be true or false"),
        ("http", {"ca_file": 1}, "http.ca_file: must be the path of a file"),
        ("log", {"level": "loud"}, "log.level: must be debug, info, warning or error"),
        ("intervals", {"a": 1}, "intervals: is unknown; known here: projects, http, poll"),
    ],
)
def test_types_are_strict(section: str, values: object, reason: str) -> None:
    [mistake] = rejections(**{section: values})
    assert mistake.startswith(reason)


DURATIONS = [  # setting, shortest, longest
    ("poll.interval", "1s", "30d"),
    ("poll.user_interval", "1s", "30d"),
    ("poll.timeout", "100ms", "1h"),
    ("poll.bulk_lookback", "1m", "1y"),
    ("poll.stale_after", "1s", "1y"),
]
DURATIONS_OR_ZERO = [("poll.failures_interval", "1s", "30d"), ("web.refresh_interval", "1s", "1d")]
NO_DURATION = ["", "off", -1, "-5s", "0.5s", False, True, [], "nan", float("nan"), float("inf"), "1e999", 10**400]


def duration(path: str, value: object) -> float:
    section, name = path.split(".")
    seconds: float = getattr(getattr(settings(**{section: {name: value}}), section), name)
    return seconds


def duration_mistake(path: str, value: object) -> str:
    section, name = path.split(".")
    [mistake] = rejections(**{section: {name: value}})
    return mistake.removeprefix(f"{path}: ")


def test_these_are_all_durations() -> None:
    durations = [setting.path for setting in all_settings() if is_duration(setting.field)]
    assert sorted(durations) == sorted(path for path, _, _ in (*DURATIONS, *DURATIONS_OR_ZERO))


@pytest.mark.parametrize(("path", "low", "high"), [*DURATIONS, *DURATIONS_OR_ZERO])
def test_a_duration_is_valid_up_to_its_limits(path: str, low: str, high: str) -> None:
    for allowed in (low, high, "1m30s", parse_duration(low), 90, "90"):
        assert duration(path, allowed) == parse_duration(allowed)


@pytest.mark.bad_input
@pytest.mark.parametrize(("path", "low", "high"), DURATIONS)
def test_the_mistake_in_a_duration_names_its_limits(path: str, low: str, high: str) -> None:
    """With a look-back beyond the year 1, every scan would fail."""
    for wrong in (parse_duration(low) * 0.999, parse_duration(high) * 1.001, "2100y", 0, "0s", *NO_DURATION):
        reason = f"must be a duration from {low} to {high} such as 1m30s, or a number of seconds"
        assert duration_mistake(path, wrong) == reason


@pytest.mark.bad_input
@pytest.mark.parametrize(("path", "low", "high"), DURATIONS_OR_ZERO)
def test_the_mistake_in_a_duration_that_may_be_zero_says_so(path: str, low: str, high: str) -> None:
    for wrong in ("1ms", parse_duration(low) * 0.999, parse_duration(high) * 1.001, "2100y", *NO_DURATION):
        reason = f"must be 0, or a duration from {low} to {high} such as 1m30s, or a number of seconds"
        assert duration_mistake(path, wrong) == reason


@pytest.mark.parametrize("path", [path for path, _, _ in DURATIONS_OR_ZERO])
@pytest.mark.parametrize("off", [0, 0.0, "0", "0s", "0ms", "0.0"])
def test_zero_turns_an_interval_off(path: str, off: object) -> None:
    assert duration(path, off) == 0


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("section", "name", "value", "reason"),
    [
        ("poll", "rate_limit", 0.01, "must be a number of at least 0.1"),
        ("poll", "rate_limit", 1e10, "must be a number of at most 1000000000"),
        ("poll", "concurrency", 10**6, "must be a number of at most 1000"),
        ("metrics", "max_label_values", 10**9, "must be a number of at most 100000"),
        ("shard", "total", 10**15, "must be a number of at most 1000"),
    ],
)
def test_a_number_has_limits(section: str, name: str, value: float, reason: str) -> None:
    """With 10^15 shards, the check would never end."""
    assert rejections(**{section: {name: value}}) == [f"{section}.{name}: {reason}"]


@pytest.mark.parametrize(
    ("written", "level"), [("warn", "warning"), ("WARN", "warning"), ("Warning", "warning"), ("DEBUG", "debug")]
)
def test_a_log_level_may_be_written_in_any_case_or_as_warn(written: str, level: str) -> None:
    assert settings(log={"level": written}).log.level == level


def test_a_project_id_that_looks_like_a_number_needs_quotes() -> None:
    [mistake] = project_rejections(project_id=1234)
    assert mistake.startswith("projects[0].project_id: must be text: put a value that looks like a number")


def test_all_mistakes_are_reported_at_once() -> None:
    mistakes = rejections(
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


def test_a_user_takes_64_bytes_and_is_not_tracked_by_the_garbage_collector() -> None:
    (user,) = project(users=[{"name": " alice ", "id": "7a"}]).projects[0].users
    assert user == User("alice", "7a")
    assert sys.getsizeof(user) <= 64
    assert not gc.is_tracked(user)


def test_the_repr_of_settings_names_no_user() -> None:
    """A library's error may contain it."""
    assert "alice" not in repr(settings())


def test_duplicate_names_are_reported_whatever_else_is_wrong() -> None:
    assert rejections(
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
        "projects[0].users[2]: must be a name, in quotes if it looks like a number, or {name: …, id: …, domain: …}",
        "projects[0].users[3].name: must not contain a comma, which separates name and id in users_file",
        "projects[0].users[4].name: must not contain a comma, which separates name and id in users_file",
        "projects[1].name: is also the name of projects[0]; give each project its own",
        "projects[1].region: must be lowercase letters, digits and hyphens such as eu-west-101",
        "projects[2].name: must not be empty",
        "projects[3].name: must not be empty",
        "projects[4]: must be a mapping of settings",
        "pol: is unknown; did you mean poll?",
    ]


def test_rules_over_several_settings_are_checked_whatever_else_is_wrong() -> None:
    """An unknown key or wrong value does not hide a missing setting."""
    assert rejections(
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
        "projects[1].users: is required: name the users here or in users_file, or find them with discover",
        "projects[1].project_id: must be letters, digits, hyphens and underscores",
        "projects[1].auth: has several ways to authenticate; keep one of token, access_key and username",
        "projects[1].auth.access_key: must be text: put a value that looks like a number or a date in quotes",
        "projects[1].auth.secret_key: must be text: put a value that looks like a number or a date in quotes",
        "metrics.user_label: needs hash_key or hash_key_file to be set for hash",
        "metrics.per_usr: is unknown; did you mean per_user?",
    ]


@pytest.mark.parametrize(
    ("values", "reported"),
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
def test_consequences_of_a_wrong_value_are_not_reported(values: dict[str, object], reported: list[str]) -> None:
    assert [mistake.partition(":")[0] for mistake in project_rejections(**values)] == [
        f"projects[0].{each}" for each in reported
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
    mistakes = project_rejections(users=["bob", user])
    assert all(mistake.startswith("projects[0].users[1]") for mistake in mistakes)
    assert "Mallory" not in "".join(mistakes)


def test_user_names_are_stripped_and_ids_optional() -> None:
    users = project(users=[" a ", {"name": "b", "id": "7"}]).projects[0].users
    assert [(user.name, user.id) for user in users] == [("a", None), ("b", "7")]


@pytest.mark.parametrize("key", ["name", "id"])
def test_names_and_ids_have_at_most_128_characters(key: str) -> None:
    longest = "ü" * 128
    project(users=[{"name": "a", key: longest}])
    assert project_rejections(users=[{"name": "a", key: f"{longest}x"}]) == [
        f"projects[0].users[0].{key}: must not be longer than 128 characters"
    ]


def test_secrets_are_never_shown() -> None:
    loaded = project(auth={"username": "u", "domain": "d", "password": "s3cret"})
    assert "s3cret" not in repr(loaded)
    assert "s3cret" not in "".join(project_rejections(auth={"password": "s3cret\nx", "token": ["s3cret"]}))


def test_settings_named_file_are_paths_and_no_others() -> None:
    """Relative paths are found by that name."""
    for setting in all_settings():
        is_path = f"{Path.__module__}.Path" in repr(setting.field.annotation)
        assert setting.path.endswith("_file") == is_path, setting.path


def test_the_settings_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        settings().poll.interval = 3  # type: ignore[misc]  # the point of the test


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("shard", "reason"),
    [
        ({"index": 2, "total": 2}, "shard.index: must be less than total, 2: shards are counted from 0"),
        ({"index": 1}, "shard.index: must be less than total, 1: shards are counted from 0"),
        ({"index": -1, "total": 2}, "shard.index: must be a number of at least 0"),
        ({"total": 0}, "shard.total: must be a number of at least 1"),
    ],
)
def test_the_shard_index_is_below_the_total(shard: dict[str, int], reason: str) -> None:
    assert any(reason in mistake for mistake in rejections(shard=shard))


def test_discovery_of_all_users_needs_five_lines() -> None:
    (project,) = build(
        Layer("test.yml", {"projects": [{"project_id": "p", "region": "r", "discover": [{"all": True}]}]})
    ).projects
    assert (project.users, [each.filters for each in project.discover]) == ((), [()])


def test_a_discover_entry_combines_what_it_names() -> None:
    entry = {
        "active_type": "ADMIN_ACTIVATE",
        "enterprise_project_id": "0",
        "platform_type": "AD",
        "domain": "corp.example",
        "group": "Sales",
    }
    (discover,) = project(discover=[entry]).projects[0].discover
    assert discover.filters == (
        ("group_name", "Sales"),
        ("domain", "corp.example"),
        ("platform_type", "AD"),
        ("enterprise_project_id", "0"),
        ("active_type", "ADMIN_ACTIVATE"),
    )
    assert not discover.all


def test_undocumented_types_are_accepted() -> None:
    """The cloud may get further ones."""
    (discover,) = project(discover=[{"platform_type": "NEW"}]).projects[0].discover
    assert discover.filters == (("platform_type", "NEW"),)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (
            [{}],
            "[0]: names no users: give one of group, domain, platform_type, enterprise_project_id, active_type, all",
        ),
        ([{"all": False}], "[0]: names no users: give one of group"),
        ([{"all": True, "group": "Sales"}], "[0]: combines all with a filter; keep one of them"),
        ([{"group": "Sales"}, {"groop": "Sales"}], "[1].groop: is unknown; did you mean group?"),
        ([{"group_name": "Sales"}], "[0].group_name: is unknown; did you mean group?"),
        ([{"platform": "AD"}], "[0].platform: is unknown; did you mean platform_type?"),
        ([{"x": 1}], "[0].x: is unknown; known here: group, domain, platform_type"),
        ([{"group": 5}], "[0].group: must be text"),
        ([{"group": ""}], "[0].group: must not be empty"),
        ([{"group": None}], "[0]: names no users"),
        ([{"enterprise_project_id": 0}], "[0].enterprise_project_id: must be text"),
        ([{"all": "true"}], "[0].all: must be written without quotes"),
        (["all"], "[0]: must be a mapping such as {group: Sales} or {all: true}"),
        ({"all": True}, ": must be a list such as [{group: Sales}] or [{all: true}]"),
        (True, ": must be a list such as [{group: Sales}] or [{all: true}]"),
    ],
)
def test_a_wrong_discover_entry_is_rejected(entries: object, reason: str) -> None:
    [mistake] = project_rejections(discover=entries)
    assert mistake.startswith(f"projects[0].discover{reason}")


def test_a_misspelled_project_setting_gets_the_closest_one() -> None:
    assert project_rejections(discovery=[{"all": True}], excludes=["x"], label={"site": "m"}) == [
        "projects[0].discovery: is unknown; did you mean discover?",
        "projects[0].excludes: is unknown; did you mean exclude?",
        "projects[0].label: is unknown; did you mean labels?",
    ]


def test_an_empty_discover_list_does_not_replace_the_users() -> None:
    assert project(discover=[]).projects[0].discover == ()
    assert rejections(projects=[{"project_id": "p", "region": "r", "discover": []}]) == [
        "projects[0].users: is required: name the users here or in users_file, or find them with discover"
    ]


def test_a_project_overrides_only_the_poll_settings_that_it_names() -> None:
    loaded = settings(
        projects=[
            PROJECT | {"poll": {"interval": "30s", "stale_after": None, "failures_interval": 0}},
            PROJECT | {"name": "other"},
        ],
        poll={"interval": "2m", "timeout": "5s", "stale_after": "10m", "failures_interval": "10s"},
    )
    special, other = map(loaded.poll_of, loaded.projects)
    assert (special.interval, special.timeout, special.stale_after) == (30.0, 5.0, None)
    assert (special.failures_interval, other.failures_interval) == (0.0, 10.0)
    assert other == loaded.poll


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("poll", "reason"),
    [
        ({"interval": "1ms"}, ".interval: must be a duration from 1s to 30d"),
        ({"interval": "soon"}, ".interval: must be a duration from 1s to 30d"),
        ({"intervall": "1m"}, ".intervall: is unknown; did you mean interval?"),
        ({"failures_interval": "500ms"}, ".failures_interval: must be 0, or a duration from 1s to 30d"),
        ({"rate_limit": 0}, ".rate_limit: must be a number of at least 0.1"),
        ([], ": must be a mapping of settings"),
    ],
)
def test_a_wrong_poll_setting_of_a_project_is_rejected_as_in_the_section(poll: object, reason: str) -> None:
    [mistake] = project_rejections(poll=poll)
    assert mistake.startswith(f"projects[0].poll{reason}")


def test_labels_keep_their_order_and_text() -> None:
    assert dict(project(labels={"site": " munich ", "_a": "ü" * 128}).projects[0].labels) == {
        "site": "munich",
        "_a": "ü" * 128,
    }


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"9a": "x"}, ".9a: must be letters, digits and underscores"),
        ({"a-b": "x"}, ".a-b: must be letters"),
        ({"a:b": "x"}, ".a:b: must be letters"),
        ({"ä": "x"}, ".ä: must be letters"),
        ({"": "x"}, ".: must be letters"),
        ({"a\n": "x"}, ".a\\n: must be letters"),
        ({"__name__": "x"}, ".__name__: must not begin with __ or exported_"),
        ({"__a": "x"}, ".__a: must not begin with"),
        ({"exported_job": "x"}, ".exported_job: must not begin with"),
        *(({name: "x"}, f".{name}: is used by Prometheus or by a metric") for name in ("job", "instance", "le")),
        *(({name: "x"}, f".{name}: is used by") for name in ("quantile", "project", "user_name", "age", "status")),
        ({5: "x"}, "[5]: must be text: put the key in quotes"),
        ({"site": 5}, ".site: must be text"),
        ({"site": ""}, ".site: must not be empty"),
        ({"site": " "}, ".site: must not be empty"),
        ({"site": "a\nb"}, ".site: must not contain line breaks"),
        ({"site": "x" * 129}, ".site: must not be longer than 128 characters"),
        ({"site": None}, ".site: must not be empty"),
        ({"site": ["x"]}, ".site: must be text"),
        (["site"], ": must be a mapping of label names to values"),
    ],
)
def test_a_wrong_label_is_rejected(labels: object, reason: str) -> None:
    [mistake] = project_rejections(labels=labels)
    assert mistake.startswith(f"projects[0].labels{reason}")


def test_no_label_of_a_metric_can_be_a_label_of_a_project() -> None:
    own = {label for description in DESCRIPTIONS for label in description.labels}
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    of_process = {label for family in registry.collect() for sample in family.samples for label in sample.labels}
    assert own | of_process <= RESERVED_LABELS
