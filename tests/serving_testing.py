"""Real servers in processes of their own, and clients that talk to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = 60.0


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


@dataclass
class Running:
    """A server that answers."""

    process: subprocess.Popen[str]
    host: str
    port: int
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, **headers)

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of a metric that carry these labels."""
        total = 0.0
        for line in self.get("/metrics").body.decode().splitlines():
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            if found and found[1] == name and all(f'{k}="{v}"' in (found[2] or "") for k, v in labels.items()):
                total += float(found[3])
        return total

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout_s: float = 60) -> int:
        code = self.process.wait(timeout_s)
        if self.process.stderr is not None:
            self.said += self.process.stderr.read().splitlines()
        return code


@contextlib.contextmanager
def serving(model: Path | str, *overrides: str, **environment: str) -> Iterator[Running]:
    """Start the server of an image for a model folder, wait until it answers, and end it."""
    command = [sys.executable, "-m", "mltool.stages.serve", str(model), "port=0", *overrides]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}, cwd=Path.cwd()
    )
    try:
        yield _ready(process)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stderr is not None:
            process.stderr.close()


def _ready(process: subprocess.Popen[str]) -> Running:
    said: list[str] = []
    assert process.stderr is not None
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if not select.select([process.stderr], [], [], 1.0)[0]:
            continue
        line = process.stderr.readline()
        if not line:
            break
        said.append(line.rstrip())
        found = re.search(r"answers on http://(\S+):(\d+)", line)
        if found:
            return Running(process, found[1], int(found[2]), said)
    raise AssertionError(f"the server did not start: {said}")


def read_answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes, or until nothing comes for long."""
    parts = []
    with contextlib.suppress(TimeoutError, ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)
