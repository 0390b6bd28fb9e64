"""The options that commands share: values are keys, so an option is only a mode."""

from __future__ import annotations

from typing import Annotated

import typer

from mltool.cli import completion, output
from mltool.cli.output import Mode


def _json(value: bool) -> bool:
    if value:
        output.choose(Mode.json)
    return value


def _quiet(value: bool) -> bool:
    if value:
        output.choose(Mode.quiet)
    return value


JsonOpt = Annotated[bool, typer.Option("--json", callback=_json, help="Print one JSON object.")]
QuietOpt = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_quiet, help="Print only what a script needs, such as the path.")
]
PrintConfigOpt = Annotated[
    bool, typer.Option("--print-config", help="Print all keys with their values and where each comes from, and stop.")
]
YesOpt = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOpt = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
OpenOpt = Annotated[bool, typer.Option("--open", help="Open the report in the browser.")]
AcceptOpt = Annotated[
    bool, typer.Option("--accept-failed-checks", help="Deploy although a check failed or is missing; it is recorded.")
]
AskOpt = Annotated[bool, typer.Option("--ask", help="Ask the remote what it holds.")]
FollowOpt = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is still to come, until Ctrl-C.")]
ResumeOpt = Annotated[bool, typer.Option("--resume", help="Continue the newest unfinished run with this config.")]

_Tokens = list[str] | None
_KEYS = "[KEY=VALUE]..."

KeysArg = Annotated[
    _Tokens,
    typer.Argument(metavar=_KEYS, help="Keys of the config.", autocompletion=completion.complete_keys),
]
WeightsKeysArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar=f"WEIGHTS {_KEYS}",
        help="A .pt, .ckpt, .safetensors or .onnx file, and keys of the config.",
        autocompletion=completion.complete_file_then_keys,
    ),
]
ModelKeysArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar=f"[REF] {_KEYS}",
        help="A model (path, digest, name, name@3, or latest, the default), and keys.",
        autocompletion=completion.complete_model_then_keys,
    ),
]
DeploymentArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar="[NAME]",
        help="A deployment; may be left out where there is only one.",
        autocompletion=completion.complete_deployment,
    ),
]
ModelsKeysArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar=f"[REF]... {_KEYS}",
        help="Models (path, digest, name, name@3, or latest, the default), and keys.",
        autocompletion=completion.complete_models_then_keys,
    ),
]
FolderArg = Annotated[
    _Tokens,
    typer.Argument(metavar="[DIR]", help="The folder of a project; by default the current one."),
]
DatasetArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar="[REF]",
        help="A dataset: path, digest, name, name@3, or latest, the default.",
        autocompletion=completion.complete_dataset,
    ),
]
DatasetKeysArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar=f"[REF] {_KEYS}",
        help="A dataset (name, name@3, or latest); by default the newest of each name. And keys.",
        autocompletion=completion.complete_dataset_then_keys,
    ),
]
ModelArg = Annotated[
    _Tokens,
    typer.Argument(
        metavar="REF",
        help="A model: path, digest, name, name@3, or latest.",
        autocompletion=completion.complete_model,
    ),
]
TwoModelsArg = Annotated[
    _Tokens,
    typer.Argument(metavar="A B", help="Two models.", autocompletion=completion.complete_two_models),
]
