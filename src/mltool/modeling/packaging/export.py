"""From a network to a portable graph: `torch.export` first, then ONNX, with an open batch axis or not at all.

The exported program is taken with a batch of 2, because torch specialises on a batch of 1.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch.export import Dim

from mltool.core.errors import MltoolError
from mltool.modeling.packaging.graphs import BATCH_AXIS, rename, without_paths
from mltool.modeling.packaging.served import Served
from mltool.modeling.packaging.unexportable import why_not_converted, why_not_traced

OPSET = 18
_LOGGERS = ("torch.onnx", "onnxscript", "torch.export", "torch.fx", "torch._dynamo", "onnx_ir")


class ExportError(MltoolError):
    """The network cannot become a graph; the message names the line that breaks it."""


def export_onnx(
    served: Served, example: Sequence[np.ndarray], input_names: Sequence[str], output_names: Sequence[str], path: Path
) -> None:
    """Write the graph of a network.

    Args:
        example: Two samples of every input.

    Raises:
        ExportError: The network cannot be exported, or its graph has a fixed batch size.
    """
    program = _program(served, example)
    model = _converted(program, input_names, output_names)
    for value in (*model.graph.input, *model.graph.output):
        axis = value.type.tensor_type.shape.dim[0] if value.type.tensor_type.shape.dim else None
        if axis is None or axis.HasField("dim_value"):
            size = axis.dim_value if axis is not None else "no"
            raise ExportError(f"the graph has a fixed batch size: `{value.name}` has {size} rows on axis 0")
    path.write_bytes(without_paths(model).SerializeToString(deterministic=True))


def _program(served: Served, example: Sequence[np.ndarray]) -> torch.export.ExportedProgram:
    served.eval()
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in example)
    batch = Dim(BATCH_AXIS, min=1, max=1 << 20)

    def export() -> torch.export.ExportedProgram:
        with torch.no_grad(), _quiet():
            return torch.export.export(served, inputs, dynamic_shapes=(tuple({0: batch} for _ in inputs),))

    try:
        return export()
    except Exception as error:  # the tracer runs the user's code, and has errors of many kinds
        raise ExportError(why_not_traced(error, export)) from error


def _converted(
    program: torch.export.ExportedProgram, input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    # The converter names values after operations, such as `mean`, and does not notice that an output has that name.
    made_up = {f"mltool.public/{name}": name for name in (*input_names, *output_names)}
    given = list(made_up)
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=given[: len(input_names)],
                output_names=given[len(input_names) :],
                opset_version=OPSET,
            )
    except Exception as error:  # the converter has errors of many kinds
        with _quiet():
            reason = why_not_converted(error, program)
        raise ExportError(reason) from error
    if converted is None:
        raise ExportError("the network cannot become an ONNX graph")
    model = converted.model_proto
    rename(model.graph, {**{name: f"mltool.own/{name}" for name in made_up.values()}, **made_up})
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own talk (a missing torchvision, deprecations inside torch) from the user."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        talk = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(talk), contextlib.redirect_stderr(talk):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
