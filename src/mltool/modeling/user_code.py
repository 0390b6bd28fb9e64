"""The user's own modules, losses and metrics, by import path."""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mltool.core.config.settings import find_project
from mltool.core.errors import ConfigError, MltoolError, UserCodeError


def import_object(path: str, key: str) -> Any:
    """Import `module.path:name`, with the current folder and the project's on the path.

    Args:
        key: The config key that holds the path, for messages.

    Raises:
        ConfigError: The path has no `:`, or there is no such module or name.
        UserCodeError: The module raises while it is imported.
    """
    module_name, colon, name = path.partition(":")
    if not colon or not module_name or not name:
        raise ConfigError(f"`{key}={path}` is no import path", hint="write it as `package.module:Name`")
    for folder in (str(find_project()), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        with user_code(f"importing `{module_name}`"):
            module = importlib.import_module(module_name)
    except UserCodeError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{module_name}.".startswith(f"{cause.name}."):
            raise ConfigError(
                f"`{key}={path}`: there is no module `{cause.name}` in `{Path.cwd()}`",
                hint="run mltool in the folder that holds the package",
            ) from cause
        missing = (cause.name or "").partition(".")[0] if isinstance(cause, ModuleNotFoundError) else ""
        if missing in _EXTRAS:
            raise UserCodeError(error.message, hint=f'`pip install "mltool[{_EXTRAS[missing]}]"` brings it') from cause
        raise
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [other for other in vars(module) if not other.startswith("_")]
            raise ConfigError(
                f"`{key}={path}`: `{module_name}` has no `{name}`", hint=f"it has {', '.join(sorted(names)[:12])}"
            )
        found = getattr(found, part)
    return found


_EXTRAS = {"lightning": "lightning", "pytorch_lightning": "lightning"}
"""The extra that brings a library which users' modules are often written for."""


@contextmanager
def user_code(doing: str) -> Iterator[None]:
    """Turn whatever the user's code raises into one line that names their file and line.

    Raises:
        UserCodeError: The code raised.
    """
    try:
        yield
    except (MltoolError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # a module may even call sys.exit while it is imported
        if isinstance(error, GeneratorExit):
            raise
        raise UserCodeError(f"{doing} failed{where_in_user_code(error)}: {one_line(error)}") from error


def where_in_user_code(error: BaseException) -> str:
    """` at file.py:12 (`the line`)` for the innermost frame that is the user's, else an empty text."""
    if isinstance(error, SyntaxError) and error.filename:
        return at_line(error.filename, error.lineno or 0, error.text or "")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if is_user_file(frame.filename):
            return at_line(frame.filename, frame.lineno or 0)
    return ""


def at_line(filename: str, number: int, text: str = "") -> str:
    """How a line of the user's code is spoken of; its text is read from the file by default."""
    text = (text or linecache.getline(filename, number)).strip()
    return f" at {_shown(filename)}:{number}" + (f" (`{text}`)" if text else "")


def is_user_file(filename: str) -> bool:
    """Whether a file is neither mltool's, nor installed, nor part of Python."""
    package = str(Path(__file__).parent.parent)
    library = str(Path(traceback.__file__).parent)
    outside = (f"{package}{os.sep}", f"{library}{os.sep}", "<frozen", "<string>", "<unknown>")
    return not filename.startswith(outside) and "site-packages" not in filename and bool(filename)


def _shown(filename: str) -> str:
    try:
        return Path(filename).resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return filename


def one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def call_user(function: Callable[..., Any], key: str, *arguments: Any, **keywords: Any) -> Any:
    """Call the user's function under the name of the config key that gave it."""
    with user_code(f"`{key}`"):
        return function(*arguments, **keywords)
