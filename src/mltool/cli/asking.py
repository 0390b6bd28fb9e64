"""Questions, asked only where somebody can answer."""

from __future__ import annotations

import sys

from mltool.cli import output
from mltool.cli.output import Mode
from mltool.core.errors import ConfigError


def confirmed(question: str, *, yes: bool, declined: str = "nothing was deleted") -> bool:
    """Ask on a terminal; `--yes` answers.

    Args:
        declined: What is said where the answer is no.

    Raises:
        ConfigError: Nobody is there to ask.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()) or output.mode() is not Mode.human:
        raise ConfigError(f"nobody can be asked: {question}", hint="give `--yes` to go ahead")
    # Not `typer.confirm`: it writes a space to stdout, which is data.
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    agreed = sys.stdin.readline().strip().lower() in ("y", "yes")
    if not agreed:
        output.say(declined)
    return agreed
