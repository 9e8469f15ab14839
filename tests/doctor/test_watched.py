"""The doctor reports who is watched: discovered users, excluded ones and doubtful names; it names nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from support.diagnosis import HUSH, Diagnosis, authenticated, diagnose, frozen
from support.exporters import project

from exporter.cloud.client import IAM_ACTIONS, LIST_USERS
from exporter.cloud.models import User as Account
from exporter.cloud.models import UserPage
from exporter.config import User
from exporter.doctor.watched import account_of, id_of, names
from exporter.simulator import Request, Response, SessionInfo, Simulator, SimulatorOptions, StaticPopulation, UserDetail

ALL = [{"all": True}]


async def diagnosis_of(
    simulator: Simulator, discover: Any = (), poll: dict[str, Any] | None = None, **changes: Any
) -> Diagnosis:
    """Diagnose one project of a simulated cloud, without configured users by default; none of the cloud's is named."""
    account = simulator.options.account
    auth = {"access_key": account.access_key, "secret_key": account.secret_key}
    changes = {"users": [], "discover": discover, "auth": auth, **changes}
    async with simulator.serve() as url:
        diagnosis = await diagnose(project(simulator, url, **changes), poll={"timeout": "5s"} | (poll or {}))
    assert not [user.user_name for user in simulator.users() if str(user.user_name) in diagnosis.text]
    return diagnosis


def directory(*users: tuple[str, str], idle: str = "idle") -> Simulator:
    """Return a cloud with these names and domains. Each user has a session, unless the name begins with `idle`."""
    flags = UserDetail(locked=False, user_expired=False, disabled=False)
    people = {
        f"{name}@{domain}": msgspec.structs.replace(flags, id=f"{number:032x}", user_name=name, domain=domain)
        for number, (name, domain) in enumerate(users)
    }
    sessions = {
        key: [SessionInfo(id=key, login_user=key, session_state="Active")] for key in people if not key.startswith(idle)
    }
    return Simulator(population=StaticPopulation(people, sessions))


class TestDiscover:
    async def test_each_entry_has_its_number_of_users(self) -> None:
        simulator = Simulator(SimulatorOptions(users=60, namesakes=6, speed=0))
        entries = [{"group": "Sales"}, {"domain": "partners.example"}, {"group": "Sales", "platform_type": "AD"}, *ALL]
        diagnosis = await diagnosis_of(simulator, entries)
        assert diagnosis.healthy
        assert diagnosis.lines("warn") == []
        users = simulator.users()
        sales = [user for user in users if "Sales" in (user.group_names or ())]
        on_ad = [user for user in sales if user.platform_type == "AD"]
        assert [line.split("users           ")[1] for line in diagnosis.lines("ok") if " users " in line[:15]] == [
            f"discover[0] matches {len(sales)} users",
            "discover[1] matches 6 users",
            f"discover[2] matches {len(on_ad)} users",
            "discover[3] matches 60 users",
        ]
        assert simulator.calls.total(LIST_USERS) == 4

    async def test_a_discovered_user_is_checked(self) -> None:
        """Without configured users, five requests are enough, though nobody is configured."""
        simulator = frozen(users=60)
        diagnosis = await diagnosis_of(simulator, ALL)
        assert diagnosis.healthy
        assert "one user        the first discovered user has " in diagnosis.text
        assert "the account's flags are known" in diagnosis.text
        assert "configured" not in diagnosis.text
        assert authenticated(simulator) == 6
        assert "ListSessionByUserName: 60 users (60 found by discover) every 1m" in diagnosis.text
        assert "ListUsers: 60 users in 1 request every 5m" in diagnosis.text
        assert "ListUserDetail:" not in diagnosis.text

    async def test_an_excluded_user_is_not_checked(self) -> None:
        """The next one of the same page is."""
        simulator = directory(("svc-1", "a"), ("svc-2", "a"), ("ann", "a"), idle="svc-")
        diagnosis = await diagnosis_of(simulator, ALL, exclude=["SVC-*"])
        assert "the first discovered user has 1 session" in diagnosis.text
        assert "exclude has 1 pattern\n" in diagnosis.text

    @pytest.mark.parametrize(
        ("entry", "keys"),
        [
            ({"group": HUSH}, "discover[1].group:"),
            ({"group": "sales"}, "discover[1].group:"),
            ({"domain": HUSH, "platform_type": "AD"}, "discover[1].domain or discover[1].platform_type:"),
        ],
    )
    async def test_an_entry_that_matches_nobody_is_a_warning(self, entry: dict[str, str], keys: str) -> None:
        """Its keys are named, but not their values."""
        diagnosis = await diagnosis_of(frozen(), [{"group": "Sales"}, entry])
        assert diagnosis.healthy
        assert f"discover[1] matches no user -> correct {keys} each must be exactly as in" in diagnosis.only("warn")

    async def test_entries_that_match_nobody_at_all_are_a_failure(self) -> None:
        diagnosis = await diagnosis_of(frozen(), [{"group": HUSH}])
        assert "one user        discover finds no user, so there is nothing to watch" in diagnosis.only("FAIL")
        assert "no user is configured" not in diagnosis.text

    @pytest.mark.parametrize(("discover", "exclude"), [([{"group": HUSH}], []), (ALL, ["user*"])])
    async def test_permissions_are_checked_if_no_user_is_found(self, discover: Any, exclude: list[str]) -> None:
        """By a name that nobody has."""
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, discover, exclude=exclude)
        assert len([line for line in diagnosis.lines("ok") if " permission " in line]) == 6
        assert authenticated(simulator) == 6

    async def test_excluded_users_that_are_all_on_the_first_page_are_no_failure(self) -> None:
        diagnosis = await diagnosis_of(frozen(), ALL, exclude=["user*"])
        assert "one user        not checked, the first users that discover finds are excluded" in diagnosis.only("skip")

    async def test_a_missing_permission_is_the_only_failure(self) -> None:
        """Discovery needs it, also if every configured user has an id."""
        simulator = frozen(denied_actions=frozenset({IAM_ACTIONS[LIST_USERS]}))
        for users in ([], [{"name": user.user_name, "id": user.id} for user in simulator.users()]):
            diagnosis = await diagnosis_of(simulator, ALL, users=users)
            assert f"permission      {IAM_ACTIONS[LIST_USERS]} is missing (403 " in diagnosis.only("FAIL")
            assert "users           discover[0]: not checked, see permission" in diagnosis.text
            assert "request budget  ListSessionByUserName: not checked, see permission" in diagnosis.text

    async def test_rejected_credentials_are_used_once(self) -> None:
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, [*ALL, {"group": "Sales"}], auth={"token": f"{HUSH}-token"})
        assert authenticated(simulator) == 1
        assert "the cloud rejects auth.token (ListUsers: 401" in diagnosis.only("FAIL")
        assert "discover[1]: not checked, the credentials are rejected" in diagnosis.text

    async def test_configured_users_are_checked_beside_discovered_ones(self) -> None:
        """The listing of all users is counted as well, because polling reads it."""
        simulator = frozen(users=60)
        users = list(simulator.population.names()[:7])
        diagnosis = await diagnosis_of(simulator, [{"group": "Sales"}], users=users)
        assert diagnosis.healthy
        assert "the first configured user has " in diagnosis.text
        assert "ListSessionByUserName: 27 users (20 found by discover) every 1m" in diagnosis.text
        assert "ListUsers: 80 users in 2 requests every 5m" in diagnosis.text

    async def test_so_many_that_sessions_are_scanned(self) -> None:
        simulator = frozen(users=200)
        diagnosis = await diagnosis_of(simulator, ALL)
        assert diagnosis.healthy
        assert diagnosis.lines("warn") == []
        assert "live sessions that started within 1d" in diagnosis.text
        assert "ListSessionByUserName: 200 users (200 found by discover) every 1m" in diagnosis.text
        assert simulator.calls.total(LIST_USERS) == 1

    @pytest.mark.parametrize(("users", "expected"), [(5, "5"), (60, "60"), (1500, "at least 1000")])
    async def test_a_cloud_that_sends_no_total_is_counted_by_a_larger_page(self, users: int, expected: str) -> None:
        class WithoutTotal(Simulator):
            def handle(self, request: Request) -> Response:
                response = super().handle(request)
                body = msgspec.json.decode(response.body)
                body.pop("total_count", None)
                return replace(response, body=msgspec.json.encode(body))

        diagnosis = await diagnosis_of(WithoutTotal(SimulatorOptions(users=users, speed=0)), ALL)
        assert f"discover[0] matches {expected} users" in diagnosis.text


class TestExclude:
    async def test_the_patterns_are_counted(self) -> None:
        diagnosis = await diagnosis_of(frozen(), users=["user001", f"{HUSH}-1", f"{HUSH}-2"], exclude=[f"{HUSH}*", "x"])
        assert "ok    users           exclude has 2 patterns, matching 2 of 3 configured users" in diagnosis.text
        assert "ListSessionByUserName: 1 user every 1m" in diagnosis.text

    async def test_excluding_everybody_is_a_failure(self) -> None:
        simulator = frozen()
        diagnosis = await diagnosis_of(simulator, users=[f"{HUSH}-1"], exclude=["*"])
        assert "every configured user is excluded, so there is nothing to watch -> correct exclude" in diagnosis.only(
            "FAIL"
        )
        assert authenticated(simulator) == 0


class TestNames:
    async def test_a_name_in_several_domains_is_a_warning(self) -> None:
        """No user of that name is assumed to be the one; a domain or a whole login name decides."""
        cloud = directory((f"{HUSH}-ann", "a.example"), (f"{HUSH}-ann", "b.example"), (f"{HUSH}-bob", "a.example"))
        diagnosis = await diagnosis_of(cloud, users=[f"{HUSH}-bob", f"{HUSH}-ann"])
        assert diagnosis.healthy
        assert "users           configured user 2 exists in several domains -> set domain, or write" in diagnosis.only(
            "warn"
        )
        diagnosis = await diagnosis_of(cloud, users=[f"{HUSH}-ann"])
        assert "unknown, because several accounts have this name; set domain" in diagnosis.text
        for user in ({"name": f"{HUSH}-ann", "domain": "b.example"}, f"{HUSH}-ann@b.example"):
            diagnosis = await diagnosis_of(cloud, users=[user])
            assert diagnosis.lines("warn") == []
            assert "the first configured user has 1 session (1 Active); the account's flags are known" in diagnosis.text

    async def test_other_capitals_are_a_warning(self) -> None:
        cloud = directory((f"{HUSH}-Ann", "a.example"), (f"{HUSH}-bob", "a.example"))
        diagnosis = await diagnosis_of(cloud, users=[f"{HUSH}-ann", f"{HUSH}-bob"])
        assert diagnosis.healthy
        assert "configured user 1 exists with other capitals only -> write the name as" in diagnosis.only("warn")
        assert "the account's flags are known" in diagnosis.text

    async def test_another_domain_is_a_warning(self) -> None:
        cloud = directory((f"{HUSH}-ann", "a.example"))
        diagnosis = await diagnosis_of(cloud, users=[{"name": f"{HUSH}-ann", "domain": "c.example"}])
        assert any(
            "configured user 1 exists, but not in the configured domain" in line for line in diagnosis.lines("warn")
        )

    async def test_the_names_take_one_request(self) -> None:
        """As many users as fit into a request are checked."""
        simulator = Simulator(SimulatorOptions(users=200, namesakes=60, speed=0))
        diagnosis = await diagnosis_of(simulator, users=list(simulator.population.names()[30:]))
        (warning,) = (line for line in diagnosis.lines("warn") if "several domains" in line)
        assert "configured users 1, 2, 3, 4, 5 and 25 more exist in several domains" in warning
        assert simulator.calls.total(LIST_USERS) == 1


def page_of(*accounts: tuple[str, str, str | None]) -> UserPage:
    return UserPage(
        [Account(id=ident, user_name=name, domain=domain) for ident, name, domain in accounts], len(accounts)
    )


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (User("ann"), None),
        (User("ann", domain="a"), "1"),
        (User("ann@a"), "1"),
        (User("ann@B"), "2"),
        (User("ann@c"), None),
        (User("ann", id="9"), "9"),
        (User("Bob"), "3"),
        (User("bob"), "4"),
        (User("BOB"), None),
        (User("CARL"), "5"),
        (User("carl@anywhere"), "5"),
        (User("ann", domain="A"), "1"),
        (User("zoe"), None),
    ],
)
def test_the_id_is_that_of_the_only_account_that_is_meant(user: User, expected: str | None) -> None:
    """The exact name comes first, then the only one that differs in case; an unknown domain fits any."""
    page = page_of(("1", "ann", "a"), ("2", "ann", "b"), ("3", "Bob", "a"), ("4", "bob", "a"), ("5", "Carl", None))
    assert id_of(user, page) == expected


@pytest.mark.parametrize(
    ("total", "known"), [(1, True), (2, False), (None, True)], ids=["whole", "first of several pages", "no total"]
)
def test_a_name_is_unknown_only_after_the_whole_listing(total: int | None, known: bool) -> None:
    """A name that is not on a page may be on the next one."""
    page = UserPage([Account(id="1", user_name="annabel")], total)
    assert (account_of(User("ann"), page, "404") == "404") is known


def test_a_user_with_an_id_has_no_doubtful_name() -> None:
    page = page_of(("1", "ann", "a"), ("2", "ann", "b"))
    assert list(names([(1, User("ann", id="1"))], page)) == []
