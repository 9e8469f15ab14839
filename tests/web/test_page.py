"""The page for people: its facts, and what screen readers and proxies need."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from support.pages import (
    DONE,
    NOW,
    SESSIONS,
    all_answered,
    failed_starts,
    failing,
    first_cycle,
    html_of,
    incident,
    points,
    shown,
    status,
    text_of,
)
from support.web_clients import PROCESS, ask, web_server

from exporter.cloud.errors import CloudError, refusal
from exporter.cloud.models import Session
from exporter.fleet import Attempts, Counts, Point, Recent, ServerCounts
from exporter.polling.cycles import Cycle, Cycles, Failure
from exporter.status import DiscoveryStatus, OperationStatus, Published
from exporter.web import page
from exporter.web.formats import ago, amount, lasting, percent, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_SECONDS_A_PART = 0.05


def test_an_api_error_is_shown_with_its_start_and_its_fix() -> None:
    error = refusal(SESSIONS, 403, "WKS.00010003", "r-1")
    text = shown(status(operations=failing(error)))
    assert "ListSessionByUserName fails (403) , since 2025-12-31 23:53:00 UTC (7 min ago): " in text
    assert "workspace:session:listSessionByUserName is missing (403 WKS.00010003, request_id r-1)" in text
    assert "What to do: give the IAM user the policy in CONFIGURATION.md" in text


def test_a_pause_is_shown_with_its_end() -> None:
    operations = {SESSIONS: OperationStatus(Cycles(next_at=NOW + 900), 60.0, 2, 0)}
    text = shown(status(up=False, paused=True, operations=operations))
    assert "The credentials are rejected or cannot be obtained" in text
    assert "paused because the cloud rejected the credentials, until 00:15:00 UTC at the latest" in text


def test_progress_request_rate_and_the_next_cycle_are_shown() -> None:
    under_way = Cycles(
        current=Cycle(2, NOW, answered=1), last=DONE.last, last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 30
    )
    html = html_of(status(operations={SESSIONS: OperationStatus(under_way, 60.0, 120, 2)}))
    assert '<progress value="1" max="2">1 of 2</progress>' in html
    text = text_of(html)
    for told in (
        "took 58 s, ended 4.0 s ago, all answered",
        "next cycle in 30 s",
        "interval 1 min",
        "requests per minute 120 of 180 allowed",
    ):
        assert told in text


def test_unknown_numbers_are_unknown_and_not_zero() -> None:
    text = shown(first_cycle())
    assert "users 2 sessions unknown accounts unknown" in text
    assert "Active" not in text
    assert "locked" not in text
    assert "last 5 min" not in text


def test_before_discovery_has_listed_users_their_number_is_unknown() -> None:
    found = DiscoveryStatus(0, successful=False)
    text = shown(status(discovery=found, up=False, counts=Counts()))
    assert "users unknown" in text
    assert "Sessions are queried" not in text


def test_in_the_first_minutes_numbers_are_of_as_many_minutes_as_are_known() -> None:
    text = shown(status(recent=Recent(8, 2, 2, {}, None, points(2))))
    assert "Some session starts failed: 2 of 8 (25.0 %) in the last 2 minutes, 2 users" in text
    assert "8 starts, last 2 min" in _reversed(text)
    assert "last 5 min" not in text.partition("Documentation")[0]


def test_failures_that_are_not_counted_yet_are_shown_alike_everywhere() -> None:
    waiting = status(recent=Recent(8, 0, 2, {}, None, points(60)))
    assert "2 of 8 (25.0 %) in the last 5 minutes" in shown(waiting)
    assert "2 (25.0 %) failed, last 5 min" in _reversed(shown(waiting))
    assert "2 (25.0 %)" in rows(html_of(waiting, *fleet(30)))[0]


def test_after_a_failed_publish_the_last_numbers_are_not_shown() -> None:
    html = html_of(incident(), status("oslo"), publish_failed_at=NOW + 60)
    assert "because of a bug" in html
    assert "2026-01-01 00:01:00 UTC (just now)" in text_of(html)
    assert not any(each in html.partition("<body>")[2] for each in ("oslo", "starts are failing", "fine", "<svg"))


async def test_a_browser_that_goes_back_to_it_requests_it_again() -> None:
    async with web_server(statuses=(status(),)) as server:
        assert (await ask(server, "/")).headers["Cache-Control"] == "no-store"


def test_text_from_outside_is_escaped_and_its_code_is_marked() -> None:
    error = CloudError("<b>", "500", detail="<script>alert(1)</script>")
    group = Recent(1, 1, 1, {"<i>": 1}, None, points(60))
    html = html_of(status("<script>", operations=failing(error), recent=group))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<i>" not in html
    marked = html_of(status(fleet=all_answered("a", "b", "c", "d", "e", locked=1)))
    assert "<code>huaweicloud_workspace_user_locked</code>" in marked
    assert "`" not in marked.partition("<body>")[2]


async def test_requests_between_two_publishes_share_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    render, renderings = page.render, []

    def counting(path: str, published: Published, refresh_interval: float) -> Iterator[str]:
        renderings.append(refresh_interval)
        return render(path, published, refresh_interval)

    monkeypatch.setattr("exporter.web.application.render", counting)
    async with web_server(statuses=(status(),)) as server:
        first, second = [await ask(server, "/") for _ in range(2)]
    assert first.body == second.body
    assert b"berlin" in first.body
    assert renderings == [30.0]


def test_it_refreshes_as_often_as_configured() -> None:
    assert '<meta http-equiv="refresh" content="30">' in html_of(status(), refresh_interval=30.0)
    assert "Refreshes every 30 s." in text_of(html_of(status(), refresh_interval=30.0))
    assert '<meta http-equiv="refresh" content="1">' in html_of(status(), refresh_interval=0.2)
    assert "http-equiv" not in html_of(status())
    assert "Refreshes" not in shown(status())


class Outline(HTMLParser):
    """Checks what a screen reader relies on: headings in order, unique ids, labels that exist, all tags closed."""

    VOID = frozenset({"meta", "br", "link"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.elements: set[str] = set()
        self.addresses: list[str] = []
        self.feed(html)

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


def own(addresses: Iterable[str]) -> set[str]:
    """All but those of the documents, which an installed package links to."""
    return {address for address in addresses if not (page.REPOSITORY and address.startswith(page.REPOSITORY))}


@pytest.mark.parametrize("others", [0, 30])
def test_its_structure_serves_a_screen_reader(others: int) -> None:
    error = refusal(SESSIONS, 500, None, None)
    projects = [incident(), status("paris", operations=failing(error)), *(status(f"p{n}") for n in range(others))]
    outline = Outline(html_of(*projects, reload_rejected_at=NOW))
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert outline.headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(outline.headings))
    assert {"main", "nav", "header", "footer"} <= outline.elements
    assert not {"script", "iframe", "img"} & outline.elements
    within = {f"#project-{number}" for number in (0, 1)} if others else set()
    assert own(outline.addresses) == {"./metrics", "#documentation", "./-/healthy", "./-/ready", "./"} | within


@pytest.mark.parametrize("path", ["/metrics", "/a/b.c/~d", "/metrics/"])
def test_every_link_stays_below_the_prefix_of_a_proxy(path: str) -> None:
    outline = Outline(html_of(status(), path=path))
    prefix = "https://proxy.example/workspace"
    reached = {urljoin(f"{prefix}/", address) for address in own(outline.addresses)}
    assert reached == {f"{prefix}{each}" for each in ("/", "/#documentation", "/-/healthy", "/-/ready", path)}


def test_a_path_that_begins_with_two_slashes_is_no_link_to_another_host() -> None:
    assert 'href=".//evil.example/x"' in html_of(status(), path="//evil.example/x")


def test_documents_are_links_only_if_the_package_names_its_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "REPOSITORY", "")
    assert "All metrics: METRICS.md" in shown(status())
    monkeypatch.setattr(page, "REPOSITORY", "https://git.example/exporter")
    assert '<a href="https://git.example/exporter/blob/HEAD/METRICS.md">All metrics</a>' in html_of(status())


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


def test_starts_and_failures_are_shown_for_minutes_for_the_hour_and_since_the_start() -> None:
    text = shown(
        status(attempts=failed_starts(None, starts=79), recent=Recent(8, 2, 1, {}, None, points(60, failing=5)))
    )
    assert "8 starts, last 5 min" in _reversed(text)
    assert "2 (25.0 %) failed, last 5 min" in _reversed(text)
    assert "360 starts, last 60 min" in _reversed(text)
    assert "15 (4.2 %) failed, last 60 min" in _reversed(text)
    assert "Since the exporter started: 80 session starts, 1 (1.2 %) failed." in text
    assert "360 starts" not in shown(status(recent=Recent(points=points(12))))
    assert "72 starts, last 12 min" in _reversed(shown(status(recent=Recent(points=points(12)))))


def _reversed(text: str) -> str:
    """The numbers as they are seen: each above its title."""
    titles = r"((?:starts|failed), last \d+ min)"
    return re.sub(titles + r" (\d+(?: \(\d+\.\d %\))?)", r"\2 \1", text)


def test_without_any_start_there_is_no_share() -> None:
    text = shown(status(recent=Recent(points=(Point(0, None, 0, 0),))))
    assert "0 failed, last 1 min" in _reversed(text)
    assert "%" not in text
    assert "Failed starts" not in text
    assert "Time from start to Active" not in text


def test_the_time_to_active_is_shown_as_mean_and_median() -> None:
    attempts = Attempts()
    for seconds in (1.5, 4.0, 12.5):
        attempts.init_durations.observe(seconds)
    text = shown(status(attempts=attempts))
    assert "Time from start to Active: 6.0 s on average, at most 5.0 s for half of the starts." in text
    for _ in range(4):
        attempts.init_durations.observe(900.0)
    assert "more than 10 min for half of the starts." in shown(status(attempts=attempts))


def test_failed_starts_name_the_groups_with_their_registered_servers_the_worst_first() -> None:
    servers = ServerCounts({("f", "REGISTERED"): 2, ("f", "UNREGISTER"): 3, ("s", "REGISTERED"): 1}, {}, {})
    names = {"f": "Finance & Co", "s": "Sales"}
    attempts = failed_starts("s", None, *["f"] * 14)
    recent = Recent(9, 3, 3, {"s": 2, "f": 1}, None, points(60))
    text = shown(status(attempts=attempts, group_names=names, servers=servers, recent=recent))
    heads = "Group Servers Last 5 min At InitFail Since start"
    assert f"{heads} Sales 1 of 1 2 0 1 Finance & Co 2 of 5 1 0 14 unknown unknown 0 0 1" in text


def test_sessions_at_init_fail_name_their_groups() -> None:
    """Also those that had failed before the exporter started, which are not counted."""
    failed = [Session.of(str(number), "InitFail", app_server_group_id="f") for number in range(3)]
    text = shown(status(fleet=all_answered("a", sessions=failed), group_names={"f": "Finance"}))
    assert "Finance unknown 0 3 0" in text


def test_the_bar_of_fresh_answers_is_green_only_if_it_is_full() -> None:
    """A browser shows a meter in another colour below `low`, as long as the optimum is not there."""
    assert '<meter value="2" max="60" low="60" optimum="60">' in html_of(
        status(fleet=all_answered(*(f"u{n}" for n in range(60))))
    )


def test_at_most_ten_groups_are_named() -> None:
    text = shown(status(attempts=failed_starts(*(f"g{number:02}" for number in range(12)))))
    assert "g09 unknown 0 0 1 and 2 more groups" in text


def test_it_is_shown_that_short_sessions_are_not_counted() -> None:
    sentence = "Sessions that begin and end between two polls are not counted, and failed starts show up to a polling"
    assert "ListSessions is failing." in shown(status(short_sessions_counted=False))
    assert sentence in shown(status(short_sessions_counted=False))
    assert sentence not in shown(status())
    assert sentence not in shown(first_cycle())


def test_each_missing_permission_is_shown_with_its_effect() -> None:
    missing = [Failure(refusal(name, 403, "WKS.403", "1"), NOW - 60) for name in ("ListSessions", "ListServers")]
    text = shown(status(short_sessions_counted=False, unavailable=missing))
    assert "ListSessions is not permitted (workspace:session:listSessions)." in text
    assert "workspace:server:list" in text
    assert "no metric shows the servers of a group" in text


def test_a_failures_scan_that_misses_failures_is_shown() -> None:
    sentence = "Failed starts may be counted up to a polling cycle late."
    assert sentence in shown(status(failures_scan_incomplete=True))
    assert sentence not in shown(status())


def test_operations_that_are_not_about_users_have_no_coverage() -> None:
    names = ("ListServers", "ListServerGroups", "ListSessions")
    html = html_of(status(operations={name: OperationStatus(DONE, 60.0, 2, None) for name in names}))
    assert "<meter" not in html
    text = text_of(html)
    for title in (
        "Servers ListServers",
        "Server groups ListServerGroups",
        "Session starts, scan of all users ListSessions",
    ):
        assert title in text


def test_discovered_users_are_counted() -> None:
    assert "users 2" in shown(status(discovery=DiscoveryStatus(1, successful=True)))
    assert "discovered users 1" in shown(status(discovery=DiscoveryStatus(1, successful=True)))
    assert "discovered users" not in shown(status())


def test_a_failed_discovery_is_shown_with_its_fix() -> None:
    html = html_of(status(discovery=DiscoveryStatus(1, successful=False)))
    assert "What to do: fix the errors of ListUsers" in text_of(html)
    assert Outline(html).open == []


def test_a_discovery_that_has_not_ended_yet_is_no_failure() -> None:
    operations = {SESSIONS: OperationStatus(Cycles(), 60.0, 2, 0)}
    html = html_of(status(operations=operations, discovery=DiscoveryStatus(0, successful=False)))
    assert "Discovery of users failed" not in html


def rows(html: str) -> list[str]:
    """The rows of the table of projects as text."""
    body = html.partition('<table class="projects">')[2].partition("</tbody>")[0].partition("<tbody>")[2]
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in body.split("</tr>") if row.strip()]


def fleet(number: int) -> list[Any]:
    return [status(f"p{each:03}") for each in range(number)]


def test_up_to_twenty_projects_are_all_shown_in_full() -> None:
    html = html_of(*fleet(20))
    assert rows(html) == []
    assert html.count("<h2 id=") == 20


def test_more_projects_become_a_table_with_the_troubled_ones_in_full_and_first() -> None:
    projects = fleet(30)
    projects[7] = status("p007", fleet=all_answered("a", "b", "c", "d", "e", locked=1))
    projects[9] = first_cycle("p009")
    projects[20] = incident("p020")
    html = html_of(*projects)
    found = rows(html)
    assert len(found) == 30
    assert found[0].startswith("critical p020 60 0 13 (41.9 %) 100 % 6.0 s Session starts are failing: 13 of 31")
    assert found[1] == "attention p007 5 0 0 100 % 6.0 s 1 account is locked"
    assert found[2] == "waiting p009 2 unknown unknown 0 % unknown The first polling cycle is running"
    assert found[3] == "fine p000 2 0 0 100 % 6.0 s none"
    assert re.findall(r'<h2 id="(project-\d+)">', html) == ["project-20", "project-7", "project-9"]


def test_below_the_table_only_the_ten_worst_projects_are_shown_in_full() -> None:
    locked = all_answered("a", "b", "c", "d", "e", locked=1)
    html = html_of(*(status(f"p{each}", fleet=locked) for each in range(40)), incident("worst"))
    assert len(re.findall(r'<h2 id="project-\d+">', html)) == 10
    assert re.findall(r'<h2 id="project-\d+">(\w+)', html)[0] == "worst"
    assert "The worst 10 of 41 projects with problems follow." in text_of(html)


@pytest.mark.alone
def test_a_page_of_200_projects_is_small_and_each_part_is_fast() -> None:
    projects = tuple(incident(f"p{each:03}") for each in range(200))
    parts = page.render("/metrics", Published(PROCESS, projects), 30.0)
    seconds, size, began = [], 0, time.thread_time()
    for part in parts:
        seconds.append(time.thread_time() - began)
        size += len(part)
        began = time.thread_time()
    assert max(seconds) < MOST_SECONDS_A_PART
    assert len(seconds) > 15
    assert size < 300_000


def test_its_size_does_not_depend_on_the_number_of_users() -> None:
    few, many = (Counts(configured=each, queried=each, accounts=each, locked=each // 9) for each in (100, 10_000))
    assert len(html_of(status(counts=many))) < len(html_of(status(counts=few))) + 200


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min"), (330, "5 min 30 s"), (5400, "1 h 30 min"), (90061, "1 d 1 h")],
)
def test_durations_are_shown_in_their_two_largest_units(seconds: float, told: str) -> None:
    assert lasting(seconds) == told


def test_less_than_a_second_ago_is_just_now() -> None:
    assert ago(0.3) == "just now"
    assert ago(-5) == "just now"


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 9, "0.0 %"), (1, 9_000, "0.1 %"), (8_999, 9_000, "99.9 %"), (9, 9, "100.0 %"), (1, 3, "33.3 %")],
)
def test_only_none_is_zero_per_cent_and_only_all_a_hundred(part: int, whole: int, told: str) -> None:
    assert percent(part, whole) == told


def test_a_share_is_left_out_where_the_part_exceeds_the_whole() -> None:
    assert [share(3, 4), share(3, 2), share(0, 0)] == ["3 (75.0 %)", "3", "0"]


def test_amounts_have_no_exponent() -> None:
    assert [amount(each) for each in (0.25, 7.5, 9.99, 120, 123_456.7)] == ["0.25", "7.5", "10", "120", "123457"]
