"""A reload is all or nothing, and does not affect users who are in both configurations."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import bcrypt
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.exporters import get, project, settings, until
from support.fake_cloud import FakeCloud
from support.fleets import answered, watching
from support.promises import Promise
from support.spans import busiest
from support.virtual_time import EPOCH, run_virtually
from support.watches import polled, reload, watch_of

from exporter import config, runner
from exporter.app import exporting
from exporter.cloud.models import Session, UserDetail
from exporter.fleet import Fleet, Member
from exporter.simulator import DEMO_ACCESS_KEY, DEMO_SECRET_KEY, Simulator, SimulatorOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from exporter.app import Running

SESSIONS = "ListSessionByUserName"


class Configured:
    """A running exporter, and what its configuration says now."""

    def __init__(self, first: config.Settings) -> None:
        self.settings = first
        self.running: Running

    def load(self) -> config.Settings:
        return self.settings

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[Configured]:
        async with exporting(self.settings, self.load) as self.running:
            yield self

    async def reload(self, changed: config.Settings) -> None:
        self.settings = changed
        await self.running.reload()

    async def scraped(self) -> str:
        code, text, _ = await get(f"{self.running.address}/metrics")
        assert code == 200
        return text

    async def until(self, *samples: str) -> str:
        """The metrics as soon as they have all these lines."""
        return await until(lambda text: all(f"\n{line}\n" in text for line in samples), f"{self.address}/metrics")

    @property
    def address(self) -> str:
        return self.running.address


def frozen(**options: Any) -> Simulator:
    return Simulator(SimulatorOptions(speed=0, quota=0, **options))


def covered(name: str) -> str:
    return f'huaweicloud_workspace_poll_coverage_ratio{{operation="{SESSIONS}",project="{name}"}} 1.0'


def counters(text: str) -> dict[tuple[str, ...], float]:
    """Every counter of the exporter's own."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse_text(text)
        for sample in family.samples
        if family.type == "counter" and family.name.startswith("huaweicloud")
    }


@pytest.fixture(autouse=True)
def _news_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PUBLISH_INTERVAL", 0.05)


async def test_users_come_and_go_and_who_stays_keeps_the_numbers() -> None:
    """Users who stay keep their numbers without a new query, and no counter restarts."""
    simulator = frozen(users=6)
    names = list(simulator.population.names())
    async with simulator.serve() as url:
        slow = {"poll": {"interval": 3600, "user_interval": 3600, "rate_limit": 60_000}}
        first = settings(project(simulator, url, users=names[:4]), **slow)
        async with Configured(first).at_work() as exporter:
            before = await exporter.until(covered("sim"))
            await exporter.reload(settings(project(simulator, url, users=names[2:]), **slow))
            text = await exporter.scraped()
            assert 'huaweicloud_workspace_users{project="sim"} 4.0' in text
            assert 'poll_coverage_ratio{operation="ListSessionByUserName",project="sim"} 0.5' in text
            for name in names[:2]:
                assert f'user_name="{name}"' not in text
            for name in names[2:4]:
                assert f'user_locked{{project="sim",user_name="{name}"}}' in text
            after = await exporter.until(covered("sim"))
    news = {key: value - counters(before)[key] for key, value in counters(after).items() if key in counters(before)}
    assert min(news.values()) >= 0
    assert counters(before).keys() <= counters(after).keys()


async def test_who_is_gone_is_let_go() -> None:
    simulator = frozen(users=3)
    names = list(simulator.population.names())
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        await exporter.until(covered("sim"))
        gone = exporter.running.exporter.setup.watches[0].fleet.members[0]
        assert remembered(gone)
        await exporter.reload(settings(project(simulator, url, users=names[1:])))
        await exporter.until(covered("sim"))
        async with asyncio.timeout(20):
            while remembered(gone):  # noqa: ASYNC110 - a call under way may still hold it
                await asyncio.sleep(0.05)


def remembered(member: Member) -> bool:
    """Whether anybody but the test holds on to a member."""
    gc.collect()
    return sys.getrefcount(member) > 3  # the caller, this function, and the function that counts


async def test_where_the_users_stay_the_same_they_are_kept_as_they_were() -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url:
        wanted = project(simulator, url)
        async with Configured(settings(wanted)).at_work() as exporter:
            (watch,) = exporter.running.exporter.setup.watches
            before = watch.fleet.members
            await exporter.reload(settings(wanted, poll={"interval": 3600}))
            assert exporter.running.exporter.setup.watches == (watch,)
            assert watch.spec.poll.interval == 3600
            assert watch.fleet.members is before


@pytest.mark.parametrize(
    "changed",
    [
        {"discover": [{"all": True}]},
        {"exclude": ["svc-*"]},
        {"poll": {"interval": 3600}},
        {"labels": {"site": "munich"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
async def test_a_change_that_the_connection_does_not_depend_on_keeps_it(changed: dict[str, object]) -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url:
        wanted = project(simulator, url)
        async with Configured(settings(wanted)).at_work() as exporter:
            (watch,) = exporter.running.exporter.setup.watches
            before = watch.connection
            await exporter.reload(settings(wanted | changed))
            assert exporter.running.exporter.setup.watches == (watch,)
            assert watch.connection is before


async def test_a_project_that_has_not_changed_is_not_disturbed() -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url:
        same = project(simulator, url, name="same")
        async with Configured(settings(same, project(simulator, url, name="old"))).at_work() as exporter:
            await exporter.until(covered("same"), covered("old"))
            watch, _ = exporter.running.exporter.setup.watches
            await exporter.reload(settings(project(simulator, url, name="new"), same))
            text = await exporter.until(covered("same"), covered("new"))
            assert exporter.running.exporter.setup.watches[1] is watch
            assert 'project="old"' not in text


async def test_a_refused_configuration_changes_nothing_and_says_why() -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url:
        good = settings(project(simulator, url), web={"listen_address": "127.0.0.1:0", "enable_lifecycle": True})
        exporter = Configured(good)

        def broken() -> config.Settings:
            raise config.ConfigError([config.Mistake("workspace.yml", "poll.interval", "must be a duration")])

        with structlog.testing.capture_logs() as log:
            async with exporter.at_work():
                before = exporter.running.exporter.setup
                await exporter.until(covered("sim"))
                exporter.load = broken  # type: ignore[method-assign] # the file is broken from here on
                exporter.running.reload._load = broken  # noqa: SLF001 - the same
                code, text = await post(f"{exporter.address}/-/reload")
                assert code == 400
                assert "workspace.yml: poll.interval: must be a duration\n" in text
                assert exporter.running.exporter.setup is before
                told = await exporter.scraped()
                assert "huaweicloud_workspace_exporter_config_last_reload_successful 0.0" in told
                assert covered("sim") in told
                exporter.running.reload._load = lambda: good  # noqa: SLF001 - mended
                assert (await post(f"{exporter.address}/-/reload"))[0] == 200
                assert "huaweicloud_workspace_exporter_config_last_reload_successful 1.0" in await exporter.scraped()
    [refused] = [event for event in log if event["event"] == "reload_rejected"]
    assert refused["mistake"] == "workspace.yml: poll.interval: must be a duration"


@pytest.mark.promise(Promise.RELOAD)
@pytest.mark.parametrize("error", [ValueError("\\U99999999"), RecursionError(), MemoryError(), KeyError("x")], ids=repr)
async def test_whatever_fails_during_a_reload_is_a_rejected_reload(error: Exception) -> None:
    simulator = frozen(users=3)
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        await exporter.until(covered("sim"))
        before = exporter.running.exporter.setup

        def broken() -> config.Settings:
            raise error

        exporter.running.reload._load = broken  # noqa: SLF001 - the file is broken from here on
        with pytest.raises(config.ConfigError, match=f"cannot be applied: {type(error).__name__}"):
            await exporter.running.reload()
        assert exporter.running.exporter.setup is before
        text = await exporter.scraped()
        assert "huaweicloud_workspace_exporter_config_last_reload_successful 0.0" in text
        assert covered("sim") in text


async def post(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.post(url) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("path", ["/-/reload", "/-/quit"])
async def test_the_lifecycle_is_for_nobody_unless_it_is_enabled(path: str) -> None:
    simulator = frozen(users=1)
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        code, text = await post(exporter.address + path)
        assert code == 403
        assert "web.enable_lifecycle" in text
        assert (await get(exporter.address + path))[0] == 405


async def test_the_time_of_the_last_accepted_configuration_is_reported() -> None:
    simulator = frozen(users=1)
    times = iter(range(1000, 2000))
    async with simulator.serve() as url:
        wanted = settings(project(simulator, url))
        async with exporting(wanted, lambda: wanted, lambda: float(next(times))) as running:
            name = "huaweicloud_workspace_exporter_config_last_reload_success_timestamp_seconds"

            async def told() -> float:
                _, text, _ = await get(f"{running.address}/metrics")
                return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

            first = await told()
            await running.reload()
            assert await told() > first


async def test_the_address_changes_with_a_reload_and_one_that_is_in_use_is_rejected() -> None:
    simulator = frozen(users=1)
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        before = exporter.address
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(config.ConfigError, match=r"cannot listen on .*; choose another address"):
                await exporter.reload(settings(project(simulator, url), web={"listen_address": address}))
        assert (await get(f"{before}/-/healthy"))[0] == 200
        await exporter.reload(settings(project(simulator, url), web={"listen_address": address}))
        assert (await get(f"http://{address}/-/healthy"))[0] == 200
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(f"{before}/-/healthy")


async def test_passwords_are_requested_from_the_reload_on_that_brings_a_web_file(tmp_path: Path) -> None:
    simulator = frozen(users=1)
    web_file = tmp_path / "web.yml"
    web_file.write_text(f"basic_auth_users: {{ann: {bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}}}\n")
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        assert (await get(f"{exporter.address}/metrics"))[0] == 200
        web = {"listen_address": "127.0.0.1:0", "config_file": web_file}
        await exporter.reload(settings(project(simulator, url), web=web))
        assert (await get(f"{exporter.address}/metrics"))[0] == 401
        login = aiohttp.encode_basic_auth("ann", "secret")
        assert (await get(f"{exporter.address}/metrics", Authorization=login))[0] == 200


async def test_paths_and_labels_change_with_a_reload() -> None:
    simulator = frozen(users=2)
    names = list(simulator.population.names())
    async with simulator.serve() as url, Configured(settings(project(simulator, url))).at_work() as exporter:
        await exporter.until(covered("sim"))
        web = {"listen_address": "127.0.0.1:0", "telemetry_path": "/other"}
        await exporter.reload(settings(project(simulator, url), web=web, metrics={"per_user": "none"}))
        assert (await get(f"{exporter.address}/metrics"))[0] == 404
        code, text, _ = await get(f"{exporter.address}/other")
        assert code == 200
        assert not any(name in text for name in names)
        assert 'href="./other"' in (await get(f"{exporter.address}/"))[1]


async def test_a_wrong_key_continues_pausing_over_reloads_and_a_new_one_is_tried_at_once(tmp_path: Path) -> None:
    """So that not even a reload in a loop gets the key locked."""
    simulator = frozen(users=3)
    key = tmp_path / "sk"
    key.write_text("wrong")
    auth = {"access_key": DEMO_ACCESS_KEY, "secret_key_file": key}
    async with simulator.serve() as url:

        def changed(interval: float) -> config.Settings:
            poll = {"interval": interval, "user_interval": 0.2, "rate_limit": 60_000}
            return settings(project(simulator, url, auth=auth), poll=poll)

        with structlog.testing.capture_logs() as log:
            async with Configured(changed(0.2)).at_work() as exporter:
                await paused(log)
                for number in range(20):
                    await exporter.reload(changed(0.2 + number / 100))
                refused = sum(n for (_, code, *_), n in calls(await exporter.scraped()) if code == "401")
                assert refused == 1
                key.write_text(DEMO_SECRET_KEY)
                await exporter.reload(changed(0.2))
                await exporter.until(covered("sim"))


async def paused(log: list[Any]) -> None:
    async with asyncio.timeout(20):
        while not any(event["event"] == "requests_paused" for event in log):  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.02)


def calls(text: str) -> Iterator[tuple[tuple[str, str], float]]:
    for family in parse_text(text):
        for sample in family.samples:
            if sample.name == "huaweicloud_workspace_api_requests_total":
                yield (sample.labels["operation"], sample.labels["code"]), sample.value


async def test_reload_in_a_loop_under_load_loses_no_scrape() -> None:
    """While users, pace and connections change many times a second, every scrape has everybody."""
    simulator = frozen(users=30)
    names = list(simulator.population.names())
    async with simulator.serve() as url:
        polls: list[dict[str, float]] = [
            {"interval": 0.5, "user_interval": 0.5, "rate_limit": 60_000},
            {"interval": 0.4, "user_interval": 0.5, "rate_limit": 50_000},
            {"interval": 0.5, "user_interval": 9, "rate_limit": 60_000, "timeout": 9},
        ]
        variants = [
            settings(
                project(simulator, url, users=names[:20] + names[20 + n : 21 + n]), poll={**poll, "stale_after": 60}
            )
            for n, poll in enumerate(polls)
        ]
        async with Configured(variants[0]).at_work() as exporter:
            await exporter.until(covered("sim"))
            tasks = len(asyncio.all_tasks())
            scrapes: list[bool] = []

            async def scrape() -> None:
                while True:
                    text = await exporter.scraped()
                    present = [f'user_missing{{project="sim",user_name="{name}"}}' in text for name in names[:20]]
                    scrapes.append(all(present))

            scraping = [asyncio.create_task(scrape()) for _ in range(4)]
            before = counters(await exporter.scraped())
            for number in range(60):
                await exporter.reload(variants[number % 3])
                after = counters(await exporter.scraped())
                assert all(after[key] >= value for key, value in before.items())
                before = after
            for task in scraping:
                task.cancel()
            ended = await asyncio.gather(*scraping, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
            assert len(scrapes) > 60
            assert all(scrapes)
            async with asyncio.timeout(20):
                # Calls of the present, none of the past.
                while len(asyncio.all_tasks()) > tasks + 20:  # noqa: ASYNC110 - there is no event for the end of tasks
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("every", [2.0, 20.0, 300.0])
def test_reloads_neither_break_the_rate_limit_nor_keep_a_cycle_from_ending(every: float) -> None:
    """A user comes and another goes with each reload, and the interval changes: everybody is polled in turn."""
    cloud = FakeCloud()
    names = [f"user{n:04}" for n in range(700)]
    for name in names:
        cloud.add(name, Session.of(id=name, session_state="Active"))

    async def main() -> tuple[float, float | None]:
        watch = watch_of(cloud, *names[:100])
        async with polled(watch):
            for number in range(int(1200 / every)):
                at = number % 600
                await reload(watch, cloud, *names[at : at + 100], interval=60.0 + number % 2)
                await asyncio.sleep(every)
            now = asyncio.get_running_loop().time()
            ages = [now - member.queried_at for member in watch.fleet.members if member.queried_at is not None]
            assert len(ages) >= 99
            return max(ages), watch.poller.sessions.cycles.last_success

    oldest, last_success = run_virtually(main())
    assert oldest < 130
    assert last_success is not None
    assert last_success > EPOCH + 1000
    times = cloud.times(SESSIONS)
    assert busiest(times, 59.9) <= 181


def test_a_cycle_longer_than_the_time_between_reloads_ends_and_reaches_newcomers_at_once() -> None:
    """The user list changes every 5 minutes, and a cycle takes 5.6 minutes."""
    cloud = FakeCloud()
    names = [f"user{n:04}" for n in range(1100)]
    for name in names:
        cloud.add(name, Session.of(id=name, session_state="Active"))

    async def main() -> list[float | None]:
        seen = []
        watch = watch_of(cloud, *names[:1008], source="per_user")
        async with polled(watch):
            for number in range(1, 9):
                await asyncio.sleep(300)
                await reload(watch, cloud, *names[number : 1008 + number], source="per_user")
                await asyncio.sleep(2)
                assert watch.fleet.members[-1].queried_at is not None
                seen.append(watch.poller.sessions.cycles.last_success)
        return seen

    successes = [success for success in run_virtually(main()) if success]
    assert len(set(successes)) >= 5


@pytest.mark.parametrize(("rate_limit", "every"), [(6.0, 3.0), (6.0, 1.0), (180.0, 0.15), (180.0, 0.1)])
def test_reloads_that_come_faster_than_turns_do_not_break_the_rate_limit(rate_limit: float, every: float) -> None:
    cloud = FakeCloud()
    names = [f"user{n:03}" for n in range(40)]
    for name in names:
        cloud.add(name)

    async def main() -> None:
        watch = watch_of(cloud, *names, rate_limit=rate_limit)
        async with polled(watch):
            for number in range(int(150 / every)):
                await reload(watch, cloud, *names, interval=60.0 + number % 2, rate_limit=rate_limit)
                await asyncio.sleep(every)

    run_virtually(main())
    times = cloud.times(SESSIONS)
    assert 1 <= busiest(times, 59.9) <= rate_limit


async def test_a_reload_that_meets_the_end_changes_nothing_and_leaves_nothing_open() -> None:
    simulator = frozen(users=2)
    async with simulator.serve() as url:
        exporter = Configured(settings(project(simulator, url)))
        async with exporter.at_work():
            await exporter.until(covered("sim"))
            await exporter.reload(settings(project(simulator, url), poll={"timeout": 9}))  # a connection leaves
        with pytest.raises(config.ConfigError, match="is stopping"):
            await exporter.reload(settings(project(simulator, url), poll={"timeout": 8}))


def test_an_answer_of_before_a_reload_is_not_counted_again_after_it() -> None:
    fleet = Fleet(watching([("a", None)]))
    (a,) = fleet.members
    failed = Session.of(id="1", session_state="InitFail")
    answered(fleet, a, (), at=1)
    updated(fleet, ("a", "id"))
    for at in (2, 3):
        answered(fleet, a, (failed,), at=at)
    assert fleet.attempts.failures.total == 1


def updated(fleet: Fleet, *users: tuple[str, str | None]) -> Fleet:
    for _ in fleet.update(watching(users)):
        pass
    return fleet


def test_a_user_with_another_id_keeps_the_sessions_and_is_queried_for_the_account_again() -> None:
    fleet = Fleet(watching([("a", "id-1"), ("b", None)]))
    for member in fleet.members:
        answered(fleet, member, (Session.of(session_state="Active"),), at=1)
        fleet.account_answered(member, UserDetail(locked=True), at=1)
    fleet.found(fleet.members[1], "id-b")
    later = updated(fleet, ("a", "id-2"), ("b", "id-b"))
    counts = later.counts()
    assert (counts.queried, counts.accounts, counts.locked) == (2, 1, 1)
    assert [member.id for member in later.members] == ["id-2", "id-b"]


def test_a_failed_start_that_was_counted_before_a_reload_is_not_counted_again() -> None:
    fleet = Fleet(watching([("a", None)]))
    (a,) = fleet.members
    failed = Session.of(id="1", session_state="InitFail")
    answered(fleet, a, (), at=1)
    answered(fleet, a, (failed,), at=2)
    later = updated(fleet, ("a", "id"), ("b", None))
    a, b = later.members
    answered(later, a, (failed,), at=3)
    answered(later, b, (replace_id(failed),), at=3)
    assert later.attempts.failures.total == 1


def replace_id(session: Session) -> Session:
    return Session.of(id=f"{session.id}-b", session_state=session.session_state)
