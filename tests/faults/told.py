"""The content of one scrape."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

from faults.truth import Numbers

_SAMPLE = re.compile(r"^huaweicloud_workspace_(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
LABELS = ("user_name", "session_state", "client_version", "agent_version")
NUMBERS = (
    "sessions",
    "sessions_by_version",
    "session_init_failures_total",
    *("users", "users_missing", "users_locked", "users_expired", "users_disabled"),
    *("user_sessions", "user_missing", "user_locked", "user_expired", "user_disabled"),
    "user_account_expires_timestamp_seconds",
)
"""The metrics that are compared. Others count the same in another way."""
SLOW = "6.0"
"""Seconds that no call takes to a server in order; a bucket of the histogram."""


@dataclass
class Told:
    """The content of one scrape about one project."""

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
    starts: float | None = None
    slow: float = 0
    """Calls that took long to answer."""

    def news(self, before: Told, operation: str) -> Counter[str]:
        """The attempts since another scrape, by outcome."""
        return self.codes.get(operation, Counter()) - before.codes.get(operation, Counter())

    def take(self, name: str, labels: dict[str, str], value: float) -> None:  # noqa: C901 - a case for each metric
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
            case "session_starts_total":
                self.starts = value
            case _ if name in NUMBERS:
                of_whom = tuple(labels[label] for label in LABELS if label in labels)
                self.numbers.setdefault(name, {})[of_whom] = value


def read(text: str) -> dict[str, Told]:
    """Return what a scrape says of each project. A full parser would take most of the time of these tests."""
    told: dict[str, Told] = {}
    for name, labels_text, value in _SAMPLE.findall(text):
        labels = parsed_labels(labels_text)
        if "project" in labels:
            told.setdefault(labels["project"], Told()).take(name, labels, float(value))
    return told


@cache
def parsed_labels(text: str) -> dict[str, str]:
    """Parse the labels of a sample. They are the same in every scrape."""
    return {name: re.sub(r"\\(.)", _unescaped, value) for name, value in _LABEL.findall(text)}


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
