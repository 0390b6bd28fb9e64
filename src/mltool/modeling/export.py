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
from mltool.modeling.served import Served
from mltool.modeling.user_code import is_user_file, one_line, where_in_user_code

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
    path.write_bytes(_without_paths(model).SerializeToString(deterministic=True))


def _program(served: Served, example: Sequence[np.ndarray]) -> torch.export.ExportedProgram:
    served.eval()
    inputs = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in example)
    batch = Dim(BATCH_AXIS, min=1, max=1 << 20)
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(served, inputs, dynamic_shapes=(tuple({0: batch} for _ in inputs),))
    except Exception as error:  # the tracer runs the user's code, and has errors of many kinds
        raise ExportError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """One line that names the user's line, which the tracer often only mentions in its text."""
    text = str(error)
    if "specialized" in text or "Constraints violated" in text:
        lines = [line.strip(" -*") for line in text.splitlines() if "batch" in line or "specialized" in line]
        return f"a batch size is baked into the network{_user_line(error)}: {lines[0] if lines else one_line(error)}"
    return f"the network cannot be exported{_user_line(error)}: {one_line(error)}"


def _user_line(error: Exception) -> str:
    for line in reversed(str(error).splitlines()):
        parts = line.strip().split('"')
        if line.strip().startswith("File ") and len(parts) > 2 and is_user_file(parts[1]):
            return f" at {Path(parts[1]).name}:{parts[2].replace(', line ', '').split(',')[0]}"
    return where_in_user_code(error)


def _converted(
    program: torch.export.ExportedProgram, input_names: Sequence[str], output_names: Sequence[str]
) -> onnx.ModelProto:
    try:
        with _quiet():
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                external_data=False,
                input_names=list(input_names),
                output_names=list(output_names),
                opset_version=OPSET,
            )
    except Exception as error:  # the converter has errors of many kinds
        raise ExportError(f"the network cannot become an ONNX graph: {one_line(error)}") from error
    if converted is None:
        raise ExportError("the network cannot become an ONNX graph")
    return converted.model_proto


def _without_paths(model: onnx.ModelProto) -> onnx.ModelProto:
    """Take out what exporters write about this machine (stack traces with absolute paths), and name the batch axis."""
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in values:
        for axis in value.type.tensor_type.shape.dim:
            if symbol and axis.dim_param == symbol:
                axis.dim_param = BATCH_AXIS
    model.doc_string = ""
    del model.metadata_props[:]
    graphs = [model.graph, *model.functions]
    for graph in graphs:
        graph.doc_string = ""
        del graph.metadata_props[:]
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for value in (*values, *model.graph.initializer):
        value.doc_string = ""
        if hasattr(value, "metadata_props"):
            del value.metadata_props[:]
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
