"""Asks a server for predictions, as a client would: a deployment is done when it answers as its model did."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check
from mltool.runtimes.samples import SAMPLES, Samples

Arrays = Mapping[str, npt.NDArray[Any]]
CHECK_ID = "served_error"
_NUM_ROWS = 8
_READY_S, _ANSWER_S = 5.0, 60.0
_KINDS = {"f": "FP", "i": "INT", "u": "UINT"}
_EXACT = 1e-4
"""Relative error that other processors may bring to a float32 graph."""


class UnableError(OSError):
    """A server answers that it cannot answer now: nothing is known of its model."""


def is_ready(url: str) -> bool:
    """Whether a server has loaded its model and answers."""
    return status_of(url) == 200


def status_of(url: str, headers: Mapping[str, str] | None = None) -> int | None:
    """What a server answers when it is asked whether it is ready; None if it cannot be reached."""
    connection = _connection(url, _READY_S)
    try:
        connection.request("GET", "/ready", headers=dict(headers or {}))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def infer(url: str, name: str, inputs: Arrays, headers: Mapping[str, str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The outputs for one batch, over the Open Inference Protocol with binary tensors, which keep every bit.

    Args:
        headers: What the server wants to see beside them, such as a token.

    Raises:
        OSError: The server cannot be reached, or cannot answer now.
        ValueError: It refuses, or answers something else; the text says what.
    """
    tensors = [
        {
            "name": key,
            "shape": list(array.shape),
            "datatype": _datatype(array.dtype),
            "parameters": {"binary_data_size": array.nbytes},
        }
        for key, array in inputs.items()
    ]
    head = json.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}}).encode()
    body = head + b"".join(np.ascontiguousarray(array).tobytes() for array in inputs.values())
    connection = _connection(url, _ANSWER_S)
    try:
        ours = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
        connection.request("POST", f"/v2/models/{name}/infer", body, {**ours, **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"the answer is cut off, or no HTTP: {error!r}") from error
    finally:
        connection.close()
    if answer.status >= 500 or answer.status == 429:
        raise UnableError(f"it answers {answer.status}: {content[:300].decode(errors='replace')}")
    if answer.status != 200:
        raise ValueError(f"it answers {answer.status}: {content[:300].decode(errors='replace')}")
    length = int(answer.headers.get("Inference-Header-Content-Length") or len(content))
    return _tensors(json.loads(content[:length])["outputs"], content[length:])


def _connection(url: str, timeout_s: float) -> http.client.HTTPConnection:
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(str(address.hostname), address.port, timeout=timeout_s)


def _tensors(specs: list[dict[str, Any]], rest: bytes) -> dict[str, npt.NDArray[Any]]:
    found, start = {}, 0
    for spec in specs:
        size = int(spec["parameters"]["binary_data_size"])
        array = np.frombuffer(rest[start : start + size], _dtype(spec["datatype"]))
        found[spec["name"]] = array.reshape(spec["shape"])
        start += size
    return found


def answers_as_recorded(url: str, name: str, model: Artifact, headers: Mapping[str, str] | None = None) -> Check:
    """As `compared_answers`; a server that cannot be asked fails the check."""
    try:
        return compared_answers(url, name, model, headers)
    except OSError as error:
        return Check.failed(CHECK_ID, str(error))


def compared_answers(url: str, name: str, model: Artifact, headers: Mapping[str, str] | None = None) -> Check:
    """Whether a server gives a model's samples the answers that are recorded beside them.

    It may differ from them by as much as the model itself did when it was checked.

    Raises:
        OSError: It cannot be asked, so that nothing is known of its answers.
    """
    samples = Samples.load(model.path / SAMPLES)
    try:
        outputs = infer(url, name, {key: array[:_NUM_ROWS] for key, array in samples.inputs.items()}, headers)
        compared = [_compared(outputs[key], recorded, model) for key, recorded in samples.outputs.items()]
    except (ValueError, KeyError, TypeError) as error:
        return Check.failed(CHECK_ID, str(error) if isinstance(error, ValueError) else repr(error))
    return Check.at_most(CHECK_ID, *max(compared, key=lambda pair: pair[0] - pair[1]))


def in_words(check: Check) -> str:
    """What is wrong with the answers."""
    if check.detail:
        return check.detail
    return f"they differ by {check.value:.3g}, where {check.limit:.3g} is the limit"


def _compared(actual: npt.NDArray[Any], recorded: npt.NDArray[Any], model: Artifact) -> tuple[float, float]:
    """How far answers differ, and how far they may; for whole numbers, it is the share that does."""
    expected, checks = recorded[:_NUM_ROWS], {check.id: check for check in model.checks}
    if actual.shape != expected.shape:
        return float("inf"), 0.0
    if not np.issubdtype(expected.dtype, np.floating):
        agreement = checks.get("class_agreement")
        num_differing = (1 - agreement.value) * len(recorded) if agreement and agreement.value is not None else 0.0
        return float(np.mean(actual != expected)), num_differing / len(expected)  # all of them may be among these rows
    error = checks.get("relative_error")
    known = [value for value in (error.value, error.limit) if value is not None] if error else []
    scale = max(float(np.abs(recorded).max(initial=0.0)), 1e-12)
    error_value = float(np.abs(actual.astype(np.float64) - expected).max(initial=0.0)) / scale
    return (error_value if np.isfinite(error_value) else float("inf")), max([_EXACT, *known])


def _datatype(dtype: np.dtype[Any]) -> str:
    return "BOOL" if dtype.kind == "b" else f"{_KINDS[dtype.kind]}{dtype.itemsize * 8}"


def _dtype(datatype: str) -> np.dtype[Any]:
    names = {"BOOL": "bool", **{f"FP{size}": f"float{size}" for size in (16, 32, 64)}}
    return np.dtype(names.get(datatype, datatype.lower())).newbyteorder("<")
