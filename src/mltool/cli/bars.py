"""Live bars on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as Live
from rich.progress import Task as Row
from rich.text import Text

from mltool.cli import output
from mltool.cli.task import Task

_SECONDS_BETWEEN_UPDATES = 0.1


class _State(ProgressColumn):
    """Drawn anew at every refresh, so that the time left runs on while an item takes long."""

    def render(self, task: Row) -> Text:
        ours: Task = task.fields["task"]
        return Text(ours.state(), no_wrap=True, overflow="ellipsis")


class Bars:
    """One bar for each task that runs; an ended task leaves a line."""

    def __init__(self) -> None:
        self._live: Live | None = None
        self._rows: dict[str, tuple[TaskID, float]] = {}

    def move(self, task: Task) -> None:
        if self._live is None:
            console = Console(stderr=True, highlight=False, markup=False, emoji=False)
            # stdout is left alone: data must not turn into talk.
            self._live = Live(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=16),
                _State(),
                console=console,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        now = task.clock()
        if task.name not in self._rows:
            self._rows[task.name] = (self._live.add_task(task.name, total=task.total, task=task), now)
        row, updated = self._rows[task.name]
        if now - updated >= _SECONDS_BETWEEN_UPDATES:
            self._rows[task.name] = (row, now)
            self._live.update(row, completed=task.done, total=task.total)

    def end(self, task: Task) -> None:
        if self._live is not None and task.name in self._rows:
            self._live.remove_task(self._rows.pop(task.name)[0])
            if not self._rows:
                self.close()
        output.say(task.ending(), style="dim")

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
            self._rows.clear()
