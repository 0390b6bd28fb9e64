"""Preprocessing that a graph can hold: fitted on the training split, applied once, composed at export."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from mltool.datasets.columns import Columns
from mltool.datasets.schema import Schema

# Axes: N samples, C channels, H height, W width, F number columns

_MAX_FITTED_ROWS = 100_000
_MAX_DEVIATIONS = 5.0


class Identity(nn.Module):
    """What prepared tensors and category codes get."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class ImageScaling(nn.Module):
    """uint8 pixels to floats of mean 0 and deviation 1 in each channel."""

    mean_C: Tensor
    std_C: Tensor

    def __init__(self, mean_C: Tensor, std_C: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean_C", mean_C)
        self.register_buffer("std_C", std_C)

    def forward(self, image_NCHW: Tensor) -> Tensor:
        mean, std = self.mean_C.view(1, -1, 1, 1) * 255.0, self.std_C.view(1, -1, 1, 1) * 255.0
        # A copy of its own, changed in place by as few passes over the memory as there can be.
        return image_NCHW.to(torch.float32, copy=True).sub_(mean).mul_(1.0 / std)


class NumberScaling(nn.Module):
    """Missing numbers become the median, then every column has mean 0 and deviation 1, cut at 5 deviations."""

    median_F: Tensor
    mean_F: Tensor
    std_F: Tensor

    def __init__(self, median_F: Tensor, mean_F: Tensor, std_F: Tensor) -> None:
        super().__init__()
        self.register_buffer("median_F", median_F)
        self.register_buffer("mean_F", mean_F)
        self.register_buffer("std_F", std_F)

    def forward(self, numbers_NF: Tensor) -> Tensor:
        filled_NF = torch.where(torch.isnan(numbers_NF), self.median_F, numbers_NF)
        # One absurd value must not decide the whole answer, nor, in the validation split, which epoch was the best.
        return ((filled_NF - self.mean_F) / self.std_F).clamp(-_MAX_DEVIATIONS, _MAX_DEVIATIONS)


def fit(schema: Schema, train: Columns) -> list[nn.Module]:
    """One module for each input of the schema, in its order, fitted on at most 100,000 evenly spaced rows."""
    step = -(-len(train) // _MAX_FITTED_ROWS) or 1
    modules: list[nn.Module] = []
    for spec in schema.inputs:
        column = train.inputs[spec.name]
        if schema.image is not None and spec.dtype == "uint8" and len(spec.shape) == 3:
            modules.append(_fit_image(column[::step]))
        elif spec.name == "numbers" and schema.columns_of("number"):
            modules.append(_fit_numbers(np.asarray(column[::step], dtype=np.float64)))
        else:
            modules.append(Identity())
    return modules


def input_words(schema: Schema) -> str:
    """What a network gets for each input of the data, in words."""
    words = {
        "image": "pixels scaled to mean 0 and deviation 1 in each channel",
        "numbers": "numbers scaled to mean 0 and deviation 1, gaps filled with the median",
        "categories": "categories as codes from 0, which is unknown",
    }
    is_raw = all(column.kind == "tensor" for column in schema.columns)
    if is_raw:
        return "the tensors as they are"
    return " and ".join(words.get(spec.name, f"`{spec.name}` as it is") for spec in schema.inputs)


def unfitted(schema: Schema) -> list[nn.Module]:
    """What weights that were trained elsewhere get: pixels scaled to 0..1, everything else as it is."""
    return [
        ImageScaling(torch.zeros(spec.shape[0]), torch.ones(spec.shape[0]))
        if schema.image is not None and spec.dtype == "uint8" and len(spec.shape) == 3
        else Identity()
        for spec in schema.inputs
    ]


def from_weights(weights: Mapping[str, Tensor], num_inputs: int) -> list[nn.Module]:
    """The modules whose values stand in stored weights under `preprocess.0.`, `preprocess.1.` and so on."""
    modules: list[nn.Module] = []
    for index in range(num_inputs):
        own = {
            key.rpartition(".")[2]: value for key, value in weights.items() if key.startswith(f"preprocess.{index}.")
        }
        kinds: list[type[nn.Module]] = [ImageScaling, NumberScaling]
        fitting = next((kind for kind in kinds if own and set(own) == set(kind.__annotations__)), None)
        modules.append(fitting(**own) if fitting else Identity())
    return modules


def _fit_image(image_NCHW: np.ndarray) -> ImageScaling:
    """Moments in chunks, so that no float copy of all pixels is made."""
    num_channels = image_NCHW.shape[1]
    total, squares, count = np.zeros(num_channels), np.zeros(num_channels), 0
    rows = max(1, (4 << 20) // max(1, image_NCHW[0].size * 8))
    for start in range(0, len(image_NCHW), rows):
        chunk = np.asarray(image_NCHW[start : start + rows], dtype=np.float64) / 255.0
        total += chunk.sum(axis=(0, 2, 3))
        squares += (chunk * chunk).sum(axis=(0, 2, 3))
        count += chunk[:, 0].size
    mean_C = total / count
    std_C = np.sqrt(np.maximum(squares / count - mean_C**2, 0.0))
    std_C[std_C < 1e-6] = 1.0
    return ImageScaling(torch.tensor(mean_C, dtype=torch.float32), torch.tensor(std_C, dtype=torch.float32))


def _fit_numbers(numbers_NF: np.ndarray) -> NumberScaling:
    empty_F = np.isnan(numbers_NF).all(axis=0)
    median_F = np.zeros(numbers_NF.shape[1])
    median_F[~empty_F] = np.nanmedian(numbers_NF[:, ~empty_F], axis=0)
    filled_NF = np.where(np.isnan(numbers_NF), median_F, numbers_NF)
    mean_F, std_F = filled_NF.mean(axis=0), filled_NF.std(axis=0)
    std_F[std_F < 1e-12 * np.maximum(1.0, np.abs(mean_F))] = 1.0
    median, mean, std = (torch.tensor(values, dtype=torch.float32) for values in (median_F, mean_F, std_F))
    return NumberScaling(median, mean, std)
