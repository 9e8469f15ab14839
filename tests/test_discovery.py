"""Discovery: which users are watched because ListUsers finds them, and which listings are believed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from support.fake_cloud import FakeCloud, cloud_of, refused
from support.promises import Promise
from support.virtual_time import run_virtually, until
from support.watches import by_state, polled, reload, status, watch_of

from exporter.cloud.models import Session, User, UserDetail, UserPage
from exporter.config import User as ConfiguredUser
from exporter.fleet import Watched
from exporter.polling.discovery import Discovery, ImplausibleError, to_watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from exporter.watch import Watch

EVERYBODY = ((),)
SALES = ((("group_name", "Sales"),),)


def users(*names: str) -> tuple[User, ...]:
    return tuple(User(f"id-of-{name}", name) for name in names)


def found(user_id: str, name: str, domain: str | None = None) -> Watched:
    return Watched(name, user_id, domain, discovered=True)


def listed(discovery: Discovery, *sizes: int) -> list[bool]:
    """Whether complete listings with so many users are believed, one after the other."""
    believed = []
    for size in sizes:
        try:
            discovery.listed(users(*(f"user{n}" for n in range(size))))
        except ImplausibleError:
            believed.append(False)
        else:
            believed.append(True)
    return believed


@pytest.mark.parametrize(
    ("sizes", "believed"),
    [
        ([0, 3, 0, 0, 0, 0, 1], [True, True, False, False, False, False, True]),
        ([10, 5], [True, True]),
        ([10, 4, 4, 4, 4], [True, False, False, True, True]),
        ([10, 4, 3, 1], [True, False, False, True]),
        ([10, 4, 4, 5, 2, 2, 2], [True, False, False, True, True, True, True]),
        ([10, 4, 4, 10, 4, 4, 4], [True, False, False, True, False, False, True]),
        ([9, 1], [True, True]),
        ([100, 0, 40, 0, 40, 40], [True, False, False, False, False, False]),
    ],
)
def test_a_suspiciously_short_listing_is_believed_the_third_time_and_an_empty_one_never(
    sizes: list[int], believed: list[bool]
) -> None:
    discovery = Discovery()
    discovery.apply(EVERYBODY, others=False)
    assert listed(discovery, *sizes) == believed


def test_other_entries_are_judged_by_their_own_listings() -> None:
    discovery = Discovery()
    discovery.apply(EVERYBODY, others=False)
    assert listed(discovery, 100) == [True]
    discovery.apply(SALES, others=False)
    assert len(discovery.found or ()) == 100, "nobody leaves before the next listing"
    assert listed(discovery, 0, 3) == [False, True], "a mistyped filter finds nobody"
    discovery.apply((), others=False)
    assert discovery.found is None


@pytest.mark.parametrize(
    ("entries", "others", "listings"),
    [
        ((), True, ((),)),
        (EVERYBODY, True, ((),)),
        ((*EVERYBODY, *SALES), True, ((),)),
        (SALES, False, SALES),
        (SALES, True, ((), *SALES)),
    ],
)
def test_one_listing_is_read_for_each_entry_and_one_of_everybody_if_it_is_of_use(
    entries: tuple[tuple[tuple[str, str], ...], ...], others: bool, listings: object
) -> None:
    discovery = Discovery()
    discovery.apply(entries, others=others)
    assert discovery.listings == listings


@pytest.mark.parametrize(
    ("configured", "listed", "expected"),
    [
        ([], [User("1", "ann")], [(found("1", "ann"), True)]),
        ([ConfiguredUser("ann")], [User("1", "ann")], [(Watched("ann"), True)]),
        ([ConfiguredUser("Ann")], [User("1", "ann", domain="a")], [(Watched("Ann"), True)]),
        (
            [ConfiguredUser("ann", "9")],
            [User("1", "ann"), User("9", "Anna")],
            [(Watched("ann", "9"), True), (found("1", "ann"), True)],
        ),
        (
            [ConfiguredUser("ann@a.example")],
            [User("1", "ann", domain="a.example"), User("2", "ann", domain="b.example")],
            [(Watched("ann@a.example"), True), (found("2", "ann", "b.example"), True)],
        ),
        (
            [ConfiguredUser("ann"), ConfiguredUser("bob")],
            [User("1", "ann", domain="a.example"), User("2", "ann", domain="b.example")],
            [
                (Watched("bob"), False),
                (found("1", "ann", "a.example"), True),
                (found("2", "ann", "b.example"), True),
            ],
        ),
        (
            [ConfiguredUser("svc-1"), ConfiguredUser("ann")],
            [User("1", "svc-2"), User("2", None)],
            [(Watched("ann"), False)],
        ),
    ],
)
def test_configured_and_found_users_are_watched_once(
    configured: list[ConfiguredUser], listed: list[User], expected: list[tuple[Watched, bool]]
) -> None:
    assert list(to_watch(configured, listed, lambda name, _domain: name.startswith("svc-"))) == expected


@asynccontextmanager
async def discovering(cloud: FakeCloud, *names: str, discover: Sequence[Mapping[str, object]]) -> AsyncIterator[Watch]:
    """A project that watches these users, and those that discovery finds."""
    watch = watch_of(cloud)
    await reload(watch, cloud, *names, discover=discover)
    async with polled(watch):
        yield watch


def test_found_users_are_watched_with_sessions_and_accounts_and_need_no_request_each() -> None:
    cloud, names = cloud_of(50)
    cloud.details["id-of-user0007"] = UserDetail(locked=True)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(59)
            found = status(watch)
            assert (found.counts.configured, found.counts.accounts, found.counts.locked) == (50, 50, 1)
            assert found.discovery
            assert (found.discovery.users, found.discovery.successful) == (50, True)
            assert by_state(found) == {"Active": 50}
            assert (found.ready, found.up) == (True, True)

    run_virtually(main())
    assert len(cloud.times("ListUsers")) == 1
    assert not cloud.times("ListUserDetail")
    assert len(cloud.times("ListSessionByUserName")) <= len(names) * 2


def test_the_source_is_logged_when_users_have_been_found() -> None:
    cloud, _ = cloud_of(50)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]):
            await until(59)

    with capture_logs() as logged:
        run_virtually(main())
    reasons = [line["reason"] for line in logged if line["event"] == "source_chosen"]
    assert reasons == ["50 requests per interval, 180 allowed"]


def test_joiners_are_watched_and_leavers_disappear_within_an_interval() -> None:
    cloud, _ = cloud_of(20)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(30)
            cloud.add("joiner", Session.of("of-joiner", "Active"), detail=UserDetail(locked=True))
            del cloud.sessions["user0000"], cloud.details["id-of-user0000"]
            await until(200)
            assert status(watch).counts.missing == 0, "nobody has configured the user who left"
            await until(30 + 300)
            names = {user.name for user in status(watch).users}
            assert ("joiner" in names, "user0000" in names, len(names)) == (True, False, 20)
            assert status(watch).counts.locked == 1
            assert status(watch).counts.missing == 0

    run_virtually(main())


def test_users_of_an_entry_are_watched_besides_the_configured_ones() -> None:
    cloud, names = cloud_of(30)
    cloud.groups = dict.fromkeys(names[:10], "Sales")

    async def main() -> None:
        async with discovering(cloud, *names[8:12], discover=[{"group": "Sales"}]) as watch:
            await until(59)
            now = status(watch)
            assert {user.name for user in now.users} == set(names[:12])
            assert now.discovery
            assert now.discovery.users == 10
            assert now.counts.accounts == 12

    run_virtually(main())
    assert not cloud.times("ListUserDetail")


def failing(cloud: FakeCloud) -> None:
    def fault(operation: str, _who: str) -> None:
        if operation == "ListUsers":
            raise refused(operation, 403)

    cloud.fault = fault


def shrinking(cloud: FakeCloud) -> None:
    cloud.details = dict(list(cloud.details.items())[:9])


def emptying(cloud: FakeCloud) -> None:
    cloud.details = {}


def partial(cloud: FakeCloud) -> None:
    whole = cloud.list_users

    async def cut(
        user_names: Sequence[str], offset: int, limit: int = 100, filters: Sequence[tuple[str, str]] = ()
    ) -> UserPage:
        page = await whole(user_names, offset, limit, filters)
        return page._replace(users=[user for user in page.users if user.user_name != "user0007"])

    cloud.list_users = cut  # type: ignore[method-assign] # a cloud that counts a user that it does not list


@pytest.mark.promise(Promise.DISCOVERED)
@pytest.mark.parametrize("trouble", [failing, shrinking, emptying, partial])
def test_a_listing_that_fails_or_is_partial_or_implausible_changes_nothing(
    trouble: Callable[[FakeCloud], None],
) -> None:
    cloud, names = cloud_of(20)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(30)
            trouble(cloud)
            await until(30 + 300)
            now = status(watch)
            assert {user.name for user in now.users} == set(names)
            assert now.discovery
            assert not now.discovery.successful
            assert [failure.error.outcome for failure in now.operations["ListUsers"].failures]
            assert by_state(now) == {"Active": 20}

    run_virtually(main())


def test_without_a_first_listing_nothing_is_known() -> None:
    cloud, _ = cloud_of(20)
    failing(cloud)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(100)
            now = status(watch)
            assert (now.up, now.sessions_known, now.accounts_known) == (False, False, False)
            assert now.discovery
            assert not now.discovery.successful

    run_virtually(main())


def test_of_many_users_who_change_at_once_none_is_lost_and_the_loop_stays_free() -> None:
    cloud, names = cloud_of(10_000)

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(120)
            assert status(watch).counts.configured == len(names)
            for name in names[:1000]:
                del cloud.sessions[name], cloud.details[f"id-of-{name}"]
                cloud.add(f"new-{name}", Session.of(f"of-new-{name}", "Active"))
            before = watch.fleet.members
            await until(120 + 300)
            kept = set(before) & set(watch.fleet.members)
            assert (len(kept), len(watch.fleet.members)) == (9000, 10_000)
            await asyncio.sleep(0)

    run_virtually(main())
    assert len(cloud.times("ListUsers")) == 11 * 2, "as many requests as without discovery"


def test_a_reload_while_a_listing_runs_starts_the_listing_anew() -> None:
    cloud, names = cloud_of(30)
    cloud.groups = dict.fromkeys(names[:3], "Sales")
    cloud.slow["ListUsers"] = 3.0

    async def main() -> None:
        async with discovering(cloud, discover=[{"all": True}]) as watch:
            await until(0.5)
            await reload(watch, cloud, discover=[{"group": "Sales"}])
            await until(10)
            now = status(watch)
            assert now.discovery
            assert (now.counts.configured, now.discovery.successful) == (3, True)

    run_virtually(main())


def test_users_stay_until_discovery_knows_who_is_there() -> None:
    cloud, names = cloud_of(20)

    async def main() -> None:
        watch = watch_of(cloud)
        await reload(watch, cloud, *names[:5])
        async with polled(watch):
            await until(70)
            failing(cloud)
            await reload(watch, cloud, discover=[{"all": True}])
            await until(200)
            now = status(watch)
            assert now.discovery
            assert (now.counts.configured, now.discovery.successful, now.up) == (5, False, True)
            assert by_state(now) == {"Active": 5}
            cloud.fault = lambda _operation, _who: None
            await until(500)
            assert status(watch).counts.configured == 20

    run_virtually(main())


def test_users_that_are_found_by_a_domain_are_in_it() -> None:
    cloud, _ = cloud_of(1)
    cloud.groups = {"user0000": "a.example"}  # the fake cloud filters by one value

    async def main() -> None:
        async with discovering(cloud, discover=[{"domain": "a.example"}]) as watch:
            await until(10)
            assert [member.domain for member in watch.fleet.members] == ["a.example"]

    run_virtually(main())
