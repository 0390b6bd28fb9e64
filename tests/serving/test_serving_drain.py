"""How a server ends: nothing that it accepted is lost, and nothing keeps it from ending."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.records.reading import read
from serving_testing import Running, read_answer, serving

INFER = "/v2/models/slow/infer"


def turns(num_turns: float) -> bytes:
    data = [num_turns, 0.1, 0.2, 0.3]
    return json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": data}]}).encode()


@pytest.fixture
def slow(models: dict[str, Artifact]) -> Path:
    return models["slow"].path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_that_run_and_that_wait_are_answered_before_the_end(slow: Path, number: int) -> None:
    with serving(slow, "served_model_name=slow") as server, ThreadPoolExecutor(8) as pool:
        running = [pool.submit(server.post, INFER, turns(800_000)) for _ in range(8)]
        time.sleep(0.3)
        server.process.send_signal(number)
        assert [one.result().status for one in running] == [200] * 8
        assert server.wait() == 0
    assert server.said[-1] == "stopped; every request was answered"


def test_a_server_without_requests_ends_at_once(slow: Path) -> None:
    with serving(slow) as server:
        started = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - started < 5


def test_while_draining_nobody_new_is_accepted_and_who_is_connected_is_told(slow: Path) -> None:
    with serving(slow, "served_model_name=slow") as server, ThreadPoolExecutor(1) as pool:
        with server.connect() as kept:
            running = pool.submit(server.post, INFER, turns(1_500_000))
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.4)
            with pytest.raises(ConnectionError):
                server.get("/ready")
            kept.sendall(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = read_answer(kept)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"connection: close" in answer
        assert b"retry-after: 1" in answer
        assert running.result().status == 200
        assert server.wait() == 0


def test_requests_that_take_too_long_are_cut_off_and_it_is_said(slow: Path) -> None:
    with serving(slow, "served_model_name=slow", "drain_s=1") as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, INFER, turns(60_000_000))
        time.sleep(0.3)
        started = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - started < 15
        assert running.result().status == 503
        assert running.result().error == "the server stopped before the answer was there"
    assert any("running requests were cut off after 1 s" in line for line in server.said)


def test_a_second_signal_ends_it_at_once(slow: Path) -> None:
    with serving(slow, "served_model_name=slow") as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(server.post, INFER, turns(60_000_000))
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        started = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - started < 15
        assert running.result().status == 503
        assert running.result().error == "the server stopped before the answer was there"


def test_an_answer_on_its_way_to_a_slow_client_is_sent_to_its_end(models: dict[str, Artifact]) -> None:
    rows = 150_000
    size = {"binary_data_size": 16 * rows}
    head = {"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "parameters": size}]}
    text = json.dumps(head).encode()
    body = text + bytes(16 * rows)
    options = ("served_model_name=linear", "max_queue_size=200000", "record=off")
    with serving(models["linear"].path, *options) as server, server.connect() as slow:
        lengths = f"content-length: {len(body)}\r\ninference-header-content-length: {len(text)}\r\n"
        slow.sendall(f"POST /v2/models/linear/infer HTTP/1.1\r\nhost: x\r\n{lengths}\r\n".encode() + body)
        answer = slow.recv(4096)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(2.5)  # longer than a connection without a request is kept
        while part := slow.recv(1 << 20):
            answer += part
        assert (server.wait(), server.said[1:]) == (0, ["stopped; every request was answered"])
        assert len(answer) == _length(answer)


class Load:
    """Clients that ask as fast as they can, on connections that they keep or make anew."""

    def __init__(self, server: Running, path: str, body: bytes, *, num_clients: int, keep: bool) -> None:
        self._server, self._body, self._keep = server, body, keep
        self._head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        self.num_answered, self.lost = 0, []
        self.num_reset = 0
        """Connections that were never answered, and so never accepted by more than the system."""
        self._lock = threading.Lock()
        self.is_over = False
        self._threads = [threading.Thread(target=self._ask) for _ in range(num_clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        while not self.is_over:
            try:
                connection = socket.create_connection((self._server.host, self._server.port), timeout=30)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                continue  # never accepted
            with connection:
                is_new = True
                while self._asked(connection, is_new) and self._keep and not self.is_over:
                    is_new = False

    def _asked(self, connection: socket.socket, is_new: bool) -> bool:
        """Whether the connection can be used again."""
        try:
            connection.sendall(self._head + self._body)
            answer = b""
            while b"\r\n\r\n" not in answer or len(answer) < _length(answer):
                part = connection.recv(65536)
                if not part:
                    raise ConnectionError(f"closed after {len(answer)} bytes")
                answer += part
        except OSError as error:
            with self._lock:
                if is_new and isinstance(error, ConnectionResetError):
                    self.num_reset += 1
                else:
                    self.lost.append(repr(error))
            return False
        with self._lock:
            if answer.startswith(b"HTTP/1.1 200 "):
                self.num_answered += 1
            else:
                self.lost.append(answer.split(b"\r\n")[0].decode())
        return b"connection: close" not in answer

    def end(self) -> None:
        self.is_over = True
        for thread in self._threads:
            thread.join(30)


def _length(answer: bytes) -> int:
    head, _, _ = answer.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return len(head) + 4 + int(lengths[0].split(b":")[1])


@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_accepted_request_is_lost_in_a_drain_under_load(
    models: dict[str, Artifact], tmp_path: Path, keep: bool, workers: int
) -> None:
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}).encode()
    options = ("served_model_name=linear", f"workers={workers}", f"record_folder={tmp_path / 'records'}")
    with serving(models["linear"].path, *options) as server:
        load = Load(server, "/v2/models/linear/infer", body, num_clients=8, keep=keep)
        time.sleep(0.7)
        assert server.stop() == 0
        load.end()
    assert load.num_answered > 50
    # What the server answered has arrived: what it read, it answered.
    assert sum(record.status == 200 for record in read(tmp_path / "records")) == load.num_answered
    assert load.lost == []
    # Who connects within the microseconds in which the system takes the socket away is reset, but was not accepted.
    assert load.num_reset <= 2
