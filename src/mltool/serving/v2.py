"""The Open Inference Protocol, version 2, over REST: tensors in and tensors out, as JSON or as binary data.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md), and for binary data Triton's extension,
https://github.com/triton-inference-server/server (protocol/extension_binary_data.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import orjson

from mltool.core.errors import InputError
from mltool.datasets.array_checks import check_values
from mltool.datasets.cells import did_you_mean
from mltool.datasets.schema import TensorSpec
from mltool.serving.errors import HttpError
from mltool.serving.served import Served

Array = npt.NDArray[Any]

DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's names of NumPy's dtypes."""
_NUMBERS: Mapping[str, Callable[[bytes], list[Any]]] = {
    "b": msgspec.json.Decoder(list[bool]).decode,
    "i": msgspec.json.Decoder(list[int]).decode,
    "u": msgspec.json.Decoder(list[int]).decode,
    "f": msgspec.json.Decoder(list[float | None]).decode,
}
"""By kind of dtype: flat lists of numbers, the quick and common case; null is NaN, a number that is missing."""

BINARY = (b"content-type", b"application/octet-stream")
JSON = (b"content-type", b"application/json")


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = msgspec.Raw(b"")


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Request).decode


@dataclass(slots=True)  # not frozen, which would make each one three times as dear
class Question:
    """A request, understood.

    Attributes:
        outputs: Name and whether in binary, in the order asked for.
    """

    arrays: dict[str, Array]
    num_samples: int
    id: str
    outputs: tuple[tuple[str, bool], ...]


class Protocol:
    """Reads and writes the messages of one model."""

    def __init__(self, served: Served) -> None:
        self._readers = {spec.name: _Reader(spec) for spec in served.signature.inputs}
        self._outputs = {spec.name: spec for spec in served.signature.outputs}
        self._all = {binary: tuple((name, binary) for name in self._outputs) for binary in (False, True)}
        self._schema = served.schema
        self._heads = {name: _head(spec) for name, spec in self._outputs.items()}
        named = orjson.dumps({"model_name": served.name, "model_version": served.version})
        self._start = named[:-1] + b',"outputs":['

    def read(self, body: bytes, json_length: bytes | None) -> Question:
        """Understand a request.

        Args:
            json_length: The header `Inference-Header-Content-Length`: where the JSON ends and binary data starts.

        Raises:
            HttpError: 400, with what does not fit.
        """
        at = len(body)
        if json_length is not None:
            if not json_length.isdigit() or int(json_length) > len(body):
                shown = json_length.decode("latin-1")[:40]
                raise HttpError(400, f"`Inference-Header-Content-Length: {shown}` does not fit {len(body)} bytes")
            at = int(json_length)
        try:
            request = _decode(memoryview(body)[:at] if at < len(body) else body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(400, f"the body is not an inference request: {error}") from error
        arrays: dict[str, Array] = {}
        for one in request.inputs:
            reader = self._readers.get(one.name)
            if reader is None:
                hint = did_you_mean(one.name[:100], self._readers, "inputs")
                raise HttpError(400, f"the model has no input `{one.name[:100]}`", hint=hint)
            if one.name in arrays:
                raise HttpError(400, f"the input `{one.name}` is given twice")
            arrays[one.name], at = reader.read(one, body, at)
        if at != len(body):
            raise HttpError(400, f"{len(body) - at} bytes of binary data belong to no input")
        return Question(arrays, self._checked(arrays), request.id, self._wanted(request.outputs, request.parameters))

    def _checked(self, arrays: dict[str, Array]) -> int:
        """The number of samples, if every input is there and holds what the model can answer for."""
        if len(arrays) != len(self._readers):
            missing = next(name for name in self._readers if name not in arrays)
            raise HttpError(400, f"the input `{missing}` is missing", hint=f"the inputs are {', '.join(self._readers)}")
        sizes = {len(array) for array in arrays.values()}
        if len(sizes) > 1:
            raise HttpError(400, f"the inputs differ in their number of samples: {sorted(sizes)}")
        (num_samples,) = sizes
        if num_samples == 0:
            raise HttpError(400, "the inputs hold no samples")
        try:
            check_values(arrays, self._schema)
        except InputError as error:
            raise HttpError(400, error.message, hint=error.hint) from error
        return num_samples

    def _wanted(self, outputs: list[_Output], parameters: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
        binary = bool(parameters.get("binary_data_output", False))
        if not outputs:
            return self._all[binary]
        for one in outputs:
            if one.name not in self._outputs:
                hint = did_you_mean(one.name[:100], self._outputs, "outputs")
                raise HttpError(400, f"the model has no output `{one.name[:100]}`", hint=hint)
            if "classification" in one.parameters:
                raise HttpError(
                    400, "the classification extension is not spoken", hint="ask `POST /predict` for labels"
                )
        return tuple((one.name, bool(one.parameters.get("binary_data", binary))) for one in outputs)

    def write(self, question: Question, outputs: Mapping[str, Array]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """The answer and its headers."""
        parts, tail = [], []
        for name, binary in question.outputs:
            array = outputs[name]
            head = (
                self._heads[name] % len(array)
                if array.shape[1:] == self._outputs[name].shape
                else _head_of(name, array)
            )
            if binary:
                data = np.ascontiguousarray(array).tobytes()
                tail.append(data)
                parts.append(b'%b,"parameters":{"binary_data_size":%d}}' % (head, len(data)))
            else:
                parts.append(head + b',"data":' + _dumps(array) + b"}")
        end = b'],"id":' + orjson.dumps(question.id) + b"}" if question.id else b"]}"
        text = self._start + b",".join(parts) + end
        if not tail:
            return text, [JSON]
        length = (b"inference-header-content-length", b"%d" % len(text))
        return b"".join((text, *tail)), [BINARY, length]


def _dumps(array: Array) -> bytes:
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return orjson.dumps(array.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _head(spec: TensorSpec) -> bytes:
    """All of an output but its data, with `%d` for the number of samples."""
    name = orjson.dumps(spec.name).replace(b"%", b"%%")
    shape = b"".join(b",%d" % size for size in spec.shape)
    return b'{"name":%b,"datatype":"%b","shape":[%%d%b]' % (name, DATATYPES[spec.dtype].encode(), shape)


def _head_of(name: str, array: Array) -> bytes:
    """The same for an output whose shape varies."""
    return _head(TensorSpec(name, array.dtype.name, array.shape[1:])) % len(array)


class _Reader:
    """Reads one input of the model, as JSON or as binary data."""

    def __init__(self, spec: TensorSpec) -> None:
        self._name, self._shape, self._datatype = spec.name, spec.shape, DATATYPES[spec.dtype]
        self._dtype = np.dtype(spec.dtype)
        self._numbers = _NUMBERS[self._dtype.kind]
        self._row_values = math.prod(spec.shape) if -1 not in spec.shape else None

    def read(self, one: _Input, body: bytes, at: int) -> tuple[Array, int]:
        """The array, and where in `body` the binary data of the next input starts."""
        if one.datatype != self._datatype:
            raise HttpError(400, f"the input `{self._name}` is {one.datatype[:40]}, but {self._datatype} is needed")
        size = one.parameters.get("binary_data_size")
        if size is None:
            return self._shaped(self._from_json(bytes(one.data)), one.shape), at
        if bytes(one.data):
            raise HttpError(400, f"the input `{self._name}` has data both in JSON and in binary")
        return self._shaped(self._from_binary(body, at, size), one.shape), at + size

    def _from_json(self, raw: bytes) -> Array:
        if not raw:
            raise HttpError(400, f"the input `{self._name}` has no data")
        try:
            try:
                return np.array(self._numbers(raw), self._dtype)
            except msgspec.ValidationError:  # nested lists, or something else than numbers
                return _nested(raw, self._dtype)
        except (ValueError, OverflowError, TypeError, msgspec.DecodeError, RecursionError) as error:
            raise HttpError(400, f"the data of `{self._name}` is not {self._datatype}: {error}") from error

    def _from_binary(self, body: bytes, at: int, size: Any) -> Array:
        what = f"`binary_data_size` of `{self._name}` is {size!r}"
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(body) - at:
            raise HttpError(400, f"{what}, but {len(body) - at} bytes are there")
        num_values, rest = divmod(size, self._dtype.itemsize)
        if rest:
            raise HttpError(400, f"{what}, which is no multiple of {self._dtype.itemsize}")
        return np.frombuffer(body, self._dtype.newbyteorder("<"), num_values, at)

    def _shaped(self, array: Array, shape: list[int]) -> Array:
        num_samples, row = shape[0] if shape else -1, tuple(shape[1:])
        if row != self._shape and not _fits(row, self._shape):
            raise self._misfit(shape)
        row_values = math.prod(row) if self._row_values is None else self._row_values
        if num_samples < 0 or num_samples * row_values != array.size:
            if num_samples < 0:
                raise self._misfit(shape)
            raise HttpError(
                400,
                f"the input `{self._name}` has {array.size} values, "
                f"but its shape {shape} has {num_samples * row_values}",
            )
        try:
            return array.reshape(num_samples, *row)
        except ValueError:  # no values, and an axis beyond all bounds
            raise self._misfit(shape) from None

    def _misfit(self, shape: list[int]) -> HttpError:
        needed = [-1, *self._shape]
        return HttpError(400, f"the input `{self._name}` has the shape {shape[:8]}, but {needed} is needed")


def _fits(row: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """-1 is an axis whose size may vary, such as the length of a text."""
    return len(row) == len(wanted) and all(
        want == have or (want == -1 and have >= 0) for want, have in zip(wanted, row, strict=True)
    )


def _nested(raw: bytes, dtype: np.dtype[Any]) -> Array:
    array = np.asarray(orjson.loads(raw))
    if array.dtype.kind not in {"b": "b", "i": "iu", "u": "iu", "f": "iuf"}[dtype.kind]:
        raise ValueError(f"it holds {array.dtype.name}")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.size and (array.min() < limits.min or array.max() > limits.max):
            raise ValueError(f"a value is not from {limits.min} to {limits.max}")
    return array.astype(dtype)


def shape_of(spec: TensorSpec) -> tuple[int, ...]:
    """The shape with the batch, -1, in front."""
    return (-1, *spec.shape)


def metadata(served: Served) -> dict[str, Any]:
    """`GET /v2/models/NAME`."""

    def tensors(specs: Iterable[TensorSpec]) -> list[dict[str, Any]]:
        return [{"name": s.name, "datatype": DATATYPES[s.dtype], "shape": list(shape_of(s))} for s in specs]

    backend = served.model.config.get("run", {}).get("backend", "onnxruntime")
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": {"onnxruntime": "onnx_onnxruntime"}.get(backend, f"onnx_{backend}"),
        "inputs": tensors(served.signature.inputs),
        "outputs": tensors(served.signature.outputs),
    }
