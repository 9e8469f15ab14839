"""Logging to standard error: constant events with key-value pairs."""

import logging
import sys

import structlog
from structlog.stdlib import ProcessorFormatter

from exporter.config import Log

_KEY_ORDER = ["timestamp", "level", "event", "project", "operation"]


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
    handler = logging.StreamHandler(sys.stderr)
    rendering = [ProcessorFormatter.remove_processors_meta, *_renderers(settings.format)]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=rendering))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)  # of libraries
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
