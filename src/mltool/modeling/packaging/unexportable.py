"""Why a network cannot become a graph, in one line that names the user's own."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable

import torch

from mltool.modeling.user_code import at_line, is_user_file, one_line, where_in_user_code

_SHAPES = "torch.fx.experimental.symbolic_shapes"
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_NODE = re.compile(r"translating node %(\w+)")


def why_not_traced(error: Exception, export: Callable[[], object]) -> str:
    """The reason of the tracer.

    Args:
        export: Does again what raised `error`: only while a batch size is being fixed does torch know where.
    """
    text = str(error)
    if "specialized" in text or "Constraints violated" in text:
        return f"a batch size is baked into the network{_where_fixed(export)}; use -1 or `x.shape[0]` instead"
    where = _last_frame(text) or where_in_user_code(error)
    if "data-dependent" in text:
        why = "the values of a tensor decide which way it goes; use `torch.where` instead"
        return f"the network cannot be exported{where}: {why}"
    return f"the network cannot be exported{where}: {one_line(error)}"


def why_not_converted(error: Exception, program: torch.export.ExportedProgram) -> str:
    """The reason of the converter, which hides the cause behind advice for its own authors."""
    node = _NODE.search(str(error.__cause__ or ""))
    nodes = program.run_decompositions().graph.nodes if node else ()  # as the converter saw them
    traces = [n.meta.get("stack_trace") or "" for n in nodes if node and n.name == node[1]]
    where = _last_frame(traces[0]) if traces else ""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return f"the network cannot become an ONNX graph{where}: {one_line(cause)}"


def _last_frame(text: str) -> str:
    """The last line of the user that a text with a stack in it mentions."""
    frames = [(name, int(number)) for name, number in _FRAME.findall(text) if is_user_file(name)]
    return at_line(*frames[-1]) if frames else ""


def _where_fixed(export: Callable[[], object]) -> str:
    """Export once more, and look up the stack at the moment when torch says that it fixes a size."""
    watch, logger = _Watch(), logging.getLogger(_SHAPES)
    handlers, level = logger.handlers, logger.level
    logger.handlers = [watch]
    logger.setLevel(logging.INFO)
    try:
        export()
    except Exception:  # noqa: BLE001, S110 - it is known to fail, and why
        pass
    finally:
        logger.handlers = handlers
        logger.setLevel(level)
    return watch.where


class _Watch(logging.Handler):
    """Keeps the innermost line of the user's code below the export when a size is first fixed."""

    where = ""

    def emit(self, record: logging.LogRecord) -> None:
        if self.where or not record.getMessage().startswith(("eval Eq(", "set_replacement")):
            return
        for frame in reversed(traceback.extract_stack()):
            if frame.name == _where_fixed.__name__:
                return
            if is_user_file(frame.filename):
                self.where = at_line(frame.filename, frame.lineno or 0)
                return
