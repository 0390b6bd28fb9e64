"""Help pages: commands by panel in the order of the road, and examples as they are typed.

Drawn without rich, whose import would take longer than all the rest of `--help`.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from typing import Any

from typer.core import TyperCommand, TyperGroup

from mltool.cli import output
from mltool.core.errors import ConfigError

PANELS = ("start", "data", "train", "optimise", "ship", "watch", "project")
"""The groups of commands, in the order of the road."""


class _Page:
    """How a command, or a group of them, is explained."""

    params: list[Any]
    help: str | None
    epilog: str | None

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        metavars = [parameter.metavar for parameter in self.params if parameter.param_type_name == "argument"]
        return [*metavars, "[OPTIONS]"]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        formatter.write_paragraph()
        formatter.write_text(inspect.cleandoc(self.help or ""))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        parameters = self.get_params(ctx)  # type: ignore[attr-defined]
        arguments = [(p.metavar, p.help) for p in parameters if p.param_type_name == "argument"]
        options = [(", ".join(sorted(p.opts, key=len)), p.help) for p in parameters if p.param_type_name == "option"]
        for name, rows in (("arguments", arguments), ("options", options)):
            _section(formatter, name, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        for paragraph in (self.epilog or "").split("\n\n"):
            head, _, lines = paragraph.partition("\n")
            formatter.write_paragraph()
            formatter.write(f"{output.paint(head, 'bold', sys.stdout)}\n{lines}\n")


class Command(_Page, TyperCommand):
    pass


class Group(_Page, TyperGroup):
    """Without arguments the help, and for an unknown command the nearest one."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["COMMAND ..."]

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: _place(self.commands[name]))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            panels.setdefault(command.rich_help_panel or "commands", []).append((name, _summary(command)))
        width = max(len(name) for name in self.commands)
        for panel, rows in panels.items():
            _section(formatter, panel, [(f"{name:<{width}}", text) for name, text in rows])
        super().format_options(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args or ctx.resilient_parsing else ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in self.commands and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name, self.commands, 1)
            hint = f"did you mean `{ctx.command_path} {close[0]}`?" if close else f"see `{ctx.command_path} --help`"
            raise ConfigError(f"unknown command `{name}`", hint=hint)
        return super().resolve_command(ctx, args)


def _place(command: Any) -> int:
    return PANELS.index(command.rich_help_panel) if command.rich_help_panel else 0


def _summary(command: Any) -> str:
    text = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")
    return f"{text}: {', '.join(command.commands)}" if isinstance(command, TyperGroup) else text


def _section(formatter: Any, name: str, rows: list[tuple[str, str]]) -> None:
    if rows:
        formatter.write_paragraph()
        formatter.write(f"{output.paint(name, 'bold', sys.stdout)}\n")
        with formatter.indentation():
            formatter.write_dl(rows)


def examples(*commands: str, keys: str = "") -> str:
    """The end of a command's help.

    Args:
        keys: The command whose keys `--print-config` lists.
    """
    lines = ["examples" if len(commands) > 1 else "example", *(f"  {command}" for command in commands)]
    more = f"\n\nall keys, with their values\n  {keys} --print-config" if keys else ""
    return "\n".join(lines) + more
