"""Structured logs: one JSON object a line, on stderr."""

from __future__ import annotations

import logging
import os
import sys

import structlog

# Libraries say on this level what a person should see; their chatter stays out.
LIBRARY_LEVEL = logging.WARNING

_extra = structlog.stdlib.ExtraAdder()


def configure(slot: str) -> None:
    """Log as this process."""
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _process(slot),
    ]
    renderers: list[structlog.typing.Processor] = [
        # Without the values of variables: some are keys and tokens.
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        structlog.processors.JSONRenderer(),
    ]
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _add_extra],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=LIBRARY_LEVEL, force=True)


def _add_extra(
    logger: structlog.typing.WrappedLogger, name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """What our own floors say beside the text; what libraries add there is theirs."""
    if not event["_record"].name.startswith("zeratul."):
        return event
    return _extra(logger, name, event)


def _process(slot: str) -> structlog.typing.Processor:
    def add(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["process"] = slot
        event["pid"] = os.getpid()
        return event

    return add
