"""The official SDK's credential chain, with the SDK's own providers as the judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from huaweicloudsdkcore.auth.provider import EnvCredentialProvider, ProfileCredentialProvider

from exporter.cloud.auth import AccessKey
from exporter.cloud.sources import first_link

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEYS = {"HUAWEICLOUD_SDK_AK": "env-ak", "HUAWEICLOUD_SDK_SK": "hush-sk"}
PROFILE = "[basic]\nak = file-ak\nsk = hush-sk\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, in an environment without any of the SDK's variables."""
    for name in ("AK", "SK", "SECURITY_TOKEN", "PROJECT_ID", "CREDENTIALS_FILE", "IDP_ID", "ID_TOKEN_FILE"):
        monkeypatch.delenv(f"HUAWEICLOUD_SDK_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def credentials(home: Path, content: str | bytes) -> Path:
    """The credentials file where the SDK looks for it."""
    path = home / ".huaweicloud" / "credentials"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def ours(environ: Mapping[str, str]) -> tuple[AccessKey, str | None]:
    """The keys and the project id of the first link."""
    link = first_link(environ)
    assert link is not None
    return link.read(), link.project_id


def of_the_sdk(provider: EnvCredentialProvider | ProfileCredentialProvider) -> tuple[AccessKey, str | None]:
    """The same from one of the SDK's providers; the SDK looks into the process's own environment."""
    found = provider.get_credentials()
    return AccessKey(found.ak, found.sk, found.security_token), found.project_id


@pytest.mark.parametrize("more", [{}, {"SECURITY_TOKEN": "st"}, {"PROJECT_ID": "p"}, {"SECURITY_TOKEN": ""}], ids=repr)
def test_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Keys in the environment are taken as the SDK takes them, also where a credentials file is there."""
    credentials(home, PROFILE)
    environ = {**KEYS, **{f"HUAWEICLOUD_SDK_{name}": value for name, value in more.items()}, "HOME": str(home)}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert ours(environ) == of_the_sdk(EnvCredentialProvider.get_basic())
    assert ours(environ)[0].access_key == "env-ak"


def test_the_environment_is_read_once() -> None:
    """What a process has started with stays: later changes are none of the operator's."""
    environ = dict(KEYS)
    link = first_link(environ)
    environ.clear()
    assert link
    assert (link.source, link.read()) == ("environment", AccessKey("env-ak", "hush-sk"))


@pytest.mark.parametrize(
    "content",
    [
        PROFILE,
        f"{PROFILE}project_id = p\nsecurity_token = st\n",
        "# a comment\n[global]\nak = x\nsk = y\n\n[basic]\nSK: hush\nAK: file-ak\n",
        "[DEFAULT]\nsk = hush\nproject_id = p\n[basic]\nak = file-ak\n",
        "[basic]\nak=file-ak\nsk = a=b:c;d#e\n",
        "[basic]\r\nak = file-ak\r\nsk = schlüssel\r\n",
        f"{PROFILE}security_token =\nproject_id =\n",
    ],
)
def test_the_credentials_file(home: Path, content: str) -> None:
    """A profile is read as the SDK reads it: comments, other sections, defaults, either separator."""
    credentials(home, content)
    assert ours({"HOME": str(home)}) == of_the_sdk(ProfileCredentialProvider.get_basic())


def test_percent_signs_are_no_placeholders(home: Path) -> None:
    """A value stands as it is written, also where the SDK would take a percent sign for a placeholder and fail."""
    credentials(home, "[basic]\nak = file-ak\nsk = 50%(ak)s%\n")
    assert ours({"HOME": str(home)})[0] == AccessKey("file-ak", "50%(ak)s%")


def test_another_credentials_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may name another file than the one at home."""
    credentials(home, PROFILE)
    other = home / "other.ini"
    other.write_text("[basic]\nak = other-ak\nsk = hush\nproject_id = p\n", "utf-8")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(other))
    environ = {"HOME": str(home), "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(other)}
    assert ours(environ) == of_the_sdk(ProfileCredentialProvider.get_basic()) == (AccessKey("other-ak", "hush"), "p")


@pytest.mark.parametrize("half", KEYS)
def test_half_a_key_in_the_environment_is_none(home: Path, half: str) -> None:
    """With only one of its two variables the environment is passed over, as by the SDK."""
    credentials(home, PROFILE)
    assert ours({half: KEYS[half], "HOME": str(home)})[0].access_key == "file-ak"
    assert ours({**KEYS, half: "", "HOME": str(home)})[0].access_key == "file-ak"


def test_nothing_at_all(home: Path) -> None:
    """Without keys and file only the metadata service is left."""
    assert first_link({"HOME": str(home)}) is None
    assert first_link({"HOME": str(home), "HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(home / "away")}) is None


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "content",
    [
        "",
        "hush",
        "sk = hush\n",
        "[basic\nsk = hush\n",
        "[basic]\nhush\n",
        "[basic]\nsk = hush\nsk = hush\n",
        "[global]\nak = x\nsk = hush\n",
        "[basic]\nsk = hush\n",
        "[basic]\nak = \nsk = hush\n",
        "[basic]\nak = x\n",
        b"[basic]\nak = x\nsk = hush\xff\n",
    ],
)
def test_a_broken_file_is_named_without_its_content(home: Path, content: str | bytes) -> None:
    """What is no use is told at once and by its path; the line that is wrong may be the secret."""
    path = credentials(home, content)
    with pytest.raises(ValueError, match=r".") as broken:
        first_link({"HOME": str(home)})
    assert str(path) in str(broken.value)
    assert "hush" not in str(broken.value)


def test_a_directory_is_no_file(home: Path) -> None:
    """What cannot be read is the system's error."""
    with pytest.raises(OSError, match=str(home)):
        first_link({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(home)})


def test_the_file_may_change(home: Path) -> None:
    """Keys that are rotated in the file count at once; what is broken for a while is told again and again."""
    path = credentials(home, PROFILE)
    link = first_link({"HOME": str(home)})
    assert link
    assert link.source == str(path)
    path.write_text("[basic]\nak = second-ak\nsk = hush-2\n", "utf-8")
    assert link.read() == AccessKey("second-ak", "hush-2")
    path.write_text("[basic]\nak = third-ak\n", "utf-8")
    for _ in range(2):
        with pytest.raises(ValueError, match="lacks ak or sk"):
            link.read()
    path.unlink()
    path.write_text("[basic]\nak = fourth-ak\nsk = hush-4\n", "utf-8")
    assert link.read() == AccessKey("fourth-ak", "hush-4")
