"""What a check came to, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter


class Verdict(StrEnum):
    """The first word of a line."""

    OK = "ok"
    WARN = "warn"
    """Works, and will hurt."""
    FAIL = "FAIL"
    SKIP = "skip"
    """Not looked at, because of something else."""


ENDPOINT = "endpoint"
CLOCK = "clock"
CREDENTIALS = "credentials"
PERMISSION = "permission"
ONE_USER = "one user"
CALL_BUDGET = "call budget"

_VERDICT_WIDTH = max(map(len, Verdict))
_CHECK_WIDTH = max(map(len, (ENDPOINT, CLOCK, CREDENTIALS, PERMISSION, ONE_USER, CALL_BUDGET)))
_INDENT = " " * (_VERDICT_WIDTH + _CHECK_WIDTH + 4)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one project; ``remedy`` says what to do about it."""

    verdict: Verdict
    check: str
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.verdict:<{_VERDICT_WIDTH}}  {self.check:<{_CHECK_WIDTH}}  {self.text}"
        return f"{line}\n{_INDENT}-> {self.remedy}" if self.remedy else line


def ok(check: str, text: str) -> Finding:
    """It works."""
    return Finding(Verdict.OK, check, text)


def warn(check: str, text: str, remedy: str) -> Finding:
    """It works, and will hurt."""
    return Finding(Verdict.WARN, check, text, remedy)


def fail(check: str, text: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, check, text, remedy)


def skip(check: str, reason: str) -> Finding:
    """It was not looked at."""
    return Finding(Verdict.SKIP, check, reason)


def summary(counts: Counter[Verdict]) -> str:
    """The last line."""
    return f"summary: {', '.join(f'{counts[verdict]} {verdict}' for verdict in Verdict)}"
