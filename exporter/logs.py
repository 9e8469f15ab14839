"""Logging: constant events with key-value pairs, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from exporter import config

_KEY_ORDER = ["timestamp", "level", "event", "project", "operation"]

# Tracebacks without the values of variables, which may be secrets or people's names.
_PLAIN_DICT = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def configure(settings: config.Log) -> None:
    """Send all logging of the process, libraries' included, through one formatter."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings.format)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of libraries
    logging.getLogger("exporter").setLevel(settings.level.upper())


def _rendering(log_format: str) -> list[structlog.typing.Processor]:
    match log_format:
        case "json":
            return [structlog.processors.ExceptionRenderer(_PLAIN_DICT), structlog.processors.JSONRenderer()]
        case "console":
            plain = structlog.dev.plain_traceback
            return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        case _:
            return [
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(key_order=_KEY_ORDER, drop_missing=True, bool_as_flag=False),
            ]
