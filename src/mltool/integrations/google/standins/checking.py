"""Whether a call is one that Google's published documents describe, and is routed as Google's servers need it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from mltool.integrations.google.standins import discovery
from mltool.integrations.google.standins.methods import BUILD, REGISTRY, RUN, Method
from mltool.integrations.google.standins.refusals import Code, RefusalError, invalid

ROUTING_HEADER = "x-goog-request-params"
_LOCATION = re.compile(r"projects/[^/]+/locations/([^/]+)(/.*)?")


def check_request(method: Method, message: Message, metadata: Mapping[str, str]) -> None:
    """Raises: RefusalError: A field or a value is unknown, a required one is missing, or the call is not routed."""
    for problem in request_problems(method, message):
        raise invalid(problem)
    resource = resource_of(method, message)
    wanted = _routing(method, resource)
    given = {key: values[0] for key, values in parse_qs(metadata.get(ROUTING_HEADER, "")).items()}
    if any(given.get(key) != value for key, value in wanted.items()):
        said = metadata.get(ROUTING_HEADER) or "nothing"
        raise invalid(f"The routing header {ROUTING_HEADER} must say {wanted}, but says {said}")


def request_problems(method: Method, message: Message) -> Iterator[str]:
    """Everything of a request that Google's document does not allow."""
    resource = resource_of(method, message)
    document, described = _described(method, resource)
    rest, body = discovery.as_json(message), None
    if method.body == "*":
        body = {key: value for key, value in rest.items() if key != method.resource}
        rest = {method.resource: resource}
    elif method.body:
        body = rest.pop(method.body, {})
    if "." in method.resource:  # such as `service.name`: REST has it in the path
        rest[method.resource.rpartition(".")[2]] = resource
    # One such as `options.requestedPolicyVersion` is a field of a message, whose fields the wire has checked.
    parameters = {key.partition(".")[0]: {} if "." in key else one for key, one in described["parameters"].items()}
    for key, parameter in parameters.items():
        if key in rest:
            yield from discovery.problems(document, parameter, rest[key], key)
        elif parameter.get("required"):
            yield f"{key}: Required field not provided."
    for key in rest.keys() - parameters.keys():
        yield f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter.'
    if body is not None:
        name = "request" if method.body == "*" else method.body
        yield from discovery.problems(document, described["request"], body, name)
        for value, schema, where in _parts(document, described["request"], body, name):
            yield from discovery.missing(document, schema, value, where)
    yield from discovery.unknown(message, "request")


def _parts(document: str, schema: discovery.Schema, body: dict[str, Any], where: str) -> Iterator[tuple[Any, Any, str]]:
    """The fields of a body. What a mask leaves out may be missing from the body itself, but not from a part of it."""
    properties = discovery.document(document)["schemas"][schema["$ref"]].get("properties", {})
    for key, value in body.items():
        if key in properties:
            yield value, properties[key], f"{where}.{key}"


def response_problems(method: Method, message: Message) -> Iterator[str]:
    """Everything of an answer of ours that Google's document does not describe."""
    document, described = _described(method, "projects/p/locations/l")
    yield from discovery.problems(document, described["response"], discovery.as_json(message), "response")
    if isinstance(message, operations_pb2.Operation):
        for part in (message.metadata, message.response):
            yield from _packed_problems(part)


def _packed_problems(packed: Any) -> Iterator[str]:
    """Of what an operation holds, whose type is named beside it."""
    package, _, name = packed.TypeName().rpartition(".")
    schemas = {
        "google.cloud.run.v2": (RUN, f"GoogleCloudRunV2{name}"),
        "google.devtools.cloudbuild.v1": (BUILD, name),
        "google.devtools.artifactregistry.v1": (REGISTRY, name),
    }
    if package in schemas:
        document, schema = schemas[package]
        if schema in discovery.document(document)["schemas"]:
            yield from discovery.problems(document, {"$ref": schema}, discovery.as_json(packed), name)


def _described(method: Method, resource: str) -> tuple[str, Mapping[str, Any]]:
    """The document and what it says of a call; builds that are in no region are described apart."""
    document, id_ = method.document, method.id
    if method.service.endswith("Operations") and resource.startswith("operations/"):
        document, id_ = BUILD, "operations.get"
    elif document == BUILD and not _LOCATION.fullmatch(resource):
        id_ = id_.replace("projects.locations.", "projects.")
    return document, discovery.method(document, id_)


def resource_of(method: Method, message: Any) -> str:
    """The name of what is called upon."""
    for name in method.resource.split("."):
        message = getattr(message, name)
    return str(message)


def project_of(resource: str) -> str:
    """The project that something is in; empty if its name does not say."""
    found = re.match(r"(?:projects|operations/build)/([^/]+)", resource)
    return found[1] if found else ""


def _routing(method: Method, resource: str) -> dict[str, str]:
    if method.routed_by != "location":
        return {method.routed_by: resource}
    found = _LOCATION.fullmatch(resource)
    return {"location": found[1]} if found else {}


def parts_of(resource: str) -> tuple[str, str]:
    """Project and location of a resource name.

    Raises:
        RefusalError: It has none.
    """
    found = re.match(r"projects/([^/]+)/locations/([^/]+)", resource)
    if not found:
        raise RefusalError(Code.INVALID_ARGUMENT, f"`{resource}` is in no project and location")
    return found[1], found[2]
