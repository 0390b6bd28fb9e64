"""Draws the events of the library: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from mltool.cli import output
from mltool.cli.output import Mode
from mltool.cli.task import Task
from mltool.core.events import Event, Message

SECONDS_BETWEEN_LINES = 5.0


class Drawing(Protocol):
    """Shows tasks; used by one thread at a time."""

    def move(self, task: Task) -> None:
        """`task` is new, or moved on."""

    def end(self, task: Task) -> None:
        """`task` is over."""

    def close(self) -> None:
        """No task is shown any more."""


class Nothing:
    def move(self, task: Task) -> None: ...

    def end(self, task: Task) -> None: ...

    def close(self) -> None: ...


class Lines:
    """At most one line in a few seconds, and one at the end."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def move(self, task: Task) -> None:
        now = task.clock()
        if now - self._said.setdefault(task.name, now) >= SECONDS_BETWEEN_LINES:
            self._said[task.name] = now
            output.say(f"{task.name}: {task.state()}")

    def end(self, task: Task) -> None:
        self._said.pop(task.name, None)
        output.say(task.ending())

    def close(self) -> None: ...


def drawing() -> Drawing:
    if output.mode() is Mode.quiet:
        return Nothing()
    if not output.is_terminal(sys.stderr):
        return Lines()
    from mltool.cli.bars import Bars  # rich

    return Bars()


class Talk:
    """Handles the events of one command."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tasks: dict[str, Task] = {}
        self._drawing: Drawing | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, Message):
            (output.warn if event.level == "warning" else output.say)(event.text)
            return
        if self._drawing is None:
            self._drawing = drawing()
        task = self._tasks.get(event.task)
        if task is None:
            task = self._tasks[event.task] = Task.of(event, self._clock)
        task.update(event)
        if event.finished:
            del self._tasks[event.task]
            self._drawing.end(task)
        else:
            self._drawing.move(task)

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()
