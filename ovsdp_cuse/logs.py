"""Where log entries go, and how they look: structlog to a stream, as text or as JSON."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def configure(level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Write entries of `level` and above to `stream`, standard error by default.

    level, log_format: see LOG_LEVELS and LOG_FORMATS in `configuration`. Text has colours where
    the stream is a terminal and NO_COLOR is not set. JSON is one object a line, with `level`,
    `timestamp` (UTC, ISO 8601), `event` and the entry's own fields.
    """
    stream = stream or sys.stderr
    renderers: dict[str, list[Processor]] = {
        "text": [
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty() and not os.environ.get("NO_COLOR"),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ],
        "json": [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()],
    }
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers[log_format],
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
