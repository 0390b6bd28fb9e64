"""profiling, wandb, lightning: what training costs, what is kept of it, and how much of it is hand-written."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.learning import TRAINERS
from mltool.stages.checklist.reading.store import label
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, not_applicable, partly

_PROFILE = re.compile(
    r"(\.prof|\.pstats|\.pt\.trace\.json|profil\w*\.(txt|html|json|md|svg|png|out)|\.speedscope\.json|trace\.json)(\.gz)?$",
    re.I,
)
_METRICS = (
    "wandb.log",
    "*.run.log",
    "wandb.init.log",
    "mlflow.log_metric",
    "mlflow.log_metrics",
    "*.log_metrics",
    "*.add_scalar",
)
_KEPT = (
    "wandb.Artifact", "wandb.log_artifact", "wandb.init.log_artifact", "*.log_artifact", "mlflow.log_artifact",
    "*.log_model", "mlflow.log_artifacts", "*.link_artifact", "wandb.save",
)  # fmt: skip
_OTHER_TRAINERS = ("*.LightningCLI", "accelerate.Accelerator", "mltool.train", "*.Learner", "ignite.engine.Engine")
_LOGGERS = (
    "*.WandbLogger",
    "*.MLFlowLogger",
    "*.CometLogger",
    "*.NeptuneLogger",
    "*.ClearMLLogger",
    "mlflow.autolog",
    "mlflow.pytorch.autolog",
)


@judges("profiling")
def profiling(evidence: Evidence) -> Finding:
    proofs = evidence.recorded.attested("profile")
    if proofs:
        return done(
            f"{counted(len(proofs), 'profile')} in `.mltool`, the last of {proofs[-1].created_utc[:10]}",
            *_of(proofs[-1].metrics),
        )
    code = evidence.code
    profiled = code.where_called(
        "cProfile.*",
        "torch.profiler.profile",
        "torch.autograd.profiler.profile",
        "*.PyTorchProfiler",
        "*.AdvancedProfiler",
        "*.SimpleProfiler",
        "pyinstrument.*",
        "line_profiler.*",
    )
    profiled += [module.at(call.line) for module, call in code.calls("*.Trainer") if call.keywords.get("profiler")]
    reports = sorted(
        path
        for path in evidence.project.files
        if _PROFILE.search(path) and not path.startswith(("src/", "tests/")) and not path.endswith(".py")
    )
    used = [
        path
        for path in evidence.project.with_suffix(".md")
        if re.search(r"profil", evidence.project.text(path), re.I) and not path.startswith(".")
    ]
    if reports and (profiled or used):
        return done(
            f"report {listed(reports)}", f"made at {listed(profiled)}" if profiled else f"discussed in {listed(used)}"
        )
    if reports:
        return partly(f"report {listed(reports)}", "nothing says what came of it")
    return (
        partly(f"profiler at {listed(profiled)}", "no report is kept")
        if profiled
        else missing("no profiler, no report, no trace")
    )


def _of(metrics: object) -> list[str]:
    numbers = dict(metrics) if isinstance(metrics, dict) else {}
    return [f"{name} {value:.4g}" for name, value in list(numbers.items())[:2]]


@judges("wandb")
def wandb(evidence: Evidence) -> Finding:
    code, path = evidence.code, evidence.learning.training_path
    inits = [
        (module, call)
        for module, call in code.calls(
            "wandb.init",
            "mlflow.start_run",
            "mlflow.set_experiment",
            "neptune.init_run",
            "comet_ml.Experiment",
            "*.clearml.Task.init",
            among=path,
        )
    ]
    loggers = code.where_called(*_LOGGERS, among=path)
    started = [*(module.at(call.line) for module, call in inits), *loggers]
    tracked = evidence.project.recorded(r"runs/[^/]+/wandb/(offline-)?run-[^/]+/.+")
    own = [file.path.rpartition("/wandb/")[0] for file in tracked]
    if own:
        return done(f"{listed(own)}: metrics, config and the model of a run of mltool")
    if not started:
        boards = code.where_called("*.SummaryWriter", "*.TensorBoardLogger", "*.CSVLogger")
        elsewhere = code.where_called("wandb.init", "mlflow.start_run")
        if boards or elsewhere or evidence.recorded.models:
            return partly(
                f"curves alone, at {listed(boards)}"
                if boards
                else f"a tracker at {listed(elsewhere)}, but not where it trains"
                if elsewhere
                else "mltool keeps metrics and config here, and no tracker has them"
            )
        return missing("no tracker where it trains")
    metrics = (
        code.where_called(*_METRICS, "*.log", "*.log_dict", among=path)
        if loggers
        else code.where_called(*_METRICS, among=path)
    )
    configs = loggers or [
        module.at(call.line) for module, call in inits if "config" in call.keywords or call.name.startswith("mlflow")
    ]
    configs += code.where_called("wandb.config.update", "*.log_params", "*.log_param", "*.log_hyperparams", among=path)
    kept = code.where_called(*_KEPT, among=path)
    kept += [
        module.at(call.line) for module, call in code.calls(*_LOGGERS, among=path) if call.keywords.get("log_model")
    ]
    lacks = [word for word, places in (("metrics", metrics), ("config", configs), ("artifacts", kept)) if not places]
    facts = [
        f"tracker at {listed(started)}",
        f"metrics at {listed(metrics, 1)}" if metrics else "",
        f"artifacts at {listed(kept, 1)}" if kept else "",
    ]
    return partly(*facts, f"not tracked: {listed(lacks)}") if lacks else done(*facts)


@judges("lightning")
def lightning(evidence: Evidence) -> Finding:
    code, learning = evidence.code, evidence.learning
    trained = [label(one) for one in evidence.recorded.models if one.facts.get("made_by") == "train"]
    modules = code.classes("lightning.LightningModule")
    trainers = code.where_called(*TRAINERS, *_OTHER_TRAINERS)
    places = [f"`{one.name}` ({module.at(one.line)})" for module, one in modules]
    if trained:
        return done(f"mltool trained {listed(trained)}")
    if modules and trainers:
        return done(listed(places), f"trained at {listed(trainers)}")
    if trainers:
        return done(f"a trainer at {listed(trainers)}")
    if learning.is_of_another_kind:
        return not_applicable(f"its models have a `fit` of their own: {listed(learning.other_kinds, 1)}")
    if modules or code.imports("lightning", "pytorch_lightning"):
        return partly(
            listed(places) or f"imported at {listed(code.imports('lightning', 'pytorch_lightning'))}",
            "but no `Trainer`",
        )
    loops = [module.at(line) for module, line in learning.training]
    return missing(f"hand-written loop at {listed(loops)}" if loops else "no trainer")
