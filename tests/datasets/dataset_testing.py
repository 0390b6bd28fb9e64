"""A table of pets, and whoever listens while it is decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mltool.artifacts.store import Store
from mltool.core import events
from mltool.datasets.config import DataConfig
from mltool.datasets.dataset import Dataset, write_dataset
from mltool.datasets.readers import table

# Axes: N rows


@dataclass
class Heard:
    messages: list[events.Message] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Message):
            self.messages.append(event)
        else:
            self.tasks.append(event.task)

    @property
    def text(self) -> str:
        return "\n".join(message.text for message in self.messages)


def write_table(folder: Path, num_rows: int = 120, *, spoiled: int = 0) -> Path:
    """Two numbers and a colour; the first `spoiled` rows have no label."""
    rows = [
        f"{row * 0.5},{row % 7},{'red' if row % 3 else 'blue'},{'' if row < spoiled else 'cat' if row % 2 else 'dog'}"
        for row in range(num_rows)
    ]
    path = folder / "pets.csv"
    path.write_text("weight,age,colour,species\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def add(path: Path, store: Store, name: str = "pets", **knobs: Any) -> Dataset:
    config = DataConfig(source=str(path), **knobs)
    return write_dataset(table.read(config, path), config, store, name)


def is_empty(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())
