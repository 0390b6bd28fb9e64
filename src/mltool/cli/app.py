"""The command line: what commands there are, and one way for all of them to end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from mltool.cli import errors, output
from mltool.cli.commands import (
    checklist,
    compile_,
    data,
    data_places,
    deploy,
    doctor,
    evaluate,
    gcp,
    import_,
    models,
    monitor,
    predict,
    profile,
    quantize,
    run_,
    serve,
    train,
    tune,
)
from mltool.cli.help import Command, Group, examples
from mltool.cli.progress import Talk
from mltool.core.events import subscribed


def _group(help_text: str) -> typer.Typer:
    return typer.Typer(cls=Group, help=help_text, rich_markup_mode=None)


def _add(group: typer.Typer, name: str, function: Callable[..., None], example: str, panel: str | None = None) -> None:
    group.command(name, cls=Command, rich_help_panel=panel, epilog=example)(function)


app = _group("From a PyTorch training script, or trained weights, to a verified, fast, deployed and watched model.")
_add(app, "import", import_.import_, import_.EXAMPLES, "start")
_add(app, "doctor", doctor.doctor, doctor.EXAMPLES, "start")
_add(app, "train", train.train, train.EXAMPLES, "train")
_add(app, "tune", tune.tune, tune.EXAMPLES, "train")
_add(app, "evaluate", evaluate.evaluate, evaluate.EXAMPLES, "train")
_add(app, "predict", predict.predict, predict.EXAMPLES, "train")
_add(app, "profile", profile.profile, profile.EXAMPLES, "optimise")
_add(app, "quantize", quantize.quantize, quantize.EXAMPLES, "optimise")
_add(app, "compile", compile_.compile_, compile_.EXAMPLES, "optimise")

_add(app, "serve", serve.serve, serve.EXAMPLES, "ship")

deploy_app = _group("Put models into service, look at them there, and take them back.")
_add(deploy_app, "local", deploy.local, deploy.LOCAL_EXAMPLES)
_add(deploy_app, "docker", deploy.docker, deploy.DOCKER_EXAMPLES)
_add(deploy_app, "gcp", deploy.gcp, deploy.GCP_EXAMPLES)
_add(deploy_app, "list", deploy.list_, deploy.LIST_EXAMPLES)
_add(deploy_app, "status", deploy.status, deploy.STATUS_EXAMPLES)
_add(deploy_app, "logs", deploy.logs, deploy.LOGS_EXAMPLES)
_add(deploy_app, "stop", deploy.stop, deploy.STOP_EXAMPLES)
_add(deploy_app, "rollback", deploy.rollback, deploy.ROLLBACK_EXAMPLES)
app.add_typer(deploy_app, name="deploy", rich_help_panel="ship", epilog=examples("mltool deploy local"))

monitor_app = _group("Watch models in use.")
_add(monitor_app, "drift", monitor.drift, monitor.DRIFT_EXAMPLES)
_add(monitor_app, "robustness", monitor.robustness, monitor.ROBUSTNESS_EXAMPLES)
_add(monitor_app, "report", monitor.report, monitor.REPORT_EXAMPLES)
app.add_typer(
    monitor_app, name="monitor", rich_help_panel="watch", epilog=examples("mltool monitor drift current=today.csv")
)
gcp_app = _group("Google Cloud, beside what is deployed to it.")
_add(gcp_app, "emulate", gcp.emulate, gcp.EMULATE_EXAMPLES)
app.add_typer(gcp_app, name="gcp", rich_help_panel="ship", epilog=examples("mltool gcp emulate"))

data_app = _group("Decode data once, look at it, and share it.")
_add(data_app, "add", data.add, data.ADD_EXAMPLES)
_add(data_app, "show", data.show, data.SHOW_EXAMPLES)
_add(data_app, "list", data_places.list_, data_places.LIST_EXAMPLES)
_add(data_app, "push", data_places.push, data_places.PUSH_EXAMPLES)
_add(data_app, "pull", data_places.pull, data_places.PULL_EXAMPLES)
_add(data_app, "rm", data.rm, data.RM_EXAMPLES)
app.add_typer(data_app, name="data", rich_help_panel="data", epilog=examples("mltool data add source=iris.csv"))

_add(app, "run", run_.run, run_.EXAMPLES, "project")
_add(app, "checklist", checklist.checklist, checklist.EXAMPLES, "project")

models_app = _group("Look at models, and tidy up.")
_add(models_app, "list", models.list_, models.LIST_EXAMPLES)
_add(models_app, "show", models.show, models.SHOW_EXAMPLES)
_add(models_app, "compare", models.compare, models.COMPARE_EXAMPLES)
_add(models_app, "rm", models.rm, models.RM_EXAMPLES)
_add(models_app, "gc", models.gc, models.GC_EXAMPLES)
app.add_typer(models_app, name="models", rich_help_panel="project", epilog=examples("mltool models list"))


def _version(value: bool) -> None:
    if value:
        from mltool.core.version import version

        output.write(f"mltool {version()}")
        raise typer.Exit


@app.callback(epilog=examples("mltool train", "mltool import weights.pt model.target=src.model:Net"))
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    output.reset()
    talk = Talk()
    with subscribed(talk):
        try:
            command = typer.main.get_command(app)
            return errors.guarded(
                lambda: command.main(list(arguments), prog_name="mltool", standalone_mode=False), arguments
            )
        finally:
            talk.close()


def main() -> None:
    errors.watch_interrupts()
    code = run(sys.argv[1:])
    sys.exit(code if errors.close_stdout() else 1)
