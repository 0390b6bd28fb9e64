"""The files of a project behind an import path, found by reading and without running any of them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from mltool.modeling.user_code import is_user_file

_BY_NAME = ("import_module", "__import__")
Module = tuple[str, ...]


def code_files(import_paths: Iterable[str], project: Path) -> list[Path]:
    """The modules that these import paths name, and those of the project that they import, and so on, in order.

    What is installed is left out. Of a module that imports by names made while it runs, all neighbours count.

    Args:
        import_paths: `package.module:Name`; a text without `:` is the name of a choice and stands for no file.
    """
    roots = _roots(project)
    waiting = [module for text in import_paths if ":" in text for module in _with_parents(text.partition(":")[0])]
    seen: set[Module] = set()
    files: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        if (file := _file_of(module, roots)) is not None:
            files.add(file)
            package = module if file.name == "__init__.py" else module[:-1]
            waiting += _imported(file, package)
    return sorted(files)


def _roots(project: Path) -> list[Path]:
    """Where Python looks for the modules of the project: as `import_object` has it, and editable installs of it."""
    known = [Path(text).absolute() for text in sys.path if text]
    inside = [path for path in known if path.is_relative_to(project) and is_user_file(str(path / "any.py"))]
    return list(dict.fromkeys([Path.cwd(), project, *inside]))


def _file_of(module: Module, roots: Iterable[Path]) -> Path | None:
    for root in roots:
        place = root.joinpath(*module)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    return None


def _imported(file: Path, package: Module) -> Iterator[Module]:
    """The modules that a file may import, in whatever function; a name that is no module does no harm."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return  # whoever imports it is told
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            origin = (*above, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield from _with_parents(".".join((*origin, *([] if alias.name == "*" else [alias.name]))))
        elif isinstance(node, ast.Call) and _name(node.func) in _BY_NAME:
            yield from _by_name(node, file, package)


def _by_name(call: ast.Call, file: Path, package: Module) -> Iterator[Module]:
    wanted = call.args[0] if call.args else None
    if isinstance(wanted, ast.Constant) and isinstance(wanted.value, str):
        name = wanted.value.lstrip(".")
        level = len(wanted.value) - len(name)
        above = package[: len(package) - level + 1] if level else ()
        yield from _with_parents(".".join((*above, name)))
    else:
        yield from ((*package, path.stem) for path in file.parent.glob("*.py"))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _with_parents(name: str) -> Iterator[Module]:
    """A module and the packages around it, which Python runs first."""
    parts = tuple(name.split("."))
    return (parts[:length] for length in range(1, len(parts) + 1) if all(parts))
