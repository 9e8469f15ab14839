"""Loading a file of any kind and content gives settings or a ConfigError that names the file."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter import files
from exporter.config import ConfigError, Mistake, load
from exporter.config.web_file import read_web_file

CONFIGURATION = (
    "projects: [{project_id: p, region: r, users: [alice, {name: bob, domain: d}], "
    "discover: [{group: g}, {all: true}], exclude: ['svc-*'], labels: {site: m}, "
    "poll: {interval: 1m}, auth: {token: t}}]\npoll: {interval: 1m}\n"
)
USERS = "alice\nbob,7 # comment\ncarol@d.example\n"
WEB = "http_server_config: {headers: {X-Frame-Options: deny}}\nbasic_auth_users: {}\n"
YAML_TEXT = st.text(alphabet="\\\"'aUux0d89{}[]:,-&*!|>%#?. \n\t\x00\x85\u2028\ufeffé\ud800", max_size=30)
SURPRISES = [
    'projects: "\\U99999999"',
    'projects: "\\ud800"',
    'projects: [{project_id: p, region: r, users: ["\\ud800"], users_file: "\\ud800"}]',
    '"\\ud800": 1',
    'basic_auth_users: {"\\ud800": x}',
    "a: \0",
    "[" * 100_000,
    "{a: " * 100_000,
    "- " * 100_000,
    "a: &a [x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
    "<<: {projects: 1}",
    "<<: [1]",
    "? {a: b}\n: c",
    "a: 0x" + "f" * 5000,
    "a: " + "9" * 5000,
    "a: 0o9",
    "a: 2024-13-45",
    "a: 2024-01-01T99:99:99Z",
    "a: 1:99:99",
    "a: .inf\n.nan: 1\nnull: 2",
    "\ufeff\ufeffa: 1",
    "%YAML 9.9\n---\na: 1",
    "%FOO\n---\na: 1",
    "poll: {interval: 1e999, rate_limit: .nan}",
]


def mutated(valid: str) -> st.SearchStrategy[bytes]:
    """Arbitrary bytes, text that resembles YAML, and a valid file with a part replaced."""
    text = st.one_of(YAML_TEXT, st.text(), st.sampled_from(SURPRISES)).map(
        lambda each: each.encode("utf-8", "surrogatepass")
    )
    anything = text | st.binary(max_size=60)
    replaced = st.tuples(st.integers(0, len(valid)), anything, st.integers(0, len(valid))).map(
        lambda parts: valid.encode()[: parts[0]] + parts[1] + valid.encode()[parts[2] :]
    )
    return anything | replaced


BYTES = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def loaded(file: Path) -> None:
    """Load a configuration; a rejection and a doubt have to name the file."""
    doubtful: list[Mistake] = []
    try:
        load({"config.file": str(file)}, {}, warn=doubtful.append)
    except ConfigError as error:
        assert str(file.parent) in str(error)  # noqa: PT017 - either outcome is right
        assert "\n" not in str(error.mistakes[0])  # noqa: PT017 - the same
    assert all(str(doubt).startswith(str(file.parent)) for doubt in doubtful)


@pytest.mark.bad_input
@BYTES
@given(content=mutated(CONFIGURATION))
def test_a_configuration_file_of_any_bytes_is_loaded_or_rejected(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "workspace.yml"
    file.write_bytes(content)
    loaded(file)


@pytest.mark.bad_input
@BYTES
@given(content=mutated(USERS))
def test_a_users_file_of_any_bytes_is_loaded_or_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "users.txt").write_bytes(content)
    file = tmp_path / "workspace.yml"
    file.write_text("projects: [{project_id: p, region: r, users_file: users.txt}]")
    loaded(file)


@pytest.mark.bad_input
@BYTES
@given(content=mutated(WEB))
def test_a_web_file_of_any_bytes_is_read_or_rejected(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "web.yml"
    file.write_bytes(content)
    try:
        read_web_file(file)
    except ConfigError as error:
        assert str(error).startswith(f"{file}: ")  # noqa: PT017 - either outcome is right


@pytest.mark.bad_input
@pytest.mark.parametrize("text", SURPRISES)
def test_a_surprising_text_is_rejected_in_every_file(tmp_path: Path, text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    (tmp_path / "odd").write_bytes(content)
    (tmp_path / "workspace.yml").write_text("projects: [{project_id: p, region: r, users: [a], users_file: odd}]\n")
    for file in ("odd", "workspace.yml"):
        loaded(tmp_path / file)
    with pytest.raises(ConfigError):
        load({"config.file": str(tmp_path / "odd")}, {})
    with pytest.raises(ConfigError):
        read_web_file(tmp_path / "odd")


@pytest.mark.bad_input
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "below_a_file", "endless", "missing"])
def test_a_path_without_a_readable_file_is_rejected(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PIPE_TIMEOUT", 10)
    odd = tmp_path / "odd"
    match kind:
        case "directory":
            odd.mkdir()
        case "pipe":
            os.mkfifo(odd)
        case "loop":
            odd.symlink_to(odd)
        case "below_a_file":
            (tmp_path / "file").touch()
            odd.symlink_to(tmp_path / "file" / "x")
        case "endless":
            odd.symlink_to("/dev/zero")
    named = tmp_path / "workspace.yml"
    for place in ("users_file: odd", "auth: {token_file: odd}"):
        named.write_text(f"projects: [{{project_id: p, region: r, users: [a], {place}}}]")
        with pytest.raises(ConfigError, match=rf"the file {odd} "):
            load({"config.file": str(named)}, {})
    for section in ("http: {ca_file: odd}", "web: {config_file: odd}"):
        named.write_text(f"projects: [{{project_id: p, region: r, users: [a]}}]\n{section}")
        with pytest.raises(ConfigError, match=rf"the file {odd} "):
            load({"config.file": str(named)}, {})
    with pytest.raises(ConfigError, match=f"{odd}: "):
        load({"config.file": str(odd)}, {})
    with pytest.raises(ConfigError, match=f"{odd}: "):
        read_web_file(odd)


def test_a_pipe_is_read_to_its_end() -> None:
    """As in `--config.file <(generate)`."""
    reader, writer = os.pipe()
    os.write(writer, CONFIGURATION.encode())
    os.close(writer)
    assert load({"config.file": f"/dev/fd/{reader}"}, {}).projects[0].name == "p"
    os.close(reader)


@pytest.mark.bad_input
def test_a_removed_working_directory_is_a_mistake_only_with_relative_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    (tmp_path / "workspace.yml").write_text(CONFIGURATION)
    monkeypatch.chdir(gone)
    gone.rmdir()
    named = {"config.file": str(tmp_path / "workspace.yml")}
    assert load(named, {}).projects[0].name == "p"
    with pytest.raises(ConfigError, match="working directory"):
        load(named | {"http.ca_file": "ca.pem"}, {})
