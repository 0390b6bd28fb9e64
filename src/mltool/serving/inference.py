"""The two ways to ask the model: tensors in the Open Inference Protocol, and records, pictures or files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy.typing as npt
import orjson

from mltool.core import events
from mltool.core.errors import DataError, InputError
from mltool.datasets.array_checks import check_values
from mltool.datasets.records_file import Inputs, decode_records
from mltool.serving.batching import Batcher
from mltool.serving.bodies import Headers, Receive, read_body
from mltool.serving.errors import HttpError
from mltool.serving.served import Served
from mltool.serving.v2 import JSON, Protocol

Arrays = Mapping[str, npt.NDArray[Any]]
AnswerHeaders = list[tuple[bytes, bytes]]

_INLINE_BYTES = 64 * 1024
"""Bodies up to this size are decoded on the event loop, larger ones on a thread."""
FORMS = {
    b"application/json": "json",
    b"application/x-ndjson": "jsonl",
    b"application/jsonl": "jsonl",
    b"text/csv": "csv",
    b"text/tab-separated-values": "tsv",
    b"application/x-npy": "npy",
    b"application/x-npz": "npz",
}
"""What `POST /predict` reads, by content type; pictures are `image/*`, and any other type is guessed."""
_FORMS_OF_BROWSERS = b"multipart/form-data"


_MAX_ID_LENGTH = 128


def is_request_id(text: str) -> bool:
    """Whether a number of the client's is fit to be written into a header and a log."""
    return 0 < len(text) <= _MAX_ID_LENGTH and text.isascii() and text.isprintable()


class Call:
    """What is known of one request while it is answered."""

    __slots__ = ("inputs", "outputs", "request_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.inputs: Arrays | None = None
        self.outputs: Arrays | None = None


class Inference:
    """Answers requests with predictions."""

    def __init__(self, served: Served, batcher: Batcher, max_body_bytes: int) -> None:
        self._served, self._batcher, self._max_body_bytes = served, batcher, max_body_bytes
        self._protocol = Protocol(served)
        self._label = f"{served.name}@{served.version}"

    async def infer(self, call: Call, headers: Headers, receive: Receive) -> tuple[bytes, AnswerHeaders]:
        """`POST /v2/models/NAME/infer`."""
        body = await read_body(receive, headers, self._max_body_bytes)
        json_length = headers.get(b"inference-header-content-length")
        read = self._protocol.read
        question = (
            read(body, json_length) if len(body) <= _INLINE_BYTES else await asyncio.to_thread(read, body, json_length)
        )
        if b"x-request-id" not in headers and is_request_id(question.id):
            call.request_id = question.id
        call.inputs = question.arrays
        call.outputs = await self._batcher.answer(question.arrays, question.num_samples)
        return self._protocol.write(question, call.outputs)

    async def predict(self, call: Call, headers: Headers, receive: Receive) -> tuple[bytes, AnswerHeaders]:
        """`POST /predict`."""
        form = _form_of(headers.get(b"content-type", b""))
        body = await read_body(receive, headers, self._max_body_bytes)
        decode = partial(_decoded, self._served, body, form)
        inputs, warnings = decode() if len(body) <= _INLINE_BYTES else await asyncio.to_thread(decode)
        call.inputs = inputs.arrays
        call.outputs = await self._batcher.answer(inputs.arrays, inputs.num_rows)
        try:
            predictions = self._served.encoder.decode(call.outputs)
        except InputError as error:  # the model does not answer as its own schema says
            raise HttpError(500, error.message, hint="ask `/v2` for the tensors") from error
        answer = {"predictions": predictions, "model": self._label, "request_id": call.request_id}
        return orjson.dumps({**answer, "warnings": warnings} if warnings else answer), [JSON]


def _form_of(content_type: bytes) -> str | None:
    """The form of a body, or None where it is to be guessed.

    Raises:
        HttpError: 415 for the form of a web page, which holds the file together with other things.
    """
    name = content_type.partition(b";")[0].strip().lower()
    if name == _FORMS_OF_BROWSERS:
        raise HttpError(
            415,
            "forms (`multipart/form-data`) are not read",
            hint="send the file itself, as `curl --data-binary @photo.png` does",
        )
    if name.startswith(b"image/"):
        return "png"  # whatever it is, its own first bytes tell
    return FORMS.get(name)


def _decoded(served: Served, body: bytes, form: str | None) -> tuple[Inputs, list[str]]:
    """The arrays of a body, and what the one who sent it should know.

    Raises:
        HttpError: 400, with what does not fit.
    """
    try:
        with events.collected() as warnings:
            inputs = decode_records(body, form, "the body", served.schema)
        check_values(inputs.arrays, served.schema)
    except (DataError, InputError) as error:
        raise HttpError(400, error.message, hint=error.hint) from error
    return inputs, warnings
