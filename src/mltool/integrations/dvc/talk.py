"""Keeps DVC from talking by itself, and tells it where an emulator stands for Google's storage."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mltool.core import events

_LOGGERS = ("dvc", "dvc_data", "dvc_objects", "gcsfs", "fsspec", "asyncio")
_BARS = ("dvc.progress", "dvc_data.callbacks")
"""Whose level decides whether DVC draws bars."""
_EMULATOR = "STORAGE_EMULATOR_HOST"


def prepare(endpoint: str | None = None) -> None:
    """Set what gcsfs reads when it is imported, and only then.

    Args:
        endpoint: An address that a remote's own settings give in the place of Google's.

    A gcsfs of 2026 asks over gRPC whether a bucket is hierarchical; an emulator that speaks plain HTTP lets each such
    question wait for its timeout of a minute.
    """
    if endpoint or emulator():
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


def emulator() -> str | None:
    """The address that stands for Google's storage, as Google's own clients read it."""
    address = os.environ.get(_EMULATOR)
    return f"http://{address}" if address and "://" not in address else address or None


class _Failures(logging.Handler):
    """Keeps what DVC only logs: the errors of single files, of which it raises no more than their number."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.found.append(error)


@contextmanager
def quiet() -> Iterator[list[BaseException]]:
    """Keep DVC from logging and drawing until the block ends; holds the errors that it met on the way."""
    failures = _Failures()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of its libraries about each other
        for name in _LOGGERS:
            stack.enter_context(held(logging.getLogger(name), logging.ERROR, failures))
        for name in _BARS:
            stack.enter_context(held(logging.getLogger(name), logging.CRITICAL, failures))
        yield failures.found


@contextmanager
def held(logger: logging.Logger, level: int, handler: logging.Handler) -> Iterator[None]:
    """Let a logger speak to one handler alone until the block ends."""
    handlers, before, propagate = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(before)


@contextmanager
def progress(task: str) -> Iterator[None]:
    """Report what DVC moves until the block ends as progress of `task`, in the place of the bars that it would draw."""
    from dvc_data.index import fetch, push
    from fsspec.callbacks import Callback

    class Bar(Callback):  # type: ignore[misc]
        total = 0

        def __init__(self, **how: object) -> None:
            super().__init__()

        def set_size(self, size: int) -> None:
            self.total = max(self.total, size)  # all there is comes first; the parts that it is moved in come after
            super().set_size(size)

        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            if inc and self.value <= self.total:
                events.emit(events.Progress(task, self.value, self.total, "files"))

    before = [(module, module.TqdmCallback) for module in (fetch, push)]
    for module, _ in before:
        module.TqdmCallback = Bar  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, bar in before:
            module.TqdmCallback = bar  # type: ignore[attr-defined]
