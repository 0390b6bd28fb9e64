"""What stands in one Python source: imports, calls, classes and functions, by parsing it and nothing else."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

Role = str
"""`test`, `notebook`, `example`, or `source`."""
_EXAMPLES = {"examples", "example", "docs", "doc", "benchmarks"}
_TESTS = {"test", "tests", "testing", "unit_tests"}


@dataclass(frozen=True, slots=True)
class Import:
    name: str
    """Absolute and dotted, with what is taken from a module: `torch.nn.functional.relu`."""
    line: int
    is_optional: bool
    """Inside `try`, or for the type checker alone."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    """As imported: `torch.optim.Adam`, whatever it is called here; `x.backward` where `x` is a variable."""
    line: int
    arguments: tuple[Any, ...]
    """Constants by position; None for what is no constant."""
    keywords: Mapping[str, Any]
    function: str
    """The function that it stands in; empty at the top."""


@dataclass(frozen=True, slots=True)
class Class:
    name: str
    line: int
    bases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    line: int
    is_public: bool
    """At the top or in a class at the top, and no part of its name begins with `_`."""
    is_annotated: bool
    is_documented: bool
    decorators: tuple[Call, ...]
    num_asserts: int = 0
    uses: frozenset[str] = frozenset()
    """Names, as imported, that it speaks of; of tests alone."""
    asserts_shape: bool = False


@dataclass(slots=True)
class Module:
    path: str
    role: Role
    imports: list[Import] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    classes: list[Class] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    strings: list[tuple[str, int]] = field(default_factory=list)
    """Those that hold an address or a path."""
    is_script: bool = False
    """It has `if __name__ == "__main__"`, or is a notebook."""

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


def role_of(path: str) -> Role:
    *folders, name = path.split("/")
    if not _EXAMPLES.isdisjoint(folders):
        return "example"
    if not _TESTS.isdisjoint(folders) or name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py":
        return "test"
    return "notebook" if name.endswith(".ipynb") else "source"


def read_module(path: str, source: str | bytes) -> Module:
    """Parse a source; what it says of itself is resolved as far as its imports tell.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: It is no Python, or nested too deep.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a stranger's strings
        tree = ast.parse(source, path)
    module = Module(path, role_of(path))
    _Reader(module).read(tree)
    return module


class _Reader:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.names: dict[str, str] = {}
        """What a name stands for, by imports."""
        self.made_by: dict[str, str] = {}
        """What made a variable: `trainer` by `lightning.Trainer`."""
        self.calls: list[tuple[ast.Call, str]] = []
        self.classes: list[ast.ClassDef] = []
        self.uses: dict[str, set[str]] = {}
        """Names that each function speaks of; of tests alone."""
        self.asserts: dict[str, list[ast.Assert]] = {}

    def read(self, tree: ast.Module) -> None:
        is_test = self.module.role == "test"
        waiting: list[tuple[ast.AST, str, bool]] = [(node, "", False) for node in reversed(tree.body)]
        while waiting:  # the whole tree from top to bottom; most of the time goes here
            node, function, is_optional = waiting.pop()
            kind = type(node)
            if kind is ast.Name or kind is ast.Attribute:
                if is_test and function:
                    self.uses.setdefault(function, set()).add(_dotted(node))
                while type(node) is ast.Attribute:
                    node = node.value
                if type(node) is ast.Name:
                    continue
                waiting.append((node, function, is_optional))
                continue
            visit = _VISITS.get(kind)
            if visit is not None:
                visit(self, node, function, is_optional)
            if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
                function = node.name  # type: ignore[attr-defined]
            elif kind is ast.Try or (kind is ast.If and _is_optional(node)):
                is_optional = True
            for name in reversed(node._fields):
                value = getattr(node, name, None)
                if type(value) is list:
                    waiting += [(one, function, is_optional) for one in reversed(value) if isinstance(one, ast.AST)]
                elif isinstance(value, ast.AST) and not isinstance(value, _LEAVES):
                    waiting.append((value, function, is_optional))
        self._collect(tree)

    def _collect(self, tree: ast.Module) -> None:
        module = self.module
        module.calls = [self._call(node, function) for node, function in self.calls]
        module.classes = [
            Class(node.name, node.lineno, tuple(self._resolved(base) for base in node.bases)) for node in self.classes
        ]
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                module.functions.append(self._function(node, not node.name.startswith("_")))
            elif isinstance(node, ast.ClassDef):
                is_public = not node.name.startswith("_")
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        module.functions.append(self._function(inner, is_public and not inner.name.startswith("_")))

    def _on_call(self, node: ast.Call, function: str, is_optional: bool) -> None:
        self.calls.append((node, function))

    def _on_class(self, node: ast.ClassDef, function: str, is_optional: bool) -> None:
        self.classes.append(node)

    def _on_assert(self, node: ast.Assert, function: str, is_optional: bool) -> None:
        self.asserts.setdefault(function, []).append(node)

    def _on_import(self, node: ast.Import, function: str, is_optional: bool) -> None:
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.names[alias.asname or top] = alias.name if alias.asname else top
            self.module.imports.append(Import(alias.name, node.lineno, is_optional))

    def _on_import_from(self, node: ast.ImportFrom, function: str, is_optional: bool) -> None:
        base = _absolute(self.module.path, node)
        for alias in node.names:
            name = base if alias.name == "*" else f"{base}.{alias.name}" if base else alias.name
            self.names[alias.asname or alias.name] = name
            self.module.imports.append(Import(name, node.lineno, is_optional))

    def _on_assign(self, node: ast.Assign | ast.AnnAssign, function: str, is_optional: bool) -> None:
        if isinstance(node.value, ast.Call):
            self._remember(node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value)

    def _on_with(self, node: ast.withitem, function: str, is_optional: bool) -> None:
        if isinstance(node.context_expr, ast.Call) and node.optional_vars is not None:
            self._remember(node.optional_vars, node.context_expr)

    def _on_constant(self, node: ast.Constant, function: str, is_optional: bool) -> None:
        text = node.value
        if isinstance(text, str) and 3 < len(text) < 500 and ("/" in text or "." in text):
            self.module.strings.append((text, node.lineno))

    def _on_compare(self, node: ast.Compare, function: str, is_optional: bool) -> None:
        if isinstance(node.left, ast.Name) and node.left.id == "__name__":
            self.module.is_script = True

    def _remember(self, target: ast.AST, call: ast.Call) -> None:
        name, maker = _dotted(target), _dotted(call.func)
        if name and name != maker:
            self.made_by[name] = maker

    def _resolved(self, node: ast.AST) -> str:
        return self._as_imported(_dotted(node))

    def _as_imported(self, name: str) -> str:
        return _LIGHTNING.sub("lightning.", self._followed(name))

    def _followed(self, name: str) -> str:
        for _ in range(3):  # `trainer.fit`: what `trainer` was made by, and what that was imported as
            head, _, rest = name.partition(".")
            if head == "self" and rest:
                attribute, _, rest = rest.partition(".")
                head = f"self.{attribute}"
            known = self.names.get(head)
            made = known or self.made_by.get(head)
            if not made or made == head:
                return name
            name = f"{made}.{rest}" if rest else made
            if known:
                return name
        return name

    def _call(self, node: ast.expr, function: str) -> Call:
        if not isinstance(node, ast.Call):
            return Call(self._resolved(node), node.lineno, (), {}, function)
        arguments = tuple(arg.value if isinstance(arg, ast.Constant) else None for arg in node.args)
        keywords = {
            one.arg: one.value.value if isinstance(one.value, ast.Constant) else None
            for one in node.keywords
            if one.arg
        }
        return Call(self._resolved(node.func), node.lineno, arguments, keywords, function)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, is_public: bool) -> Function:
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        is_annotated = all(arg.annotation for arg in given if arg.arg not in ("self", "cls"))
        uses = frozenset(self._as_imported(name) for name in self.uses.get(node.name, ()))
        asserts = self.asserts.get(node.name, [])
        other = sum(name.startswith("self.assert") or name.endswith(_ASSERTING) for name in uses)
        return Function(
            name=node.name,
            line=node.lineno,
            is_public=is_public,
            is_annotated=is_annotated and (node.returns is not None or node.name == "__init__"),
            is_documented=ast.get_docstring(node, clean=False) is not None,
            decorators=tuple(self._call(one, node.name) for one in node.decorator_list),
            num_asserts=len(asserts) + other,
            uses=uses,
            asserts_shape=any(
                isinstance(inner, ast.Attribute) and inner.attr in ("shape", "size", "ndim")
                for one in asserts
                for inner in ast.walk(one)
            ),
        )


_VISITS: dict[type, Any] = {
    ast.Call: _Reader._on_call,
    ast.ClassDef: _Reader._on_class,
    ast.Assert: _Reader._on_assert,
    ast.Import: _Reader._on_import,
    ast.ImportFrom: _Reader._on_import_from,
    ast.Assign: _Reader._on_assign,
    ast.AnnAssign: _Reader._on_assign,
    ast.withitem: _Reader._on_with,
    ast.Constant: _Reader._on_constant,
    ast.Compare: _Reader._on_compare,
}
_LIGHTNING = re.compile(r"^(pytorch_lightning|lightning)(\.[a-z_]+)*\.(?=[A-Z])")
"""Lightning has its classes in several places, under two names; here they have one."""
_OPTIONAL = re.compile(r"TYPE_CHECKING|available|installed|^_?HAS_|find_spec", re.IGNORECASE)
_LEAVES = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)
_ASSERTING = ("pytest.raises", ".assert_close", ".assert_allclose", ".assert_array_equal", ".assert_frame_equal")


def _is_optional(node: ast.AST) -> bool:
    """Whether a condition asks for the type checker, or for whether something is installed."""
    test = getattr(node, "test", None)
    names = [test, *(test.values if isinstance(test, ast.BoolOp) else ())]
    return any(_OPTIONAL.search(_dotted(one)) for one in names if one is not None)


def _dotted(node: ast.AST) -> str:
    """`a.b.c` for names, and for calls and items of such; empty for anything else."""
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Name):
            return ".".join([node.id, *reversed(parts)])
        else:
            return f"?.{'.'.join(reversed(parts))}" if parts else ""


def _absolute(path: str, node: ast.ImportFrom) -> str:
    """The module of an import, relative ones as seen from the project's folder."""
    if not node.level:
        return node.module or ""
    folder = PurePosixPath(path).parts[: -node.level]
    return ".".join([*folder, *([node.module] if node.module else [])])
