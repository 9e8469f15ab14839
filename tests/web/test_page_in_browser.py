"""The page in Chromium: on phones and screens, dark and light, and for those who do not see it."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright
from support.exporters import project, running, settings, until
from support.pages import SESSIONS, all_answered, failing, first_cycle, html_of, incident, status

from exporter.cloud.errors import refusal
from exporter.fleet import Counts
from exporter.simulator import Simulator, SimulatorOptions
from exporter.web.page import CONTENT_SECURITY_POLICY
from exporter.web.problems import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from playwright.async_api import Browser, Page, Route

    from exporter.status import ProjectStatus

TEXT, GRAPHICS = 4.5, 3.0
"""The contrasts that WCAG requires."""
WIDTHS = (360, 800, 1200)
SCHEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")
LONG = "a-project-with-a-very-long-name-such-as-those-that-are-made-by-machines-0123456789"
LOCKED = all_answered(*(f"u{number}" for number in range(9)), locked=1, missing=1)
ERROR = refusal(SESSIONS, 401, "APIGW.0301", "r-1")

SCENES: dict[str, tuple[Sequence[ProjectStatus], dict[str, Any]]] = {
    "everything": (
        (
            incident(LONG, fleet=LOCKED),
            status("paris", operations=failing(ERROR), paused=True, up=False),
            first_cycle("rome"),
            status("oslo"),
        ),
        {"reload_rejected_at": 1.0},
    ),
    "many": ((*(status(f"p{number}") for number in range(30)), incident(LONG), first_cycle("rome")), {}),
    "fine": ((status(),), {}),
    "incident": ((incident(),), {}),
    "accounts": ((status(fleet=LOCKED),), {}),
    "credentials rejected": ((status(operations=failing(ERROR), paused=True, up=False),), {}),
    "one operation fails": ((status(operations=failing(ERROR)),), {}),
    "no fresh data": ((status(up=False, data_age=None, counts=Counts(configured=2)),), {}),
    "first cycle": ((first_cycle(),), {}),
    "no project": ((), {}),
    "reload rejected": ((status(),), {"reload_rejected_at": 1.0}),
    "users file rejected": ((status(),), {"users_files_rejected": {"berlin": 1.0}}),
    "nothing published": ((status(),), {"publish_failed_at": 1.0}),
}
HEADLINES = {
    "everything": "critical",
    "many": "critical",
    "fine": "fine",
    "incident": "critical",
    "accounts": "attention",
    "credentials rejected": "critical",
    "one operation fails": "attention",
    "no fresh data": "critical",
    "first cycle": "waiting",
    "no project": "waiting",
    "reload rejected": "attention",
    "users file rejected": "attention",
    "nothing published": "critical",
}
"""The level that each scene's headline has: together, all levels."""
assert set(HEADLINES.values()) == {level.word for level in Level}

CONTRASTS = """() => {
  const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const over = ([r, g, b, alpha = 1], below) => [r, g, b].map((c, i) => c * alpha + below[i] * (1 - alpha));
  const ground = element => element
    ? over(channels(getComputedStyle(element).backgroundColor), ground(element.parentElement))
    : [255, 255, 255];
  const contrast = (colour, element) => {
    const below = ground(element);
    const [low, high] = [luminance(over(channels(colour), below)), luminance(below)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element), name = `${element.tagName}.${element.getAttribute("class")}`;
    const text = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (text && !element.closest("meter, progress")) found.push(["text", name,
      contrast(element.closest("svg") ? style.fill : style.color, element)]);
    if (Number(style.opacity) < 1) found.push(["text", `${name} is translucent`, 0]);
    if (element.matches("path")) {
      const paint = style.stroke === "none" ? style.fill : style.stroke;
      found.push(["graphics", name, contrast(paint, element)]);
    }
    if (element.matches(".key")) found.push(["graphics", name, contrast(style.backgroundColor, element.parentElement)]);
  }
  return found;
}"""


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(tool: Callable[[str], str]) -> AsyncIterator[Browser]:
    """Debian's Chromium, headless, for all tests of the module."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def showing(browser: Browser, scene: str, scheme: Literal["dark", "light"]) -> AsyncIterator[Page]:
    """A page with a scene, which the browser complains about in no way."""
    statuses, process = SCENES[scene]
    view = await browser.new_page(color_scheme=scheme)
    complaints: list[str] = []
    view.on("console", lambda message: complaints.append(message.text))

    async def answer(route: Route) -> None:
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Content-Type": "text/html; charset=utf-8"}
        await route.fulfill(body=html_of(*statuses, **process), headers=headers)

    await view.route("**/*", answer)
    await view.goto("http://exporter.example/")
    yield view
    await view.close()
    assert complaints == []


@pytest.mark.parametrize("scene", SCENES)
async def test_it_fits_every_screen_and_has_enough_contrast(browser: Browser, scene: str) -> None:
    """Dark and light, at each width: all texts, the lines and bars of charts, and the keys of their legends."""
    needed = {"text": TEXT, "graphics": GRAPHICS}
    async with showing(browser, scene, "light") as view:
        assert await view.locator(f".headline.{HEADLINES[scene]}").count() == 1
        for scheme in SCHEMES:
            await view.emulate_media(color_scheme=scheme)
            assert await view.evaluate(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
            for width in WIDTHS:
                await view.set_viewport_size({"width": width, "height": 800})
                assert await view.evaluate("document.documentElement.scrollWidth <= innerWidth"), (scheme, width)
                contrasts = await view.evaluate(CONTRASTS)
                texts = {name for kind, name, _ in contrasts if kind == "text"}
                assert {"A.null", "P.null", "H1.null", f"SPAN.state {HEADLINES[scene]}"} <= texts
                assert (len(await view.query_selector_all("svg")) > 0) == (
                    "graphics" in {each[0] for each in contrasts}
                )
                assert [each for each in contrasts if each[2] < needed[each[0]]] == [], (scheme, width)


async def test_a_colour_that_is_too_pale_is_found(browser: Browser) -> None:
    async with showing(browser, "fine", "light") as view:
        await view.evaluate("document.querySelector('h1').style.color = 'rgb(0 0 0 / 40%)'")
        low = [name for kind, name, ratio in await view.evaluate(CONTRASTS) if kind == "text" and ratio < TEXT]
        assert low == ["H1.null"]


async def test_its_accessibility_tree_has_headings_landmarks_images_and_tables_with_names(browser: Browser) -> None:
    async with showing(browser, "everything", "light") as view:
        for landmark in ("banner", "main", "navigation", "contentinfo"):
            assert await view.get_by_role(landmark).count() == 1, landmark
        names = [f"{LONG} critical", "paris critical", "rome waiting", "oslo fine", "The exporter itself attention"]
        for name in names:
            assert await view.get_by_role("region", name=name, exact=True).count() == 1, name
            assert await view.get_by_role("heading", level=2, name=name, exact=True).count() == 1, name
        assert await view.get_by_role("heading", level=1).count() == 1
        for image in (
            "Sessions, last hour: Active",
            "Session starts per minute, last hour",
            "Detection age, last hour",
        ):
            assert await view.get_by_role("img", name=image).count() == 3, image
        assert await view.get_by_role("img").count() == 9
        groups = view.get_by_role("table", name="Failed starts and registered servers by group")
        heads = await groups.first.get_by_role("columnheader").all_inner_texts()
        assert heads == ["Group", "Servers", "Last 5 min", "At InitFail", "Since start"]
        assert await groups.first.get_by_role("rowheader").all_inner_texts() == ["Finance & Co", "Sales"]
        assert await view.get_by_role("meter", name=re.compile("Fresh answers for 2 of 2 users")).count() > 0


async def test_the_table_of_projects_has_headers_and_scrolls_with_the_keyboard(browser: Browser) -> None:
    async with showing(browser, "many", "dark") as view:
        await view.set_viewport_size({"width": 360, "height": 800})
        scrolled = view.get_by_role("region", name="Table of projects").get_by_role("table")
        assert await scrolled.get_by_role("columnheader").count() == 8
        assert await scrolled.get_by_role("rowheader").count() == 32
        await view.locator(".scroll").focus()
        await view.keyboard.press("End")
        await view.get_by_role("link", name=LONG).click()
        assert await view.evaluate("location.hash") == "#project-30"


async def test_a_running_exporter_shows_it(browser: Browser, tmp_path: Path) -> None:
    """Nothing is blocked or requested from elsewhere, and the page's own style applies."""
    simulator = Simulator(
        SimulatorOptions(users=5, speed=0, quota=0, denied_actions=frozenset({"workspace:users:get"}))
    )
    async with simulator.serve() as url, running(settings(project(simulator, url))) as address:
        await until(lambda text: "is missing" in text and "<svg" in text, f"{address}/")
        view = await browser.new_page(viewport={"width": 800, "height": 800}, color_scheme="dark")
        complaints: list[str] = []
        requested: list[str] = []
        view.on("console", lambda message: complaints.append(message.text))
        view.on("request", lambda request: requested.append(request.url))
        await view.goto(f"{address}/")
        await view.screenshot(path=tmp_path / "page.png", full_page=True)
        assert "ListUserDetail fails (403)" in await view.title()
        assert await view.get_by_role("region", name="sim attention").count() == 1
        assert await view.get_by_role("img").count() == 3
        ground = await view.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(13, 17, 23)"
        assert {url.removesuffix("favicon.ico") for url in requested} == {f"{address}/"}
        assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
        await view.get_by_role("link", name="Metrics", exact=True).click()
        assert "huaweicloud_workspace_up" in await view.content()
        await view.close()
