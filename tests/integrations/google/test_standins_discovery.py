"""Messages are held against what Google has published, and not against what the stand-ins believe."""

from __future__ import annotations

import copy
import json
from typing import Any

import grpc
import pytest
from google.cloud import run_v2
from google.cloud.devtools import cloudbuild_v1
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from mltool.integrations.google.standins import discovery
from mltool.integrations.google.standins.checking import request_problems
from mltool.integrations.google.standins.methods import METHODS, OF_STORAGE, STORAGE
from mltool.integrations.google.standins.run import WRITABLE
from standins_testing import PARENT, Clients, template, to

NAME = f"{PARENT}/services/iris"
SERVICE = {"$ref": "GoogleCloudRunV2Service"}


def whole_service() -> run_v2.Service:
    """A service with a value in every field that mltool sends."""
    return run_v2.Service(
        name=NAME,
        labels={"managed-by": "mltool"},
        client="mltool",
        client_version="1",
        etag='"1"',
        ingress=run_v2.IngressTraffic.INGRESS_TRAFFIC_ALL,
        scaling=run_v2.ServiceScaling(min_instance_count=1, max_instance_count=3),
        template=template("image", "iris-v1", A="1"),
        traffic=[to("iris-v1", 90), to("iris-v2", 10, "canary")],
        invoker_iam_disabled=True,
    )


def update(service: run_v2.Service) -> Any:
    request = run_v2.UpdateServiceRequest(service=service, update_mask={"paths": ["traffic"]}, allow_missing=True)
    return run_v2.UpdateServiceRequest.pb(request)


def problems(request: Any) -> list[str]:
    return list(request_problems(METHODS["Services.UpdateService"], request))


def test_what_mltool_sends_is_what_google_has_published() -> None:
    assert problems(update(whole_service())) == []


@pytest.mark.parametrize("name", METHODS)
def test_every_call_is_described(name: str) -> None:
    method = METHODS[name]
    described = discovery.method(method.document, method.id)
    assert "response" in described
    assert bool(method.body) == ("request" in described)
    assert method.request.DESCRIPTOR.full_name


@pytest.mark.parametrize("name", OF_STORAGE.values())
def test_every_call_of_storage_is_described(name: str) -> None:
    assert discovery.method(STORAGE, name)["parameters"] is not None


def test_the_fields_that_a_client_may_write_are_those_of_the_document() -> None:
    properties = discovery.document("run.v2")["schemas"]["GoogleCloudRunV2Service"]["properties"]
    camel = {name: "".join(part.title() if n else part for n, part in enumerate(name.split("_"))) for name in WRITABLE}
    assert [name for name, one in camel.items() if one not in properties or properties[one].get("readOnly")] == []


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every object of a JSON tree whose keys are names of fields."""
    found: list[tuple[Any, ...]] = []
    if isinstance(value, dict) and (not path or path[-1] not in ("labels", "limits")):
        found.append(path)
        for key, one in value.items():
            found += places(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += places(one, (*path, index))
    return found


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


WHOLE = json_format.MessageToDict(run_v2.Service.pb(whole_service()))


def test_the_whole_service_fits() -> None:
    assert list(discovery.problems("run.v2", SERVICE, WHOLE, "service")) == []


@given(place=st.sampled_from(places(WHOLE)), name=st.from_regex(r"[a-z][A-Za-z]{1,20}Q", fullmatch=True))
def test_a_field_that_is_unknown_is_named_wherever_it_stands(place: tuple[Any, ...], name: str) -> None:
    changed = copy.deepcopy(WHOLE)
    at(changed, place)[name] = "value"
    (problem,) = discovery.problems("run.v2", SERVICE, changed, "service")
    assert problem.startswith(f'Invalid JSON payload received. Unknown name "{name}" at \'service')


def enums(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [(*path, key) for key, one in pairs if isinstance(one, str) and one.isupper() and "_" in one]
    return found + [place for key, one in pairs for place in enums(one, (*path, key))]


@given(
    place=st.sampled_from(enums(WHOLE)),
    value=st.one_of(st.from_regex(r"[A-Z_]{3,20}_X", fullmatch=True), st.integers(100, 2**31 - 1)),
)
def test_a_value_that_an_enum_lacks_is_named(place: tuple[Any, ...], value: str | int) -> None:
    changed = copy.deepcopy(WHOLE)
    at(changed, place[:-1])[place[-1]] = value
    (problem,) = discovery.problems("run.v2", SERVICE, changed, "service")
    assert problem.startswith("Invalid value at 'service")
    assert json.dumps(value) in problem


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    return [path] if pairs is None else [place for key, one in pairs for place in leaves(one, (*path, key))]


@given(place=st.sampled_from(leaves(WHOLE)), value=st.sampled_from([[], {}, None]))
def test_a_value_of_another_type_is_named(place: tuple[Any, ...], value: Any) -> None:
    changed = copy.deepcopy(WHOLE)
    at(changed, place[:-1])[place[-1]] = value
    assert len(list(discovery.problems("run.v2", SERVICE, changed, "service"))) == 1


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "format": "int64"}, "-12", "1.5"),
        ({"type": "string", "format": "uint64"}, "12", "-12"),
        ({"type": "integer", "format": "int32"}, 2**31 - 1, 2**31),
        ({"type": "integer"}, 1, True),
        ({"type": "string", "format": "google-duration"}, "60.5s", "60"),
        ({"type": "string", "format": "google-datetime"}, "2026-01-02T03:04:05.678Z", "2026-01-02"),
        ({"type": "string", "format": "google-fieldmask"}, "a.b,cD", "a b"),
        ({"type": "string", "format": "byte"}, "YWI=", "YW"),
        ({"type": "string", "pattern": "^projects/[^/]+$"}, "projects/a", "projects/a/b"),
    ],
)
def test_formats_are_those_of_the_documents(schema: dict[str, Any], good: Any, bad: Any) -> None:
    assert list(discovery.problems("run.v2", schema, good, "value")) == []
    (problem,) = discovery.problems("run.v2", schema, bad, "value")
    assert "Invalid value at 'value'" in problem


def test_an_enum_that_only_the_wire_allows_is_refused_by_the_server(clients: Clients) -> None:
    request = update(whole_service())
    request.service.ingress = 77
    with pytest.raises(grpc.RpcError) as caught:
        raw(clients, "/google.cloud.run.v2.Services/UpdateService", request.SerializeToString())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "Invalid value at 'service.ingress' (string), 77"


@given(number=st.integers(5000, 18999))
def test_a_field_that_only_the_wire_has_is_named(number: int) -> None:
    service = run_v2.Service.pb(whole_service()).SerializeToString() + bytes(varint(number << 3)) + b"\x05"
    request = METHODS["Services.UpdateService"].request.FromString(b"\x0a" + bytes(varint(len(service))) + service)
    assert f"Unknown field number {number} at 'request.service': Cannot find field." in problems(request)


def varint(number: int) -> list[int]:
    """As protobuf writes whole numbers."""
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return [*digits, number]


def raw(clients: Clients, path: str, request: bytes) -> bytes:
    """A call past Google's client, for what it would never send."""
    with grpc.insecure_channel(clients.stand_ins.grpc_endpoint) as channel:
        call = channel.unary_unary(path)
        answer: bytes = call(request, metadata=[("x-goog-request-params", "location=europe-west1")], timeout=10)
        return answer


def test_a_call_that_no_stand_in_has_is_said_to_be_unimplemented(clients: Clients) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw(clients, "/google.cloud.run.v2.Jobs/RunJob", b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_resource_that_is_not_named_as_it_should_be_is_refused(clients: Clients) -> None:
    build = cloudbuild_v1.GetBuildRequest.pb()(name="builds/1")
    assert list(request_problems(METHODS["CloudBuild.GetBuild"], build))
    get = run_v2.GetServiceRequest.pb()(name="projects/p1/services/iris")
    (problem,) = request_problems(METHODS["Services.GetService"], get)
    assert "Invalid value at 'name'" in problem
