"""How a command ends: every error becomes a line, a hint and an exit code."""

from __future__ import annotations

import difflib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

import typer

from mltool.artifacts.artifact import Artifact
from mltool.cli import output
from mltool.cli.arguments import spellings
from mltool.cli.output import Mode, UnwritableError
from mltool.core.config.settings import STEP_VARIABLE
from mltool.core.errors import CheckError, ConfigError, MltoolError

INTERRUPTED = 130
# The root of what Typer raises for a wrong command line. It has no public name; `BadParameter`, its child, has.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


_interrupts: list[int] = []


def watch_interrupts() -> None:
    """Remember a Ctrl-C: met while a library of C code loads, it comes out as that library's own error."""

    def remember(signum: int, frame: FrameType | None) -> None:
        _interrupts.append(signum)
        signal.default_int_handler(signum, frame)

    signal.signal(signal.SIGINT, remember)


def guarded(call: Callable[[], object], arguments: Sequence[str]) -> int:
    """Run a command and return its exit code, with everything that was to be said on stderr."""
    try:
        return _guarded(call, arguments)
    except UnwritableError as error:
        _complain(error.__cause__)
        return MltoolError.exit_code


def _guarded(call: Callable[[], object], arguments: Sequence[str]) -> int:
    try:
        code = call()
    except MltoolError as error:
        return _end(error, error.exit_code, arguments)
    except (typer.Abort, KeyboardInterrupt):
        return _interrupted(arguments)
    except UnwritableError:
        raise
    except _UsageError as error:
        return _end(_usage(error), ConfigError.exit_code, arguments)
    except Exception as error:  # noqa: BLE001  # whatever is left is our bug: one line, and how to see more
        if _interrupts:
            return _interrupted(arguments)
        first = str(error).partition("\n")[0]
        what = f"{type(error).__name__}: {first}" if first else type(error).__name__
        bug = MltoolError(
            f"mltool failed unexpectedly: {what}", hint="set MLTOOL_DEBUG=1 for the traceback, and report it"
        )
        bug.__cause__ = error
        return _end(bug, bug.exit_code, arguments)
    if code == INTERRUPTED:  # Typer's own word for Ctrl-C
        return _interrupted(arguments)
    return code if isinstance(code, int) else 0


def _end(error: MltoolError, exit_code: int, arguments: Sequence[str]) -> int:
    if os.environ.get("MLTOOL_DEBUG") == "1":
        import traceback

        traceback.print_exception(error.__cause__ if type(error) is MltoolError and error.__cause__ else error)
    kept = error.artifact if isinstance(error, CheckError) else None
    body = {"message": error.message, "hint": error.hint, "exit_code": exit_code}
    # A wrong command line is met before its options are read.
    if output.mode() is Mode.json or "--json" in arguments:
        output.write_json({**(kept.to_json() if isinstance(kept, Artifact) else {}), "error": body})
    elif isinstance(kept, Artifact) and output.mode() is Mode.human:
        from mltool.cli.show import show_artifact

        show_artifact(kept, with_reasons=False)
    if (
        output.mode() is not Mode.json or STEP_VARIABLE not in os.environ
    ):  # else `mltool run` reads the JSON and says it
        output.show_error(error.message, error.hint)
    return exit_code


def _interrupted(arguments: Sequence[str]) -> int:
    hint = None
    if arguments[:1] in (["train"], ["tune"]):
        again = [*arguments, *([] if "--resume" in arguments else ["--resume"])]
        hint = f"continue with `mltool {' '.join(again)}`"
    elif list(arguments[:2]) == ["deploy", "gcp"]:
        hint = "run the same command again: it goes on where it stopped"
    elif list(arguments[:2]) == ["data", "push"]:
        hint = "the same command goes on; what was sent is not sent again"
    elif arguments[:1] == ["run"]:
        hint = "the same command goes on with the step that was interrupted"
    return _end(MltoolError("interrupted", hint=hint), INTERRUPTED, arguments)


def _usage(error: Exception) -> ConfigError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "mltool"
    option = getattr(error, "option_name", None)
    if option and hasattr(error, "possibilities"):
        key = option.lstrip("-").replace("-", "_")
        if key in spellings(command.partition(" ")[2]):
            return ConfigError(f"unknown option `{option}`", hint=f"values are keys: write `{key}=VALUE`")
        known = (
            [name for parameter in context.command.get_params(context) for name in parameter.opts] if context else []
        )
        close = difflib.get_close_matches(option, [name for name in known if name.startswith("--")], 1)
        hint = f"did you mean `{close[0]}`?" if close else f"see `{command} --help`"
        return ConfigError(f"unknown option `{option}`", hint=hint)
    message = getattr(error, "format_message", error.__str__)()
    return ConfigError(message.rstrip(".").replace("'", "`"), hint=f"see `{command} --help`")


def close_stdout() -> bool:
    """Send what is still buffered; False if it cannot be sent, as in `mltool models list | head -1`."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _complain(error)
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _complain(cause: BaseException | None) -> None:
    """Say why standard output takes no more, unless its reader simply had enough."""
    if isinstance(cause, OSError) and not isinstance(cause, BrokenPipeError):
        output.show_error(f"cannot write to standard output: {cause.strerror}", None)
