"""The last module of a graph: what the network answers, as named outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mltool.modeling.tasks.outputs import OutputKind, outputs_by_name, single_output

# Axes: N samples, C classes


class ClassificationHead(nn.Module):
    """`logits` and `probabilities` [N,C], right for all three kinds of output."""

    def __init__(self, output_kind: OutputKind) -> None:
        super().__init__()
        self.output_kind = output_kind

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        output_NC = single_output(outputs).float()
        if self.output_kind == "probabilities":
            return {"logits": output_NC.clamp_min(1e-12).log(), "probabilities": output_NC}
        return {"logits": output_NC, "probabilities": torch.softmax(output_NC, dim=1)}


class RegressionHead(nn.Module):
    """`prediction` [N], in the unit of the target."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32))

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        output_N = single_output(outputs).float()
        output_N = output_N.squeeze(1) if output_N.dim() == 2 else output_N
        return {"prediction": output_N * self.std + self.mean}


class CustomHead(nn.Module):
    """Whatever the network answers, under its own names."""

    def forward(self, outputs: Any) -> dict[str, Tensor]:
        return outputs_by_name(outputs)
