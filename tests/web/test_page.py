"""The page for people: what it tells, and that a browser, a phone and a screen reader can make use of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import pytest
from playwright.async_api import async_playwright
from support.exporters import project, running, settings, until
from support.virtual_time import EPOCH

from exporter.cloud.errors import CloudError, refusal
from exporter.cloud.telemetry import Telemetry
from exporter.fleet import Fleet
from exporter.polling.failure_log import Trouble
from exporter.polling.rounds import Round, Rounds
from exporter.polling.source import Source
from exporter.simulator import Simulator, SimulatorOptions
from exporter.status import OperationStatus, ProjectStatus
from exporter.web import page
from exporter.web.times import ago, lasting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from playwright.async_api import Browser

SESSIONS, DETAIL = "ListSessionByUserName", "ListUserDetail"
NOW = EPOCH
DONE = Rounds(last=Round(2, NOW - 60, answered=2), last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 2)


def status(name: str = "berlin", **changes: Any) -> ProjectStatus:
    fleet = Fleet([("a", "1"), ("b", "2")])
    operations = changes.pop("operations", {kind: OperationStatus(DONE, 60.0, 2, 2) for kind in (SESSIONS, DETAIL)})
    values = {
        "project": name,
        "taken_at": NOW,
        "counts": fleet.counts(sessions_since=0, accounts_since=0),
        "users": fleet.users(),
        "init_failures": fleet.init_failures,
        "account_locks": fleet.account_locks,
        "operations": operations,
        "source": Source("per_user", "2 users fit"),
        "up": True,
        "ready": all(operation.rounds.last for operation in operations.values()),
        "paused": False,
        "rate_limit": 180.0,
        "telemetry": Telemetry(),
        "credentials_expire_at": None,
    }
    return ProjectStatus(**{**values, **changes})


def troubled(error: CloudError, since: float = NOW - 420) -> dict[str, OperationStatus]:
    return {
        SESSIONS: OperationStatus(DONE, 60.0, 2, 1, (Trouble(error, since),)),
        DETAIL: OperationStatus(DONE, 300.0, 2, 2),
    }


def text_of(html: str) -> str:
    """What a person reads."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<body>")[2]))


def test_what_fails_since_when_and_what_to_do_stands_there() -> None:
    error = refusal(SESSIONS, 403, "WKS.00010003", "r-1")
    text = text_of(page.render("/metrics", [status(operations=troubled(error))]))
    assert "1 project of 1 in trouble" in text
    assert "workspace:session:listSessionByUserName is missing (403 WKS.00010003, request_id r-1)" in text
    assert "since 2025-12-31 23:53:00 UTC (7 min ago)" in text
    assert "What to do: give the IAM user the policy in the README" in text


def test_a_pause_is_told_with_its_end() -> None:
    operations = {SESSIONS: OperationStatus(Rounds(next_at=NOW + 900), 60.0, 2, 0)}
    text = text_of(page.render("/metrics", [status(up=False, paused=True, operations=operations)]))
    assert "no answers" in text
    assert "paused, since the cloud refuses the credentials, until 00:15:00 UTC at the latest" in text


def test_progress_budget_and_the_next_round_are_told() -> None:
    under_way = Rounds(
        current=Round(2, NOW, answered=1), last=DONE.last, last_duration=58.2, last_ended=NOW - 4, next_at=NOW + 30
    )
    html = page.render("/metrics", [status(operations={SESSIONS: OperationStatus(under_way, 60.0, 2, 2)})])
    assert '<progress value="1" max="2">1 of 2</progress>' in html
    text = text_of(html)
    for told in (
        "took 58 s, ended 4.0 s ago, all answered",
        "next round in 30 s",
        "interval 1 min",
        "calls a minute 2 of 180 allowed",
    ):
        assert told in text


def test_what_is_not_known_is_not_shown_as_zero() -> None:
    text = text_of(page.render("/metrics", [status()]))
    assert "Active" not in text
    assert "locked" not in text.partition("What the metrics mean")[0]


def test_names_from_outside_are_no_html() -> None:
    error = CloudError("<b>", "500", detail="<script>alert(1)</script>")
    html = page.render("/metrics", [status("<script>", operations=troubled(error))])
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_headline_counts_projects() -> None:
    waiting = status(operations={SESSIONS: OperationStatus(Rounds(), 60.0, 2, 0)})
    down = status(up=False)
    headlines = [
        text_of(page.render("/metrics", each)).partition(" Metrics ")[0]
        for each in ([status()], [status(), waiting], [status(), waiting, down])
    ]
    assert [headline.partition("exporter ")[2] for headline in headlines] == [
        "All is well: 1 project",
        "1 project of 2 still in the first round",
        "1 project of 3 in trouble",
    ]


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
    html = page.render("/metrics", [status(), status("paris", operations=troubled(error))])
    outline = Outline()
    outline.feed(html)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert set(outline.references) <= set(outline.ids)
    assert outline.headings[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(outline.headings))
    assert {"main", "nav", "header", "footer"} <= outline.elements
    assert not {"script", "iframe", "img"} & outline.elements
    assert set(outline.addresses) == {"/metrics", "#documentation", "/-/healthy", "/-/ready", "/"}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min"), (330, "5 min 30 s"), (5400, "1 h 30 min"), (90061, "1 d 1 h")],
)
def test_durations_are_told_as_people_say_them(seconds: float, told: str) -> None:
    assert lasting(seconds) == told


def test_what_has_just_been_is_just_now() -> None:
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
        assert await view.title() == "1 project of 1 in trouble | Workspace exporter"
        assert await view.get_by_role("heading", name="What fails").count() == 1
        assert await view.get_by_role("region", name="sim in trouble").count() == 1
        assert await view.get_by_role("meter", name=re.compile("5 of 5 users covered")).count() == 1
        assert await view.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ground = await view.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"dark": "rgb(13, 17, 23)", "light": "rgb(255, 255, 255)"}[scheme]
        assert {url.removesuffix("favicon.ico") for url in asked} == {f"{address}/"}
        assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
        await view.get_by_role("link", name="Metrics").click()
        assert "huaweicloud_workspace_up" in await view.content()
        await view.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_its_colours_can_be_told_apart(scheme: str) -> None:
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
