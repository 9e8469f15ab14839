"""The request budget: what fits into rate limits that projects share, and into the account's quota."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from exporter.cloud.client import IAM_ACTIONS, LIST_SERVER_GROUPS, LIST_SERVERS, LIST_SESSIONS, LIST_USERS
from exporter.cloud.errors import Forbidden
from exporter.config import Layer, Poll, Settings, build
from exporter.doctor.answers import Total
from exporter.doctor.budget import Budget
from exporter.doctor.findings import NotQueried, Verdict
from exporter.doctor.loads import Load, Share, judge

if TYPE_CHECKING:
    from pathlib import Path


class Totals(NamedTuple):
    """The sizes of the listings of live sessions and of all users."""

    sessions: Total
    users: Total


UNREAD = Totals(NotQueried("why"), NotQueried("why"))
POLICY = "give the IAM user the policy in CONFIGURATION.md"
KEY = {"access_key": "AK", "secret_key": "SK"}


def settings_of(*users: int, poll: dict[str, Any] | None = None, **changes: Any) -> Settings:
    """Projects with so many users each and the same access key in the same region."""
    shard = changes.pop("shard", {})
    projects = [
        {"project_id": f"p{n}", "region": "r", "auth": KEY, "users": [f"u{i}" for i in range(count)], **changes}
        for n, count in enumerate(users)
    ]
    return build(Layer("test", {"projects": projects, "poll": poll or {}, "shard": shard}))


def findings(settings: Settings, *totals: Totals, position: int = 0) -> list[str]:
    """The budget of the project at this position; with one Totals, all projects have it."""
    budget = Budget(settings)
    each = totals * len(settings.projects) if len(totals) == 1 else totals
    for project, (sessions, users) in zip(settings.projects, each, strict=True):
        budget.sessions[project.name] = sessions
        budget.counted(project, {(): users})
    found = budget.findings(settings.projects[position])
    return [f"{finding.verdict} {finding.text} -> {finding.remedy}" for finding in found]


class TestOneProject:
    @pytest.mark.parametrize("users", [0, 1, 180])
    def test_users_that_fit_are_ok(self, users: int) -> None:
        by_user, accounts = findings(settings_of(users), UNREAD)
        assert by_user.startswith("ok ListSessionByUserName: ")
        assert accounts.startswith("ok ListUserDetail: ")

    def test_a_large_project_needs_34_and_11_requests_instead_of_20000(self) -> None:
        sessions, one_by_one, users = findings(settings_of(10_000), Totals(3_000, 10_000))
        every = "3000 live sessions in 34 requests and new ones in 1 every 1m, and failed ones every 5s,"
        assert f"{every} are 47 requests per minute, 180 allowed" in sessions
        assert one_by_one.startswith("ok ")
        assert "a cycle takes 55m34s; sessions also come from bulk collection" in one_by_one
        assert "10000 users in 11 requests every 5m are 2.2 requests per minute" in users

    def test_a_scan_that_exceeds_its_interval_is_a_warning(self) -> None:
        sessions, *_ = findings(settings_of(10_000), Totals(18_000, 10_000))
        assert sessions.startswith("warn ")
        assert "a cycle takes 1m12s -> set poll.interval to 1m20s, or shorten poll.bulk_lookback" in sessions

    def test_sessions_that_are_not_worth_a_scan_are_queried_user_by_user(self) -> None:
        by_user, scans, accounts = findings(settings_of(200), Totals(30_000, 12_000))
        assert "ListSessions: new sessions in 1 request every 1m, and failed ones every 5s, are 13 requests" in scans
        assert "200 users every 1m are 200 requests per minute, 180 allowed by poll.rate_limit" in by_user
        assert by_user.startswith("warn ")
        assert "12000 users in 13 requests every 5m" in accounts

    def test_a_missing_permission_is_blamed_for_the_requests_it_would_save(self) -> None:
        denied = Forbidden(LIST_USERS, "403", error_code="WKS.00010403")
        *_, accounts = findings(settings_of(1_000), Totals(3_000, denied))
        assert "180 allowed by poll.rate_limit; a cycle takes 5m34s, because " in accounts
        assert f"because {IAM_ACTIONS[LIST_USERS]} is missing (403 WKS.00010403) -> {POLICY}" in accounts

    def test_a_missing_permission_is_not_blamed_if_the_users_fit(self) -> None:
        """With source bulk, what exceeds the account's quota does so with or without the permission."""
        denied = Forbidden(LIST_SESSIONS, "403", error_code="WKS.00010403")
        settings = settings_of(250, poll={"source": "bulk", "rate_limit": 300})
        by_user, _ = findings(settings, Totals(denied, 250))
        assert by_user.startswith("warn ")
        assert by_user.endswith(" -> lower poll.rate_limit")

    @pytest.mark.parametrize(("users", "cycle"), [(250, ""), (400, "a cycle takes 1m20s; ")])
    def test_more_than_the_documented_quota_is_a_warning(self, users: int, cycle: str) -> None:
        settings = settings_of(users, poll={"source": "per_user", "rate_limit": 300})
        by_user, accounts = findings(settings, UNREAD)
        made = min(users, 300)
        assert (
            f"300 allowed by poll.rate_limit; {cycle}all configured projects of this account make {made}, " in by_user
        )
        assert "documented quota is 200 per minute and operation" in by_user
        assert "raise poll.rate_limit" not in by_user
        assert by_user.endswith("lower poll.rate_limit")
        assert accounts.startswith("ok ")


def with_scans(settings: Settings, starts: Total = 5, servers: dict[str, Total] | None = None) -> list[str]:
    """The budget of the first project, where every project scans for starts, and its servers are listed."""
    budget = Budget(settings)
    for project in settings.projects:
        budget.starts[project.name] = starts
        budget.servers[project.name] = servers or {}
    return [f"{each.verdict} {each.text} -> {each.remedy}" for each in budget.findings(settings.projects[0])]


DENIED = Forbidden(LIST_SESSIONS, "403", error_code="WKS.00010403")


class TestScans:
    def test_starts_every_interval_and_failures_every_five_seconds_are_13_requests_per_minute(self) -> None:
        _, scans, _ = with_scans(settings_of(150))
        assert scans.startswith(
            "ok ListSessions: new sessions in 1 request every 1m, and failed ones every 5s, are 13 requests per minute,"
        )

    def test_more_starts_take_more_pages(self) -> None:
        _, scans, _ = with_scans(settings_of(150), starts=500)
        assert "new sessions in 6 requests every 1m, and failed ones every 5s, are 18 requests per minute" in scans

    def test_without_a_failures_interval_only_starts_are_listed(self) -> None:
        _, scans, _ = with_scans(settings_of(150, poll={"failures_interval": 0, "interval": "2m"}))
        assert "ListSessions: new sessions in 1 request every 2m are 0.5 requests per minute" in scans

    def test_failures_get_at_most_a_third_of_the_rate_limit(self) -> None:
        _, scans, _ = with_scans(settings_of(1, poll={"rate_limit": 12}))
        assert "and failed ones every 15s, are 5 requests per minute, 12 allowed" in scans
        assert scans.startswith("ok ")

    def test_a_rate_limit_that_is_too_low_for_the_starts_is_a_warning(self) -> None:
        settings = settings_of(0, poll={"rate_limit": 1, "interval": "30s", "user_interval": "1h"})
        _, scans, _ = with_scans(settings)
        assert "a cycle takes 1m30s -> set poll.interval to 1m30s, or set poll.failures_interval to 0" in scans

    def test_projects_with_equal_credentials_share_the_limit_for_scans(self) -> None:
        """Twenty projects want 13 requests per minute each."""
        _, scans, _ = with_scans(settings_of(*[1] * 20))
        assert "and failed ones every 20s, are 4 requests per minute, 9 allowed by poll.rate_limit (180 shared" in scans

    def test_shards_that_exceed_the_quota_together_are_a_warning(self) -> None:
        settings = settings_of(*[1] * 30, poll={"rate_limit": 190}, shard={"total": 2})
        _, scans, _ = with_scans(settings)
        assert scans.startswith("warn ListSessions: ")
        assert "all configured projects of this account make 3" in scans

    @pytest.mark.parametrize("starts", [DENIED, NotQueried("why")])
    def test_scans_that_do_not_work_take_no_requests(self, starts: Total) -> None:
        by_user, accounts = with_scans(settings_of(150), starts=starts)
        assert (by_user.split()[1], accounts.split()[1]) == ("ListSessionByUserName:", "ListUserDetail:")

    def test_listings_of_servers_are_read_every_user_interval(self) -> None:
        *_, servers, groups = with_scans(settings_of(1), servers={LIST_SERVERS: 250, LIST_SERVER_GROUPS: 1})
        assert servers.startswith("ok ListServers: 250 servers in 3 requests every 5m are 0.6 requests per minute, 180")
        assert groups.startswith("ok ListServerGroups: 1 server group in 1 request every 5m are 0.2 requests")

    def test_servers_that_may_not_be_listed_take_no_requests(self) -> None:
        found = with_scans(settings_of(1), servers={LIST_SERVERS: DENIED, LIST_SERVER_GROUPS: 1})
        assert [line.split()[1] for line in found][-2:] == ["ListUserDetail:", "ListServerGroups:"]

    def test_scans_use_the_host_for_sessions(self) -> None:
        """Projects with different hosts for sessions share no limit for scans."""
        settings = settings_of(1, 1)
        elsewhere = settings.projects[1].endpoints.model_copy(update={"sessions": "https://elsewhere.example"})
        other = settings.projects[1].model_copy(update={"endpoints": elsewhere})
        both = settings.model_copy(update={"projects": (settings.projects[0], other)})
        servers: dict[str, Total] = {LIST_SERVERS: 1}
        _, scans, accounts, listed = with_scans(both, servers=servers)
        assert ["shared by 2 projects" in line for line in (scans, accounts, listed)] == [False, True, False]


class TestSharedRateLimit:
    def test_projects_with_equal_credentials_share_it_fairly(self) -> None:
        settings = settings_of(30, 500, poll={"source": "per_user"})
        small, _ = findings(settings, UNREAD)
        large, _ = findings(settings, UNREAD, position=1)
        assert small.startswith("ok ")
        assert "30 requests per minute, 90 allowed by poll.rate_limit (180 shared by 2 projects with equal" in small
        assert "500 requests per minute, 150 allowed by poll.rate_limit (180 shared by 2 projects with equal" in large
        assert "a cycle takes 3m20s -> set poll.interval to 3m20s, or watch fewer users" in large

    def test_projects_that_fit_alone_may_not_fit_together(self) -> None:
        """Each then collects in bulk, and needs the permission to list sessions."""
        settings = settings_of(150, 150)
        budget = Budget(settings)
        assert all(budget.scans(project) for project in settings.projects)
        assert not any(Budget(settings_of(150)).scans(project) for project in settings_of(150).projects)

    def test_scans_share_it_by_their_size(self) -> None:
        """The two need 125 and 180 requests per minute, 12 of them for failures, which go first."""
        settings = settings_of(5_000, 5_000)
        first, *_ = findings(settings, Totals(10_000, 5_000), Totals(15_000, 5_000))
        assert "10000 live sessions in 112 requests and new ones in 1 every 1m" in first
        assert "are 125 requests per minute, 90 allowed" in first
        assert "a cycle takes 1m27s -> set poll.interval to 1m30s" in first

    def test_an_operation_that_only_one_project_uses_is_not_shared(self) -> None:
        settings = settings_of(10, 500)
        *_, users = findings(settings, UNREAD, Totals(100, 500), position=1)
        assert users.startswith("ok ListUsers: ")
        assert users.endswith("180 allowed by poll.rate_limit -> ")

    @pytest.mark.parametrize("difference", [{"auth": {"access_key": "other", "secret_key": "SK"}}, {"region": "s"}])
    def test_other_credentials_or_another_host_mean_another_rate_limit(self, difference: dict[str, Any]) -> None:
        first: dict[str, Any] = {"region": "r", "auth": KEY, "users": [f"u{i}" for i in range(150)]}
        projects = [first | {"project_id": "p"}, first | {"project_id": "q"} | difference]
        by_user, _ = findings(build(Layer("test", {"projects": projects})), UNREAD)
        assert by_user.startswith("ok ")
        assert "180 allowed by poll.rate_limit -> " in by_user

    def test_another_shard_has_a_rate_limit_of_its_own_but_the_same_quota(self) -> None:
        settings = settings_of(*[200] * 8, shard={"index": 0, "total": 2})
        (watched, *_) = settings.watched
        assert 0 < len(settings.watched) < 8, "both shards have projects"
        budget = Budget(settings)
        by_user, _ = map(str, budget.findings(watched)[-2:])
        assert "all configured projects of this account make 360, " in by_user
        assert "documented quota is 200" in by_user

    def test_a_missing_key_file_does_not_affect_the_budget(self, tmp_path: Path) -> None:
        file = tmp_path / "access_key"
        file.write_text("AK")
        settings = settings_of(10, auth={"access_key_file": str(file), "secret_key": "SK"})
        file.unlink()
        by_user, _ = findings(settings, UNREAD)
        assert by_user.startswith("ok ")


SALES, NIGHT = (("group_name", "Sales"),), (("group_name", "Night"),)


class TestDiscovery:
    @staticmethod
    def findings(listings: dict[Any, Total], users: int = 0, **changes: Any) -> list[str]:
        """Return the budget of a project with listings of users of these sizes."""
        settings = settings_of(users, **{"discover": [{"group": "Sales"}]} | changes)
        budget = Budget(settings)
        budget.counted(settings.projects[0], listings)
        return [f"{each.verdict} {each.text} -> {each.remedy}" for each in budget.findings(settings.projects[0])]

    def test_discovered_users_count_like_configured_ones(self) -> None:
        by_user, _ = self.findings({(): 900, SALES: 60}, users=50)
        assert by_user.startswith(
            "ok ListSessionByUserName: 110 users (60 found by discover) every 1m are 110 requests"
        )

    def test_accounts_come_from_one_listing_per_entry(self) -> None:
        entries = [{"group": "Sales"}, {"group": "Night"}, {"group": "Sales"}]
        *_, accounts = self.findings({SALES: 2_000, NIGHT: 5}, discover=entries)
        assert accounts.startswith("ok ListUsers: 2005 users in 4 requests every 5m are 0.8 requests per minute")

    def test_configured_users_beside_discovered_ones_take_a_listing_of_all(self) -> None:
        *_, accounts = self.findings({(): 2_000, SALES: 50}, users=1)
        assert "ListUsers: 2050 users in 4 requests every 5m" in accounts

    def test_an_entry_for_all_users_takes_one_listing(self) -> None:
        """It has the configured users, too, so that nobody counts twice."""
        by_user, accounts = self.findings({(): 90, SALES: 50}, users=10, discover=[{"group": "Sales"}, {"all": True}])
        assert "90 users (90 found by discover) every 1m are 90 requests" in by_user
        assert "ListUsers: 90 users in 1 request every 5m" in accounts

    def test_a_listing_that_does_not_fit_is_a_warning(self) -> None:
        poll = {"user_interval": "1m", "rate_limit": 10}
        *_, accounts = self.findings({SALES: 50_000}, poll=poll)
        assert accounts.startswith("warn ListUsers: 50000 users in 51 requests every 1m are 51 requests per minute")
        assert "set poll.user_interval to 5m10s, or use fewer entries in discover" in accounts

    def test_so_many_discovered_users_that_polling_scans(self) -> None:
        settings = settings_of(0, discover=[{"all": True}])
        budget = Budget(settings)
        assert not budget.scans(settings.projects[0])
        budget.counted(settings.projects[0], {(): 181})
        assert budget.scans(settings.projects[0])

    def test_discovered_users_take_their_part_of_a_shared_rate_limit(self) -> None:
        """Each project fits alone, but not beside the other one."""
        settings = settings_of(0, 0, discover=[{"all": True}])
        budget = Budget(settings)
        for project in settings.projects:
            budget.counted(project, {(): 150})
        assert all(budget.scans(project) for project in settings.projects)

    def test_without_the_number_of_users_there_is_no_budget(self) -> None:
        denied = Forbidden(LIST_USERS, "403", error_code="WKS.00010403")
        assert self.findings({(): 900, SALES: denied}, users=5) == [
            f"skip {operation}: not checked, see permission -> " for operation in ("ListSessionByUserName", "ListUsers")
        ]

    def test_excluded_users_do_not_count(self) -> None:
        by_user, _ = findings(settings_of(20, exclude=["U1*"]), UNREAD)
        assert "ListSessionByUserName: 9 users every" in by_user


class TestOverrides:
    def test_a_project_has_its_own_intervals(self) -> None:
        settings = settings_of(60, poll={"interval": "1m"})
        project = settings.projects[0].model_copy(update={"poll": Poll(interval=30.0, user_interval=60.0)})
        by_user, accounts = findings(settings.model_copy(update={"projects": (project,)}), UNREAD)
        assert "60 users every 30s are 120 requests per minute, 180 allowed" in by_user
        assert "60 users every 1m are 60 requests per minute, 180 allowed" in accounts

    def test_the_lowest_of_shared_rate_limits_applies(self) -> None:
        settings = settings_of(30, 30, poll={"rate_limit": 100, "source": "per_user"})
        slow = settings.projects[1].model_copy(update={"poll": Poll(rate_limit=40.0)})
        both = settings.model_copy(update={"projects": (settings.projects[0], slow)})
        for position in (0, 1):
            assert (
                "20 allowed by poll.rate_limit (40 shared by 2 projects" in findings(both, UNREAD, position=position)[0]
            )


def test_bulk_collection_may_not_exceed_the_quota_either() -> None:
    load = Load("Op", 10_000, "10000 users", "poll.interval", 60.0)
    alone = judge(load, Share(180.0, 180.0, 1, 180.0), bulk="why")
    together = judge(load, Share(180.0, 180.0, 1, 360.0), bulk="why")
    assert (alone.verdict, together.verdict) == (Verdict.OK, Verdict.WARN)
    assert together.remedy == "lower poll.rate_limit"


def test_a_cycle_beside_bulk_takes_at_least_the_interval() -> None:
    finding = judge(Load("Op", 50, "50 users", "poll.interval", 60.0), Share(180.0, 180.0), bulk="set by poll.source")
    assert finding.text.endswith(
        "allowed by poll.rate_limit; sessions also come from bulk collection (set by poll.source)"
    )
