"""The choice of a proxy: its URL, its credentials, and NO_PROXY as in Go and curl."""

from __future__ import annotations

from base64 import b64decode

import pytest

from exporter.cloud.proxy import Proxy, UnusableProxyError, bypasses, proxy_arguments, proxy_from_environment

CLOUD = "https://a.example"


def login(proxy: Proxy) -> bytes:
    """The user and password that a proxy gets."""
    assert proxy.authorization
    scheme, _, encoded = proxy.authorization.partition(" ")
    assert scheme == "Basic"
    return b64decode(encoded)


class TestCredentials:
    """User and password of a URL."""

    @pytest.mark.parametrize(
        ("written", "sent"),
        [
            ("svc:p%E2%82%ACss", "svc:p€ss".encode()),
            ("svc:p€ss", "svc:p€ss".encode()),
            ("svc:p%E9ss", b"svc:p\xe9ss"),  # an escape need not be UTF-8
            ("svc:a:b", b"svc:a:b"),
            ("svc:a@b", b"svc:a@b"),
            ("svc:a%40b%3Ac%2Fd", b"svc:a@b:c/d"),
            ("svc:a/b?c#d[e]", b"svc:a/b?c#d[e]"),
            ("svc:50%zz%", b"svc:50%zz%"),
            ("svc:a b", b"svc:a b"),
            ("svc:a+b", b"svc:a+b"),
            ("svc:%0D%0AX: y", b"svc:\r\nX: y"),
            ("svc:℀\u2048", "svc:℀\u2048".encode()),  # urlsplit would reject it, with its text
            ("CORP%5Csvc:x", b"CORP\\svc:x"),
            ("svc", b"svc:"),
            ("svc:", b"svc:"),
            (":pw", b":pw"),
        ],
    )
    def test_any_character_is_sent_as_utf_8(self, written: str, sent: bytes) -> None:
        """Whether it is percent-encoded or not. The URL and the text of the proxy have none of it."""
        proxy = Proxy.of(f"http://{written}@127.0.0.1:3128")
        assert login(proxy) == sent
        assert (proxy.url, str(proxy)) == ("http://127.0.0.1:3128", "127.0.0.1:3128")
        assert repr(proxy) == "Proxy(url='http://127.0.0.1:3128')"

    @pytest.mark.parametrize("url", ["http://p:1", "http://@p:1"])
    def test_without_them_there_is_no_header(self, url: str) -> None:
        assert Proxy.of(url) == Proxy("http://p:1")

    def test_only_connect_carries_them_to_an_https_endpoint(self) -> None:
        """The cloud gets what is within TLS."""
        proxy = Proxy.of("http://u:w@p:1")
        header = {"Proxy-Authorization": "Basic dTp3"}
        assert proxy_arguments("https://a", proxy, {"X": "y"}) == {
            "headers": {"X": "y"},
            "proxy": "http://p:1",
            "proxy_headers": header,
        }
        assert proxy_arguments("http://a", proxy, {"X": "y"}) == {
            "headers": {"X": "y", **header},
            "proxy": "http://p:1",
            "proxy_headers": None,
        }


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://p.corp", "http://p.corp:80"),
        ("https://p.corp/", "https://p.corp:443"),
        ("HTTP://P.Corp:3128", "http://p.corp:3128"),
        ("http://[fd00::1]:3128", "http://[fd00::1]:3128"),
        ("http://[fe80::1%25eth0]:3128", "http://[fe80::1%eth0]:3128"),
        ("http://пример.example:1", "http://xn--e1afmkfd.example:1"),
        (" http://p:1 ", "http://p:1"),
    ],
)
def test_the_address_of_a_proxy(written: str, url: str) -> None:
    """Host and port are those that are connected to."""
    assert Proxy.of(written).url == url


@pytest.mark.bad_input
@pytest.mark.parametrize(
    "url",
    [
        "socks5://HUSH:HUSH@p:1",
        "SOCKS4a://p:1",
        "ftp://HUSH@p:1",
        "HUSH:HUSH@p:1",
        "http://",
        "http://HUSH@",
        "http://HUSH:1x",
        "http://HUSH@p:0",
        "http://HUSH@p:65536",
        "http://HUSH@p:x",
        "http://HUSH@p q:1",
        "http://HUSH@[::1",
        "http://HUSH@[1.2.3.4]:1",
        "http://HUSH@xn--a:1",
        "http://HUSH@p..q:1",
        "http://HUSH@p/proxy.pac",
        "http://HUSH@p?x",
        "http://HUSH@p#x",
        "http://HUSH\n@p:1",
        "http://HUSH\udcff@p:1",
    ],
)
def test_an_unusable_proxy_is_not_quoted(url: str) -> None:
    """The error says what is expected, and shows nothing of the URL."""
    with pytest.raises(ValueError, match=r"^(must|names a SOCKS proxy)") as raised:
        Proxy.of(url)
    assert "HUSH" not in str(raised.value)


class TestEnvironment:
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY."""

    @pytest.mark.parametrize(
        ("environ", "endpoint", "proxy"),
        [
            ({}, CLOUD, None),
            ({"HTTPS_PROXY": "http://p:1"}, CLOUD, "p:1"),
            ({"https_proxy": "http://p:1"}, CLOUD, "p:1"),
            ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}, CLOUD, "p:1"),
            ({"https_proxy": "", "HTTPS_PROXY": "http://p:2"}, CLOUD, "p:2"),
            ({"HTTPS_PROXY": " \t"}, CLOUD, None),
            ({"HTTPS_PROXY": "http://p:1"}, "http://a.example", None),
            ({"HTTP_PROXY": "http://p:1"}, CLOUD, None),
            ({"HTTP_PROXY": "http://p:1"}, "http://a.example", "p:1"),
            ({"ALL_PROXY": "http://p:1"}, CLOUD, "p:1"),
            ({"all_proxy": "http://p:1"}, "http://a.example", "p:1"),
            ({"ALL_PROXY": "socks5://p:1", "HTTPS_PROXY": "http://p:2"}, CLOUD, "p:2"),
            ({"HTTPS_PROXY": "p.corp:3128"}, CLOUD, "p.corp:3128"),
            ({"HTTPS_PROXY": "localhost"}, CLOUD, "localhost:80"),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example"}, CLOUD, None),
            ({"HTTPS_PROXY": "http://p:1", "no_proxy": "a.example"}, CLOUD, None),
            ({"HTTPS_PROXY": "http://p:1", "no_proxy": "b.example", "NO_PROXY": "a.example"}, CLOUD, "p:1"),
            ({"ALL_PROXY": "http://p:1", "NO_PROXY": "a.example"}, CLOUD, None),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "a.example:443"}, CLOUD, None),
            ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.example:80"}, "http://a.example", None),
            ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.example:443"}, "http://a.example", "p:1"),
            ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "[::1]:8443"}, "https://[::1]:8443", None),
        ],
    )
    def test_the_variables_have_their_usual_meaning(
        self, environ: dict[str, str], endpoint: str, proxy: str | None
    ) -> None:
        """Lower case comes first, an empty variable counts as unset, and http:// may be left out."""
        found = proxy_from_environment(endpoint, environ)
        assert (str(found) if found else None) == proxy

    def test_they_may_have_a_user_and_a_password(self) -> None:
        """Also without http://."""
        found = proxy_from_environment(CLOUD, {"HTTPS_PROXY": "svc:p€@p:1"})
        assert found
        assert login(found) == "svc:p€".encode()

    @pytest.mark.bad_input
    @pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("url", ["socks5://HUSH:HUSH@p:1", "http://HUSH:HUSH@p:x", "HUSH:HUSH@p/x"])
    def test_an_unusable_one_is_named(self, variable: str, url: str) -> None:
        """Only if it would be used."""
        with pytest.raises(UnusableProxyError, match=f"^{variable} ") as raised:
            proxy_from_environment(CLOUD, {variable: url})
        assert "HUSH" not in str(raised.value)
        assert proxy_from_environment(CLOUD, {variable: url, "NO_PROXY": "*"}) is None


GO = (
    "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, "
    "2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64"
)


@pytest.mark.parametrize(
    ("host", "bypassed"),
    [
        ("192.168.1.1", True),
        ("192.168.1.2", False),  # another port
        ("192.168.1.3", True),
        ("192.168.1.4", False),
        ("10.0.0.2", True),
        ("2001:db8::52:0:1", True),
        ("2001:db8::52:0:2", False),  # another port
        ("2001:db8::52:0:3", True),
        ("2002:db8:a::123", True),
        ("fe80::424b:c8be:1643:a1b6", False),
        ("barbaz.net", False),  # only subdomains
        ("www.barbaz.net", True),
        ("foobar.com", True),
        ("www.foobar.com", True),
        ("foofoobar.com", False),
        ("baz.com", False),
        ("barbarbaz.net", False),
        ("wildcard.io", False),  # only subdomains
        ("nested.wildcard.io", True),
        ("awildcard.io", False),
    ],
)
def test_a_list_means_what_it_means_to_go(host: str, bypassed: bool) -> None:
    """The hosts and the list are those of Go's own test, at port 80."""
    assert bypasses(GO, host, 80) is bypassed


@pytest.mark.parametrize(
    ("no_proxy", "host", "bypassed"),
    [
        ("*", "a.example", True),
        ("b.example,*", "fd00::1", True),
        ("*a.example", "a.example", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1/8", "127.9.9.9", True),
        ("127.0.0.0/8", "128.0.0.1", False),
        ("10.0.0.0/33", "10.0.0.0", False),
        ("10.", "10.0.0.1", False),
        ("1", "10.0.0.1", False),
        ("fd00::1", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
        ("FD00:0::1", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("[fd00::1]:80", "fd00::1", False),
        ("fd00::/8", "fdff::1", True),
        ("[fd00::]/8", "fdff::1", True),
        ("fd00::/8", "fe00::1", False),
        ("fe80::1", "fe80::1%eth0", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("::/0", "10.0.0.1", False),
        ("0.0.0.0/0", "10.0.0.1", True),
        ("example.com", "EXAMPLE.com", True),
        ("EXAMPLE.COM", "a.b.example.com", True),
        ("example.com.", "example.com", True),
        ("example.com", "example.com.", True),
        ("*.example.com", "example.com", False),
        ("*.example.com:443", "a.example.com", True),
        (".example.com:80", "a.example.com", False),
        ("example.com:", "example.com", True),
        ("x, y\texample.com ,, z", "example.com", True),
        ("localhost", "localhost", True),
        ("", "localhost", False),
        ("", "127.0.0.1", False),
        (":443", "example.com", False),
        (".", "example.com", False),
        ("*.", "example.com", False),
        ("http://example.com", "example.com", False),
        ("[", "fd00::1", False),
        ("示例.com", "www.xn--fsq092h.com", True),
        ("xn--fsq092h.com", "www.示例.com", True),
        (".示例.com", "www.示例.com", True),
        ("10.0.0.1", "10.0.0.1.example.com", False),
        ("0.0.1", "10.0.0.1", False),  # a name is no end of an address
    ],
)
def test_an_entry_of_no_proxy(no_proxy: str, host: str, bypassed: bool) -> None:
    """At port 443."""
    assert bypasses(no_proxy, host, 443) is bypassed
