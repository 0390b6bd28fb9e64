from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from mltool.modeling.packaging.graphs import without_paths

PATH = "/home/somebody/net.py"


def described(graph: onnx.GraphProto) -> onnx.GraphProto:
    for part in (graph, *graph.node, *graph.output, *graph.initializer):
        part.doc_string = PATH
        part.metadata_props.add(key="stack_trace", value=PATH)
    return graph


def test_no_graph_inside_a_graph_keeps_a_path_of_this_machine() -> None:
    def branch(name: str) -> onnx.GraphProto:
        weight = helper.make_tensor(f"{name}_weight", TensorProto.FLOAT, [1], [2.0])
        value = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4])
        return described(
            helper.make_graph([helper.make_node("Mul", ["x", weight.name], [name])], name, [], [value], [weight])
        )

    inner = helper.make_node("If", ["c"], ["inner"], then_branch=branch("a"), else_branch=branch("b"))
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, ["rows", 4])
    outer = described(helper.make_graph([inner], "outer", [], [value]))
    node = helper.make_node("If", ["c"], ["y"], then_branch=outer, else_branch=branch("d"))
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in "xy")
    c = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    model = helper.make_model(described(helper.make_graph([node], "g", [x, c], [y])))
    function = helper.make_function("own", "F", ["c", "x"], ["y"], [node], [helper.make_opsetid("", 18)])
    function.doc_string = PATH
    model.functions.append(function)
    assert PATH.encode() in model.SerializeToString()
    content = without_paths(model).SerializeToString()
    assert PATH.encode() not in content
    assert b"rows" not in content
