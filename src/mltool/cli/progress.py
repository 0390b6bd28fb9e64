"""Draws the events of the library: a live bar on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.core.events import Event, Message, Progress

SECONDS_BETWEEN_LINES = 5.0


@dataclass(slots=True)
class Task:
    """What is known of one long task."""

    name: str
    unit: str
    total: int | None
    started: float
    clock: Callable[[], float]
    done: int = 0
    detail: str = ""
    moved: float = field(default=0.0)
    """When `done` last changed."""

    @classmethod
    def of(cls, event: Progress, clock: Callable[[], float]) -> Task:
        now = clock()
        return cls(event.task, event.unit, event.total, now, clock, moved=now)

    def update(self, event: Progress) -> None:
        if event.done != self.done:
            self.moved = self.clock()
        self.done, self.total, self.detail = event.done, event.total, event.detail or self.detail

    @property
    def seconds(self) -> float:
        return self.clock() - self.started

    def state(self) -> str:
        """Items, rate, time left, detail."""
        total = "" if self.total is None else f"/{self.total:,}"
        parts = [f"{self.done:,}{total} {self.unit}"]
        spent = self.moved - self.started
        if self.done and spent > 0:
            parts.append(f"{words.number(self.done / spent)}/s")
            if self.total and self.done < self.total:
                left = spent / self.done * (self.total - self.done) - (self.clock() - self.moved)
                parts.append(f"{words.duration(max(0.0, left))} left")
        return ", ".join([*parts, *([self.detail] if self.detail else [])])

    def ending(self) -> str:
        whole = self.total is None or self.done >= self.total
        count = f"{self.done:,} {self.unit}" if whole else f"stopped at {self.done:,} of {self.total:,} {self.unit}"
        detail = f", {self.detail}" if self.detail else ""
        return f"{self.name}: {count} in {words.duration(self.seconds)}{detail}"


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
