"""The only place that prints: stdout is data, stderr is talk.

rich is imported where a table is drawn, so that an error or a path costs nothing.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mltool.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType


class UnwritableError(Exception):
    """Standard output takes no more: its reader went away, or its disk is full; the cause says which."""


class Mode(StrEnum):
    human = "human"
    json = "json"
    quiet = "quiet"


_mode = Mode.human


def mode() -> Mode:
    return _mode


def reset() -> None:
    """Start as a new process would: for people, and never failing on a character that the terminal lacks."""
    global _mode
    _mode = Mode.human
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def choose(wanted: Mode) -> None:
    """Set the mode that an option asks for.

    Raises:
        ConfigError: Another option asked for another mode.
    """
    global _mode
    if _mode not in (Mode.human, wanted):
        raise ConfigError("`--json` and `--quiet` exclude each other", hint="`--json` holds the path as well")
    _mode = wanted


def is_utf8(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def symbol(name: str) -> str:
    """A mark for `passed`, `partly`, `failed`, `not_run` or `damaged`; never without the word beside it."""
    pretty = {"passed": "✓", "partly": "~", "failed": "✗", "not_run": "·", "damaged": "✗"}
    plain = {"passed": "+", "partly": "~", "failed": "x", "not_run": "-", "damaged": "x"}
    return (pretty if is_utf8(sys.stdout) else plain)[name]


def write(text: str) -> None:
    """Write one line, or several, of data.

    Raises:
        UnwritableError: It could not be written.
    """
    try:
        sys.stdout.write(f"{text}\n")
    except OSError as error:
        raise UnwritableError from error


def write_json(value: Any) -> None:
    """Write one JSON value; numbers that JSON lacks (NaN, infinity) become null."""
    indent = 2 if sys.stdout.isatty() else None
    write(json.dumps(_finite(value), indent=indent, ensure_ascii=not is_utf8(sys.stdout), allow_nan=False))


def write_json_lines(values: Iterable[Any]) -> None:
    for value in values:
        write(json.dumps(_finite(value), ensure_ascii=not is_utf8(sys.stdout), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value


def say(text: str, *, style: str = "") -> None:
    """Talk to the person, unless they want quiet."""
    if _mode is not Mode.quiet:
        sys.stderr.write(f"{paint(flowing(text, sys.stderr), style, sys.stderr)}\n")


def warn(text: str) -> None:
    _say_marked("warning:", "yellow", text)


def show_error(message: str, hint: str | None) -> None:
    _say_marked("error:", "red", message)
    if hint:
        _say_marked("hint:", "cyan", hint)


def _say_marked(mark: str, style: str, text: str) -> None:
    shown = flowing(f"{mark} {text}", sys.stderr).removeprefix(mark)
    sys.stderr.write(f"{paint(mark, style, sys.stderr)}{shown}\n")


def flowing(text: str, stream: TextIO, indent: str = "") -> str:
    """`text` broken between words, where a terminal would break within them; a long word, as a path, stays whole."""
    if not stream.isatty():
        return text
    import shutil
    import textwrap

    width = shutil.get_terminal_size().columns
    lines = (
        textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "\n".join(lines)


_CODES = {"red": "1;31", "yellow": "1;33", "cyan": "36", "bold": "1", "dim": "2"}


def paint(text: str, style: str, stream: TextIO) -> str:
    if not style or not is_terminal(stream) or os.environ.get("NO_COLOR") or os.name == "nt":
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def draw(*parts: RenderableType) -> None:
    """Draw for people; what is not a terminal is wide, so that nothing is cut."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 200
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)
    with console.capture() as drawn:
        console.print(*parts, sep="\n")
    for line in drawn.get().splitlines():
        write(line.rstrip())


def draw_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Draw a compact table without its empty columns; a column whose name starts with `>` is set right."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    rows = list(rows)
    filled = [n for n in range(len(columns)) if n == 0 or any(row[n] for row in rows)]
    for column in (columns[n] for n in filled):
        right = column.startswith(">")
        table.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[n]) for n in filled))
    draw(table)


def relative(path: Path) -> str:
    """`path` as a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
