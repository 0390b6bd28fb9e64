"""test-data, test-model, api-tests, loadtest: what is tested, and how one knows that it passes."""

from __future__ import annotations

from collections.abc import Iterable

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.items.continuous import RUNS_TESTS
from mltool.stages.checklist.reading.code import Code
from mltool.stages.checklist.reading.python_source import Function, Module
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly

_CLIENTS = (
    "fastapi.testclient.TestClient", "starlette.testclient.TestClient", "httpx.AsyncClient", "httpx.ASGITransport",
    "litestar.testing.TestClient", "*.test_client",
)  # fmt: skip
_LOAD = r"\b(locust|k6|wrk|hey|vegeta|artillery|ab)\s+(-|run|attack)|\bmltool\s+loadtest\b"

Tests = list[tuple[Module, Function]]


@judges("test-data")
def test_data(evidence: Evidence) -> Finding:
    tests = _tests_of(evidence, evidence.learning.data_sources)
    if not tests:
        return _untested(evidence, "data")
    return _judged(evidence, tests, [])


@judges("test-model")
def test_model(evidence: Evidence) -> Finding:
    tests = _tests_of(evidence, evidence.learning.model_sources)
    if not tests:
        return _untested(evidence, "the model")
    lacks = (
        []
        if any(function.asserts_shape for _, function in tests) or evidence.learning.is_of_another_kind
        else ["none asserts a shape"]
    )
    return _judged(evidence, tests, lacks)


def _untested(evidence: Evidence, what: str) -> Finding:
    files = [
        module.path
        for module in evidence.code.of_role("test")
        if any(one.name.startswith("test") for one in module.functions)
    ]
    word = "data" if what == "data" else "model"
    near = [path for path in files if word in path.rpartition("/")[2]]
    return (
        partly(f"{listed(near)}, but no test in it uses {what} and asserts something")
        if near
        else missing(
            f"no test uses {what}", f"{counted(len(files), 'file')} of tests" if files else "there are no tests"
        )
    )


def _tests_of(evidence: Evidence, sources: Iterable[Module]) -> Tests:
    """Tests with assertions that speak of something in these sources."""
    paths = {module.path for module in sources}
    code = evidence.code
    found: Tests = []
    for module in code.of_role("test"):
        for function in module.functions:
            if (
                function.name.startswith("test")
                and function.num_asserts
                and any(
                    (owner := code.module_of(name)) is not None and owner.path in paths
                    for name in _names(code, module, function)
                )
            ):
                found.append((module, function))
    return found


def _names(code: Code, module: Module, function: Function) -> set[str]:
    """What a test speaks of, also by fixtures and helpers of its file and of every `conftest.py` above it."""
    imported = {one.name for one in module.imports}
    helpers = {one.name: one for one in module.functions}
    for other in code.of_role("test"):
        folder, _, name = other.path.rpartition("/")
        if name == "conftest.py" and module.path.startswith(f"{folder}/"):
            helpers.update((one.name, one) for one in other.functions if one.name not in helpers)
            imported |= {one.name for one in other.imports}
    found: set[str] = set()
    waiting, seen = [function], {function.name}
    while waiting:
        for name in waiting.pop().uses:
            if name in helpers and name not in seen:
                seen.add(name)
                waiting.append(helpers[name])
            elif name not in found and any(name.startswith(one) for one in imported):
                found.add(name)
    return found


def _judged(evidence: Evidence, tests: Tests, lacks: list[str]) -> Finding:
    places = listed([module.at(function.line) for module, function in tests])
    facts = f"{counted(len(tests), 'test')} with assertions: {places}"
    failed = _failed_last(evidence)
    here = [one for one in failed if any(one.startswith(module.path) for module, _ in tests)]
    if here:
        return partly(facts, f"failed when they last ran: {listed(here)}")
    passing = how_they_pass(evidence)
    lacks = [*lacks, *([] if passing else ["nothing shows that they pass: no workflow runs them"])]
    return partly(facts, *lacks) if lacks else done(facts, f"run by {passing}")


def how_they_pass(evidence: Evidence) -> str:
    steps = evidence.workflows.runs(RUNS_TESTS, evidence.workflows.on_changes())
    if steps:
        return steps[0].at
    if ".pytest_cache/v/cache/nodeids" in evidence.project.files and not _failed_last(evidence):
        return "pytest here, and none failed (.pytest_cache)"
    return ""


def _failed_last(evidence: Evidence) -> list[str]:
    path = ".pytest_cache/v/cache/lastfailed"
    failed = evidence.data.json(path) if path in evidence.project.files else None
    return sorted(failed) if isinstance(failed, dict) else []


@judges("api-tests")
def api_tests(evidence: Evidence) -> Finding:
    modules = evidence.code.of_role("test")
    clients = {module.path: module.at(call.line) for module, call in evidence.code.calls(*_CLIENTS, among=modules)}
    files = [
        module for module in modules if module.path in clients and any(one.num_asserts for one in module.functions)
    ]
    if not files:
        return (
            partly(f"the app is called at {listed(list(clients.values()))}, but nothing is asserted")
            if clients
            else missing("no test calls an app")
        )
    facts = f"the app is called at {listed([clients[module.path] for module in files])}"
    steps = evidence.workflows.runs(RUNS_TESTS, evidence.workflows.on_changes())
    return done(facts, f"run by {steps[0].at}") if steps else partly(facts, "no workflow runs them")


@judges("loadtest")
def loadtest(evidence: Evidence) -> Finding:
    proofs = evidence.recorded.attested("loadtest", "load test")
    if proofs:
        return done(f"load test in `.mltool` of {proofs[-1].created_utc[:10]}")
    code = evidence.code
    users = [
        f"`{one.name}` ({module.at(one.line)})"
        for module, one in code.classes("locust.HttpUser", "locust.FastHttpUser", "locust.User", among=code.modules)
    ]
    tasks = [
        module.at(f.line)
        for module in code.modules
        for f in module.functions
        if any(one.name in ("locust.task", "task") for one in f.decorators)
    ]
    scripts = [path for path in evidence.project.with_suffix(".js") if "k6/http" in evidence.project.text(path)]
    if users and tasks:
        return done(f"locust: {listed(users)} with {counted(len(tasks), 'task')} ({listed(tasks, 1)})")
    if scripts:
        return done(f"k6: {listed(scripts)}")
    steps = [step.at for step in evidence.workflows.runs(_LOAD)]
    if users or steps or code.imports("locust", among=code.modules):
        return partly(
            f"{listed(users or steps or code.imports('locust', among=code.modules))}, but nothing that says what to ask"
        )
    return missing("no load test")
