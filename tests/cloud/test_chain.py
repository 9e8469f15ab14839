"""The official SDK's credential chain, with the SDK's own providers as the judge."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from huaweicloudsdkcore.auth.provider import (
    EnvCredentialProvider,
    OidcStsCredentialProvider,
    ProfileCredentialProvider,
)

from exporter import config
from exporter.cloud.auth import AccessKey
from exporter.cloud.chain import AgencyLink, IdTokenLink, KeysLink, Link, OidcLink, find_link
from exporter.cloud.connect import issuer_of, proxy_for
from exporter.cloud.proxy import Proxy

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = "[basic]\nak = file-ak\nsk = hush-sk\n"
KEYS = {"HUAWEICLOUD_SDK_AK": "env-ak", "HUAWEICLOUD_SDK_SK": "hush-sk"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory with a token file, in an environment without any of the chain's variables."""
    for name in os.environ:
        if name.startswith(("HUAWEICLOUD_", "HC_CONTAINER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "token").write_text("hush-token\n", "utf-8")
    return tmp_path


@pytest.fixture
def links(home: Path) -> dict[str, dict[str, str]]:
    """The variables of each link, in the order of the chain."""
    token = str(home / "token")
    return {
        "oidc": {
            "HUAWEICLOUD_OIDC_PROVIDER_URN": "provider",
            "HUAWEICLOUD_OIDC_AGENCY_URN": "agency",
            "HUAWEICLOUD_OIDC_TOKEN_FILE": token,
        },
        "identity provider": {"HUAWEICLOUD_SDK_IDP_ID": "idp", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": token},
        "keys": KEYS,
        "file": {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(credentials(home, PROFILE))},
        "pod": {
            "HC_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
            "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": token,
        },
    }


def credentials(home: Path, content: str | bytes) -> Path:
    """The credentials file where the SDK looks for it."""
    path = home / ".huaweicloud" / "credentials"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def keys(link: Link) -> tuple[AccessKey, str | None]:
    """The keys and the project id of a link that has keys."""
    assert isinstance(link, KeysLink)
    return link.read(), link.project_id


def of_the_sdk(provider: EnvCredentialProvider | ProfileCredentialProvider) -> tuple[AccessKey, str | None]:
    """The same from one of the SDK's providers; the SDK looks into the process's own environment."""
    found = provider.get_credentials()
    return AccessKey(found.ak, found.sk, found.security_token), found.project_id


def skipped(environ: dict[str, str]) -> str:
    """Why the credentials file is skipped, if the chain ends with an agency."""
    link = find_link(environ)
    assert isinstance(link, AgencyLink)
    return link.skipped


def test_the_first_link_that_is_configured_wins(links: dict[str, dict[str, str]]) -> None:
    everything = {name: value for link in links.values() for name, value in link.items()}
    expected = [OidcLink, IdTokenLink, KeysLink, KeysLink, AgencyLink, AgencyLink]
    found = [find_link(everything)]
    for link in links.values():
        everything = {name: value for name, value in everything.items() if name not in link}
        found.append(find_link(everything))
    assert [type(link) for link in found] == expected
    assert [link.pod is not None for link in found if isinstance(link, AgencyLink)] == [True, False]


@pytest.mark.parametrize("more", [{}, {"SECURITY_TOKEN": "st"}, {"PROJECT_ID": "p"}, {"SECURITY_TOKEN": ""}], ids=repr)
def test_keys_of_the_environment_are_the_sdk_s(
    home: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    credentials(home, PROFILE)
    for name, value in {**KEYS, **{f"HUAWEICLOUD_SDK_{name}": value for name, value in more.items()}}.items():
        monkeypatch.setenv(name, value)
    assert keys(find_link(os.environ)) == of_the_sdk(EnvCredentialProvider.get_basic())
    assert keys(find_link(os.environ))[0].access_key == "env-ak"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"SESSION_NAME": "s", "DURATION_SECONDS": "900", "POLICY": '{"Version": "5.0"}', "POLICY_IDS": "a, b,"},
        {"ID_TOKEN": "direct", "TOKEN_FILE": "/away"},
    ],
    ids=repr,
)
def test_oidc_is_the_sdk_s(
    links: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    further = {f"HUAWEICLOUD_OIDC_{name}": value for name, value in more.items()} | {"HUAWEICLOUD_SDK_PROJECT_ID": "p"}
    for name, value in (links["oidc"] | further).items():
        monkeypatch.setenv(name, value)
    found = OidcStsCredentialProvider.get_basic().get_credentials()
    judge = vars(found.sts_accessor)
    link = find_link(os.environ)
    assert isinstance(link, OidcLink)
    assert (link.provider_urn, link.agency_urn) == (judge["_provider_urn"], judge["_agency_urn"])
    assert (link.session_name, link.duration) == (judge["_agency_session_name"], judge["_duration_seconds"])
    assert (link.policy, list(link.policy_ids)) == (judge["_policy"], judge["_policy_ids"] or [])
    assert (link.id_token(), link.project_id) == (judge["_id_token"], found.project_id)


@pytest.mark.parametrize("place", ["environment", "file"])
def test_an_identity_provider_is_the_sdk_s(
    links: dict[str, dict[str, str]], home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It goes before keys in the same place. The file may name IAM, too."""
    lines = f"idp_id = file-idp\nid_token_file = {home / 'token'}\niam_endpoint = https://iam.example\n"
    credentials(home, f"{PROFILE}{lines}project_id = p\n")
    for name, value in (links["identity provider"] | KEYS if place == "environment" else {}).items():
        monkeypatch.setenv(name, value)
    provider = EnvCredentialProvider if place == "environment" else ProfileCredentialProvider
    judge, link = provider.get_basic().get_credentials(), find_link(os.environ)
    assert isinstance(link, IdTokenLink)
    assert (link.idp_id, link.iam, link.project_id) == (judge.idp_id, judge.iam_endpoint, judge.project_id)
    assert (link.id_token(), judge.id_token_file) == ("hush-token", str(home / "token"))


def test_the_environment_is_read_once() -> None:
    """Nobody changes the environment of a process that runs."""
    environ = dict(KEYS)
    link = find_link(environ)
    environ.clear()
    assert keys(link)[0] == AccessKey("env-ak", "hush-sk")


@pytest.mark.parametrize(
    "content",
    [
        PROFILE,
        f"{PROFILE}project_id = p\nsecurity_token = st\n",
        "# a comment\n[global]\nak = x\nsk = y\n\n[basic]\nSK: hush\nAK: file-ak\n",
        "[DEFAULT]\nsk = hush\nproject_id = p\n[basic]\nak = file-ak\n",
        "[basic]\nak=file-ak\nsk = a=b:c;d#e\n",
        "[basic]\r\nak = file-ak\r\nsk = schlüssel\r\n",
        f"{PROFILE}idp_id = only-half\n",
    ],
)
def test_the_credentials_file_is_read_as_the_sdk_reads_it(home: Path, content: str) -> None:
    """Comments, other sections, defaults, either separator."""
    credentials(home, content)
    assert keys(find_link({"HOME": str(home)})) == of_the_sdk(ProfileCredentialProvider.get_basic())


def test_percent_signs_are_no_placeholders(home: Path) -> None:
    """The SDK would take a percent sign for a placeholder and fail."""
    credentials(home, "[basic]\nak = file-ak\nsk = 50%(ak)s%\n")
    assert keys(find_link({"HOME": str(home)}))[0] == AccessKey("file-ak", "50%(ak)s%")


def test_the_environment_may_name_another_credentials_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(home, PROFILE)
    other = home / "other.ini"
    other.write_text("[basic]\nak = other-ak\nsk = hush\nproject_id = p\n", "utf-8")
    monkeypatch.setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", str(other))
    assert keys(find_link(os.environ)) == of_the_sdk(ProfileCredentialProvider.get_basic())
    assert keys(find_link(os.environ)) == (AccessKey("other-ak", "hush"), "p")


@pytest.mark.parametrize("link", ["oidc", "identity provider", "keys", "pod"])
def test_a_half_configured_link_names_what_is_missing(links: dict[str, dict[str, str]], link: str, home: Path) -> None:
    """Each variable in turn is left out, or empty. The SDK would silently continue."""
    for missing in links[link]:
        for half in ({}, {missing: ""}):
            environ = {**{name: value for name, value in links[link].items() if name != missing}, **half}
            with pytest.raises(ValueError, match=r"is set, but not|are set, but not") as error:
                find_link(environ | {"HOME": str(home / "away")})
            given, _, lacking = str(error.value).partition("but not")
            assert missing in lacking
            assert all(name in given for name in environ if name != missing)
            assert "hush" not in str(error.value)


def test_a_security_token_without_keys_is_half_a_link() -> None:
    with pytest.raises(ValueError, match=r"SECURITY_TOKEN is set, but not HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"):
        find_link({"HUAWEICLOUD_SDK_SECURITY_TOKEN": "hush"})


def test_what_comes_after_a_configured_link_is_not_looked_at(links: dict[str, dict[str, str]]) -> None:
    half = {"HC_CONTAINER_CREDENTIALS_FULL_URI": "nonsense", "HUAWEICLOUD_SDK_ID_TOKEN_FILE": "/away"}
    assert isinstance(find_link(half | KEYS), KeysLink)
    assert isinstance(find_link(half | links["oidc"]), OidcLink)


@pytest.mark.bad_input
@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines", b"\xff"], ids=repr)
@pytest.mark.parametrize("link", ["oidc", "identity provider", "pod"])
def test_a_token_file_without_a_token_is_named(
    links: dict[str, dict[str, str]], home: Path, link: str, content: bytes | None
) -> None:
    (home / "token").unlink()
    if content is not None:
        (home / "token").write_bytes(content)
    with pytest.raises(ValueError, match=r"TOKEN_FILE(: | names ).*/token(, which| is not UTF-8)") as error:
        find_link(links[link] | {"HOME": str(home / "away")})
    assert "two" not in str(error.value)


@pytest.mark.bad_input
@pytest.mark.parametrize("length", [20, 2000])
def test_a_token_in_the_place_of_its_file_is_not_shown(links: dict[str, dict[str, str]], length: int) -> None:
    with pytest.raises(ValueError, match="HUAWEICLOUD_OIDC_TOKEN_FILE names a token instead of a file") as error:
        find_link(links["oidc"] | {"HUAWEICLOUD_OIDC_TOKEN_FILE": f"eyJhbGci.{'hush' * length}"})
    assert "hush" not in str(error.value)


def test_a_token_that_rotates_is_read_anew(links: dict[str, dict[str, str]], home: Path) -> None:
    link = find_link(links["oidc"])
    assert isinstance(link, OidcLink)
    assert link.id_token() == "hush-token"
    (home / "token").write_text("next", "utf-8")
    assert link.id_token() == "next"


@pytest.mark.bad_input
@pytest.mark.parametrize("value", ["soon", "-1", "0", "1.5", "³", "9" * 5000])
def test_a_duration_is_a_number_of_seconds(links: dict[str, dict[str, str]], value: str) -> None:
    with pytest.raises(ValueError, match="DURATION_SECONDS must be a whole number of seconds"):
        find_link(links["oidc"] | {"HUAWEICLOUD_OIDC_DURATION_SECONDS": value})


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "url", ["agent/hush", "ftp://agent/hush", "http://", "http://user:hush@agent/", "http://a:hush"]
)
def test_the_address_of_the_pod_s_agent_is_checked(links: dict[str, dict[str, str]], url: str) -> None:
    with pytest.raises(ValueError, match="HC_CONTAINER_CREDENTIALS_FULL_URI must be an http") as error:
        find_link(links["pod"] | {"HC_CONTAINER_CREDENTIALS_FULL_URI": url})
    assert "hush" not in str(error.value)


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
        "[basic]\nproject_id = p\n",
        b"[basic]\nak = x\nsk = hush\xff\n",
    ],
)
def test_a_broken_credentials_file_is_skipped_and_named_without_its_content(home: Path, content: str | bytes) -> None:
    """The line that is wrong may be the secret."""
    path = credentials(home, content)
    assert str(path) in skipped({"HOME": str(home)})
    assert "hush" not in skipped({"HOME": str(home)})


def test_a_credentials_file_that_cannot_be_read_is_skipped(home: Path) -> None:
    """Without the variable, an absent file is nothing to report."""
    named = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
    assert skipped({"HOME": str(home)}) == ""
    assert skipped({named: str(home / "away")}) == f"{home}/away: No such file or directory"
    assert skipped({named: str(home)}) == f"{home}: Is a directory"
    assert skipped({"HOME": str(home / "token")}) == ""


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}])
def test_without_a_home_there_is_no_credentials_file(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a numeric user without an entry in /etc/passwd."""

    def no_entry(_: object) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", no_entry)
    monkeypatch.delenv("HOME", raising=False)
    assert skipped(environ) == ""


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ("[basic]\nsk = hush\n", "but not ak"),
        ("[basic]\nak = \nsk = hush\n", "but not ak"),
        ("[basic]\nak = x\n", "but not sk"),
        ("[basic]\nidp_id = x\n", "but not id_token_file"),
        ("[basic]\nid_token_file = /x\n", "but not idp_id"),
        ("[basic]\nidp_id = x\nid_token_file = /away\n", "id_token_file in .* names /away, which cannot be read"),
    ],
)
def test_a_half_configured_credentials_file_names_what_is_missing(home: Path, content: str, missing: str) -> None:
    path = credentials(home, content)
    with pytest.raises(ValueError, match=missing) as error:
        find_link({"HOME": str(home)})
    assert str(path) in str(error.value)
    assert "hush" not in str(error.value)


def test_the_credentials_file_may_change(home: Path) -> None:
    """Keys that rotate in the file count at once. A file that is broken for a while is an error each time."""
    path = credentials(home, PROFILE)
    link = find_link({"HOME": str(home)})
    assert isinstance(link, KeysLink)
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


def test_another_token_file_is_another_link(home: Path) -> None:
    """A reload replaces the connection, which would otherwise read the former file."""
    (home / "other").write_text("hush-other\n", "utf-8")
    (home / ".huaweicloud").mkdir(exist_ok=True)
    found = []
    for name in ("token", "other"):
        profile = f"[basic]\nidp_id = idp\nid_token_file = {home / name}\n"
        (home / ".huaweicloud" / "credentials").write_text(profile, "utf-8")
        found.append(find_link(os.environ))
    assert found[0] != found[1]


def test_a_link_is_equal_as_long_as_only_its_files_change(links: dict[str, dict[str, str]], home: Path) -> None:
    """Equal links keep their connection when the configuration is reloaded."""
    before = {name: find_link(environ) for name, environ in links.items()}
    (home / "token").write_text("next", "utf-8")
    credentials(home, "[basic]\nak = second-ak\nsk = hush-2\n")
    assert {name: find_link(environ) for name, environ in links.items()} == before


def a_project(**settings: object) -> config.Project:
    values = {"project_id": "p", "region": "eu-west-101", "users": ["anna"], **settings}
    return config.build(config.Layer("test", {"projects": [values]})).projects[0]


IAM, STS = {"HUAWEICLOUD_SDK_IAM_ENDPOINT": "http://iam/"}, {"HUAWEICLOUD_SDK_STS_ENDPOINT": "http://sts"}
PASSWORD = {"username": "u", "domain": "d", "password": "p"}


class TestIssuers:
    """The address of IAM or STS: the configuration, then the SDK's variable, then the region."""

    @pytest.mark.parametrize(
        ("link", "settings", "environ", "address"),
        [
            ("oidc", {}, IAM, "https://sts.eu-west-101.myhuaweicloud.eu"),
            ("oidc", {"region": "ap-southeast-3"}, {}, "https://sts.ap-southeast-3.myhuaweicloud.com"),
            ("oidc", {"endpoints": {"iam": "http://i"}}, IAM | STS, "http://sts"),
            ("identity provider", {}, STS, "https://iam.eu-west-101.myhuaweicloud.eu"),
            ("identity provider", {"region": "eu-west-0"}, {}, "https://iam.eu-west-0.myhuaweicloud.com"),
            ("identity provider", {}, IAM, "http://iam"),
            ("identity provider", {"endpoints": {"iam": "http://i"}}, IAM, "http://i"),
            ("keys", {}, IAM, None),
            ("file", {}, IAM, None),
            ("pod", {}, STS, None),
        ],
    )
    def test_of_a_link(
        self,
        links: dict[str, dict[str, str]],
        link: str,
        settings: dict[str, object],
        environ: dict[str, str],
        address: str | None,
    ) -> None:
        assert issuer_of(a_project(**settings), find_link(links[link]), environ) == address

    @pytest.mark.parametrize(
        ("settings", "environ", "address"),
        [
            ({"auth": PASSWORD}, {}, "https://iam.eu-west-101.myhuaweicloud.eu"),
            ({"auth": PASSWORD}, IAM, "http://iam"),
            ({"auth": PASSWORD}, {"HUAWEICLOUD_SDK_IAM_ENDPOINT": "https://iam:8443/v3?x#y"}, "https://iam:8443"),
            ({"auth": PASSWORD, "endpoints": {"iam": "http://i"}}, IAM, "http://i"),
            ({"auth": {"token": "t"}}, {"HUAWEICLOUD_SDK_IAM_ENDPOINT": "nonsense"}, None),
        ],
    )
    def test_of_auth(self, settings: dict[str, object], environ: dict[str, str], address: str | None) -> None:
        assert issuer_of(a_project(**settings), None, environ) == address

    def test_the_credentials_file_s_own_iam_goes_before_the_variable(self, home: Path) -> None:
        credentials(home, f"[basic]\nidp_id = x\nid_token_file = {home}/token\niam_endpoint = https://file/\n")
        link = find_link({"HOME": str(home)})
        assert issuer_of(a_project(), link, IAM) == "https://file"
        assert issuer_of(a_project(endpoints={"iam": "http://i"}), link, IAM) == "http://i"

    @pytest.mark.bad_input
    @pytest.mark.parametrize("url", ["iam.example", "https://:443", "https://u:hush@iam", "https://iam\udcff"])
    def test_an_invalid_address_names_the_variable(self, url: str) -> None:
        with pytest.raises(ValueError, match="HUAWEICLOUD_SDK_IAM_ENDPOINT must be") as error:
            issuer_of(a_project(auth=PASSWORD), None, {"HUAWEICLOUD_SDK_IAM_ENDPOINT": url})
        assert "hush" not in str(error.value)

    def test_without_a_region_the_address_is_unknown(self, links: dict[str, dict[str, str]]) -> None:
        project = a_project(region=None, endpoints={"sessions": "http://s", "users": "http://u"})
        for link, variable in (("oidc", "STS"), ("identity provider", "IAM")):
            with pytest.raises(ValueError, match=f"needs region, or HUAWEICLOUD_SDK_{variable}_ENDPOINT"):
                issuer_of(project, find_link(links[link]), {})


def test_local_services_are_reached_without_the_proxy(links: dict[str, dict[str, str]]) -> None:
    http = config.Http(proxy="http://proxy:3128")  # type: ignore[arg-type] # pydantic converts it
    proxy = proxy_for(http, a_project(), find_link(links["pod"]))
    assert proxy("http://169.254.170.23") is None
    assert proxy("http://169.254.169.254") is None
    assert proxy("https://iam.eu-west-101.myhuaweicloud.eu") == Proxy.of("http://proxy:3128")
