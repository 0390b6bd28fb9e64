"""What is known of one long task, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mltool.cli import words
from mltool.core.events import Progress


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
