"""All Python of a project together: which source uses which, and where something is called."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property

from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.python_source import Call, Class, Import, Module, read_module, role_of

MAX_PARSED_BYTES = 4 << 20
"""Of all sources together, some 100,000 lines; those that tell most come first."""
_TELLING = (
    "torch", "sklearn", "wandb", "mlflow", "fastapi", "flask", "hydra", "optuna", "DataLoader", "onnx", "evidently",
    "prometheus", "logging", "loguru", "locust", "google.cloud", "omegaconf", "keras", "transformers", "xgboost",
    "jax",
)  # fmt: skip
_IMPORT = re.compile(r"^(?:from|import) +([A-Za-z_][\w.]*)", re.MULTILINE)

Place = tuple[Module, Call]


class Code:
    def __init__(self, project: Project) -> None:
        self.project = project
        self._broken: list[str] = []

    @property
    def broken(self) -> list[str]:
        """Place and problem of every source that is no Python."""
        self.modules  # noqa: B018  # reading them finds it out
        return self._broken

    @cached_property
    def paths(self) -> list[str]:
        return [path for path in self.project.with_suffix(".py", ".ipynb") if not self.project.files[path].is_link]

    @cached_property
    def modules(self) -> list[Module]:
        found, num_bytes, num_left_out = [], 0, 0
        texts = {path: self.project.text(path) for path in self.paths}
        for path in sorted(texts, key=lambda path: (_rank(path, texts[path]), path)):
            if num_bytes + len(texts[path]) > MAX_PARSED_BYTES:
                num_left_out += 1
                found.append(_imports_alone(path, texts[path]))
                continue
            num_bytes += len(texts[path])
            module = self._module(path, texts[path])
            if module is not None:
                found.append(module)
        if num_left_out:
            self.project.report(".", f"there is too much code: of {num_left_out:,} files only the imports are read")
        return found

    def _module(self, path: str, text: str) -> Module | None:
        try:
            is_notebook = path.endswith(".ipynb")
            module = read_module(path, _cells(text) if is_notebook else text)
            module.is_script |= is_notebook
            return module
        except SyntaxError as error:
            where, problem = f"{path}:{error.lineno or 1}", f"is no Python: {error.msg}"
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            where, problem = path, f"cannot be read: {error}"
        except (RecursionError, MemoryError):
            where, problem = path, "cannot be read: it is nested too deep"
        self._broken.append(f"{where} {problem}")
        self.project.report(where, problem)
        return None

    def of_role(self, *roles: str) -> list[Module]:
        return [module for module in self.modules if module.role in roles]

    @cached_property
    def sources(self) -> list[Module]:
        """What the project is made of: no tests, examples or notebooks."""
        return self.of_role("source")

    @cached_property
    def working(self) -> list[Module]:
        """What may train, serve or measure; examples and benchmarks are no evidence of a project that has sources."""
        return self.of_role("source", "notebook") if self.sources else self.of_role("notebook", "example")

    def calls(self, *names: str, among: Iterable[Module] | None = None) -> Iterator[tuple[Module, Call]]:
        """Calls by their full name, its beginning (`wandb.*`) or its end (`*.backward`), in the order of files."""
        wanted = {id(module) for module in (self.working if among is None else among)}
        found: dict[int, Place] = {}
        for name in names:
            head, tail = name.partition(".")[0], name.rpartition(".")[2]
            if head == "*":
                places = [one for one in self._by_tail.get(tail, ()) if one[1].name.endswith(name[1:])]
            elif tail == "*":
                places = [one for one in self._by_head.get(head, ()) if one[1].name.startswith(name[:-1])]
            else:
                places = [one for one in self._by_tail.get(tail, ()) if one[1].name == name]
            found.update((id(call), (module, call)) for module, call in places if id(module) in wanted)
        yield from sorted(found.values(), key=lambda one: (one[0].path, one[1].line))

    @cached_property
    def _by_tail(self) -> dict[str, list[Place]]:
        return self._grouped(lambda name: name.rpartition(".")[2])

    @cached_property
    def _by_head(self) -> dict[str, list[Place]]:
        return self._grouped(lambda name: name.partition(".")[0])

    def _grouped(self, part: Callable[[str], str]) -> dict[str, list[Place]]:
        found: dict[str, list[Place]] = {}
        for module in self.modules:
            for call in module.calls:
                found.setdefault(part(call.name), []).append((module, call))
        return found

    def where_called(self, *names: str, among: Iterable[Module] | None = None) -> list[str]:
        return [module.at(call.line) for module, call in self.calls(*names, among=among)]

    def imports(self, *packages: str, among: Iterable[Module] | None = None) -> list[str]:
        """Where a package, or something in it, is imported."""
        wanted = {id(module) for module in (self.working if among is None else among)}
        return [
            module.at(one.line)
            for package in packages
            for module, one in self._imports_by_top.get(package.partition(".")[0], ())
            if id(module) in wanted and (one.name == package or one.name.startswith(f"{package}."))
        ]

    @cached_property
    def _imports_by_top(self) -> dict[str, list[tuple[Module, Import]]]:
        found: dict[str, list[tuple[Module, Import]]] = {}
        for module in self.modules:
            for one in module.imports:
                found.setdefault(one.name.partition(".")[0], []).append((module, one))
        return found

    def classes(self, *bases: str, among: Iterable[Module] | None = None) -> list[tuple[Module, Class]]:
        """Classes that descend from one of `bases`, through classes of the project too."""
        modules = self.working if among is None else list(among)
        everything = [(module, one) for module in modules for one in module.classes]
        found: dict[str, tuple[Module, Class]] = {}
        wanted = set(bases)
        while True:
            new = {
                one.name: (module, one)
                for module, one in everything
                if one.name not in found
                and any(base in wanted or base.rpartition(".")[2] in found for base in one.bases)
            }
            if not new:
                return list(found.values())
            found |= new

    @cached_property
    def _by_name(self) -> dict[str, Module]:
        """Modules by every name that they may be imported as: from any folder at or above them that is no package."""
        found: dict[str, Module] = {}
        for module in self.modules:
            parts = module.path.removesuffix(".py").removesuffix("/__init__").split("/")
            for start in range(len(parts)):
                folder = "/".join(parts[:start])
                if not start or f"{folder}/__init__.py" not in self.project.files:
                    found.setdefault(".".join(parts[start:]), module)
        return found

    def module_of(self, name: str) -> Module | None:
        """The project's own module that a dotted name leads to."""
        while name:
            module = self._by_name.get(name)
            if module is not None:
                return module
            name = name.rpartition(".")[0]
        return None

    @cached_property
    def _folders(self) -> set[str]:
        """Folders with Python in them, at the top and in `src`."""
        parts = [path.split("/") for path in self.paths]
        return {one[0] for one in parts if len(one) > 1} | {one[1] for one in parts if len(one) > 2 and one[0] == "src"}

    def is_own(self, name: str) -> bool:
        """Whether an import is of the project itself."""
        top = name.partition(".")[0]
        return top in self._by_name or top in self._folders

    @cached_property
    def _imported_by(self) -> dict[str, list[Module]]:
        """The project's own modules that each of them imports itself."""
        found: dict[str, list[Module]] = {}
        for module in self.modules:
            others = (self.module_of(one.name) for one in module.imports if self.is_own(one.name))
            found[module.path] = list({other.path: other for other in others if other is not None}.values())
        return found

    @cached_property
    def _importers(self) -> dict[str, list[Module]]:
        found: dict[str, list[Module]] = {}
        for module in self.modules:
            for other in self._imported_by[module.path]:
                found.setdefault(other.path, []).append(module)
        return found

    def importers(self, module: Module) -> list[Module]:
        """Everything of the project that imports a module itself."""
        return self._importers.get(module.path, [])

    def reached_from(self, module: Module) -> list[Module]:
        """A module and everything of the project that it imports, directly or not."""
        if module.path not in self._reached:
            found, waiting = {module.path: module}, [module]
            while waiting:
                new = [one for one in self._imported_by[waiting.pop().path] if one.path not in found]
                found.update((one.path, one) for one in new)
                waiting += new
            self._reached[module.path] = list(found.values())
        return self._reached[module.path]

    @cached_property
    def _reached(self) -> dict[str, list[Module]]:
        return {}


def _rank(path: str, text: str) -> int:
    if role_of(path) == "test":
        return 1
    return 0 if any(word in text for word in _TELLING) else 2


def _imports_alone(path: str, text: str) -> Module:
    """What is imported at the beginning of a line, without parsing the file."""
    module = Module(path, role_of(path))
    for match in _IMPORT.finditer(text):
        module.imports.append(Import(match[1], text.count("\n", 0, match.start()) + 1, is_optional=False))
    return module


def _cells(text: str) -> str:
    """The code of a notebook, without its magic."""
    lines = []
    for cell in json.loads(text)["cells"]:
        if cell["cell_type"] == "code":
            source = cell["source"]
            whole = source if isinstance(source, str) else "".join(source)
            if not whole.lstrip().startswith("%%"):
                lines += [line for line in whole.splitlines() if not line.lstrip().startswith(("%", "!", "?"))]
    return "\n".join(lines)
