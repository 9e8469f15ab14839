"""`/-/config` is a configuration file with the settings in effect, without secrets."""

import contextlib
import os
import re
from pathlib import Path
from typing import Any, get_args

import hypothesis
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, TypeAdapter, ValidationError

from exporter.config import ConfigError, Layer, Settings, build, load, shown
from exporter.config.catalog import Setting, all_settings
from exporter.config.files import parse_yaml
from exporter.config.names import LabelValue, Name, Pattern, UserId, UserName
from exporter.config.values import Line

PROJECT: dict[str, Any] = {"project_id": "p1", "region": "eu-west-101", "users": []}
CANARY = "c4nary-of-a-secret"


def types_of(annotation: object) -> set[object]:
    """Every type within an annotation."""
    return {annotation}.union(*map(types_of, get_args(annotation)))


SECRETS = [setting for setting in all_settings() if SecretStr in types_of(setting.field.annotation)]
LOUD = re.compile(r"token|key|password|secret|credential|login")
OPEN = {  # text that is no secret; whoever adds a setting decides
    *("projects[].project_id", "projects[].name", "projects[].region", "projects[].auth.username"),
    *("projects[].auth.domain", "projects[].users[].name", "projects[].users[].id", "projects[].users[].domain"),
    *(f"projects[].endpoints.{name}" for name in ("sessions", "users", "iam", "metadata")),
    *(f"projects[].discover[].{name}" for name in ("group", "domain", "platform_type", "enterprise_project_id")),
    *("projects[].discover[].active_type", "projects[].exclude", "projects[].labels"),
    *("web.telemetry_path", "web.listen_address"),
}


def settings(**values: Any) -> Settings:
    return build(Layer("test.yml", {"projects": [PROJECT], **values}))


def project(**values: Any) -> Settings:
    return settings(projects=[PROJECT | values])


def lines(shown_: str) -> list[str]:
    return [line.strip() for line in shown_.splitlines()]


def with_value(model: BaseModel, path: str, value: object) -> Any:
    """Return a copy with a value at a path, whether the rules over several settings allow it or not."""
    name, _, rest = path.partition(".")
    inner = getattr(model, name.removesuffix("[]"))
    if not rest:
        changed = value
    elif name.endswith("[]"):
        changed = tuple(with_value(each, rest, value) for each in inner)
    else:
        changed = with_value(inner, rest, value)
    return model.model_copy(update={name.removesuffix("[]"): changed})


class TestSecrets:
    @pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.path)
    def test_a_secret_is_masked(self, setting: Setting) -> None:
        value = f"http://user:{CANARY}@proxy:3128" if setting.path == "http.proxy" else CANARY
        text = shown(with_value(settings(), setting.path, SecretStr(value)))
        assert "c4nary" not in text
        name = setting.path.rpartition(".")[2]
        assert {f"{name}: <secret>", f"{name}: http://<secret>@proxy:3128"} & set(lines(text))

    def test_these_are_all_secrets(self) -> None:
        auth = {
            f"projects[].auth.{name}" for name in ("token", "access_key", "secret_key", "security_token", "password")
        }
        assert {setting.path for setting in SECRETS} == {*auth, "metrics.hash_key", "http.proxy"}

    @pytest.mark.parametrize("setting", list(all_settings()), ids=lambda setting: setting.path)
    def test_text_is_either_a_secret_or_known_to_be_none(self, setting: Setting) -> None:
        """A new setting with text is in one of the two lists."""
        assert (setting.path in OPEN) == (str in types_of(setting.field.annotation))
        if LOUD.search(setting.path.rpartition(".")[2]):
            assert setting in SECRETS or setting.path.endswith("_file")

    @pytest.mark.parametrize("login", ["user:pass", "user", ":pass", "us%40er:p%3Aass", "a@b:c@d", "u:p/a?s#s"])
    def test_user_and_password_of_a_proxy_are_masked(self, login: str) -> None:
        text = shown(settings(http={"proxy": f"http://{login}@proxy.corp:3128"}))
        assert "proxy: http://<secret>@proxy.corp:3128" in lines(text)

    def test_a_proxy_without_a_login_is_shown_whole(self) -> None:
        assert "proxy: http://proxy.corp:3128" in lines(shown(settings(http={"proxy": "http://proxy.corp:3128"})))

    def test_the_content_of_a_secret_s_file_is_not_shown(self, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text(CANARY)
        text = shown(project(auth={"token_file": str(file)}))
        assert f"token_file: {file}" in lines(text)
        assert CANARY not in text


class TestUsers:
    USERS = ("alice", {"name": "bob", "id": "7"}, {"name": "carol", "domain": "corp"})

    @pytest.mark.parametrize("per_user", ["all", "flagged"])
    def test_names_are_shown_where_the_metrics_may_show_them(self, per_user: str) -> None:
        one = PROJECT | {"users": self.USERS, "exclude": ["svc-*"]}
        values: Any = parse_yaml(shown(settings(projects=[one], metrics={"per_user": per_user})))
        assert values["projects"][0]["users"] == list(self.USERS)
        assert values["projects"][0]["exclude"] == ["svc-*"]

    @pytest.mark.parametrize(
        "metrics", [{"user_label": "id"}, {"user_label": "hash", "hash_key": "k"}, {"per_user": "none"}]
    )
    def test_otherwise_they_are_counted(self, metrics: dict[str, str]) -> None:
        one = PROJECT | {"users": self.USERS, "exclude": ["dave"]}
        text = shown(settings(projects=[PROJECT | {"name": "none"}, one], metrics=metrics))
        assert not re.search("alice|bob|carol|dave", text)
        assert lines(text)[:2] == [
            "# projects[1].users is not shown, as the metrics show no names. Entries: 3.",
            "# projects[1].exclude is not shown, as the metrics show no names. Entries: 1.",
        ]
        values: Any = parse_yaml(text)
        assert (values["projects"][1]["users"], values["projects"][1]["exclude"]) == ([], [])

    def test_users_of_a_file_are_not_shown(self, tmp_path: Path) -> None:
        file = tmp_path / "users.txt"
        file.write_text("dave\nerin\n")
        text = shown(project(users=["alice"], users_file=str(file)))
        assert "- alice" in lines(text)
        assert f"users_file: {file}" in lines(text)
        assert not re.search("dave|erin", text)


DEFAULTS = """\
projects:
  - project_id: p1
    name: p1
    region: eu-west-101
    endpoints:
      metadata: http://169.254.169.254
    auth: {}
    users: []
    discover: []
    exclude: []
    poll: {}
    labels: {}
http: {}
poll:
  interval: 1m
  user_interval: 5m
  timeout: 10s
  concurrency: 16
  rate_limit: 180
  failures_interval: 5s
  source: auto
  bulk_lookback: 1d
metrics:
  per_user: all
  user_label: name
  max_label_values: 100
web:
  listen_address:
    - ":10099"
  systemd_socket: false
  telemetry_path: /metrics
  enable_lifecycle: false
  enable_config: false
  refresh_interval: 30s
shard:
  index: 0
  total: 1
log:
  level: info
  format: logfmt
"""


def test_defaults_are_shown_in_the_order_of_the_reference() -> None:
    assert shown(settings()) == DEFAULTS


def test_all_sources_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{region: r, users: [alice], users_file: users.txt}]\nlog: {level: warn}\n")
    (tmp_path / "users.txt").write_text("bob\n")
    environ = {"WORKSPACE_EXPORTER_POLL__INTERVAL": "90", "WORKSPACE_EXPORTER_LOG__FORMAT": "json"}
    flags = {"config.file": str(file), "poll.interval": "120", "web.refresh_interval": "0"}
    expected = ["- project_id: p9", f"users_file: {tmp_path / 'users.txt'}", "interval: 2m", "level: warning"]
    text = shown(load(flags, environ, default_project_id="p9"))
    assert {*expected, "format: json", "refresh_interval: 0s"} <= set(lines(text))


def test_a_project_shows_only_what_it_overrides() -> None:
    """With the default of `stale_after`, too, where the section has another."""
    both = settings(
        poll={"stale_after": "10m"}, projects=[PROJECT | {"poll": {"interval": "30s", "stale_after": None}}]
    )
    values: Any = parse_yaml(shown(both))
    assert values["projects"][0]["poll"] == {"interval": "30s", "stale_after": None}
    assert values["poll"]["stale_after"] == "10m"


def test_files_with_names_in_any_bytes_are_shown(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"users-\xff.txt")
    file.write_text("alice\n")
    assert shown(project(users_file=file)).encode().isascii()


def written(kind: Any) -> st.SearchStrategy[str]:
    """Texts that a type of setting accepts."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    def accepts(text: str) -> bool:
        with contextlib.suppress(ValidationError):
            return adapter.validate_python(text) != ""
        return False

    like_yaml = st.sampled_from(["no", "1e3", "0x1f", "~", "<<", "2026-01-01", "- a", "a: b", "#", "!", "&a", "'", '"'])
    return (st.text(min_size=1, max_size=9) | like_yaml).filter(accepts)


DURATION = st.floats(60, 3600) | st.integers(60, 3600)
MASKED = {"password": st.just("<secret>")}
USERS: st.SearchStrategy[Any] = st.fixed_dictionaries({"name": written(UserName)}, optional={"id": written(UserId)})
PROJECTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "project_id": st.from_regex("[A-Za-z0-9_-]{1,8}", fullmatch=True),
        "region": st.just("eu-west-101"),
        "users": st.lists(written(UserName) | USERS, max_size=3, unique_by=str),
    },
    optional={
        "name": written(Line),
        "labels": st.dictionaries(st.sampled_from(["site", "rack"]), written(LabelValue)),
        "exclude": st.lists(written(Pattern), max_size=2),
        "discover": st.lists(st.fixed_dictionaries({"group": written(Name)}) | st.just({"all": True}), max_size=2),
        "poll": st.fixed_dictionaries({}, optional={"interval": DURATION, "stale_after": st.none() | DURATION}),
        "auth": st.fixed_dictionaries({name: written(Line) for name in ("username", "domain")} | MASKED),
    },
)
VALUES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"projects": st.lists(PROJECTS, min_size=1, max_size=2, unique_by=lambda each: each.get("name", "").strip())},
    optional={
        "poll": st.fixed_dictionaries({}, optional={"interval": DURATION, "rate_limit": st.floats(0.1, 1e9)}),
        "web": st.fixed_dictionaries({}, optional={"refresh_interval": st.just(0) | DURATION}),
    },
)


@hypothesis.settings(max_examples=25)
@given(VALUES)
def test_what_is_shown_is_a_configuration_with_the_same_settings(values: dict[str, Any]) -> None:
    try:
        before = build(Layer("test.yml", values))
    except ConfigError:
        assume(False)
        raise
    written = parse_yaml(shown(before))
    assert isinstance(written, dict)
    after = build(Layer("shown.yml", written))
    assert after == before
    assert list(map(after.poll_of, after.projects)) == list(map(before.poll_of, before.projects))
