"""What is left to do in a project, and whether this machine is ready for it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from mltool.artifacts.store import open_store

if TYPE_CHECKING:
    from mltool.stages.checklist.stage import Audit
    from mltool.stages.doctor.stage import Examination


def checklist(folder: str | PathLike[str] = ".") -> Audit:
    """Hold a project against the checklist, by reading it: nothing of it is imported, run or written."""
    from mltool.stages.checklist import stage

    return stage.audit(Path(folder))


def doctor() -> Examination:
    """What is installed and works, what fits together, what this machine has, and what mends what is wrong."""
    from mltool.core.config.settings import find_project
    from mltool.stages.doctor import stage

    return stage.examine(find_project(), open_store().root)
