"""Logging to standard error: constant events with key-value pairs, written without delaying the event loop."""

import logging
import os
import select
import sys
import threading
from functools import cache
from queue import SimpleQueue

import structlog
from structlog.stdlib import ProcessorFormatter

from exporter.config import Log

_KEY_ORDER = ["timestamp", "level", "event", "project", "operation"]
_STANDARD_ERROR = 2  # its descriptor
_WAITING = 4 * 1024**2  # bytes of lines that wait for the reader of standard error; further lines are dropped
_WRITTEN_AT_ONCE = 64 * 1024  # bytes
_LAST_MOMENT = 1.0  # seconds that the process waits at its end for the reader


class BackgroundHandler(logging.Handler):
    """Writes lines to a file descriptor in a thread. If nobody reads them, they are dropped and counted.

    The standard library's QueueListener waits for its thread without a limit, and its queue.Queue deadlocks when an
    object that is garbage collected logs during a put.
    """

    def __init__(self, descriptor: int, most: int = _WAITING) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._most = most
        self._queue = SimpleQueue[bytes | threading.Event]()
        # Each of these has one writer: the thread that holds the handler's lock, or the handler's own thread.
        self._accepted = self._done = 0  # bytes
        self._rejected = self._failed = 0  # lines
        threading.Thread(target=self._run, name="log", daemon=True).start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped since the start."""
        return self._rejected + self._failed

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a line to the thread."""
        try:
            line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        except Exception:  # noqa: BLE001 - an argument that cannot be formatted must not end its caller
            line = f"level=error event=log_line_broken logger={record.name}\n".encode(errors="backslashreplace")
        if self._accepted - self._done + len(line) > self._most:
            self._rejected += 1
            return
        self._accepted += len(line)
        self._queue.put(line)

    def flush(self) -> None:
        """Wait a moment until every line is written. The logging module calls this when the process ends."""
        if self._accepted > self._done:
            reached = threading.Event()
            self._queue.put(reached)
            reached.wait(_LAST_MOMENT)

    def _run(self) -> None:
        while True:
            items = [self._queue.get()]
            size = 0
            while size < _WRITTEN_AT_ONCE and not self._queue.empty():
                items.append(self._queue.get())
                size += len(items[-1]) if isinstance(items[-1], bytes) else 0
            lines = [item for item in items if isinstance(item, bytes)]
            try:
                self._write(b"".join(lines))
            except OSError:  # standard error is closed, or the disk is full
                self._failed += len(lines)
            self._done += sum(map(len, lines))
            for item in items:
                if isinstance(item, threading.Event):
                    item.set()

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:  # whoever started the process made the pipe non-blocking
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()


@cache
def standard_error() -> BackgroundHandler:
    """Return the handler of the process."""
    return BackgroundHandler(_STANDARD_ERROR)


def lines_dropped() -> int:
    """Return how many log lines were dropped because standard error was not read."""
    return standard_error().dropped


def keep_standard_files() -> None:
    """Open /dev/null instead of closed standard files. Otherwise a socket might get the number of standard error."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(number)
    sys.stdin = sys.stdin or open(0)  # noqa: SIM115 - stays open
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115 - stays open
    sys.stderr = sys.stderr or open(_STANDARD_ERROR, "w")  # noqa: SIM115 - stays open


def configure(settings: Log) -> None:
    """Send all log records of the process, including those of libraries, through one formatter."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = standard_error()
    rendering = [ProcessorFormatter.remove_processors_meta, *_renderers(settings.format)]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=rendering))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of libraries
    logging.captureWarnings(capture=True)  # Python itself would write them to standard error, and wait
    logging.getLogger("exporter").setLevel(settings.level.upper())


def _renderers(log_format: str) -> list[structlog.typing.Processor]:
    match log_format:
        case "json":
            # The values of variables may be secrets or people's names.
            without_values = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            return [structlog.processors.ExceptionRenderer(without_values), structlog.processors.JSONRenderer()]
        case "console":
            plain = structlog.dev.plain_traceback
            return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        case _:
            return [
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(key_order=_KEY_ORDER, drop_missing=True, bool_as_flag=False),
            ]
