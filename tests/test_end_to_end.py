"""The exporter against the simulated cloud, over real sockets."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.exporters import get, project, running, settings, until
from support.promises import Promise

from exporter import config, logs, runner
from exporter.metrics.exposition import Description, Rendered
from exporter.runner import Exporter
from exporter.setup import prepared
from exporter.simulator import PERSONAL_MARKS, Simulator, SimulatorOptions, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


NOW = 1_790_000_000.0
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def frozen(users: int = 60, **options: object) -> Simulator:
    """A cloud whose users stand still, so that there is one truth."""
    return Simulator(SimulatorOptions(users=users, speed=0, quota=0, **options))  # type: ignore[arg-type] # its fields


def complete(text: str) -> bool:
    return text.count('poll_coverage_ratio{operation="ListSessionByUserName",project="sim"} 1.0') == 1 and (
        'poll_coverage_ratio{operation="ListUserDetail",project="sim"} 1.0' in text
    )


def values(text: str, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == f"huaweicloud_workspace_{name}"
    }


async def test_the_metrics_are_the_simulator_s_truth() -> None:
    simulator = frozen()
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        text = await until(complete, f"{address}/metrics")
    sessions, users = simulator.sessions(), simulator.users()
    states = Counter(str(session.session_state) for session in sessions)
    by_version = Counter(
        (str(s.session_state), s.client_version or "unknown", s.agent_version or "unknown") for s in sessions
    )
    assert {state: n for (state,), n in values(text, "sessions", "session_state").items() if n} == states
    assert values(text, "sessions_by_version", "session_state", "client_version", "agent_version") == by_version
    assert values(text, "users") == {(): 60}
    assert values(text, "users_locked") == {(): sum(user.locked is True for user in users)}
    assert values(text, "users_expired") == {(): sum(user.user_expired is True for user in users)}
    assert values(text, "users_disabled") == {(): sum(user.disabled is True for user in users)}
    assert values(text, "user_locked", "user_name") == {(user.user_name,): user.locked for user in users}
    assert sum(user.locked is True for user in users) > 0


async def test_both_formats_say_the_same_and_promtool_finds_nothing_to_say(tool: Callable[[str], str]) -> None:
    promtool = tool("promtool")
    simulator = frozen()
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        await until(complete, f"{address}/metrics")
        _, text, headers = await get(f"{address}/metrics")
        _, openmetrics, openmetrics_headers = await get(f"{address}/metrics", Accept=OPENMETRICS)
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
    assert (
        openmetrics_headers["Content-Type"]
        == "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    )
    families = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call] # the library's lack
    assert {family.name for family in families} == {family.name for family in parse_text(text)}
    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_compression_is_for_those_who_request_it() -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        _, _, zipped = await get(f"{address}/metrics", **{"Accept-Encoding": "deflate, gzip;q=0.5"})
        _, _, plain = await get(f"{address}/metrics", **{"Accept-Encoding": "gzip;q=0.0, identity"})
    assert zipped["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain


async def test_no_personal_data_reaches_the_metrics_the_page_or_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """The simulator marks every personal field; with hashed names, not even the user names can be found."""
    simulator = frozen(faults=parse_faults("500=0.2"))
    async with simulator.serve() as url:
        wanted = settings(
            project(simulator, url),
            metrics={"user_label": "hash", "hash_key": "k"},
            log={"level": "debug"},
        )
        logs.configure(wanted.log)
        async with running(wanted) as address:
            text = await until(complete, f"{address}/metrics")
            _, page, _ = await get(f"{address}/")
    log = capfd.readouterr().err
    assert "requests_failing" in log
    told = text + page + log
    assert [mark for mark in PERSONAL_MARKS if mark in told] == []
    assert [name for name in simulator.population.names() if name in told] == []
    assert simulator.options.account.token not in told


@pytest.mark.bad_input
async def test_without_credentials_nothing_is_counted_and_up_page_and_log_show(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No request was sent, so there is no attempt to count."""
    token = tmp_path / "token"
    simulator = frozen(users=3)
    token.write_text(simulator.options.account.token, "utf-8")
    async with simulator.serve() as url:
        wanted = settings(project(simulator, url, auth={"token_file": str(token)}))
        logs.configure(wanted.log)
        async with running(wanted) as address:
            await until(complete, f"{address}/metrics")
            token.write_bytes(b"\xff")
            text = await until(lambda text: values(text, "up") == {(): 0}, f"{address}/metrics")
            _, page, _ = await get(f"{address}/")
    assert {code for (code,) in values(text, "api_requests_total", "code")} == {"200"}
    assert f"no request was sent (unreadable, {token} is not UTF-8 text)" in page
    assert f'operation=credentials code=unreadable detail="{token} is not UTF-8 text"' in capfd.readouterr().err


@pytest.mark.bad_input
async def test_what_is_no_http_is_answered_400_and_not_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """A header that is not allowed may hold a password, and a port scanner could fill the disk."""
    simulator = frozen(users=1)
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        logs.configure(config.Log())
        host, _, port = address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Basic c2VjcmV0\0\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.0 400")
        writer.close()
        await writer.wait_closed()
    told = capfd.readouterr().err
    assert "c2VjcmV0" not in told
    assert "Error handling request" not in told


async def test_a_mistake_of_our_own_while_publishing_leaves_nothing_published(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        await until(complete, f"{address}/metrics")
        monkeypatch.setattr(runner, "render", lambda *_: 1 // 0)
        text = await until(lambda text: "huaweicloud" not in text, f"{address}/metrics")
        assert "process_cpu_seconds_total" in text
        assert (await get(f"{address}/-/healthy"))[0] == 200
    assert "publish_failed" in "".join(capfd.readouterr())


async def test_a_scrape_is_answered_while_a_publish_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what was published before, whole; nothing of what is still being rendered."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    def long_rendering(*_: object) -> Iterator[Rendered]:
        yield Description("half", "gauge", "Is half of it.", ()).rendered("half 1.0\n")
        begun.set()
        while not go_on.is_set():
            yield Rendered("", "", "")
        yield Description("rest", "gauge", "Is the rest.", ()).rendered("rest 1.0\n")

    simulator = frozen(users=3)
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        await until(complete, f"{address}/metrics")
        monkeypatch.setattr(runner, "render", long_rendering)
        await begun.wait()
        for accept in ("text/plain", OPENMETRICS):
            status, text, _ = await get(f"{address}/metrics", Accept=accept)
            assert (status, "half" in text, values(text, "users")) == (200, False, {(): 3})
        go_on.set()
        text = await until(lambda text: "half 1.0" in text, f"{address}/metrics")
    assert "rest 1.0" in text


async def test_what_others_do_amid_a_publish_is_not_put_down_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a busy exporter would publish ever more rarely: what a publish takes says when the next one comes."""
    clock, theirs = 0.0, 0

    async def busy() -> None:
        nonlocal clock, theirs
        while True:
            clock += 1000
            theirs += 1
            await asyncio.sleep(0)

    def thread_time() -> float:
        nonlocal clock
        clock += 0.01
        return clock

    nowhere = settings(project(frozen(users=3), "http://127.0.0.1:1"))
    exporter = Exporter(prepared(nowhere, lambda: NOW)[0], lambda: NOW)
    monkeypatch.setattr(time, "thread_time", thread_time)
    other = asyncio.create_task(busy())
    assert 0 < await exporter.publish() < 10
    assert theirs > 10
    other.cancel()
    await exporter.aclose()


async def test_ready_is_said_after_the_first_round_and_healthy_at_once() -> None:
    simulator = frozen(users=5)
    async with simulator.serve() as url:
        slow = settings(project(simulator, url), poll={"rate_limit": 300})
        async with running(slow) as address:
            assert (await get(f"{address}/-/healthy"))[0] == 200
            status, text, _ = await get(f"{address}/-/ready")
            assert (status, text) == (503, "Waiting for the first cycle of: sim.\n")
            assert await until(lambda text: text == "Ready.\n", f"{address}/-/ready")


@pytest.mark.promise(Promise.APART)
async def test_projects_are_independent() -> None:
    """A project whose cloud is away has no numbers; the other's are whole."""
    simulator = frozen(users=5)
    async with simulator.serve() as url:
        away = project(simulator, "http://127.0.0.1:1", name="away")
        async with running(settings(project(simulator, url), away)) as address:
            text = await until(lambda text: complete(text) and 'code="connection_error"' in text, f"{address}/metrics")
    assert values(text, "users", "project") == {("sim",): 5}
    assert values(text, "up", "project") == {("sim",): 1, ("away",): 0}
    assert {project for project, _ in values(text, "sessions", "project", "session_state")} == {"sim"}


async def test_the_page_shows_each_project_and_operation() -> None:
    simulator = frozen(users=5)
    async with simulator.serve() as url, running(settings(project(simulator, url, name="<b>"))) as address:
        await until(lambda text: text == "Ready.\n", f"{address}/-/ready")
        status, page, headers = await get(f"{address}/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.count("Fresh answers for 5 of 5 users") == 2
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert 'href="./metrics"' in page
    assert "aiohttp" not in headers["Server"]
