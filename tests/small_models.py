"""Whole models of a store, with graphs written by hand: made in milliseconds, without torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.datasets.schema import SCHEMA, Column, ImageSpec, Schema, Target, TensorSpec
from mltool.runtimes.backends.onnxruntime import OnnxRuntimeRunner
from mltool.runtimes.config import GRAPH
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.verify import Limits, verify
from mltool.stages.monitor.watched import REFERENCE
from mltool.statistics.reference import Reference, build_reference

# Axes: N samples

CLASSES = ("ant", "bee", "cat")
_OUTPUTS = (TensorSpec("logits", "float32", (3,)), TensorSpec("probabilities", "float32", (3,)))
_ONNX = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}
_TARGET = Target("animal", "class", CLASSES)


def linear_model(store: Store, name: str | None = "linear", seed: int = 0, checks: Sequence[Check] = ()) -> Artifact:
    """`x` float32 [N,4] to three classes."""
    spec = TensorSpec("x", "float32", (4,))
    schema = Schema((Column("x", "tensor"),), (spec,), _TARGET)
    random = np.random.default_rng(seed)
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["logits"])]
    weight = random.normal(size=(4, 3)).astype(np.float32)
    inputs = {"x": random.normal(size=(64, 4)).astype(np.float32)}
    return _stored(store, name, schema, nodes, {"weight": weight}, inputs, checks)


def table_model(
    store: Store,
    name: str | None = "table",
    columns: tuple[str, str, str] = ("length", "width", "colour"),
    vocabulary: tuple[str, str] = ("red", "green"),
) -> Artifact:
    """`numbers` float32 [N,2], of which any may be missing, and `categories` int64 [N,1] to three classes."""
    first, second, third = columns
    described = (Column(first, "number"), Column(second, "number"), Column(third, "category", vocabulary))
    specs = (TensorSpec("numbers", "float32", (2,)), TensorSpec("categories", "int64", (1,)))
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("IsNaN", ["numbers"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "numbers"], ["filled"]),
        helper.make_node("Cast", ["categories"], ["codes"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["filled", "codes"], ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weight"], ["logits"]),
    ]
    constants = {"weight": random.normal(size=(3, 3)).astype(np.float32), "zero": np.zeros(1, np.float32)}
    numbers = random.normal(size=(64, 2)).astype(np.float32)
    numbers[::5, 0] = np.nan
    inputs = {"numbers": numbers, "categories": random.integers(0, 3, (64, 1))}
    return _stored(store, name, Schema(described, specs, _TARGET), nodes, constants, inputs)


def picture_model(store: Store, name: str | None = "picture") -> Artifact:
    """`image` uint8 [N,1,8,8] to three classes."""
    spec = TensorSpec("image", "uint8", (1, 8, 8))
    schema = Schema((Column("image", "image"),), (spec,), _TARGET, ImageSpec(1, 8, 8))
    random = np.random.default_rng(2)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    weight = (random.normal(size=(64, 3)) / 500).astype(np.float32)
    inputs = {"image": random.integers(0, 256, (64, 1, 8, 8)).astype(np.uint8)}
    return _stored(store, name, schema, nodes, {"weight": weight}, inputs)


def slow_model(store: Store, name: str | None = "slow") -> Artifact:
    """`x` float32 [N,4] to three classes, after as many turns of a loop as the largest `x[:, 0]` says, rounded down."""
    spec = TensorSpec("x", "float32", (4,))
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["sum", "one"], ["sum_"]),
        ],
        "turn",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    nodes = [
        helper.make_node("Slice", ["x", "first", "second", "axis"], ["turns_N1"]),
        helper.make_node("ReduceMax", ["turns_N1"], ["turns"], keepdims=0),
        helper.make_node("Cast", ["turns"], ["count"], to=TensorProto.INT64),
        helper.make_node("Loop", ["count", "", "zero"], ["turned"], body=body),
        helper.make_node("Mul", ["turned", "zero"], ["nothing"]),
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        helper.make_node("Add", ["product", "nothing"], ["logits"]),
    ]
    constants = {
        "first": np.array([0]), "second": np.array([1]), "axis": np.array([1]),
        "zero": np.zeros(1, np.float32), "weight": np.eye(4, 3, dtype=np.float32),
    }  # fmt: skip
    inputs = {"x": np.random.default_rng(3).uniform(size=(64, 4)).astype(np.float32)}
    inputs["x"][:, 0] = 5000  # slow enough for a server to keep it off its event loop
    return _stored(store, name, Schema((Column("x", "tensor"),), (spec,), _TARGET), nodes, constants, inputs)


def forged_model(store: Store, model: Artifact, name: str = "forged") -> Artifact:
    """The same with other answers recorded than it gives, as of a model that runs otherwise elsewhere."""
    samples = Samples.load(model.path / SAMPLES)
    others = {key: array + np.float32(0.5) for key, array in samples.outputs.items()}
    with store.draft(ArtifactKind.model) as draft:
        for file in (GRAPH, SCHEMA):
            shutil.copy(model.path / file, draft.path(file))
        Samples(samples.inputs, others, samples.target).save(draft.path(SAMPLES))
        manifest = model.manifest
        return draft.commit(name, config=manifest.config, signature=manifest.signature, checks=model.checks)


def _stored(
    store: Store,
    name: str | None,
    schema: Schema,
    nodes: list[onnx.NodeProto],
    constants: dict[str, np.ndarray],
    inputs: dict[str, np.ndarray],
    checks: Sequence[Check] = (),
) -> Artifact:
    signature = Signature(schema.inputs, _OUTPUTS)
    graph = _graph(nodes, schema.inputs, constants)
    runner = OnnxRuntimeRunner(graph, signature, threads=1)
    outputs = runner.run(inputs)
    samples = Samples(inputs, outputs, outputs["logits"].argmax(1))
    proved = [Check.passed("fresh_process"), *verify(runner, samples, Limits(), "classification"), *checks]
    config: dict[str, Any] = {"rebuild": {"task": "classification"}}
    with store.draft(ArtifactKind.model) as draft:
        draft.path(GRAPH).write_bytes(graph)
        draft.path(SCHEMA).write_text(json.dumps(schema.to_json()))
        samples.save(draft.path(SAMPLES))
        _reference(schema, inputs, outputs).save(draft.path(REFERENCE))
        return draft.commit(name, config=config, signature=signature.to_json(), checks=proved)


def _reference(schema: Schema, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> Reference:
    """The samples once more, as held-out rows and as training data."""
    numbers = {c.name: inputs["numbers"][:, i] for i, c in enumerate(schema.columns_of("number"))}
    vocabularies = {c.name: len(c.vocabulary) for c in schema.columns_of("category")}
    categories = {name: (inputs["categories"][:, i], vocabularies[name]) for i, name in enumerate(vocabularies)}
    return build_reference(
        numbers=numbers,
        categories=categories,
        target_classes=None,
        rows=inputs,
        outputs=outputs,
        row_split="validation",
    )


def _graph(nodes: list[onnx.NodeProto], inputs: Sequence[TensorSpec], constants: dict[str, np.ndarray]) -> bytes:
    made = helper.make_graph(
        [*nodes, helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)],
        "net",
        [helper.make_tensor_value_info(s.name, _ONNX[s.dtype], ["batch", *s.shape]) for s in inputs],
        [helper.make_tensor_value_info(s.name, TensorProto.FLOAT, None) for s in _OUTPUTS],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())
