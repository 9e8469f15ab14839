"""Findings: what a check found, and how it is printed. No finding names a user or holds a secret."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import partial


class Verdict(StrEnum):
    """The first word of a line."""

    OK = "ok"
    WARN = "warn"  # Works, but needs attention
    FAIL = "FAIL"
    SKIP = "skip"  # not checked because something else failed


ENDPOINT = "endpoint"
CLOCK = "clock"
CREDENTIALS = "credentials"
PERMISSION = "permission"
WATCHED = "users"
ONE_USER = "one user"
REQUEST_BUDGET = "request budget"

_VERDICT_WIDTH = max(map(len, Verdict))
_CHECK_WIDTH = max(map(len, (ENDPOINT, CLOCK, CREDENTIALS, PERMISSION, WATCHED, ONE_USER, REQUEST_BUDGET)))
_INDENT = " " * (_VERDICT_WIDTH + _CHECK_WIDTH + 4)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of one project; ``remedy`` says what to do."""

    verdict: Verdict
    check: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.verdict:<{_VERDICT_WIDTH}}  {self.check:<{_CHECK_WIDTH}}  {self.text}"
        return f"{line}\n{_INDENT}-> {self.remedy}" if self.remedy else line


@dataclass(frozen=True)
class NotQueried:
    """The answer to a request that was not sent."""

    reason: str


ok = partial(Finding, Verdict.OK)
warn = partial(Finding, Verdict.WARN)
fail = partial(Finding, Verdict.FAIL)
skip = partial(Finding, Verdict.SKIP)


def summary(counts: Counter[Verdict]) -> str:
    """Return the last line."""
    return f"summary: {', '.join(f'{counts[verdict]} {verdict}' for verdict in Verdict)}"
