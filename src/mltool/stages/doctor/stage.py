"""Look at everything that mltool needs or may use, and say of each thing that is wrong what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core.version import version
from mltool.stages.doctor import credentials, fitting, machine, probes
from mltool.stages.doctor.finding import Row, State
from mltool.stages.doctor.installed import Installed


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, in the order in which it is shown."""

    rows: tuple[Row, ...]

    @property
    def broken(self) -> list[Row]:
        """What is broken that every verb may need."""
        return [row for row in self.rows if row.state is State.broken and row.is_core]

    @property
    def problems(self) -> list[Row]:
        return [row for row in self.rows if row.state in (State.broken, State.warning)]

    def to_json(self) -> dict[str, Any]:
        return {
            "mltool": version(),
            "ok": not self.broken,
            "num_problems": len(self.problems),
            "rows": [row.to_json() for row in self.rows],
        }


def examine(project: Path, store: Path, limit_s: float = probes.LIMIT_S) -> Examination:
    """Look at this machine and what is installed on it.

    Args:
        store: Where artifacts are, or would be.
        limit_s: Seconds that a library has to show that it works.
    """
    installed = Installed()
    rows = [
        *fitting.fitting(installed),
        *probes.libraries(installed, limit_s),
        *machine.machine(store),
        *machine.programs(),
        *credentials.credentials(project),
    ]
    return Examination(tuple(row.without_secrets() for row in rows))
