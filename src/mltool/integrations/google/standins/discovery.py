"""Google's published descriptions of its APIs, and whether a message fits them.

The documents come with the wheel `google-api-python-client`: the stand-ins know of a field what Google has published of
it, and not what we believe.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from google.protobuf import json_format, unknown_fields
from google.protobuf.message import Message

Schema = Mapping[str, Any]

_PATTERNS = {
    "int64": re.compile(r"-?\d+"),
    "uint64": re.compile(r"\d+"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "google-duration": re.compile(r"-?\d+(\.\d{1,9})?s"),
    "google-fieldmask": re.compile(r"[\w.]*(,[\w.]+)*"),
}
_KINDS: Mapping[str, type[Any] | tuple[type[Any], ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


@cache
def document(name: str) -> Mapping[str, Any]:
    """A discovery document, such as `run.v2`."""
    file = resources.files("googleapiclient") / "discovery_cache" / "documents" / f"{name}.json"
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@cache
def method(document_name: str, method_id: str) -> Mapping[str, Any]:
    """What a document says of a method, such as `projects.locations.services.create`."""
    *groups, name = method_id.split(".")
    place: Mapping[str, Any] = document(document_name)
    for group in groups:
        place = place["resources"][group]
    found: Mapping[str, Any] = place["methods"][name]
    return found


def problems(document_name: str, schema: Schema, value: Any, where: str) -> Iterator[str]:
    """What of a JSON value does not fit a schema, in the words that Google uses; nothing if it fits.

    Args:
        where: Path of the value, for the text.
    """
    if "$ref" in schema:
        schema = document(document_name)["schemas"][schema["$ref"]]
    kind = schema.get("type", "any")
    if kind == "any":
        return
    if not isinstance(value, _KINDS[kind]) or (kind in ("integer", "number") and isinstance(value, bool)):
        yield f"Invalid value at '{where}' ({schema.get('format') or kind}), {json.dumps(value)}"
    elif kind == "object":
        yield from _object_problems(document_name, schema, value, where)
    elif kind == "array":
        for index, one in enumerate(value):
            yield from problems(document_name, schema["items"], one, f"{where}[{index}]")
    elif "enum" in schema and value not in schema["enum"]:
        yield f"Invalid value at '{where}' (enum), {json.dumps(value)}"
    elif not _has_format(value, schema):
        yield f"Invalid value at '{where}' ({schema.get('format') or schema.get('pattern')}), {json.dumps(value)}"


def _object_problems(document_name: str, schema: Schema, value: Mapping[str, Any], where: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    for name, one in value.items():
        if name in known:
            yield from problems(document_name, known[name], one, f"{where}.{name}")
        elif others is not None:
            yield from problems(document_name, others, one, f"{where}[{name}]")
        elif name != "@type":  # says what an Any holds
            yield f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."


def missing(document_name: str, schema: Schema, value: Any, where: str) -> Iterator[str]:
    """The fields that are described as required and are not given, below the value itself."""
    if "$ref" in schema:
        schema = document(document_name)["schemas"][schema["$ref"]]
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from missing(document_name, schema["items"], one, f"{where}[{index}]")
    elif isinstance(value, dict):
        for name, one in schema.get("properties", {}).items():
            if name in value:
                yield from missing(document_name, one, value[name], f"{where}.{name}")
            elif one.get("description", "").startswith("Required."):
                yield f"{where}.{name}: Required field not provided."


def _has_format(value: Any, schema: Schema) -> bool:
    name = schema.get("format", "")
    if name == "byte":
        try:
            base64.b64decode(value, altchars=b"-_", validate=False)
        except (binascii.Error, ValueError):
            return False
        return True
    if name == "int32":
        return bool(-(2**31) <= value < 2**31)
    if name in _PATTERNS:
        return bool(_PATTERNS[name].fullmatch(value))
    return "pattern" not in schema or bool(re.search(schema["pattern"], value))


def as_json(message: Message) -> dict[str, Any]:
    """A message as the REST interface would take it; numbers that an enum lacks stay numbers."""
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def unknown(message: Message, where: str) -> Iterator[str]:
    """Fields on the wire that the message does not have: of a newer client, or of none."""
    for field in unknown_fields.UnknownFieldSet(message):
        yield f"Unknown field number {field.field_number} at '{where}': Cannot find field."
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        inner = f"{where}.{descriptor.json_name}"
        if descriptor.message_type.GetOptions().map_entry:
            if descriptor.message_type.fields_by_name["value"].message_type is not None:
                for key, one in value.items():
                    yield from unknown(one, f"{inner}[{key}]")
        elif hasattr(value, "DESCRIPTOR"):
            yield from unknown(value, inner)
        else:
            for index, one in enumerate(value):
                yield from unknown(one, f"{inner}[{index}]")
