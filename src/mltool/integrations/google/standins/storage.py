"""Cloud Storage: the emulator of the package `gcp-storage-emulator`, checked and disturbed as the others are."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
import zlib
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage as Files

from mltool.integrations.google.standins import discovery
from mltool.integrations.google.standins.faults import Calls
from mltool.integrations.google.standins.methods import OF_STORAGE, STORAGE
from mltool.integrations.google.standins.refusals import Code, RefusalError, invalid
from mltool.serving.listening import listen

HOST = "127.0.0.1"
API = "storage.googleapis.com"
_PLACE = re.compile(
    r"(/upload|/download)?(/storage/v1)?/b(/(?P<bucket>[^/]+)(?P<objects>/o(/(?P<object>.+?))?)?"
    r"(/(?P<to>copyTo|rewriteTo|compose)(/.*)?)?)?/?"
)
_VERBS = {"GET": "Get", "DELETE": "Delete", "PATCH": "Patch"}
_OF_UPLOADS = {"uploadType", "upload_id"}
_MAX_METADATA_BYTES = 1 << 20
_STATUS = {Code.PERMISSION_DENIED: 403, Code.RESOURCE_EXHAUSTED: 429, Code.INVALID_ARGUMENT: 400}
logging.getLogger("gcp_storage_emulator").addHandler(logging.NullHandler())
logging.getLogger("gcp_storage_emulator").propagate = False  # it warns of its own doings


class Storage:
    """Buckets and objects, on a port of this machine.

    Args:
        folder: Where they are kept.

    Raises:
        MltoolError: The port is taken.
    """

    def __init__(self, port: int, folder: Path, calls: Calls, project: str) -> None:
        self._files = Files(use_memory_fs=False, data_dir=str(folder))
        self._turn = threading.RLock()  # the emulator was made for one request at a time
        listener = listen(HOST, port)
        listener.setblocking(True)
        handler = partial(_Handler, self._files, self._turn, calls, project)
        self._server = ThreadingHTTPServer(listener.getsockname(), handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket, self._server.server_port = listener, listener.getsockname()[1]
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def read(self, bucket: str, name: str, generation: int = 0) -> bytes | None:
        """The bytes of an object; None if it is not there, or another one has taken its place."""
        with self._turn:
            try:
                if generation and str(self._files.get_file_obj(bucket, name).get("generation")) != str(generation):
                    return None
                return bytes(self._files.get_file(bucket, name))
            except (NotFound, FileNotFoundError):
                return None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _number_of(project: str) -> str:
    """As Google numbers its projects: of twelve digits, and always the same."""
    return str(10**11 + zlib.crc32(project.encode()))


def called(command: str, path: str) -> tuple[str, str, str]:
    """The name of a call, and the bucket and the object that it is about."""
    plain = urlsplit(path).path
    found = _PLACE.fullmatch(plain)
    if found is None:
        return "Storage.Other", "", ""
    bucket, object_ = unquote(found["bucket"] or ""), unquote(found["object"] or "")
    if found["to"]:
        return f"Objects.{found['to'].removesuffix('To').title()}", bucket, object_
    if found["objects"] is None:
        verbs = {"POST": "Insert", "GET": "List"} if not bucket else _VERBS
        name = f"Buckets.{verbs.get(command, 'Other')}"
    else:
        is_upload = plain.startswith("/upload/") or (command in ("POST", "PUT") and not object_)
        verb = "Insert" if is_upload else ("List" if not object_ else _VERBS.get(command, "Other"))
        name = f"Objects.{verb}"
    return (name if name in OF_STORAGE else "Storage.Other"), bucket, object_


class _Handler(RequestHandler):  # type: ignore[misc]
    rfile: Any
    wfile: Any

    def __init__(self, files: Files, turn: threading.RLock, calls: Calls, project: str, *arguments: Any) -> None:
        self._turn, self._calls, self._project = turn, calls, project
        super().__init__(files, *arguments)

    def _answer(self) -> None:
        answer, self.wfile = self.wfile, io.BytesIO()
        try:
            name, bucket, object_ = called(self.command, self.path)
            self._calls.begin(name, API, self._project)
            with self._turn:
                self._check(name, bucket, object_)
                known = set(self.storage.buckets)
                Router(self).handle(self.command)
                self._own(name, known)
            self._calls.end(name)
        except RefusalError as refusal:
            self.wfile.seek(0)
            self.wfile.truncate()
            self._refuse(refusal)
        answer.write(self.wfile.getvalue())
        self.wfile = answer

    def _own(self, name: str, known: set[str]) -> None:
        """Have a new bucket belong to the project that made it, and list to a project those of its own alone."""
        query = parse_qs(urlsplit(self.path).query)
        project, prefix = query.get("project", [self._project])[0], query.get("prefix", [""])[0]
        if name == "Buckets.Insert":
            for bucket in set(self.storage.buckets) - known:
                number = _number_of(project)
                self.storage.create_bucket(bucket, {**self.storage.buckets[bucket], "projectNumber": number})
        elif name == "Buckets.List":
            head, _, _ = self.wfile.getvalue().partition(b"\r\n\r\n")
            found = [
                one
                for one in self.storage.buckets.values()
                if one["projectNumber"] == _number_of(project) and one["name"].startswith(prefix)
            ]
            body = json.dumps({"kind": "storage#buckets", "items": found}).encode()
            kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
            self.wfile = io.BytesIO()
            self.wfile.write(b"\r\n".join([*kept, b"Content-Length: %d" % len(body), b"", body]))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

    def _check(self, name: str, bucket: str, object_: str) -> None:
        """Raises: RefusalError: Something is unknown, or an upload that must be the first finds another there."""
        if name not in OF_STORAGE:
            return
        described = discovery.method(STORAGE, OF_STORAGE[name])
        query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        known = {**described["parameters"], **discovery.document(STORAGE)["parameters"]}
        for key in query.keys() - known.keys() - _OF_UPLOADS:
            raise invalid(f'Invalid query parameter "{key}": Cannot bind query parameter.')
        sent = self._sent() if "request" in described and "upload_id" not in query else {}
        for problem in discovery.problems(STORAGE, described.get("request", {}), sent, "body"):
            raise invalid(problem)
        place = object_ or query.get("name") or sent.get("name", "")
        if name == "Objects.Insert" and query.get("ifGenerationMatch") == "0" and self._has(bucket, place):
            raise RefusalError(
                Code.FAILED_PRECONDITION, "At least one of the pre-conditions you specified did not hold."
            )

    def _sent(self) -> dict[str, Any]:
        """What a bucket or an object is to be like, which may stand before the object itself.

        Raises:
            RefusalError: It is no JSON.
        """
        kind, length = self.headers.get("Content-Type", ""), self.headers.get("Content-Length")
        if not length or not kind.startswith(("application/json", "multipart/related")):
            return {}
        body = self.rfile.read(int(length))
        self.rfile = io.BytesIO(body)  # for the emulator, which reads it again
        text = body.partition(b"\r\n\r\n")[2] if kind.startswith("multipart/") else body
        head = text[:_MAX_METADATA_BYTES].decode(errors="replace").strip()
        try:
            found: dict[str, Any] = json.JSONDecoder().raw_decode(head or "{}")[0]
        except ValueError as error:
            raise invalid("Parse Error") from error
        return found

    def _has(self, bucket: str, name: str) -> bool:
        try:
            self.storage.get_file_obj(bucket, name)
        except (NotFound, FileNotFoundError):
            return False
        return True

    def _refuse(self, refusal: RefusalError) -> None:
        self.close_connection = True
        if refusal.code is Code.UNAVAILABLE:
            return  # the connection ends without an answer
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = _STATUS.get(refusal.code, 412)
        reason = {"SERVICE_DISABLED": "accessNotConfigured", "IAM_PERMISSION_DENIED": "forbidden"}.get(
            refusal.reason, "conditionNotMet" if status == 412 else "rateLimitExceeded"
        )
        error = {"code": status, "message": refusal.message, "errors": [{"reason": reason, "message": refusal.message}]}
        body = json.dumps({"error": error}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
