"""Which function judges which item."""

from __future__ import annotations

from collections.abc import Callable

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.verdict import Finding

Judge = Callable[[Evidence], Finding]
JUDGES: dict[str, Judge] = {}


def judges(item: str) -> Callable[[Judge], Judge]:
    """Register a function for an item of the table; a second one for the same item is a mistake of ours."""

    def register(judge: Judge) -> Judge:
        if item in JUDGES:
            raise ValueError(f"`{item}` is judged twice")
        JUDGES[item] = judge
        return judge

    return register
