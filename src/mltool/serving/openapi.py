"""The OpenAPI document of a served model: what it takes and answers, with an example that works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mltool.core.version import version
from mltool.datasets.schema import Column, Schema, TensorSpec
from mltool.serving.examples import infer_request, records
from mltool.serving.served import Served
from mltool.serving.v2 import DATATYPES, shape_of

_ERRORS = {
    "400": "What was sent does not fit; `error` says what",
    "401": "The key is missing or wrong",
    "408": "The body did not arrive in time",
    "413": "The body is too large, or holds too many samples",
    "415": "The body is packed or formed in a way that is not read",
    "429": "Too many samples are waiting; try again after `Retry-After`",
    "500": "The server failed",
    "503": "The server is stopping",
    "504": "No answer in time",
}


def document(served: Served) -> dict[str, Any]:
    """The whole document, as plain data."""
    model = f"/v2/models/{served.name}"
    versioned = f"{model}/versions/{served.version}"
    infer = _operation(
        "Tensors in, tensors out, in the Open Inference Protocol v2; binary data as in its extension",
        "infer",
        {"application/json": {"schema": _ref("InferRequest"), "example": infer_request(served)}},
        _ref("InferResponse"),
    )
    media = {
        name: {"schema": {"type": "string", "format": "binary"}}
        for name in (["image/*"] if served.schema.image else [])
    }
    predict = _operation(
        "Records, pictures or files, as `mltool predict` reads them",
        "predict",
        {"application/json": {"schema": _ref("PredictRequest"), "example": {"records": records(served, 1)}}, **media},
        _ref("PredictResponse"),
    )
    paths: dict[str, Any] = {
        "/predict": {"post": predict},
        f"{model}/infer": {"post": infer},
        f"{versioned}/infer": {"post": {**infer, "operationId": "infer_version"}},
    }
    plain = [
        ("/health", "health", "Whether the process lives", "Status"),
        ("/ready", "ready", "Whether requests are answered", "Ready"),
        ("/v2", "server", "Name, version and extensions of the server", "Server"),
        ("/v2/health/live", "live", "Whether the process lives", "Status"),
        ("/v2/health/ready", "server_ready", "Whether requests are answered", "Ready"),
        (model, "model", "Inputs and outputs of the model", "Model"),
        (versioned, "model_version", "Inputs and outputs of the model", "Model"),
        (f"{model}/ready", "model_ready", "Whether the model answers", "Ready"),
        (f"{versioned}/ready", "model_version_ready", "Whether the model answers", "Ready"),
    ]
    paths |= {path: {"get": _get(name, text, schema)} for path, name, text, schema in plain}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{served.name}@{served.version}",
            "version": version(),
            "summary": f"A model served by mltool, digest {served.model.digest[:12]}",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(served),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(text: str, name: str, content: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    answered = {"description": "Answered", "content": {"application/json": {"schema": answer}}}
    return {
        "summary": text,
        "operationId": name,
        "parameters": [{"name": "X-Request-ID", "in": "header", "schema": {"type": "string", "maxLength": 128}}],
        "requestBody": {"required": True, "content": dict(content)},
        "responses": {"200": answered, **{code: _error(why) for code, why in _ERRORS.items()}},
    }


def _get(name: str, text: str, schema: str) -> dict[str, Any]:
    answered = {"description": "Answered", "content": {"application/json": {"schema": _ref(schema)}}}
    codes = ("401", "503") if schema == "Ready" else ("401",)
    return {
        "summary": text,
        "operationId": name,
        "responses": {"200": answered, **{code: _error(_ERRORS[code]) for code in codes}},
    }


def _error(why: str) -> dict[str, Any]:
    return {"description": why, "content": {"application/json": {"schema": _ref("Error")}}}


def _object(properties: Mapping[str, Any], required: Iterable[str] = ()) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _array(items: Mapping[str, Any], **limits: int) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), **limits}


_STRING, _NUMBER, _INTEGER, _BOOLEAN = ({"type": kind} for kind in ("string", "number", "integer", "boolean"))
_ANY_OBJECT = {"type": "object"}


def _schemas(served: Served) -> dict[str, Any]:
    tensor = _object(
        {
            "name": _STRING,
            "datatype": {"type": "string", "enum": sorted(DATATYPES.values())},
            "shape": _array(_INTEGER),
            "parameters": _ANY_OBJECT,
            "data": _array({}),
        },
        ("name", "datatype", "shape"),
    )
    named = _object({"name": _STRING, "datatype": _STRING, "shape": _array(_INTEGER)}, ("name", "datatype", "shape"))
    record = _object({column.name: _column(column, served.schema) for column in served.schema.columns})
    return {
        "Error": _object({"error": _STRING, "hint": _STRING}, ("error",)),
        "Status": _ANY_OBJECT,
        "Ready": _object({"name": _STRING, "version": _STRING, "ready": _BOOLEAN}, ("ready",)),
        "Server": _object({"name": _STRING, "version": _STRING, "extensions": _array(_STRING)}, ("name", "version")),
        "Model": _object(
            {
                "name": _STRING,
                "versions": _array(_STRING),
                "platform": _STRING,
                "inputs": _array(named),
                "outputs": _array(named),
            },
            ("name", "platform", "inputs", "outputs"),
        ),
        "InferRequest": _object(
            {
                "id": _STRING,
                "parameters": _ANY_OBJECT,
                "inputs": _array({"anyOf": [_input(spec) for spec in served.signature.inputs]}, minItems=1),
                "outputs": _array(_object({"name": _STRING, "parameters": _ANY_OBJECT}, ("name",))),
            },
            ("inputs",),
        ),
        "InferResponse": _object(
            {"model_name": _STRING, "model_version": _STRING, "id": _STRING, "outputs": _array(tensor)},
            ("model_name", "outputs"),
        ),
        "Record": {**record, "additionalProperties": False},
        "PredictRequest": {
            "anyOf": [
                _object({"records": _array(_ref("Record"), minItems=1)}, ("records",)),
                _array(_ref("Record"), minItems=1),
                _ref("Record"),
            ]
        },
        "PredictResponse": _object(
            {
                "predictions": _array(_answer(served)),
                "model": _STRING,
                "request_id": _STRING,
                "warnings": _array(_STRING),
            },
            ("predictions", "model", "request_id"),
        ),
    }


def _input(spec: TensorSpec) -> dict[str, Any]:
    kind = {"f": _NUMBER, "b": _BOOLEAN}.get(np.dtype(spec.dtype).kind, _INTEGER)
    size = len(spec.shape) + 1
    return {
        **_object(
            {
                "name": {"const": spec.name},
                "datatype": {"const": DATATYPES[spec.dtype]},
                "shape": {
                    **_array(_INTEGER, minItems=size, maxItems=size),
                    "description": f"{list(shape_of(spec))}, -1 for any number of samples",
                },
                "parameters": _ANY_OBJECT,
                "data": _array(kind),
            },
            ("name", "datatype", "shape"),
        ),
        "title": spec.name,
    }


def _column(column: Column, schema: Schema) -> dict[str, Any]:
    if column.kind == "number":
        return {"type": ["number", "null"]}
    if column.kind == "category":
        return {"type": ["string", "null"], "examples": list(column.vocabulary[:20])}
    if column.kind == "image" and schema.image is not None:
        size = f"{schema.image.width} x {schema.image.height}"
        return {"type": "string", "format": "byte", "description": f"A picture in base64; made {size} pixels large"}
    spec = next(spec for spec in schema.inputs if spec.name == column.name)
    return {"type": "array", "description": f"{spec.dtype} {list(spec.shape)}"}


def _answer(served: Served) -> dict[str, Any]:
    if served.schema.target.kind == "class":
        return _object(
            {"label": _STRING, "confidence": _NUMBER, "probabilities": _ANY_OBJECT},
            ("label", "confidence", "probabilities"),
        )
    if served.schema.target.kind == "number":
        return _object({"prediction": _NUMBER}, ("prediction",))
    return _ANY_OBJECT
