"""Kinds of metric families, and how their samples are written as text."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

from prometheus_client.utils import floatToGoString

from exporter.cloud.telemetry import Latencies
from exporter.fleet import FreshUser
from exporter.metrics.exposition import Description
from exporter.metrics.labels import Fold, KeptValues, Samples, add_up
from exporter.status import ProjectStatus

PROJECT = "project"  # the label that all metrics of a project have

S = TypeVar("S")

_PLAIN_BELOW = 1_000_000  # larger whole numbers get an exponent


@dataclass(frozen=True)
class Family(Description, Generic[S]):
    """A metric and the function that gives its samples, those of one project as a rule."""

    samples: Callable[[S], Samples]
    fold: Fold = add_up

    def lines(self, samples: Samples, project: str | None = None) -> Iterator[str]:
        """Yield the lines of a project, given its `project_labels`, or those of the process."""
        of_project = () if project is None else (project,)
        write = line_writer(self.full_name, (*(PROJECT for _ in of_project), *self.labels))
        for values, value in samples.items():
            if value is not None:
                yield write(*of_project, *map(escaped, values), number(value))


@dataclass(frozen=True)
class UserFamily(Description):
    """A metric of single users. ``samples`` gives those of one user, without its label ``user_name``."""

    samples: Callable[[FreshUser], Samples]
    fold: Fold = add_up

    def lines(self, project: str, users: Iterable[tuple[str, FreshUser]], kept_values: KeptValues) -> str:
        """Return the lines of some users of a project, given its `project_labels`. Users come with their label."""
        write = line_writer(self.full_name, (PROJECT, *self.labels))
        kept = {i: kept_values[label] for i, label in enumerate(self.labels[1:]) if label in kept_values}
        lines = []
        for user_name, user in users:
            samples = self.samples(user)
            if kept:
                folded: dict[tuple[str, ...], float] = {}
                self.fold(samples.items(), kept, folded)
                samples = folded
            for values, value in samples.items():
                if value is not None:
                    lines.append(write(project, escaped(user_name), *map(escaped, values), number(value)))
        return "".join(lines)


@dataclass(frozen=True)
class Histogram(Description):
    """A histogram of the projects, with the upper bounds of its buckets in seconds."""

    bounds: tuple[float, ...]
    distributions: Callable[[ProjectStatus], Mapping[Any, Latencies]]

    def lines(self, projects: Iterable[ProjectStatus]) -> Iterator[str]:
        """Yield the lines of projects."""
        labels = (PROJECT, *self.labels)
        bucket = line_writer(f"{self.full_name}_bucket", (*labels, "le"))
        count, total = (line_writer(f"{self.full_name}_{suffix}", labels) for suffix in ("count", "sum"))
        bounds = [*map(number, self.bounds), "+Inf"]
        for project in projects:
            of_project = project_labels(project)
            for labels, each in self.distributions(project).items():
                values = [of_project, *map(escaped, labels)]
                cumulated = list(accumulate(each.counts))
                yield from (bucket(*values, bound, number(n)) for bound, n in zip(bounds, cumulated, strict=True))
                yield count(*values, number(cumulated[-1]))
                yield total(*values, number(each.seconds))


AnyFamily = Family[ProjectStatus] | UserFamily | Histogram


def gauge(name: str, text: str, samples: Callable[[S], Samples], *labels: str, fold: Fold = add_up) -> Family[S]:
    """Return a gauge."""
    return Family(name, "gauge", text, labels, samples, fold)


def counter(name: str, text: str, samples: Callable[[S], Samples], *labels: str) -> Family[S]:
    """Return a counter."""
    return Family(name, "counter", text, labels, samples)


def by(values: Mapping[str, Any]) -> Mapping[tuple[str], Any]:
    """Return values by a single label."""
    return {(label,): value for label, value in values.items()}


def line_writer(name: str, labels: Sequence[str]) -> Callable[..., str]:
    """Return a function that writes a sample from its escaped values of ``labels``, in that order, and its value.

    The value of `PROJECT` is a project's `project_labels`.
    """
    order = sorted(range(len(labels)), key=labels.__getitem__)  # as the library writes them
    written = [f"{{{n}}}" if label == PROJECT else f'{label}="{{{n}}}"' for n, label in enumerate(labels)]
    pairs = ",".join(map(written.__getitem__, order))
    block = f"{{{{{pairs}}}}}" if pairs else ""
    return f"{name}{block} {{{len(labels)}}}\n".format


def project_labels(status: ProjectStatus) -> str:
    """Return the labels of every series of a project as written: `project`, then those of its configuration."""
    labels = ((PROJECT, status.project), *sorted(status.labels.items()))
    return ",".join(f'{name}="{escaped(value)}"' for name, value in labels)


def escaped(value: str) -> str:
    """Return a label value as written between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return value


def number(value: float) -> str:
    """Return a value as Go writes it."""
    if isinstance(value, int) and -_PLAIN_BELOW < value < _PLAIN_BELOW:
        return f"{value:d}.0"
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call] # the library has no types here
    return text
