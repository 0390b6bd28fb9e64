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
from mltool.modeling.network_form import WEIGHTS
from mltool.modeling.preprocess import from_weights
from mltool.modeling.rebuild import network_of
from mltool.modeling.served import Served, run_eager
from mltool.modeling.tasks import ClassificationHead, CustomHead, RegressionHead
from mltool.runtimes.runner import Arrays, Runner, Signature


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
    weights = load_file(model.path / WEIGHTS)
    served = Served(
        network_of(model), from_weights(weights, len(schema.inputs)), heads.get(made_with["task"], CustomHead())
    )
    try:
        served.load_state_dict(weights)
    except RuntimeError as error:
        raise ArtifactError(f"the weights of `{model.label}` do not fit its network: {error}") from error
    return EagerRunner(served.eval(), signature, threads or host.num_cores())
