"""The page for people: its facts, and that browsers, phones and screen readers can show it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin

import pytest
from playwright.async_api import async_playwright
from support.exporters import project, running, settings, until
from support.fleets import answered, fleet_of, watching
from support.virtual_time import EPOCH
from support.web_clients import ask, web_server

from exporter.cloud.errors import CloudError, refusal
from exporter.cloud.models import Session
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Attempts, Fleet, ServerCounts
from exporter.polling.cycles import Cycle, Cycles, Failure
from exporter.polling.source import Source
from exporter.simulator import Simulator, SimulatorOptions
from exporter.status import DiscoveryStatus, OperationStatus, ProjectStatus
from exporter.web import page
from exporter.web.formats import ago, lasting, percent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from pathlib import Path

    from playwright.async_api import Browser

SESSIONS, DETAIL = "ListSessionByUserName", "ListUserDetail"
NOW = EPOCH
DONE = Cycles(last=Cycle(2, NOW - 60, answered=2), last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 2)


def status(name: str = "berlin", **changes: Any) -> ProjectStatus:
    fleet = Fleet(watching([("a", "1"), ("b", "2")]))
    operations = changes.pop("operations", {kind: OperationStatus(DONE, 60.0, 2, 2) for kind in (SESSIONS, DETAIL)})
    values = {
        "project": name,
        "taken_at": NOW,
        "counts": fleet.counts(),
        "users": fleet.users(),
        "attempts": fleet.attempts,
        "account_locks": fleet.account_locks,
        "operations": operations,
        "source": Source("per_user", "2 users fit"),
        "up": True,
        "ready": all(operation.cycles.last for operation in operations.values()),
        "paused": False,
        "rate_limit": 180.0,
        "telemetry": Telemetry(),
        "credentials_expire_at": None,
        "short_sessions_counted": True,
    }
    return ProjectStatus(**{**values, **changes})


def troubled(error: CloudError, since: float = NOW - 420) -> dict[str, OperationStatus]:
    return {
        SESSIONS: OperationStatus(DONE, 60.0, 2, 1, (Failure(error, since),)),
        DETAIL: OperationStatus(DONE, 300.0, 2, 2),
    }


def html_of(statuses: Sequence[ProjectStatus]) -> str:
    return "".join(page.render("/metrics", statuses))


def text_of(html: str) -> str:
    """Return the text that a browser shows."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<body>")[2]))


def test_an_api_error_is_shown_with_its_start_and_its_fix() -> None:
    error = refusal(SESSIONS, 403, "WKS.00010003", "r-1")
    text = text_of(html_of([status(operations=troubled(error))]))
    assert "API errors in 1 of 1 project" in text
    assert "workspace:session:listSessionByUserName is missing (403 WKS.00010003, request_id r-1)" in text
    assert "since 2025-12-31 23:53:00 UTC (7 min ago)" in text
    assert "What to do: give the IAM user the policy in the README" in text


def test_a_pause_is_shown_with_its_end() -> None:
    operations = {SESSIONS: OperationStatus(Cycles(next_at=NOW + 900), 60.0, 2, 0)}
    text = text_of(html_of([status(up=False, paused=True, operations=operations)]))
    assert "no answers" in text
    assert "paused because the cloud rejected the credentials, until 00:15:00 UTC at the latest" in text


def test_progress_request_rate_and_the_next_cycle_are_shown() -> None:
    under_way = Cycles(
        current=Cycle(2, NOW, answered=1), last=DONE.last, last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 30
    )
    html = html_of([status(operations={SESSIONS: OperationStatus(under_way, 60.0, 2, 2)})])
    assert '<progress value="1" max="2">1 of 2</progress>' in html
    text = text_of(html)
    for told in (
        "took 58 s, ended 4.0 s ago, all answered",
        "next cycle in 30 s",
        "interval 1 min",
        "requests per minute 2 of 180 allowed",
    ):
        assert told in text


def test_unknown_numbers_are_absent_and_not_zero() -> None:
    text = text_of(html_of([status()])).partition("All names begin with")[0]
    assert "Active" not in text
    assert "locked" not in text


def test_names_from_outside_are_escaped() -> None:
    error = CloudError("<b>", "500", detail="<script>alert(1)</script>")
    html = html_of([status("<script>", operations=troubled(error))])
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_headline_counts_projects() -> None:
    waiting = status(operations={SESSIONS: OperationStatus(Cycles(), 60.0, 2, 0)})
    down = status(up=False)
    headlines = [
        text_of(html_of(each)).partition(" Metrics ")[0]
        for each in ([status()], [status(), waiting], [status(), waiting, down])
    ]
    assert [headline.partition("exporter ")[2] for headline in headlines] == [
        "1 project working",
        "First cycle running in 1 of 2 projects",
        "API errors in 1 of 3 projects",
    ]


async def test_requests_between_two_publishes_share_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    render, renderings = page.render, []

    def counted(path: str, statuses: Sequence[ProjectStatus]) -> Iterator[str]:
        renderings.append(path)
        return render(path, statuses)

    monkeypatch.setattr("exporter.web.application.render", counted)
    async with web_server(statuses=(status(),)) as server:
        first, second = [await ask(server, "/") for _ in range(2)]
    assert first.body == second.body
    assert b"berlin" in first.body
    assert len(renderings) == 1


class Outline(HTMLParser):
    """Checks what a screen reader relies on: headings in order, unique ids, labels that exist, all tags closed."""

    VOID = frozenset({"meta", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"aria-labelledby", "for"}:
                self.references.append(value or "")
            if name in {"href", "src", "action"}:
                self.addresses.append(value or "")
            assert not name.startswith("on"), "no script"
            assert name != "style", "the policy forbids it"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_its_structure_serves_a_screen_reader() -> None:
    error = refusal(SESSIONS, 500, None, None)
    html = html_of([status(), status("paris", operations=troubled(error))])
    outline = Outline()
    outline.feed(html)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert outline.headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(outline.headings))
    assert {"main", "nav", "header", "footer"} <= outline.elements
    assert not {"script", "iframe", "img"} & outline.elements
    assert set(outline.addresses) == {"./metrics", "#documentation", "./-/healthy", "./-/ready", "./"}


@pytest.mark.parametrize("path", ["/metrics", "/a/b.c/~d", "/metrics/"])
def test_every_link_stays_below_the_prefix_of_a_proxy(path: str) -> None:
    outline = Outline()
    outline.feed("".join(page.render(path, [status()])))
    prefix = "https://proxy.example/workspace"
    reached = {urljoin(f"{prefix}/", address) for address in outline.addresses}
    assert reached == {f"{prefix}{each}" for each in ("/", "/#documentation", "/-/healthy", "/-/ready", path)}


def test_a_path_that_begins_with_two_slashes_is_no_link_to_another_host() -> None:
    assert 'href=".//evil.example/x"' in "".join(page.render("//evil.example/x", [status()]))


@pytest.mark.parametrize(
    ("telemetry_path", "path"),
    [("/metrics", "/metrics/"), ("/a/b", "/a/b/"), ("/metrics/", "/metrics")],
)
async def test_a_slash_more_or_less_redirects_to_the_metrics(telemetry_path: str, path: str) -> None:
    async with web_server(telemetry_path=telemetry_path) as server:
        answer = await ask(server, path)
        assert answer.status == 308
        prefix = "https://proxy.example/workspace"
        assert urljoin(prefix + path, answer.headers["Location"]) == prefix + telemetry_path
        assert (await ask(server, telemetry_path)).status == 200
        assert (await ask(server, f"{telemetry_path.rstrip('/')}/more")).status == 404


def failing(*groups: str | None, starts: int = 0) -> Attempts:
    """Starts that failed, each in this group, and as many others."""
    attempts = Attempts()
    for group in groups:
        session = Session.of(app_server_group_id=group, failed_code="WKS.1")
        attempts.starts.add(session)
        attempts.failures.add(session)
    for _ in range(starts):
        attempts.starts.add(Session.of())
    return attempts


def known(**changes: Any) -> ProjectStatus:
    """A status with fresh answers about sessions."""
    fleet = fleet_of("a", "b")
    answered(fleet, fleet.members[0], changes.pop("sessions", ()), at=1)
    return status(**{"counts": fleet.counts(), "attempts": fleet.attempts, **changes})


def test_starts_and_failed_starts_are_shown_with_their_share() -> None:
    text = text_of(html_of([known(attempts=failing(None, starts=79))]))
    assert "starts since exporter start 80" in text
    assert "failed starts since exporter start 1 (1.2 %)" in text


def test_without_any_start_there_is_no_share() -> None:
    text = text_of(html_of([known()]))
    assert "starts since exporter start 0 failed starts since exporter start 0 " in text
    assert "%" not in text.partition("All names begin with")[0]
    assert "Failed starts by server group" not in text
    assert "Time from start to Active" not in text


def test_the_time_to_active_is_shown_as_mean_and_median() -> None:
    attempts = Attempts()
    for seconds in (1.5, 4.0, 12.5):
        attempts.init_durations.observe(seconds)
    text = text_of(html_of([known(attempts=attempts)]))
    assert "Time from start to Active: 6.0 s on average, at most 5.0 s for half of the starts." in text
    for _ in range(4):
        attempts.init_durations.observe(900.0)
    assert "more than 10 min for half of the starts." in text_of(html_of([known(attempts=attempts)]))


def test_failed_starts_name_the_groups_and_their_registered_servers() -> None:
    servers = ServerCounts({("f", "REGISTERED"): 2, ("f", "UNREGISTER"): 3, ("s", "REGISTERED"): 1}, {}, {})
    names = {"f": "Finance & Co", "s": "Sales"}
    shown = known(attempts=failing("s", None, *["f"] * 14), group_names=names, servers=servers)
    groups = "Finance &amp; Co (2 of 5 servers registered): 14, Sales (1 of 1 servers registered): 1, unknown: 1"
    assert f"Failed starts by server group since exporter start: {groups}" in text_of(html_of([shown]))
    unknown = known(attempts=failing("f"), group_names=names)
    assert "Failed starts by server group since exporter start: Finance &amp; Co: 1 " in text_of(html_of([unknown]))


def test_sessions_at_init_fail_name_their_groups() -> None:
    """Also those that had failed before the exporter started, which are not counted."""
    failed = [Session.of(str(number), "InitFail", app_server_group_id="f") for number in range(3)]
    text = text_of(html_of([known(sessions=failed, group_names={"f": "Finance"})]))
    assert "Sessions at InitFail by server group, as of the last poll: Finance: 3" in text
    assert "Failed starts by server group" not in text


def test_at_most_ten_groups_are_named() -> None:
    shown = known(attempts=failing(*(f"g{number:02}" for number in range(12))))
    assert "g09: 1, and 2 more" in text_of(html_of([shown]))


def test_it_is_shown_that_short_sessions_are_not_counted() -> None:
    sentence = "Sessions that begin and end between two polls are not counted, and failed starts show up to a polling"
    assert "ListSessions is failing." in text_of(html_of([status(short_sessions_counted=False)]))
    assert sentence in text_of(html_of([status(short_sessions_counted=False)]))
    assert sentence not in text_of(html_of([status()]))
    first_cycle = {SESSIONS: OperationStatus(Cycles(), 60.0, 2, 0)}
    assert sentence not in text_of(html_of([status(short_sessions_counted=False, operations=first_cycle)]))


def test_each_missing_permission_is_shown_with_its_effect() -> None:
    missing = [Failure(refusal(name, 403, "WKS.403", "1"), NOW - 60) for name in ("ListSessions", "ListServers")]
    text = text_of(html_of([status(short_sessions_counted=False, unavailable=missing)]))
    assert "1 project working" in text
    assert "ListSessions is not permitted (workspace:session:listSessions)." in text
    assert "workspace:server:list" in text
    assert "no metric shows the servers of a group" in text


def test_a_failures_scan_that_misses_failures_is_shown() -> None:
    sentence = "Failed starts may be counted up to a polling cycle late."
    assert sentence in text_of(html_of([status(failures_scan_incomplete=True)]))
    assert sentence not in text_of(html_of([status()]))


def test_operations_that_are_not_about_users_have_no_coverage() -> None:
    names = ("ListServers", "ListServerGroups", "ListSessions")
    html = html_of([status(operations={name: OperationStatus(DONE, 60.0, 2, None) for name in names})])
    assert "<meter" not in html
    text = text_of(html)
    for title in (
        "Servers ListServers",
        "Server groups ListServerGroups",
        "Session starts, scan of all users ListSessions",
    ):
        assert title in text


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 9, "0.0 %"), (1, 9_000, "0.1 %"), (8_999, 9_000, "99.9 %"), (9, 9, "100.0 %"), (1, 3, "33.3 %")],
)
def test_only_none_is_zero_per_cent_and_only_all_a_hundred(part: int, whole: int, told: str) -> None:
    assert percent(part, whole) == told


def test_discovered_users_are_counted() -> None:
    assert "users 2" in text_of(html_of([status(discovery=DiscoveryStatus(1, successful=True))]))
    assert "discovered users 1" in text_of(html_of([status(discovery=DiscoveryStatus(1, successful=True))]))
    assert "discovered users" not in text_of(html_of([status()]))


def test_a_failed_discovery_is_shown_with_its_fix() -> None:
    html = html_of([status(discovery=DiscoveryStatus(1, successful=False))])
    text = text_of(html)
    assert "API errors in 1 of 1 project" in text
    assert "Discovery of users failed" in text
    assert "What to do: fix the errors of ListUsers" in text
    outline = Outline()
    outline.feed(html)
    assert outline.open == []


def test_a_discovery_that_has_not_ended_yet_is_no_failure() -> None:
    operations = {SESSIONS: OperationStatus(Cycles(), 60.0, 2, 0)}
    html = html_of([status(operations=operations, discovery=DiscoveryStatus(0, successful=False))])
    assert "Discovery of users failed" not in html


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min"), (330, "5 min 30 s"), (5400, "1 h 30 min"), (90061, "1 d 1 h")],
)
def test_durations_are_shown_in_their_two_largest_units(seconds: float, told: str) -> None:
    assert lasting(seconds) == told


def test_less_than_a_second_ago_is_just_now() -> None:
    assert ago(0.3) == "just now"
    assert ago(-5) == "just now"


@pytest.fixture
async def browser(tool: Callable[[str], str]) -> AsyncIterator[Browser]:
    """Debian's Chromium, headless."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1200, "light")])
async def test_a_browser_shows_it_on_a_phone_and_in_the_dark(
    browser: Browser, width: int, scheme: Literal["dark", "light"], tmp_path: Path
) -> None:
    """Nothing is blocked or asked for elsewhere, nothing is wider than the screen, and its style is in force."""
    simulator = Simulator(
        SimulatorOptions(users=5, speed=0, quota=0, denied_actions=frozenset({"workspace:users:get"}))
    )
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        await until(lambda text: "is missing" in text, f"{address}/")
        view = await browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        complaints: list[str] = []
        asked: list[str] = []
        view.on("console", lambda message: complaints.append(message.text))
        view.on("request", lambda request: asked.append(request.url))
        await view.goto(f"{address}/")
        await view.screenshot(path=tmp_path / "page.png", full_page=True)
        assert await view.title() == "API errors in 1 of 1 project | Workspace exporter"
        assert await view.get_by_role("heading", name="Current API errors").count() == 1
        assert await view.get_by_role("region", name="sim API errors").count() == 1
        assert await view.get_by_role("meter", name=re.compile("Fresh answers for 5 of 5 users")).count() == 1
        assert await view.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = await view.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"dark": "rgb(13, 17, 23)", "light": "rgb(255, 255, 255)"}[scheme]
        assert {url.removesuffix("favicon.ico") for url in asked} == {f"{address}/"}
        assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
        await view.get_by_role("link", name="Metrics").click()
        assert "huaweicloud_workspace_up" in await view.content()
        await view.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_has_enough_contrast(scheme: str) -> None:
    """Text against its ground has at least the contrast that WCAG asks for, 4.5."""
    roots = re.findall(r":root \{([^}]*)\}", page.STYLE)
    colours = dict(re.findall(r"--(\w+): (#\w+)", roots[scheme == "dark"]))
    for text in ("text", "quiet", "link", "fine", "waiting", "trouble", "down"):
        for ground in ("ground", "card"):
            assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}"


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
