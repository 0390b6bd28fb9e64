from __future__ import annotations

import typer

from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, QuietOpt

EXAMPLES = examples("mltool doctor", "mltool doctor --json")


def doctor(json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Look at what is installed and what this machine has, and say what mends it."""
    import mltool
    from mltool.cli.examinations import show_examination
    from mltool.core.errors import CheckError

    if not show_examination(mltool.doctor()):
        raise typer.Exit(CheckError.exit_code)
