"""Processor time of `mltool --help` and of a config error, against a bare Typer app with as many commands.

    python tests/benchmarks/bench_startup.py [--json OUT] [--quick]

Both are started as a console script starts them, by turns. The bare app is Typer as its documentation shows it, with
commands that do nothing; `rich off` is the same without the coloured help, which is most of its cost. Last come the
heavy libraries that mltool has loaded by then: there should be none.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from _harness import Cost, Report, interleave, mltool, ratio, run_process, start

from mltool.cli.app import app

HEAVY = ("torch", "numpy", "onnx", "onnxruntime", "wandb", "dvc", "google", "omegaconf", "pyarrow", "PIL", "rich")
HELP, ERROR = "mltool --help", "mltool train epochs=x"
BARE_HELP, BARE_ERROR = "bare Typer --help", "bare Typer, a value of the wrong type"
BARE_COMMAND = '''

@app.command()
def command_{index}(name: str = "x", count: int = 1) -> None:
    """Do the thing that has the number {index}."""
'''


def num_commands() -> int:
    groups = [group.typer_instance for group in app.registered_groups]
    return sum(len(one.registered_commands) for one in (app, *groups) if one is not None)


def write_bare_app(folder: Path, name: str, arguments: str) -> None:
    commands = "".join(BARE_COMMAND.format(index=index) for index in range(num_commands()))
    (folder / f"{name}.py").write_text(f"import typer\n\napp = typer.Typer({arguments})\n{commands}", encoding="utf-8")


def bare(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", f"from {name} import app; app()", *arguments]


def heavy_modules(folder: Path, *arguments: str) -> list[str]:
    """Heavy libraries that are loaded when a command ends."""
    code = (
        "import sys\nfrom mltool.cli.app import run\nrun(sys.argv[1:])\n"
        "sys.stderr.write('\\nLOADED ' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    loaded = set(ended.stderr.partition("LOADED ")[2].split())
    return [name for name in HEAVY if name in loaded]


def measure(report: Report, folder: Path, rounds: int) -> None:
    write_bare_app(folder, "bare", "")
    write_bare_app(folder, "bare_without_rich", "rich_markup_mode=None, pretty_exceptions_enable=False")
    commands = {
        "python -c pass": ([sys.executable, "-c", "pass"], 0),
        BARE_HELP: (bare("bare", "--help"), 0),
        f"{BARE_HELP}, rich off": (bare("bare_without_rich", "--help"), 0),
        HELP: (mltool("--help"), 0),
        BARE_ERROR: (bare("bare", "command-1", "--count", "x"), 2),
        f"{BARE_ERROR}, rich off": (bare("bare_without_rich", "command-1", "--count", "x"), 2),
        ERROR: (mltool("train", "epochs=x"), 2),
    }
    variants: dict[str, Callable[[], Cost]] = {
        name: lambda line=line, code=code: run_process(line, folder, expect=code)
        for name, (line, code) in commands.items()
    }
    costs = interleave(variants, rounds)
    report.costs(f"{num_commands()} commands: one start", costs, BARE_HELP)
    found = {HELP: heavy_modules(folder, "--help"), ERROR: heavy_modules(folder, "train", "epochs=x")}
    rows = [{"command": name, "heavy modules": ", ".join(names) or "none"} for name, names in found.items()]
    report.table("what is loaded", rows)
    report.goal(f"{HELP} against {BARE_HELP}", ratio(costs, HELP, BARE_HELP), at_most=1.3)
    report.goal(f"{ERROR} against {BARE_HELP}", ratio(costs, ERROR, BARE_HELP), at_most=2.5)
    report.goal(f"{ERROR} against its like", ratio(costs, ERROR, BARE_ERROR), at_most=2.5)
    report.goal("heavy modules in both", float(sum(map(len, found.values()))), at_most=0, unit="modules")


def main() -> None:
    report = start(__file__, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        measure(report, Path(folder), 3 if report.quick else 25)
    report.finish()


if __name__ == "__main__":
    main()
