"""Hold a project against the checklist, by reading it: nothing of it is imported, run or written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core import events
from mltool.core.errors import ConfigError
from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.items import JUDGES
from mltool.stages.checklist.project import Problem, Project
from mltool.stages.checklist.table import ITEMS, Item
from mltool.stages.checklist.verdict import Finding, Verdict, shown

NUM_NEXT = 3
_ORIGINS = {"O": "original", "N": "later edition"}


@dataclass(frozen=True, slots=True)
class Judged:
    item: Item
    finding: Finding

    @property
    def is_open(self) -> bool:
        return self.finding.verdict in (Verdict.missing, Verdict.partly)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.item.id,
            "title": self.item.title,
            "verdict": self.finding.verdict.value,
            "evidence": self.finding.evidence,
            "command": self.item.command,
            "area": self.item.area,
            "origin": _ORIGINS[self.item.origin],
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """All items of the checklist, in its order.

    Attributes:
        problems: What could not be read, and so is no evidence of anything.
    """

    project: Path
    judged: tuple[Judged, ...]
    problems: tuple[Problem, ...]
    num_files: int

    @property
    def counts(self) -> dict[str, int]:
        counts = Counter(one.finding.verdict for one in self.judged)
        return {verdict.value: counts[verdict] for verdict in Verdict}

    def opens(self, item: Item) -> list[str]:
        """The open items that wait for this one, directly or not."""
        found: list[str] = []
        waiting = [item.id]
        while waiting:
            before = waiting.pop()
            new = [j.item.id for j in self.judged if before in j.item.needs and j.is_open and j.item.id not in found]
            found += new
            waiting += new
        return found

    def next_steps(self) -> list[Judged]:
        """The open items that can be done now and that most others wait for."""
        missing = {one.item.id for one in self.judged if one.finding.verdict is Verdict.missing}
        ready = [one for one in self.judged if one.is_open and not missing & set(one.item.needs)]
        # Of two that open as many, what is missing comes before what is half done, and then the order of the list.
        ready.sort(key=lambda one: (-len(self.opens(one.item)), one.finding.verdict is Verdict.partly))
        return ready[:NUM_NEXT]

    def to_json(self) -> dict[str, Any]:
        return {
            "project": shown(str(self.project)),
            "counts": self.counts,
            "items": [one.to_json() for one in self.judged],
            "next": [one.item.id for one in self.next_steps()],
            "problems": [{"path": one.path, "problem": one.text} for one in self.problems],
            "num_files": self.num_files,
        }


def audit(folder: Path) -> Audit:
    """Judge every item of the checklist for the project in `folder`.

    Raises:
        ConfigError: There is no such folder.
    """
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise ConfigError(
            f"`{folder}` {what}", hint="give the folder of a project; without one it is the current folder"
        )
    project = Project(folder)
    evidence = Evidence(project)
    judged = []
    with events.track("audit", len(ITEMS), "items") as bar:
        for item in ITEMS:
            judged.append(Judged(item, JUDGES[item.id](evidence)))
            bar.advance(1)  # an id beside the bar would read as a result: `58 items in 0.1 s, uploaded`
    return Audit(folder, tuple(judged), tuple(project.problems), len(project.files))
