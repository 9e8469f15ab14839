"""No user, no password and no watched user's name is shown, whatever goes wrong on the way to the cloud."""

from __future__ import annotations

import traceback
from base64 import b64encode

import pytest
from support.exporters import get as fetch
from support.exporters import running, settings, until
from support.proxies import ConnectProxy, rejection
from support.wire import Wire, failure, get, http, transporting

from exporter import logs
from exporter.cloud.answers import user_page
from exporter.cloud.causes import explain
from exporter.config import Log

pytestmark = pytest.mark.bad_input

HUSH = "hush"  # a part of every secret and name
LOGINS = (
    "hush-svc:hush%E2%82%ACss",
    "hush€:ÿhush",
    "hush:hush%zz%",
    "hush@corp:hush@/?#[]hush",
    "hush:hush://x",
    "hush:12/hush",
    "hush",
    "hush:",
    "hush hush:hush hush",
    "hush%0d%0aX-hush: 1",
    ":hush",
)
ECHO = b"hush\r\nProxy-Authorization: hush\r\n"  # what a server might repeat of a request
FORBIDDEN = rejection("403 hush", ECHO)
NOT_MATCHING = http(body=b'{"users": [{"user_name": 1, "id": "hush"}], "hush": "hush"', X_Request_Id="hush hush")
ANSWERS = (
    b"",
    ECHO,
    b"HTTP/1.1 200 " + ECHO[:8],
    b"HTTP/1.1 200 OK\r\nhush\r\n\r\n",
    b"HTTP/1.1 hush\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhush\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: hush\r\n\r\n",
    FORBIDDEN,
    rejection("407 hush"),
    rejection("503 hush", b'{"error_code": "user hush", "error_msg": "hush"}'),
    NOT_MATCHING,
)


def shown(error: Exception) -> str:
    """Everything that a log or a page could show of an error."""
    return "".join([*traceback.format_exception(error), repr(error), str(vars(error))])


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("endpoint", ["https://cloud.example", "http://cloud.example"])
async def test_no_error_has_a_login_or_the_query(login: str, endpoint: str) -> None:
    """Neither as written nor as sent, in any text of the error, of its cause, or of a traceback."""
    request, wire = get(endpoint, query="user_name=hush", headers={"X-Auth-Token": "hush"}), Wire(then="close")
    errors = []
    async with wire.serve() as url, transporting(proxy=url.replace("//", f"//{login}@")) as through:
        for wire.answer in ANSWERS:
            errors.append(await failure(through, request, lambda answer: user_page(answer.body)))
    async with transporting(proxy=f"http://{login}@127.0.0.1:1") as through:
        errors.append(await failure(through, request))
    for error in errors:
        for text in (shown(error), shown(error.bare()), str(error.facts()), str(explain(error.bare()))):
            assert HUSH not in text


@pytest.mark.parametrize("character", ["\x00", "\n"])
async def test_no_error_shows_a_credential_that_cannot_be_sent(character: str) -> None:
    async with Wire().serve() as url, transporting() as through:
        error = await failure(through, get(url, headers={"X-Auth-Token": f"hush{character}"}))
    assert HUSH not in shown(error)
    assert "a credential or an address has a character that no header can hold" in str(error)


@pytest.mark.parametrize(
    ("scheme", "answer", "expected"),
    [
        ("https", rejection("407 hush"), "rejects the request (407): it requires a user and password"),
        ("https", FORBIDDEN, "rejects the request (403)"),
        ("https", ECHO, "the answer is not HTTP through the proxy"),
        ("http", FORBIDDEN, "or a firewall behind it, rejects the request (403)"),
        ("http", rejection("401 hush"), "or a firewall behind it, rejects the request (401)"),
        ("http", NOT_MATCHING, "the answer does not match the cloud"),
    ],
)
async def test_neither_log_nor_page_shows_them(
    capsys: pytest.CaptureFixture[str], scheme: str, answer: bytes, expected: str
) -> None:
    """The page names the proxy, and the log the operation and the outcome."""
    logs.configure(Log(level="debug"))
    endpoint = f"{scheme}://cloud.example"
    project = {
        "project_id": "p",
        "endpoints": {"sessions": endpoint, "users": endpoint},
        "auth": {"token": "hush-token"},
        "users": ["hush.anna"],
    }
    proxy = ConnectProxy(answer)
    async with proxy.serve() as address:
        login = {"proxy": f"http://hush-svc:p%E2%82%ACss-hush@{address}"}
        given = settings(project, http=login, metrics={"per_user": "none"})
        async with running(given) as exporter:
            page = await until(lambda text: expected in text, exporter)
            _, metrics, _ = await fetch(f"{exporter}/metrics")
    log = capsys.readouterr().err
    assert "requests_failing" in log
    assert "requests_paused" not in log, "the proxy's answers say nothing about credentials"
    assert "missing_iam_action" not in log
    for text in (page, log, metrics):
        for secret in (HUSH, "€", "%E2", b64encode("hush-svc:p€ss-hush".encode()).decode()):
            assert secret not in text
    if scheme == "https" or b"403" in answer:
        assert f"the proxy {address}" in page
        assert address in log
