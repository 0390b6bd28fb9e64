"""What the library says while it works.

Library code never prints: it emits events, and whoever runs it decides what they look like. The command line draws
them (`cli/output.py`); without a subscriber, messages go to the `mltool` logger and progress is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

logger = logging.getLogger("mltool")


@dataclass(frozen=True, slots=True)
class Message:
    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A long task moved on; `done == total` or `finished` ends it."""

    task: str
    done: int
    total: int | None
    unit: str
    detail: str = ""
    finished: bool = False


Event = Message | Progress
Handler = Callable[[Event], None]

_handlers: list[Handler] = []
_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextmanager
def subscribed(handler: Handler) -> Iterator[None]:
    """Send every event to `handler` until the block ends."""
    _handlers.append(handler)
    try:
        yield
    finally:
        _handlers.remove(handler)


@contextmanager
def collected() -> Iterator[list[str]]:
    """The messages of a block, for whoever asked for its work, instead of for those who subscribed."""
    texts: list[str] = []
    token = _collected.set(texts)
    try:
        yield texts
    finally:
        _collected.reset(token)


def emit(event: Event) -> None:
    texts = _collected.get()
    if texts is not None:
        if isinstance(event, Message):
            texts.append(event.text)
        return
    if not _handlers and isinstance(event, Message):
        logger.log(logging.WARNING if event.level == "warning" else logging.INFO, event.text)
    for handler in _handlers:
        handler(event)


def info(text: str) -> None:
    emit(Message("info", text))


def warning(text: str) -> None:
    emit(Message("warning", text))


class Tracker:
    """Counts the items of one long task and emits its progress."""

    def __init__(self, task: str, total: int | None, unit: str) -> None:
        self.task, self.total, self.unit, self.done = task, total, unit, 0

    def advance(self, num_items: int, detail: str = "") -> None:
        self.done += num_items
        emit(Progress(self.task, self.done, self.total, self.unit, detail))


@contextmanager
def track(task: str, total: int | None, unit: str) -> Iterator[Tracker]:
    """Report the progress of `task`, counted in `unit` (a plural noun), until the block ends."""
    tracker = Tracker(task, total, unit)
    emit(Progress(task, 0, total, unit))
    try:
        yield tracker
    finally:
        emit(Progress(task, tracker.done, total, unit, finished=True))
