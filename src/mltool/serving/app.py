"""The server as an ASGI application: routes, keys, request numbers, errors, counting and recording."""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sized
from dataclasses import dataclass
from typing import Any

import orjson

from mltool.core.version import version
from mltool.serving.batching import Batcher
from mltool.serving.bodies import DisconnectedError, Headers, Receive
from mltool.serving.config import ServeConfig
from mltool.serving.errors import RETRY_AFTER, HttpError
from mltool.serving.inference import AnswerHeaders, Call, Inference, is_request_id
from mltool.serving.keys import has_key
from mltool.serving.metrics import IN_PROGRESS, NOT_RECORDED, ROUTES, WAITING, Metrics
from mltool.serving.openapi import document
from mltool.serving.pages import docs_page, try_page
from mltool.serving.recording import Recorder
from mltool.serving.served import Served
from mltool.serving.v2 import JSON, metadata

Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Call, Headers, Receive], Awaitable[tuple[bytes, AnswerHeaders]]]
logger = logging.getLogger("mltool.serve")

_HTML = (b"content-type", b"text/html; charset=utf-8")
_METRICS = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_WORTH_PACKING_BYTES = 4096
_LARGE_BYTES = 1 << 20
"""Answers above this size are packed on a thread."""
_CUT_OFF = HttpError(503, "the server stopped before the answer was there", headers=RETRY_AFTER, close=True)
_GONE = 499
"""What is counted for a client that went away before its request was whole."""


@dataclass(frozen=True, slots=True)
class Route:
    """Attributes:
    place: Of its name in `metrics.ROUTES`.
    is_open: Whether it needs no key.
    is_recorded: Whether the prediction log keeps its requests.
    """

    place: int
    methods: Mapping[str, Handler]
    is_open: bool = False
    is_recorded: bool = False


class App:
    """Answers for one model.

    Attributes:
        is_draining: No longer ready: every answer closes its connection.
        tasks: The requests that the server has begun to read, those that have not got here yet among them.
    """

    def __init__(
        self, served: Served, config: ServeConfig, metrics: Metrics, recorder: Recorder, api_key: str | None
    ) -> None:
        self.is_draining = False
        self.tasks: Sized = ()
        self._served, self._metrics, self._recorder = served, metrics, recorder
        self._api_key = api_key.encode() if api_key else None
        self._batcher = Batcher(
            served.runner.run,
            max_batch_size=config.max_batch_size,
            loop_batch_size=served.loop_batch_size,
            max_queue_size=config.max_queue_size,
            timeout_s=config.timeout_s,
            observer=metrics,
            is_alone=lambda: len(self.tasks) == 1,
        )
        self._ids = (f"{prefix}-{number:x}" for prefix in (secrets.token_hex(6),) for number in itertools.count(1))
        self._unknown = Route(ROUTES.index("other"), {})
        self._routes = self._table(Inference(served, self._batcher, int(config.max_body_mib * 2**20)))

    def _table(self, inference: Inference) -> dict[str, Route]:
        def route(name: str, *, is_open: bool = False, is_recorded: bool = False, **methods: Handler) -> Route:
            return Route(ROUTES.index(name), methods, is_open, is_recorded)

        served = self._served
        described = document(served)
        server = {"name": "mltool", "version": version(), "extensions": ["binary_tensor_data"]}
        table = {
            "/": route("page", GET=_fixed(try_page(served).encode(), _HTML)),
            "/docs": route("page", GET=_fixed(docs_page(served, described).encode(), _HTML)),
            "/openapi.json": route("page", GET=_fixed(orjson.dumps(described), JSON)),
            "/health": route("health", GET=_fixed(b'{"status":"alive"}', JSON), is_open=True),
            "/ready": route("health", GET=self._ready, is_open=True),
            "/metrics": route("metrics", GET=self._metrics_text),
            "/predict": route("predict", POST=inference.predict, is_recorded=True),
            "/v2": route("metadata", GET=_fixed(orjson.dumps(server), JSON)),
            "/v2/health/live": route("health", GET=_fixed(b'{"live":true}', JSON), is_open=True),
            "/v2/health/ready": route("health", GET=self._ready, is_open=True),
        }
        table["/v2/"], table["/healthz"], table["/readyz"] = table["/v2"], table["/health"], table["/ready"]
        for model in (f"/v2/models/{served.name}", f"/v2/models/{served.name}/versions/{served.version}"):
            table[model] = route("metadata", GET=_fixed(orjson.dumps(metadata(served)), JSON))
            table[f"{model}/ready"] = route("health", GET=self._ready, is_open=True)
            table[f"{model}/infer"] = route("infer", POST=inference.infer, is_recorded=True)
        return table

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        route, method = self._routes.get(scope["path"], self._unknown), scope["method"]
        self._metrics.row[IN_PROGRESS] += 1.0
        call = Call(self._request_id(headers))
        status = 200
        try:
            body, answer_headers = await self._handler(route, method, scope, headers)(call, headers, receive)
        except HttpError as error:
            status, (body, answer_headers) = error.status, _refusal(error)
        except asyncio.CancelledError:  # the server ends, and gave it the time that it had
            status, (body, answer_headers) = 503, _refusal(_CUT_OFF)
        except DisconnectedError:
            self._metrics.request_done(route.place, _GONE, time.perf_counter() - started)
            return
        except Exception:
            logger.exception("request %s failed", call.request_id)
            status, (body, answer_headers) = 500, _refusal(HttpError(500, "the server failed; its log says why"))
        try:
            if len(body) >= _WORTH_PACKING_BYTES and _takes_gzip(headers):
                is_large = len(body) > _LARGE_BYTES
                body = await asyncio.to_thread(_packed, body) if is_large else _packed(body)
                answer_headers = [*answer_headers, (b"content-encoding", b"gzip")]
            answer_headers = [
                *answer_headers,
                (b"content-length", b"%d" % len(body)),
                (b"x-request-id", call.request_id.encode()),
            ]
            if self.is_draining:
                answer_headers.append((b"connection", b"close"))
            await send({"type": "http.response.start", "status": status, "headers": answer_headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request_done(route.place, status, seconds)
            if route.is_recorded and status != 401:
                self._recorder.record(call.request_id, status, seconds, call.inputs, call.outputs)

    def _request_id(self, headers: Headers) -> str:
        """The client's own number if it is one, else a new one."""
        given = headers.get(b"x-request-id")
        text = given.decode("latin-1") if given else ""
        return text if is_request_id(text) else next(self._ids)

    def _handler(self, route: Route, method: str, scope: Mapping[str, Any], headers: Headers) -> Handler:
        """Who answers.

        Raises:
            HttpError: 401, 404 or 405.
        """
        if self._api_key is not None and not route.is_open and not has_key(headers, self._api_key):
            raise HttpError(
                401,
                "the key is missing or wrong",
                hint="send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
                headers=((b"www-authenticate", b'Basic realm="mltool"'),),
            )
        handler = route.methods.get("GET" if method == "HEAD" else method)
        if handler is not None:
            return handler
        path = str(scope["path"])[:100]
        if not route.methods:
            raise HttpError(404, f"there is no `{path}`", hint=_known(path, self._served))
        allowed = ", ".join(route.methods)
        raise HttpError(405, f"`{path}` takes {allowed}, not {method}", headers=((b"allow", allowed.encode()),))

    async def _ready(self, call: Call, headers: Headers, receive: Receive) -> tuple[bytes, AnswerHeaders]:
        if self.is_draining:
            raise HttpError(503, "the server is stopping", headers=RETRY_AFTER)
        return orjson.dumps({"name": self._served.name, "version": self._served.version, "ready": True}), [JSON]

    async def _metrics_text(self, call: Call, headers: Headers, receive: Receive) -> tuple[bytes, AnswerHeaders]:
        self.note_levels()
        return self._metrics.text(self._served), [_METRICS]

    def note_levels(self) -> None:
        """Write down what is counted elsewhere, where other workers can read it."""
        self._metrics.row[WAITING] = float(self._batcher.num_waiting)
        self._metrics.row[NOT_RECORDED] = self._metrics.not_recorded_before + self._recorder.num_dropped

    @property
    def is_running(self) -> bool:
        """Whether the model is still busy with a batch that nobody waits for any more."""
        return self._batcher.is_running

    def close(self) -> None:
        """Write what is still to be recorded."""
        self._recorder.close()


def _fixed(body: bytes, content_type: tuple[bytes, bytes]) -> Handler:
    async def answer(call: Call, headers: Headers, receive: Receive) -> tuple[bytes, AnswerHeaders]:
        return body, [content_type]

    return answer


def _refusal(error: HttpError) -> tuple[bytes, AnswerHeaders]:
    body = {"error": error.message, **({"hint": error.hint} if error.hint else {})}
    close = [(b"connection", b"close")] if error.close else []
    return orjson.dumps(body), [JSON, *error.headers, *close]


def _known(path: str, served: Served) -> str:
    if path.startswith("/v2/models/"):
        return f"the model is `{served.name}`, version `{served.version}`"
    return "`/docs` lists what there is"


def _takes_gzip(headers: Headers) -> bool:
    accepted = headers.get(b"accept-encoding", b"")
    return b"gzip" in accepted and b"gzip;q=0" not in accepted.replace(b" ", b"")


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(body) + packer.flush()
