"""Processes of Python that find the same modules as this one."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class Child(NamedTuple):
    """A process with its ends to write to and to read from."""

    process: subprocess.Popen[str]
    input: IO[str]
    output: IO[str]


def command(*arguments: str) -> list[str]:
    """The command of this Python; ``-P`` so that nothing comes before the modules of the environment."""
    return [sys.executable, "-P", *arguments]


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """A module at work; it ends when its input does."""
    with subprocess.Popen(  # noqa: S603 - ours
        command("-m", module, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Child(process, process.stdin, process.stdout)
        finally:
            process.stdin.close()
