"""What one scrape says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families as parse_text

if TYPE_CHECKING:
    from faults.truth import Numbers
    from prometheus_client.samples import Sample

PREFIX = "huaweicloud_workspace_"
LABELS = ("user_name", "session_state", "client_version", "agent_version")
SLOW = "6.0"
"""Seconds that no call takes to a server in order; a bucket of the histogram."""


@dataclass
class Told:
    """What one scrape says of one project."""

    numbers: Numbers = field(default_factory=dict)
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    """Attempts, by operation and outcome."""
    coverage: dict[str, float] = field(default_factory=dict)
    """By operation."""
    last_success: dict[str, float] = field(default_factory=dict)
    """By operation."""
    up: float | None = None
    skew: float | None = None
    source: str | None = None
    slow: float = 0
    """Calls that took long to answer."""

    def news(self, before: Told, operation: str) -> Counter[str]:
        """The attempts since another scrape, by outcome."""
        return self.codes.get(operation, Counter()) - before.codes.get(operation, Counter())

    def take(self, name: str, labels: dict[str, str], value: float) -> None:
        """Take in one sample."""
        operation = labels.get("operation", "")
        match name:
            case "up":
                self.up = value
            case "poll_source_info":
                self.source = labels["source"]
            case "clock_skew_seconds":
                self.skew = value
            case "api_requests_total":
                self.codes.setdefault(operation, Counter())[labels["code"]] += int(value)
            case "poll_coverage_ratio":
                self.coverage[operation] = value
            case "poll_last_success_timestamp_seconds":
                self.last_success[operation] = value
            case "api_request_duration_seconds_count":
                self.slow += value
            case "api_request_duration_seconds_bucket" if labels["le"] == SLOW:
                self.slow -= value
            case _ if name.startswith(("sessions", "session_", "user")):
                of_whom = tuple(labels[label] for label in LABELS if label in labels)
                self.numbers.setdefault(name, {})[of_whom] = value


def read(text: str) -> dict[str, Told]:
    """What is told, by project."""
    told: dict[str, Told] = {}
    for sample in (sample for family in parse_text(text) for sample in family.samples if _of_project(sample)):
        name = sample.name.removeprefix(PREFIX)
        told.setdefault(sample.labels["project"], Told()).take(name, sample.labels, sample.value)
    return told


def _of_project(sample: Sample) -> bool:
    return sample.name.startswith(PREFIX) and "project" in sample.labels
