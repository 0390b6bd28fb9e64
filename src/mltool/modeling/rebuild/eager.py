"""The torch runtime: the eager network, built again from its class and the stored weights."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from safetensors.torch import load_file

from mltool.artifacts.artifact import Artifact
from mltool.core import host
from mltool.core.errors import ArtifactError
from mltool.datasets.schema import schema_of
from mltool.modeling.packaging.network_form import WEIGHTS
from mltool.modeling.packaging.served import Served, run_eager
from mltool.modeling.preprocess import from_weights
from mltool.modeling.rebuild.recipe import network_of
from mltool.modeling.tasks.heads import ClassificationHead, CustomHead, RegressionHead
from mltool.runtimes.runner import Arrays, Runner, Signature
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.verify import relative_error

_NUM_CHECKED = 8
_MAX_ERROR = 1e-3


class EagerRunner:
    def __init__(self, served: Served, signature: Signature, threads: int) -> None:
        self.signature, self._served, self._threads = signature, served, threads

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        checked = self.signature.checked(inputs)
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            return run_eager(self._served, [checked[spec.name] for spec in self.signature.inputs])
        finally:
            torch.set_num_threads(before)


def load(model: Artifact, signature: Signature, threads: int | None) -> Runner:
    schema, made_with = schema_of(model), model.config.get("rebuild", {})
    heads = {"classification": ClassificationHead(made_with.get("output_kind")), "regression": RegressionHead(0.0, 1.0)}
    network = network_of(model)
    if not (model.path / WEIGHTS).is_file():
        raise ArtifactError(
            f"`{model.label}` has a graph of its own and no weights for its network",
            hint="use `backend=auto`, or the float model that it was made from",
        )
    weights = load_file(model.path / WEIGHTS)
    served = Served(network, from_weights(weights, len(schema.inputs)), heads.get(made_with["task"], CustomHead()))
    try:
        served.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"the weights of `{model.label}` do not fit its network: {error}") from error
    runner = EagerRunner(served.eval(), signature, threads or host.num_cores())
    _check_answers(runner, model)
    return runner


def _check_answers(runner: EagerRunner, model: Artifact) -> None:
    """Refuse a network that was built otherwise: with other arguments, or with helpers that changed since."""
    samples = Samples.load(model.path / SAMPLES)
    outputs = runner.run({name: array[:_NUM_CHECKED] for name, array in samples.inputs.items()})
    for name, expected in samples.outputs.items():
        if relative_error(outputs[name], expected[:_NUM_CHECKED]) > _MAX_ERROR:
            raise ArtifactError(
                f"the network built from `{model.config['rebuild']['target']}` answers other values than "
                f"`{model.label}` did when it was made",
                hint="use `backend=onnxruntime`, or give its arguments when it is made: `model.args.NAME=VALUE`",
            )
