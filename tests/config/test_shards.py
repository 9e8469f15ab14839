"""The distribution of projects over equal exporters."""

from __future__ import annotations

from collections import Counter

from exporter import config
from exporter.config.settings import shard_of

PROJECTS = [f"{number:032x}" for number in range(6000)]


def test_every_project_is_watched_by_exactly_one_shard() -> None:
    projects = [{"project_id": each, "region": "eu-west-101", "users": []} for each in PROJECTS[:50]]
    watched = Counter(
        project.name
        for index in range(3)
        for project in config.build(
            config.Layer("test", {"projects": projects, "shard": {"index": index, "total": 3}})
        ).watched
    )
    assert watched == Counter(PROJECTS[:50])


def test_an_additional_shard_takes_its_share_and_moves_no_other_project() -> None:
    for total in range(1, 6):
        before = {project: shard_of(project, total) for project in PROJECTS}
        after = {project: shard_of(project, total + 1) for project in PROJECTS}
        moved = [project for project in PROJECTS if before[project] != after[project]]
        assert {after[project] for project in moved} == {total}
        assert abs(len(moved) / len(PROJECTS) - 1 / (total + 1)) < 0.03


def test_the_shares_are_about_equal() -> None:
    shares = Counter(shard_of(project, 5) for project in PROJECTS)
    assert max(shares.values()) < 1.15 * min(shares.values())


def test_a_project_s_shard_never_changes() -> None:
    """Two versions of the exporter may run side by side."""
    assert [shard_of(project, 7) for project in PROJECTS[:12]] == [2, 2, 4, 6, 4, 6, 4, 2, 1, 2, 6, 4]
