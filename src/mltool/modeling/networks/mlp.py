"""A multilayer perceptron for tables: embeddings for categories, residual blocks for the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mltool.datasets.schema import Schema

# Axes: N samples, F number columns, K category columns, D width


class MLP(nn.Module):
    """Takes whichever of `numbers` [N,F] and `categories` [N,K] the schema has; pictures and tensors are flattened."""

    def __init__(
        self, num_features: int, vocabularies: list[int], num_outputs: int, hidden: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [min(16, 2 + round(size**0.5)) for size in vocabularies]
        self.embeddings = nn.ModuleList(nn.Embedding(n + 1, d) for n, d in zip(vocabularies, widths, strict=True))
        layers: list[nn.Module] = []
        width = num_features + sum(widths)
        for _ in range(depth):
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, num_outputs))

    def forward(self, *inputs: Tensor) -> Tensor:
        parts = []
        for tensor in inputs:
            if len(self.embeddings) and tensor.dtype == torch.int64:
                parts += [embed(tensor[:, k]) for k, embed in enumerate(self.embeddings)]
            else:
                parts.append(tensor.flatten(1).float())
        return self.layers(torch.cat(parts, dim=1) if len(parts) > 1 else parts[0])


def build(schema: Schema, num_outputs: int, *, hidden: int = 128, depth: int = 2, dropout: float = 0.0) -> nn.Module:
    vocabularies = [len(column.vocabulary) for column in schema.columns_of("category")]
    num_features = 0
    for spec in schema.inputs:
        if spec.name != "categories" or not vocabularies:
            num_features += int(torch.Size(spec.shape).numel())
    return MLP(num_features, vocabularies, num_outputs, hidden, depth, dropout)
