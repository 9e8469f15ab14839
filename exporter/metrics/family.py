"""What a metric family is: its description, and how its samples become lines. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from exporter.metrics.lines import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from exporter.metrics.labels import Labelling
    from exporter.metrics.samples import Named, Rule, UserRule
    from exporter.status import ProcessStatus, ProjectStatus

PREFIX = "huaweicloud_workspace_"


class Rendered(NamedTuple):
    """A family as text: its head in each of the two formats, and the lines of its samples, which are the same.

    A large one comes in parts, of which only the first has a head.
    """

    text_head: str
    openmetrics_head: str
    lines: str


@dataclass(frozen=True)
class Description:
    """What users see of a metric before they see its samples."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """The name with its prefix."""
        return PREFIX + self.name

    def rendered(self, lines: str) -> Rendered:
        """The family with these lines of samples."""
        openmetrics_name = self.full_name.removesuffix("_total") if self.kind == "counter" else self.full_name
        return Rendered(self._head(self.full_name), self._head(openmetrics_name), lines)

    def _head(self, name: str) -> str:
        return f"# HELP {name} {self.help}\n# TYPE {name} {self.kind}\n"


def part(lines: str) -> Rendered:
    """Further lines of the family before."""
    return Rendered("", "", lines)


@dataclass(frozen=True)
class Family(Description):
    """A metric of the projects: ``rule`` gives samples of one project, whose label ``project`` comes first."""

    rule: Rule

    def render(self, projects: Sequence[ProjectStatus], labelling: Labelling) -> Rendered:
        """The family with the samples of all projects."""
        # As a dict, so that not even a mistake in the configuration can double a sample: Prometheus would refuse the
        # whole scrape.
        samples = (
            ((project.project, *values), value)
            for project in projects
            for values, value in dict(self.rule(project, labelling)).items()
        )
        return self.rendered(lines_of(self.full_name, ("project", *self.labels), samples))


@dataclass(frozen=True)
class UserFamily(Description):
    """A metric of single users: ``rule`` gives samples of some of them, whose label ``user_name`` comes first."""

    rule: UserRule

    def render(self, named: Sequence[tuple[ProjectStatus, Sequence[Named]]]) -> Iterator[Rendered]:
        """The family with the samples of all users that are named, in parts."""
        labels = ("project", *self.labels)
        yield self.rendered("")
        for project, parts in named:
            rule = self.rule(project)
            for users in parts:
                samples = (((project.project, *values), value) for values, value in rule(users))
                yield part(lines_of(self.full_name, labels, samples))


@dataclass(frozen=True)
class ProcessFamily(Description):
    """A metric of the exporter itself, with one sample."""

    values: Callable[[ProcessStatus], tuple[str, ...]]
    value: Callable[[ProcessStatus], float]

    def render(self, process: ProcessStatus) -> Rendered:
        """The family with its sample."""
        return self.rendered(lines_of(self.full_name, self.labels, [(self.values(process), self.value(process))]))
