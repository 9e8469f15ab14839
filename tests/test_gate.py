"""Rejected credentials: few requests are rejected, and a new secret is tried at once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.fake_cloud import FakeCloud, refused
from support.fleets import watching
from support.spans import busiest
from support.virtual_time import run_virtually, wall_clock

from exporter import config
from exporter.cloud.errors import Unreachable
from exporter.cloud.models import Session
from exporter.fleet import Fleet
from exporter.polling.gate import LONGEST_PAUSE_UNAVAILABLE, Access, KeyGate
from exporter.polling.poller import Poller

if TYPE_CHECKING:
    from collections.abc import Callable


class Keyed:
    """Projects that poll a cloud each with a key of their own or one in common; ``right`` are the keys it takes."""

    def __init__(self, keys: dict[str, str], right: set[str], interval: float = 60.0) -> None:
        self.keys = keys
        self.settings = config.Poll(interval=interval)
        self.right = right
        self.clouds = {project: self._cloud(project) for project in keys}
        self.refused: list[tuple[float, str, str]] = []
        """Time, project and key."""

    def _cloud(self, project: str) -> FakeCloud:
        cloud = FakeCloud(fault=lambda operation, _: self._judge(project, operation))
        for number in range(20):
            cloud.add(f"user{number}", Session.of(id=str(number), session_state="Active"))
        return cloud

    def _judge(self, project: str, operation: str) -> None:
        if self.keys[project] not in self.right:
            self.refused.append((asyncio.get_running_loop().time(), project, self.keys[project]))
            raise refused(operation, 401)

    def present(self, project: str) -> Callable[[], object]:
        return lambda: self.keys[project]

    async def poll(self, *events: tuple[float, Callable[[], None]], until: float) -> dict[str, int]:
        """Poll until a time, with things that happen at theirs; how many users are known then, by project."""
        gate = KeyGate()  # of the one access key; the secrets may differ
        fleets = {
            project: Fleet(watching((name, None) for name in cloud.sessions)) for project, cloud in self.clouds.items()
        }
        tasks = []
        for project, cloud in self.clouds.items():
            access = Access(project, self.present(project), gate)
            poller = Poller(fleets[project], cloud, self.settings, wall_clock, access)
            tasks.append(asyncio.create_task(poller.run()))
        for at, event in events:
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            event()
        await asyncio.sleep(until - asyncio.get_running_loop().time())
        for task in tasks:
            task.cancel()
        return {project: _asked_since(fleet, until - 120) for project, fleet in fleets.items()}

    def refusals_within(self, seconds: float) -> int:
        """The most refused calls in any span of so many seconds."""
        return busiest((time for time, _, _ in self.refused), seconds)


def _asked_since(fleet: Fleet, since: float) -> int:
    return sum(member.queried_at is not None and member.queried_at >= since for member in fleet.members)


@pytest.mark.parametrize("projects", [1, 2, 10])
def test_a_wrong_key_is_rejected_no_more_than_twice_a_minute_however_many_projects_share_it(projects: int) -> None:
    """A key locks after five wrong signatures; and pauses grow to a quarter of an hour."""
    cloud = Keyed({f"project{number}": "wrong" for number in range(projects)}, right=set())
    run_virtually(cloud.poll(until=3 * 3600))
    assert cloud.refusals_within(60) <= 2
    late = [time for time, _, _ in cloud.refused if time > 3600]
    assert max(later - earlier for earlier, later in pairwise(late)) >= 14 * 60
    assert cloud.refusals_within(600) <= 8


def test_a_key_that_is_revoked_is_rejected_no_more_than_four_times_before_all_pause() -> None:
    cloud = Keyed({f"project{number}": "key" for number in range(4)}, right={"key"})
    run_virtually(cloud.poll((1000.0, cloud.right.clear), until=1060))
    assert 1 <= len(cloud.refused) <= 4


def test_a_project_that_is_rejected_with_a_key_that_others_work_with_pauses_alone() -> None:
    """A key that has no right to one project must not cost the others their numbers."""
    cloud = Keyed({"berlin": "key", "paris": "key"}, right=set())
    cloud.clouds["paris"].fault = lambda _operation, _who: None
    known = run_virtually(cloud.poll(until=1000))
    assert known == {"berlin": 0, "paris": 20}
    assert len(cloud.refused) <= 5


def test_a_new_secret_ends_the_pause_at_once() -> None:
    cloud = Keyed({"berlin": "wrong"}, right={"right"})

    def replace() -> None:
        cloud.keys["berlin"] = "right"

    known = run_virtually(cloud.poll((3000.0, replace), until=3030))
    assert known == {"berlin": 20}


def test_another_wrong_secret_is_tried_once() -> None:
    cloud = Keyed({"berlin": "wrong"}, right={"right"})

    def replace() -> None:
        cloud.keys["berlin"] = "wrong too"

    run_virtually(cloud.poll((3000.0, replace), until=3600))
    assert [key for _, _, key in cloud.refused].count("wrong too") == 1


def test_a_secret_that_has_been_replaced_is_tried_by_a_single_call() -> None:
    """What proved itself was the old one; calls under way end as they may."""
    cloud = Keyed({"berlin": "right"}, right={"right", "new"}, interval=7.0)
    cloud.clouds["berlin"].latency = 5.0

    def replace() -> None:
        cloud.keys["berlin"] = "new"

    run_virtually(cloud.poll((1000.0, replace), until=1100))
    times = [time for time, _, _ in cloud.clouds["berlin"].calls]
    sent_with_the_new = [time for time in times if time > 1000]
    assert cloud.clouds["berlin"].most_in_flight > 10, "as a rule there are many under way"
    assert sum(time < sent_with_the_new[0] + 5 for time in sent_with_the_new) == 1


@pytest.mark.parametrize("projects", [1, 4, 8])
def test_a_wrong_secret_that_is_tried_again_after_other_failures_is_rejected_four_times_at_most(projects: int) -> None:
    """While calls that meet trouble of another kind are tried again, the secret is replaced by a wrong one."""
    cloud = Keyed({f"project{number}": "right" for number in range(projects)}, right={"right"}, interval=7.0)
    judge = {name: each.fault for name, each in cloud.clouds.items()}
    for name, each in cloud.clouds.items():
        each.latency = 4.0
        each.fault = lambda operation, who, name=name: in_trouble(operation, judge[name], who)  # type: ignore[misc] # bound

    def in_trouble(operation: str, judge: Callable[[str, str], None], who: str) -> None:
        if 990 <= asyncio.get_running_loop().time() < 1004:
            raise refused(operation, 503)
        judge(operation, who)

    def replace() -> None:
        cloud.keys.update(dict.fromkeys(cloud.keys, "wrong"))

    # What was sent with the right secret is not judged by the wrong one: calls under way last four seconds.
    run_virtually(cloud.poll((1000.0, replace), until=1300))
    late = [time for time, _, _ in cloud.refused if time > 1004]
    assert 1 <= len(late) <= 4


def test_one_key_with_six_wrong_secrets_is_rejected_four_times_at_most() -> None:
    cloud = Keyed({f"project{number}": f"wrong{number}" for number in range(6)}, right=set())
    run_virtually(cloud.poll(until=1000))
    assert cloud.refusals_within(300 - 1e-6) <= 4


def test_a_project_whose_cloud_hangs_keeps_no_other_with_the_same_credentials_waiting() -> None:
    cloud = Keyed({"berlin": "key", "paris": "key"}, right={"key"})
    cloud.clouds["berlin"].latency = 10.0

    def hangs(operation: str, _who: str) -> None:
        raise Unreachable(operation, "timeout")

    cloud.clouds["berlin"].fault = hangs
    known = run_virtually(cloud.poll(until=45))
    assert known == {"berlin": 0, "paris": 20}


def test_what_was_rejected_is_not_forgotten_with_its_project() -> None:
    async def main() -> tuple[bool, bool]:
        gate = KeyGate()
        Access("berlin", lambda: "key", gate).reject(refused("Op", 401), "key")
        soon = gate.must_be_kept
        await asyncio.sleep(3600)
        return soon, gate.must_be_kept

    assert run_virtually(main()) == (True, False)


@pytest.mark.parametrize("hanging", [10, 20, 40])
def test_a_healthy_project_is_reached_within_15_seconds_however_many_others_hang(hanging: int) -> None:
    """All projects share a key that the cloud has not accepted yet; the healthy one comes last."""
    keys = {f"hanging{number}": "key" for number in range(hanging)} | {"healthy": "key"}
    cloud = Keyed(keys, right={"key"})
    for project, each in cloud.clouds.items():
        if project != "healthy":
            each.latency = 10.0
            each.fault = lambda operation, _who: _time_out(operation)
    run_virtually(cloud.poll(until=60))
    times = cloud.clouds["healthy"].times("ListSessionByUserName")
    assert times[0] < 15
    assert times[19] < times[0] + 10, "then it waits for nobody"


def test_a_project_that_the_key_is_right_for_is_reached_though_ten_others_are_rejected_with_it() -> None:
    """Projects that have not been tried come first; more rejections in that time would lock the key."""
    keys = {f"rejected{number}": "key" for number in range(10)} | {"healthy": "key"}
    cloud = Keyed(keys, right=set())
    cloud.clouds["healthy"].fault = lambda _operation, _who: None
    run_virtually(cloud.poll(until=1800))
    assert cloud.clouds["healthy"].times("ListSessionByUserName")[0] < 1200
    assert cloud.refusals_within(300 - 1e-6) <= 5


def test_an_operation_that_hangs_at_the_start_does_not_keep_the_others_of_its_project_waiting() -> None:
    cloud = Keyed({"berlin": "key"}, right={"key"})

    def hang(operation: str, _who: str) -> None:
        if operation != "ListSessionByUserName":
            _time_out(operation)

    cloud.clouds["berlin"].fault = hang
    cloud.clouds["berlin"].latency = 10.0
    run_virtually(cloud.poll(until=60))
    assert cloud.clouds["berlin"].times("ListSessionByUserName")[0] < 15


def test_credentials_that_cannot_be_had_pause_their_project_for_a_minute_at_most() -> None:
    """An IAM that does not answer locks nothing."""
    cloud = FakeCloud(fault=lambda _operation, _who: _time_out("KeystoneCreateUserTokenByPassword"))
    keyed = Keyed({"berlin": "key"}, right={"key"})
    cloud.sessions = keyed.clouds["berlin"].sessions
    keyed.clouds["berlin"] = cloud
    run_virtually(keyed.poll(until=1800))
    times = [time for time, _, _ in cloud.calls]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] >= 5
    assert max(pauses) <= LONGEST_PAUSE_UNAVAILABLE + 5
    assert len(times) > 1800 / (LONGEST_PAUSE_UNAVAILABLE + 5)


def _time_out(operation: str) -> None:
    raise Unreachable(operation, "timeout")
