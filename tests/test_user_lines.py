"""The lines of single users are kept between publishes, and only what changes is rendered again."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.registry import CollectorRegistry
from support.fleets import answered, run, watching
from test_metrics import NOW, PROCESS, fleet_with, status_of

from exporter import config
from exporter.cloud.models import Session, UserDetail
from exporter.fleet import Fleet, Watched
from exporter.metrics import family as families
from exporter.metrics.exposition import TEXT, Exposition
from exporter.metrics.families import render, user_lines
from exporter.metrics.labels import EXPIRING_SOON, Labelling
from exporter.metrics.users import USERS_A_PART

if TYPE_CHECKING:
    from exporter.status import ProjectStatus

MANY = 5 * USERS_A_PART


class Publisher:
    """Publishes again and again with the same settings, as the exporter does."""

    def __init__(self, **settings: Any) -> None:
        self.labelling = Labelling.of(config.Metrics(**settings))
        self.lines = user_lines()
        self.exposition = Exposition(CollectorRegistry())

    def publish(self, *statuses: ProjectStatus) -> str:
        """Return the text, after a look at its compressed form."""
        self.exposition.publish(render(statuses, self.labelling, PROCESS, self.lines))
        page = self.exposition.get(TEXT)
        assert zlib.decompress(b"".join(page.compressed_pieces), 16 + zlib.MAX_WBITS) == page.body
        return page.body.decode()

    def anew(self, *statuses: ProjectStatus) -> str:
        """Return the text of a publish without anything kept."""
        exposition = Exposition(CollectorRegistry())
        exposition.publish(render(statuses, self.labelling, PROCESS, user_lines()))
        return exposition.get(TEXT).body.decode()


def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the metric and the first user of all lines that are rendered."""
    lines_of, found = families.UserFamily.lines, []

    def lines(self: families.UserFamily, project: str, users: Any, kept: Any) -> str:
        found.append(f"{self.name} of {users[0][0]}")
        return lines_of(self, project, users, kept)

    monkeypatch.setattr(families.UserFamily, "lines", lines)
    return found


def crowd(users: int = MANY) -> Fleet:
    return fleet_with(*((f"user{n:04}", (active(n),), UserDetail(locked=False)) for n in range(users)))


def active(number: int) -> Session:
    return Session.of(id=str(number), session_state="Active")


def test_lines_of_users_who_have_not_changed_are_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, fleet, found = Publisher(), crowd(), rendered(monkeypatch)
    text = publisher.publish(status_of(fleet))
    assert len(found) >= MANY // USERS_A_PART
    found.clear()
    for member in fleet.members:  # with the same answers, which make equal users of other identity
        fleet.account_answered(member, UserDetail(locked=False), at=2)
    assert publisher.publish(status_of(fleet)) == text
    assert found == []


def test_only_the_metrics_with_a_change_are_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, fleet, found = Publisher(), crowd(), rendered(monkeypatch)
    publisher.publish(status_of(fleet))
    found.clear()
    fleet.account_answered(fleet.members[150], UserDetail(locked=True), at=2)
    text = publisher.publish(status_of(fleet))
    assert found == ["user_locked of user0100"]
    assert 'user_locked{project="berlin",user_name="user0150"} 1.0' in text


@pytest.mark.parametrize("place", [0, 150, MANY])
def test_users_who_join_or_leave_cause_little_rendering(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    publisher, fleet, found = Publisher(), crowd(), rendered(monkeypatch)
    names = [member.written for member in fleet.members]
    text = before = publisher.publish(status_of(fleet))
    for watched in ([*names[:place], "new", *names[place:]], names):
        found.clear()
        run(fleet.update(Watched(name, f"id-{name}") for name in watched))
        text = publisher.publish(status_of(fleet))
        assert len({line.partition(" of ")[2] for line in found}) <= 2
        assert text == publisher.anew(status_of(fleet))
    assert text == before


def test_lines_of_a_project_that_goes_are_dropped() -> None:
    publisher, fleet = Publisher(), crowd()
    there, gone = status_of(fleet), status_of(fleet, project="paris")
    assert "paris" in publisher.publish(there, gone)
    assert "paris" not in publisher.publish(there)
    assert list(publisher.lines.projects) == ['project="berlin"']


def test_a_reload_without_a_change_of_labels_renders_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"user_label": "hash", "hash_key": "k"}
    publisher, status, found = Publisher(**settings), status_of(crowd()), rendered(monkeypatch)
    text = publisher.publish(status)
    found.clear()
    publisher.labelling = Labelling.of(config.Metrics(**settings))
    assert publisher.publish(status) == text
    assert found == []
    publisher.labelling = Labelling.of(config.Metrics(**settings | {"hash_key": "other"}))
    assert publisher.publish(status) != text


def test_a_user_is_flagged_when_its_account_comes_to_its_end() -> None:
    end = NOW + EXPIRING_SOON + 60
    status = status_of(fleet_with(("anna", (), UserDetail(account_expires=int(end * 1000)))))
    publisher = Publisher(per_user="flagged")
    assert "anna" not in publisher.publish(status)
    assert "anna" not in publisher.publish(replace(status, taken_at=NOW + 59))
    assert "anna" in publisher.publish(replace(status, taken_at=NOW + 61))


def test_a_user_gets_the_label_of_another_who_leaves() -> None:
    fleet = Fleet(watching([("anna", "same"), ("bert", "same")]))
    for member in fleet.members:
        answered(fleet, member, (Session.of(session_state="Active"),), at=1)
    publisher = Publisher(user_label="id")
    assert publisher.publish(status_of(fleet)).count('user_name="same"') == 3  # missing, sessions, client
    answered(fleet, fleet.members[0], None, at=2)
    assert 'user_missing{project="berlin",user_name="same"} 1.0' in publisher.publish(status_of(fleet))
    run(fleet.update(watching([("bert", "same")])))
    assert 'user_missing{project="berlin",user_name="same"} 0.0' in publisher.publish(status_of(fleet))


def test_values_that_become_other_later_are_rendered_again() -> None:
    """Also of users who have not changed."""
    publisher, fleet = Publisher(), crowd()
    answered(fleet, fleet.members[-1], (Session.of(session_state="New99"),), at=2)
    assert 'session_state="New99",user_name="user0499"' in publisher.publish(status_of(fleet))
    states = tuple(Session.of(id=f"s{n}", session_state=f"New{n:02}") for n in range(20))
    answered(fleet, fleet.members[0], states, at=2)
    text = publisher.publish(status_of(fleet))
    assert 'session_state="other",user_name="user0499"' in text
    assert text == publisher.anew(status_of(fleet))


steps = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from(["Active", "InitFail", None]),
        st.booleans(),
        st.sets(st.integers(0, 11), min_size=1),
    ),
    max_size=6,
)


@settings(max_examples=25)
@given(steps, st.sampled_from(["all", "flagged", "none"]), st.sampled_from(["name", "id", "hash"]))
def test_what_is_kept_makes_no_difference(done: list[Any], per_user: str, user_label: str) -> None:
    """Users come, go and change; the text is that of an exporter that keeps nothing."""
    key = {"hash_key": "k"} if user_label == "hash" else {}
    publisher = Publisher(per_user=per_user, user_label=user_label, **key)
    fleet = crowd(6)
    for at, (number, state, locked, watched) in enumerate(done, start=2):
        run(fleet.update(Watched(f"user{n:04}", f"id{n // 2}") for n in sorted(watched)))
        member = fleet.members[number % len(fleet.members)]
        answered(fleet, member, [Session.of(id=f"{at}", session_state=state)], at=at)
        fleet.account_answered(member, UserDetail(locked=locked), at=at)
        assert publisher.publish(status_of(fleet)) == publisher.anew(status_of(fleet))
