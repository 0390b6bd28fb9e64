"""Arrays by name as one piece of bytes, in the safetensors format, cheap enough for every request.

8 bytes of header length (little-endian), a JSON header, the raw data: `safetensors.numpy.load` reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mltool.core.errors import ArtifactError, InputError

_NAMES = {
    np.dtype(dtype): name
    for dtype, name in (
        ("?", "BOOL"), ("u1", "U8"), ("i1", "I8"), ("<u2", "U16"), ("<i2", "I16"), ("<u4", "U32"), ("<i4", "I32"),
        ("<u8", "U64"), ("<i8", "I64"), ("<f2", "F16"), ("<f4", "F32"), ("<f8", "F64"),
    )
}  # fmt: skip
_DTYPES = {name: dtype for dtype, name in _NAMES.items()}
_METADATA = "__metadata__"
"""The one name that the format keeps for itself."""
_MAX_CACHED = 1024
"""Headers that are remembered. A server meets few: names and types are those of the model, only batch sizes differ."""

_Layout = list[tuple[str, Any, int, int, tuple[int, ...]]]
_headers: dict[tuple[Any, ...], bytes] = {}
_layouts: dict[bytes, _Layout] = {}


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as bytes.

    Raises:
        InputError: The format has no such dtype, or keeps the name for itself.
    """
    key: list[Any] = []
    parts = [b""]
    for name, array in arrays.items():
        key += (name, array.dtype, array.shape)
        parts.append(array.tobytes())
    header = _headers.get(tuple(key))
    if header is None:
        swapped = {name: array for name, array in arrays.items() if array.dtype.newbyteorder("<") != array.dtype}
        if swapped:
            return encode({**arrays, **{n: a.astype(a.dtype.newbyteorder("<")) for n, a in swapped.items()}})
        if len(_headers) >= _MAX_CACHED:
            _headers.clear()
        header = _headers[tuple(key)] = _header(arrays)
    parts[0] = header
    return b"".join(parts)


def _header(arrays: Mapping[str, np.ndarray]) -> bytes:
    entries: dict[str, Any] = {}
    start = 0
    for name, array in arrays.items():
        if array.dtype not in _NAMES or name == _METADATA:
            raise InputError(f"an array `{name}` of {array.dtype} cannot be recorded")
        end = start + array.nbytes
        entries[name] = {"dtype": _NAMES[array.dtype], "shape": array.shape, "data_offsets": (start, end)}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the data begins where 8-byte numbers may
    return len(text).to_bytes(8, "little") + text


def decode(content: bytes) -> dict[str, np.ndarray]:
    """Arrays by name from bytes; they share the memory of `content` and cannot be written to.

    Raises:
        ArtifactError: The bytes are damaged.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[:end]
    try:
        layout = _layouts.get(header)
        if layout is None:
            if len(_layouts) >= _MAX_CACHED:
                _layouts.clear()
            layout = _layouts[header] = _layout(header)
        return {
            name: np.frombuffer(content, dtype, count, end + start).reshape(shape) if count else np.empty(shape, dtype)
            for name, dtype, count, start, shape in layout
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"recorded arrays are damaged: {error}") from error


def _layout(header: bytes) -> _Layout:
    layout: _Layout = []
    for name, entry in json.loads(header[8:]).items():
        if name != _METADATA:
            dtype, shape, (start, end) = _DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
            count = math.prod(shape)
            if min((start, *shape)) < 0 or end - start != count * dtype.itemsize:
                raise ValueError(f"`{name}` does not lie where its header says")
            layout.append((name, dtype, count, start, shape))
    return layout
