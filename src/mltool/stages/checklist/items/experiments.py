"""config, hydra, sweep: experiments that are described in files."""

from __future__ import annotations

import re
from typing import Any

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import first, inner
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly

_FOLDERS = re.compile(r"(^|/)(conf|configs?|hydra_configs?|experiments?|hparams|params)/.*\.(ya?ml|toml|json)$")
_FILES = re.compile(r"^(src/)?([\w-]+/)?(config|params|hparams|experiment)\w*\.(ya?ml|toml|json)$")
_HYDRA = ("hydra.main", "hydra.compose", "hydra.initialize", "hydra.initialize_config_dir")
_LOADS = (
    *_HYDRA, "omegaconf.OmegaConf.load", "yaml.safe_load", "yaml.load", "tomllib.load", "tomllib.loads", "json.load",
    "*.LightningCLI", "jsonargparse.*", "configargparse.*", "pyrallis.*", "draccus.*", "yaml.full_load",
    "*.from_yaml", "*.load_config", "ml_collections.*", "gin.parse_config_file", "dynaconf.Dynaconf",
    "configparser.ConfigParser", "toml.load",
)  # fmt: skip
_OPTIMIZER = re.compile(r"^(torch\.optim\.\w+|\w*\.?optim\.\w+|(Adam|AdamW|SGD|RMSprop)|transformers\.AdamW)$")


@judges("config")
def config(evidence: Evidence) -> Finding:
    files = config_files(evidence)
    loaded = _decorated(evidence) + evidence.code.where_called(*_LOADS)
    own = _own_config(evidence)
    if own and len(evidence.recorded.models) > 1:
        return done("`mltool.yaml`", f"{counted(len(evidence.recorded.models), 'model')} were made with it")
    if own:
        return partly("`mltool.yaml`", "one experiment: no second model was made with it")
    if not files:
        return missing(
            "no config file", f"settings of a script at {listed(_parsers(evidence))}" if _parsers(evidence) else ""
        )
    if not loaded:
        return partly(listed(files), "no source loads it")
    # Command lines override what Hydra composed, and a group or folder of files is several experiments.
    overridable = bool(_decorated(evidence) or evidence.code.where_called("*.LightningCLI", "jsonargparse.*"))
    if len(files) < 2 and not overridable:
        return partly(f"{listed(files)}, loaded at {listed(loaded)}", "one experiment, and nothing overrides it")
    return done(
        f"{counted(len(files), 'file')}: {listed(files)}",
        f"loaded at {listed(loaded)}",
        "and overridden on the command line" if overridable else "",
    )


def config_files(evidence: Evidence) -> list[str]:
    found = [
        path
        for path in evidence.project.with_suffix(".yaml", ".yml", ".toml", ".json")
        if (_FOLDERS.search(path) or _FILES.match(path)) and not path.startswith((".", "tests/", "docs/", "examples/"))
    ]
    return sorted(found)


def _own_config(evidence: Evidence) -> dict[str, Any]:
    return first(evidence.data.yaml("mltool.yaml")) if "mltool.yaml" in evidence.project.files else {}


def _decorated(evidence: Evidence) -> list[str]:
    return [
        module.at(function.line)
        for module in evidence.code.working
        for function in module.functions
        if any(one.name in ("hydra.main", "jsonargparse.CLI") for one in function.decorators)
    ]


def _parsers(evidence: Evidence) -> list[str]:
    return evidence.code.where_called(
        "argparse.ArgumentParser", "typer.run", "typer.Typer", "*.HfArgumentParser", "jsonargparse.*", "*.LightningCLI"
    )


@judges("hydra")
def hydra(evidence: Evidence) -> Finding:
    own = inner(_own_config(evidence), "train")
    path = evidence.learning.training_path
    managed = evidence.code.imports("hydra", "omegaconf", among=path)
    fixed = [
        f"{module.at(call.line)} lr={value}"
        for module in path
        for call in module.calls
        if _OPTIMIZER.match(call.name) and (value := _literal_rate(call.arguments, call.keywords)) is not None
    ]
    if own and not evidence.learning.training:
        return done("`mltool.yaml` has a section `train`")
    if not evidence.learning.training and not evidence.recorded.models:
        elsewhere = evidence.code.imports("hydra", "omegaconf")
        return partly(f"used at {listed(elsewhere)}, but nothing trains") if elsewhere else missing("nothing trains")
    if own:
        managed.insert(0, "mltool.yaml: `train`")
    if not managed:
        parsed = _parsers(evidence)
        trains = listed([module.at(line) for module, line in evidence.learning.training]) or "mltool"
        facts = f"no Hydra, OmegaConf or `mltool.yaml` where it trains ({trains})"
        return (
            partly(facts, f"but options at {listed(parsed)}")
            if parsed
            else missing(facts, f"fixed: {listed(fixed)}" if fixed else "")
        )
    if fixed:
        return partly(f"used at {listed(managed)}", f"but the learning rate is fixed: {listed(fixed)}")
    return done(f"used at {listed(managed)}", "no learning rate is fixed in the code")


def _literal_rate(arguments: tuple[Any, ...], keywords: Any) -> float | None:
    value = keywords.get("lr", keywords.get("learning_rate", arguments[1] if len(arguments) > 1 else None))
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@judges("sweep")
def sweep(evidence: Evidence) -> Finding:
    project, code = evidence.project, evidence.code
    studies = evidence.recorded.studies
    if any(studies.values()):
        tried = [f"`{name}` of {counted(num, 'trial')}" for name, num in studies.items() if num]
        return done(f"study {listed(tried)} in `.mltool`")
    files = [path for path in project.with_suffix(".yaml", ".yml") if _is_sweep(first(evidence.data.yaml(path)), path)]
    if files:
        return done(f"search space in {listed(sorted(files))}")
    searched = code.where_called(
        "optuna.create_study",
        "wandb.sweep",
        "ray.tune.run",
        "ray.tune.Tuner",
        "*.lr_find",
        "*.GridSearchCV",
        "*.RandomizedSearchCV",
        "hyperopt.fmin",
        "keras_tuner.*",
    )
    searched += [f"{path}: a sweeper of Hydra" for path in config_files(evidence) if "sweeper" in project.text(path)][
        :1
    ]
    stored = [
        path
        for path in project.files
        if re.search(r"(optuna|study|studies|sweep|trials)[\w-]*\.(db|sqlite3?|csv|json|log|pkl|html)$", path)
    ]
    if searched and stored:
        return done(f"search at {listed(searched)}", f"recorded in {listed(sorted(stored))}")
    if studies:
        return partly(f"study {listed([f'`{name}`' for name in studies])} in `.mltool`", "no trial was finished")
    return (
        partly(f"search at {listed(searched)}", "no study is recorded")
        if searched
        else missing("no search space, no study")
    )


def _is_sweep(root: dict[str, Any], path: str) -> bool:
    return (
        "method" in root
        and isinstance(root.get("parameters"), dict)
        and bool(root["parameters"])
        and not path.startswith(".")
    )
