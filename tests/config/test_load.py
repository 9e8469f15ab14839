"""From flags, environment and file to settings, with the place of every mistake."""

from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import ConfigError, Layer, Settings, build, flag_layer, load
from exporter.config.load import environment_layer

PREFIX = "WORKSPACE_EXPORTER_"
PROJECTS = "projects: [{project_id: p, region: r, users: [alice]}]\n"
ENVIRONMENT = {f"{PREFIX}PROJECTS": '[{"project_id": "p", "region": "r", "users": ["alice"]}]'}
EXAMPLE = """\
projects:
  - name: berlin
    region: eu-west-101
    project_id: a4da8115c9d8464ead3a38309130523f
    endpoints:
      sessions: https://workspace.eu-west-101.myhuaweicloud.com
      users: https://workspace.eu-west-101.myhuaweicloud.com
      iam: https://iam.eu-west-101.myhuaweicloud.com
      metadata: http://169.254.169.254
    auth:
      username: monitor
      domain: my-account
      password_file: secrets/password
    users:
      - user001
      - {name: user002, id: 8a2c3f9579d240820179d51e6caf0001}
    users_file: users.txt
http:
  proxy: http://proxy.corp:3128
  ca_file: corp-ca.pem
poll:
  interval: 60s
  user_interval: 5m
  timeout: 10s
  concurrency: 16
  rate_limit: 180
  source: auto
  bulk_lookback: 24h
  stale_after: 3m
metrics:
  per_user: all
  user_label: name
  max_label_values: 100
web:
  listen_address: ":10099"
  telemetry_path: /metrics
  enable_lifecycle: false
shard: {index: 0, total: 1}
log:
  level: info
  format: logfmt
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A directory with a valid workspace.yml."""
    (tmp_path / "workspace.yml").write_text(PROJECTS)
    return tmp_path


def from_file(directory: Path, text: str, **environ: str) -> Settings:
    file = directory / "workspace.yml"
    file.write_text(text)
    return load({"config.file": str(file)}, environ)


def mistakes(directory: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        from_file(directory, text, **environ)
    return [str(mistake).replace(f"{directory}/", "") for mistake in caught.value.mistakes]


def project(extra: str) -> str:
    return f"projects: [{{project_id: p, region: r, users: [alice], {extra}}}]"


def test_the_complete_example_loads(tmp_path: Path) -> None:
    """The documented file is valid; users of the users file join the list, and secrets stay in their files."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/password").write_text("s3cret\n")
    (tmp_path / "users.txt").write_text("user003,77\n")
    (tmp_path / "corp-ca.pem").write_text(Path(certifi.where()).read_text("utf-8"))
    settings = from_file(tmp_path, EXAMPLE)
    [berlin] = settings.projects
    assert [(user.name, user.id) for user in berlin.users] == [
        ("user001", None),
        ("user002", "8a2c3f9579d240820179d51e6caf0001"),
        ("user003", "77"),
    ]
    assert (berlin.auth.password, berlin.auth.password_file) == (None, tmp_path / "secrets/password")
    assert settings.http.ca_file == tmp_path / "corp-ca.pem"
    assert settings.poll.stale_after == 180.0


@pytest.mark.parametrize(
    ("flag", "environ", "file", "expected"),
    [
        (None, None, None, 60),
        (None, None, 1, 1),
        (None, "2", None, 2),
        (None, "2", 1, 2),
        ("3", None, 1, 3),
        ("3", "2", None, 3),
        ("3", "2", 1, 3),
    ],
)
def test_flags_win_over_environment_over_file_over_defaults(
    tmp_path: Path, flag: str | None, environ: str | None, file: int | None, expected: float
) -> None:
    (tmp_path / "w.yml").write_text(PROJECTS + (f"poll: {{interval: {file}}}" if file else ""))
    flags = {"poll.interval": flag} if flag else {}
    variables = {f"{PREFIX}POLL__INTERVAL": environ} if environ else {}
    assert load({"config.file": str(tmp_path / "w.yml"), **flags}, variables).poll.interval == expected


def test_sections_merge_key_by_key_and_lists_are_replaced(tmp_path: Path) -> None:
    settings = from_file(
        tmp_path,
        PROJECTS + "poll: {interval: 1s, timeout: 2s}",
        **{f"{PREFIX}POLL__TIMEOUT": "3s", f"{PREFIX}PROJECTS": "[{project_id: q, region: r, users: [bob]}]"},
    )
    assert (settings.poll.interval, settings.poll.timeout) == (1, 3)
    assert [each.name for each in settings.projects] == ["q"]


def test_the_environment_can_name_the_file_and_the_flag_wins(written: Path) -> None:
    named = {f"{PREFIX}CONFIG__FILE": str(written / "workspace.yml")}
    assert load({}, named).projects[0].name == "p"
    with pytest.raises(ConfigError, match=r"other.yml: cannot be read \(No such file or directory\)"):
        load({"config.file": "other.yml"}, named)


def test_no_file_is_needed() -> None:
    assert load({}, ENVIRONMENT).projects[0].users[0].name == "alice"


def test_texts_take_the_type_of_their_setting() -> None:
    """Environment and flags are text, which is converted only for settings of another type."""
    settings = load(
        {"poll.rate_limit": "90", "http.proxy": "http://p:1"},
        ENVIRONMENT
        | {
            f"{PREFIX}POLL__CONCURRENCY": "8",
            f"{PREFIX}WEB__ENABLE_LIFECYCLE": "false",
            f"{PREFIX}SHARD__TOTAL": "1",
            f"{PREFIX}POLL__STALE_AFTER": "90",
            f"{PREFIX}METRICS__HASH_KEY": "12345",
        },
    )
    assert settings.web.enable_lifecycle is False
    assert (settings.poll.rate_limit, settings.poll.concurrency, settings.poll.stale_after) == (90.0, 8, 90.0)
    assert settings.metrics.hash_key is not None
    assert settings.metrics.hash_key.get_secret_value() == "12345"


def test_an_empty_variable_is_not_set() -> None:
    assert load({}, ENVIRONMENT | {f"{PREFIX}HTTP__PROXY": ""}).http.proxy is None


def test_a_mistake_names_its_source(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(PROJECTS + "poll: {interval: soon, timeout: now}")
    with pytest.raises(ConfigError) as caught:
        load(
            {"config.file": str(tmp_path / "w.yml"), "web.listen_address": "x"},
            {f"{PREFIX}POLL__TIMEOUT": "x", f"{PREFIX}POLL__CONCURRENCY": "many"},
        )
    assert [(mistake.source, mistake.path) for mistake in caught.value.mistakes] == [
        (str(tmp_path / "w.yml"), "poll.interval"),
        (f"environment {PREFIX}POLL__TIMEOUT", ""),
        (f"environment {PREFIX}POLL__CONCURRENCY", ""),
        ("flag --web.listen-address", ""),
    ]
    assert str(caught.value).count("\n") == 3


def test_a_mistake_within_the_projects_variable_names_the_path() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {f"{PREFIX}PROJECTS": "[{project_id: p, region: r, users: [a], auth: {tokn: x}}]"})
    assert str(caught.value) == (
        f"environment {PREFIX}PROJECTS: projects[0].auth.tokn: is unknown; did you mean token?"
    )


def test_invalid_yaml_in_the_projects_variable_does_not_make_projects_missing() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, {f"{PREFIX}PROJECTS": "[{project_id: p"})
    assert [str(mistake)[:72] for mistake in caught.value.mistakes] == [
        f"environment {PREFIX}PROJECTS: line 1, column 16: is not valid"
    ]


def test_unknown_variables_are_mistakes_with_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, ENVIRONMENT | {f"{PREFIX}POLL_INTERVAL": "1", f"{PREFIX}PROJECTS__0__NAME": "x"})
    assert [str(mistake) for mistake in caught.value.mistakes] == [
        f"environment {PREFIX}POLL_INTERVAL: is unknown; did you mean {PREFIX}POLL__INTERVAL?",
        f"environment {PREFIX}PROJECTS__0__NAME: is unknown; did you mean {PREFIX}PROJECTS?",
    ]


def test_an_unknown_variable_without_a_similar_one_gets_no_list_of_variables() -> None:
    with pytest.raises(ConfigError) as caught:
        load({}, ENVIRONMENT | {f"{PREFIX}FOO": "1"})
    assert str(caught.value) == f"environment {PREFIX}FOO: is unknown; CONFIGURATION.md lists all settings"


SERVICE_LINKS = {
    "SERVICE_HOST": "10.0.0.1",
    "SERVICE_PORT": "9090",
    "SERVICE_PORT_HTTP": "9090",
    "PORT": "tcp://10.0.0.1:9090",
    "PORT_9090_TCP": "tcp://10.0.0.1:9090",
    "PORT_9090_TCP_PROTO": "tcp",
    "PORT_9090_TCP_PORT": "9090",
    "PORT_9090_TCP_ADDR": "10.0.0.1",
    "PORT_53_UDP": "udp://[fd00::1]:53",
}


@pytest.mark.parametrize(
    "service", ["", "METRICS_", "WEB_", "LOG_", "POLL_INTERVAL_", "PROJECTS_", "CONFIG__FILE_", "2_"]
)
@pytest.mark.parametrize("name", SERVICE_LINKS)
def test_variables_that_kubernetes_sets_for_a_service_are_ignored(service: str, name: str) -> None:
    """For a Service of the exporter's name, and for one whose name begins with it."""
    load({}, ENVIRONMENT | {PREFIX + service + name: SERVICE_LINKS[name]})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("POLL__INTERVALL", "30s"),
        ("POLL__INTERVALL", "tcp://10.0.0.1:9090"),
        ("WEB__PORT", "10099"),
        ("PORT", "10099"),
        ("WEB_PORT", ":10099"),
        ("METRICS_HOST", "10.0.0.1"),
        ("LOG_LEVEL", "info"),
    ],
)
def test_other_unknown_variables_are_mistakes(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^environment {PREFIX}{name}: is unknown"):
        load({}, ENVIRONMENT | {PREFIX + name: text})


def test_an_unknown_flag_path_is_a_mistake() -> None:
    assert [str(mistake) for mistake in flag_layer({"poll.intervall": "1"}).mistakes] == [
        "flag --poll.intervall: is unknown; did you mean --poll.interval?"
    ]
    assert [str(mistake) for mistake in flag_layer({"x": "1"}).mistakes] == [
        "flag --x: is unknown; CONFIGURATION.md lists all settings"
    ]


def test_without_projects_the_mistake_names_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: projects: is required: name projects in the file"):
        load({}, {})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "workspace.yml: is empty"),
        (b"# nothing\n", "workspace.yml: must be a mapping with the key projects"),
        (b"[a]", "workspace.yml: must be a mapping with the key projects"),
        (b"a: \xff", "workspace.yml: is not UTF-8 text"),
        (b"a: 1\na: 2", "workspace.yml: line 2, column 1: repeats a key of the same mapping; keep one of them"),
    ],
)
def test_a_file_that_is_not_a_configuration_is_one_mistake(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "workspace.yml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load({"config.file": str(tmp_path / "workspace.yml")}, {})
    [mistake] = caught.value.mistakes
    assert str(mistake).replace(f"{tmp_path}/", "").startswith(reason)


def test_a_section_that_is_not_a_mapping_is_a_mistake_even_if_the_environment_adds_to_it(tmp_path: Path) -> None:
    [mistake] = mistakes(tmp_path, PROJECTS + "poll: 5", **{f"{PREFIX}POLL__INTERVAL": "5s"})
    assert mistake == "workspace.yml: poll: must be a mapping of settings"


def test_a_default_project_id_fills_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text("projects: [{region: r, users: [a]}, {project_id: q, region: r, users: [a]}]")
    flags = {"config.file": str(tmp_path / "w.yml")}
    assert [each.project_id for each in load(flags, {}, default_project_id="d").projects] == ["d", "q"]
    with pytest.raises(ConfigError, match=r"^the environment's project id: projects\[0\].project_id: must be letters"):
        load(flags, {}, default_project_id="d d")


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "etc").mkdir()
    for key in (tmp_path / "etc/key", tmp_path / "key"):
        key.write_text("s3cret")
    monkeypatch.chdir(tmp_path)
    in_file = from_file(tmp_path / "etc", PROJECTS + "metrics: {hash_key_file: key}")
    in_environment = load({}, ENVIRONMENT | {f"{PREFIX}METRICS__HASH_KEY_FILE": "key"})
    in_flag = load({"metrics.hash_key_file": "key"}, ENVIRONMENT)
    assert in_file.metrics.hash_key_file == tmp_path / "etc/key"
    assert in_environment.metrics.hash_key_file == in_flag.metrics.hash_key_file == tmp_path / "key"


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["token_file: gone", "token_file: .", "token_file: empty", "token_file: two"])
def test_an_unusable_secret_file_is_a_mistake_without_its_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "two").write_text("s3cret\ns3cret")
    [mistake] = mistakes(tmp_path, project(f"auth: {{{name}}}"))
    assert mistake.startswith("workspace.yml: projects[0].auth.token_file: the file ")
    assert "s3cret" not in mistake


@pytest.mark.bad_input
@pytest.mark.parametrize("name", ["metrics.hash_key_file", "http.ca_file"])
def test_an_impossible_path_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a possible path of a file"):
        load({name: "a\0b"}, ENVIRONMENT)


def test_an_authority_file_without_certificates_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    [mistake] = mistakes(tmp_path, PROJECTS + "http: {ca_file: ca.pem}")
    assert mistake == "workspace.yml: http.ca_file: the file ca.pem holds no PEM certificates; name a file that does"


def test_mistakes_in_files_and_values_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("alice\n,7\n")
    text = "projects: [{project_id: 5, region: r, users_file: users.txt, auth: {token_file: gone}}]"
    assert [mistake.rpartition(": ")[0] for mistake in mistakes(tmp_path, text)][:1] == [
        "workspace.yml: projects[0].project_id: must be text"
    ]
    assert [mistake.split(": ")[:2] for mistake in mistakes(tmp_path, text)[1:]] == [
        ["users.txt:2", "name"],
        ["workspace.yml", "projects[0].auth.token_file"],
    ]


def test_the_same_user_twice_is_a_mistake_that_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("bob\nalice\nbob\n")
    assert mistakes(tmp_path, project("users_file: users.txt")) == [
        "users.txt:2: is the same user as workspace.yml: projects[0].users[0]; keep one of them",
        "users.txt:3: is the same user as users.txt:1; keep one of them",
    ]


def test_an_id_of_two_users_is_a_mistake_that_names_both_places(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("bob,7777\n")
    first = "{project_id: p, region: r, users: [{name: alice, id: '7777'}], users_file: users.txt}"
    second = "{project_id: q, region: r, users: [{name: eve, id: '7777'}, {name: joe, id: '7777'}]}"
    here = "workspace.yml: projects"
    assert mistakes(tmp_path, f"projects: [{first}, {second}]") == [
        f"users.txt:1: has the same id as {here}[0].users[0]; give each its own",
        f"{here}[1].users[1]: has the same id as {here}[1].users[0]; give each its own",
    ]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bob,1,2", "id: must not contain a comma"),
        (",1", "name: must not be empty"),
        ("bob,", "id: must not be empty"),
        ("bob\rjim", "name: must not contain line breaks"),
        ("bob" * 50, "name: must not be longer than 128 characters"),
    ],
)
def test_a_wrong_line_of_a_users_file_is_reported_by_number_and_without_name(
    tmp_path: Path, line: str, reason: str
) -> None:
    (tmp_path / "users.txt").write_text(f"# head\njane\n{line}\n,2\n", newline="")
    [mistake, further] = mistakes(tmp_path, project("users_file: users.txt"))
    assert mistake.startswith(f"users.txt:3: {reason}")
    assert "bob" not in mistake
    assert further == "users.txt:4: name: must not be empty"


def test_a_users_file_without_any_user_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("# nobody\n")
    assert mistakes(tmp_path, project("users_file: users.txt")) == [
        "workspace.yml: projects[0].users_file: the file users.txt names no user; leave it out if there are none"
    ]


def test_a_file_that_two_projects_share_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text(",7\n")
    shared = "{project_id: a, region: r, users_file: users.txt}, {project_id: b, region: r, users_file: users.txt}"
    assert mistakes(tmp_path, f"projects: [{shared}]") == ["users.txt:1: name: must not be empty"]


def test_building_does_not_change_layers() -> None:
    values: dict[str, Any] = {"projects": [{"region": "r", "users": ["a"]}], "poll": {}}
    build(flag_layer({"poll.interval": "1s"}), Layer("test.yml", values), default_project_id="d")
    assert values == {"projects": [{"region": "r", "users": ["a"]}], "poll": {}}


def test_a_mistake_is_always_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        build(Layer("test.yml", {"projects": [], "a\nb": 1, "http": {"ca_file": "/no\nwhere"}}))
    assert len(str(caught.value).split("\n")) == 3


def test_building_without_layers_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: projects: is required"):
        build()


GLOBAL = ["projects", "poll", "interval", "metrics", "user_label", "hash_key", "web", "ca_file"]
NAMES = [*GLOBAL, "project_id", "name", "region", "endpoints", "auth", "token", "users", "id", "users_file"]
NAMES += ["discover", "exclude", "labels", "domain", "group", "all"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
KEYS = st.sampled_from(NAMES) | st.text(max_size=5) | st.integers() | st.none() | st.booleans()
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
PROJECT = st.dictionaries(
    KEYS,
    SCALARS
    | st.lists(
        SCALARS | st.dictionaries(st.sampled_from(["name", "id", "domain", "group", "all", "platform_type"]), SCALARS)
    ),
    max_size=5,
)


@pytest.mark.bad_input
@given(st.dictionaries(KEYS, NESTED, max_size=5) | st.fixed_dictionaries({"projects": st.lists(PROJECT, max_size=3)}))
def test_arbitrary_data_gives_settings_or_mistakes(values: dict[Any, Any]) -> None:
    """Only ConfigError is raised, with one line per mistake and none of pydantic's own messages."""
    try:
        build(environment_layer({f"{PREFIX}POLL__INTERVAL": "1s"}), Layer("test.yml", values))
    except ConfigError as error:
        lines = str(error).split("\n")
        assert len(lines) == len(error.mistakes)  # noqa: PT017 - either outcome is right
        assert "Input should" not in str(error)  # noqa: PT017 - the same


@pytest.mark.bad_input
@given(st.sampled_from(["POLL__CONCURRENCY", "PROJECTS", "HTTP__CA_FILE", "LOG", "WEB__LISTEN_ADDRESS"]), st.text())
def test_an_arbitrary_variable_gives_settings_or_mistakes(name: str, text: str) -> None:
    try:
        settings = load({}, ENVIRONMENT | {PREFIX + name: text})
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017 - either outcome is right
    else:
        assert settings.projects[0].name == "p"


@pytest.mark.bad_input
@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, "true", "null", "1.5", "1_6", " 1"])
def test_text_that_is_not_a_number_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^environment {PREFIX}POLL__CONCURRENCY: must be a whole number"):
        load({}, ENVIRONMENT | {f"{PREFIX}POLL__CONCURRENCY": text})
