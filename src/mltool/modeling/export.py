"""From a network to a portable graph: `torch.export` first, then ONNX, with an open batch axis or not at all.

The exported program is taken with a batch of 2, because torch specialises on a batch of 1.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch.export import Dim

from mltool.core.errors import MltoolError
from mltool.modeling.served import Served
from mltool.modeling.unexportable import why_not_converted, why_not_traced

OPSET = 18
BATCH_AXIS = "batch"
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


def rename(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    """Rename values, in nested graphs too; a name means one value in all of them."""
    for inner in _with_nested(graph):
        for node in inner.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
        for value in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            value.name = new.get(value.name, value.name)


def without_paths(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what exporters write about this machine (stack traces with absolute paths), and name the batch axis."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    symbol = axes[0].dim_param if axes else ""
    _clear(model)
    for graph in (inner for outer in (model.graph, *model.functions) for inner in _with_nested(outer)):
        values = [*graph.value_info]
        tensors: list[onnx.TensorProto] = []
        if isinstance(graph, onnx.GraphProto):  # a function has names only
            values += [*graph.input, *graph.output]
            tensors += graph.initializer
        for part in (graph, *graph.node, *values, *tensors):
            _clear(part)
        for axis in (axis for value in values for axis in value.type.tensor_type.shape.dim):
            if symbol and axis.dim_param == symbol:
                axis.dim_param = BATCH_AXIS
    return model


def _clear(part: Any) -> None:
    part.doc_string = ""
    del part.metadata_props[:]


def _with_nested(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[onnx.GraphProto | onnx.FunctionProto]:
    """A graph or a function, and all graphs inside it, such as the two branches of an `If`."""
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            yield from _with_nested(inner)


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
