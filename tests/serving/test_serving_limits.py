"""What a careless or hostile client sends, and what each of them is told."""

from __future__ import annotations

import gzip
import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mltool.artifacts.artifact import Artifact
from mltool.serving import bodies
from mltool.serving.errors import HttpError
from serving_testing import Running, read_answer, serving

INFER = "/v2/models/linear/infer"
BODY = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]}
).encode()


@pytest.fixture(scope="module")
def small(models: dict[str, Artifact]) -> Iterator[Running]:
    """Takes 64 KiB, and gives up after a second."""
    limits = ("max_body_mib=0.0625", "timeout_s=1", "max_queue_size=100")
    with serving(models["linear"].path, "served_model_name=linear@1", *limits) as server:
        yield server


def turns(num_turns: int, rows: int = 1) -> bytes:
    data = [float(num_turns), 0.0, 0.0, 0.0] * rows
    return json.dumps({"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": data}]}).encode()


def test_a_body_that_is_declared_too_large_is_refused_before_it_is_sent(small: Running) -> None:
    with small.connect() as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\nexpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than 65,536 bytes" in answer


def test_a_client_that_sends_too_much_still_hears_why(small: Running) -> None:
    answer = small.post(INFER, b"x" * 3_000_000)
    assert answer.status == 413
    assert small.post(INFER, BODY).status == 200


def test_a_body_in_chunks_is_counted_while_it_comes(small: Running) -> None:
    with small.connect() as connection:
        connection.sendall(f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(20):
            connection.sendall(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
        connection.settimeout(5)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_body_in_chunks_is_answered(small: Running) -> None:
    with small.connect() as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        for start in range(0, len(BODY), 10):
            part = BODY[start : start + 10]
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_small_body_that_unpacks_to_much_is_refused(small: Running, pack: object) -> None:
    bomb = pack(b" " * 50_000_000)  # type: ignore[operator]
    assert len(bomb) < 65_536
    answer = small.post(INFER, bomb, Content_Encoding="gzip")
    assert answer.status == 413
    assert "the unpacked body is larger" in answer.error


@pytest.mark.parametrize(
    ("body", "encoding", "status", "error"),
    [
        (b"no gzip", "gzip", 400, "the body is not gzip"),
        (gzip.compress(BODY)[:-5], "gzip", 400, "not one whole gzip stream"),
        (gzip.compress(BODY) + b"more", "gzip", 400, "not one whole gzip stream"),
        (BODY, "br", 415, "the content encoding `br` is not read"),
        (BODY, "gzip, gzip", 415, "is not read"),
    ],
    ids=["no gzip", "cut off", "more after it", "br", "twice"],
)
def test_a_body_that_is_not_packed_as_it_says_is_refused(
    small: Running, body: bytes, encoding: str, status: int, error: str
) -> None:
    answer = small.post(INFER, body, Content_Encoding=encoding)
    assert answer.status == status
    assert error in answer.error


def test_more_samples_than_can_ever_wait_are_refused(small: Running) -> None:
    rows = 101
    body = {"inputs": [{"name": "x", "shape": [rows, 4], "datatype": "FP32", "data": [0.0] * 4 * rows}]}
    answer = small.post(INFER, body)
    assert answer.status == 413
    assert "101 samples are more than one request may hold, 100" in answer.error


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /predict HT",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a line", "half a head", "no body", "half a body"],
)
def test_a_client_that_stops_in_the_middle_is_let_go(small: Running, sent: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(sent)
        started = time.monotonic()
        answer = read_answer(connection)
    assert time.monotonic() - started < 10
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b"not whole within 1 s" in answer


def test_a_client_that_drips_is_let_go(small: Running) -> None:
    with small.connect() as connection:
        connection.settimeout(0.2)
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        answer = b""
        for _ in range(100):
            try:
                connection.sendall(b" ")
                answer = connection.recv(4096)
                break
            except TimeoutError:
                continue
            except ConnectionError:
                break
    assert b" 408 " in answer


def test_a_slow_client_does_not_keep_others_from_their_answers(small: Running) -> None:
    waiting = [small.connect() for _ in range(50)]
    try:
        for connection in waiting:
            connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        assert small.post(INFER, BODY).status == 200
    finally:
        for connection in waiting:
            connection.close()


@pytest.fixture(scope="module")
def patient(models: dict[str, Artifact]) -> Iterator[Running]:
    """Waits for half a minute, so that what is cut off earlier is cut off for another reason."""
    with serving(models["linear"].path, "served_model_name=linear@1") as server:
        yield server


@pytest.mark.parametrize(
    "start",
    [
        "GET / HTTP/1.1\r\nhost: x\r\n",
        f"POST {INFER} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n0\r\n",
    ],
    ids=["head", "trailers"],
)
def test_a_head_or_trailers_without_end_are_cut_off(patient: Running, start: str) -> None:
    started = time.monotonic()
    with patient.connect() as connection, pytest.raises(OSError):  # noqa: PT012 - which of the writes fails is chance
        connection.sendall(start.encode())
        for _ in range(20_000):
            connection.sendall(b"x: " + b"y" * 1000 + b"\r\n")
    assert time.monotonic() - started < 20


def test_a_bomb_is_never_unpacked_as_a_whole() -> None:
    bomb = gzip.compress(b" " * 200_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(HttpError, match="the unpacked body is larger"):
            bodies._unpacked(bomb, b"gzip", 65_536)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_large_body_that_comes_in_parts_is_no_head(patient: Running) -> None:
    body = json.dumps({"inputs": [{"name": "x", "shape": [1000, 4], "datatype": "FP32", "data": [0.123456789] * 4000}]})
    head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    with patient.connect() as connection:
        connection.sendall(head.encode())
        for start in range(0, len(body), 1000):
            connection.sendall(body[start : start + 1000].encode())
        assert read_answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("given", ["a\nb", "\x00", "a\r\nx-evil: 1", "é漢", "x" * 200_000])
def test_an_id_that_is_no_header_is_answered_under_a_number_of_ours(patient: Running, given: str) -> None:
    answer = patient.post(INFER, {**json.loads(BODY), "id": given})
    assert answer.status == 200
    assert answer.json["id"] == given
    assert answer.headers["x-request-id"].isascii()
    assert answer.headers["x-request-id"] != given
    assert "x-evil" not in answer.headers
    assert patient.metric("mltool_requests_in_progress") == 1


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100])
def test_what_is_not_http_is_refused(small: Running, sent: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(sent)
        assert read_answer(connection)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 408", b"")
    assert small.get("/ready").status == 200


def test_a_body_longer_than_it_says_is_refused(small: Running) -> None:
    with small.connect() as connection:
        head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n\r\n"
        connection.sendall(head.encode() + BODY + b"and more\r\n\r\n")
        assert b"HTTP/1.1 400 " in read_answer(connection)


def test_requests_one_after_the_other_on_one_connection_are_answered_in_order(small: Running) -> None:
    with small.connect() as connection:
        for number in range(5):
            close = "connection: close\r\n" if number == 4 else ""
            head = f"POST {INFER} HTTP/1.1\r\nhost: x\r\nx-request-id: {number}\r\n{close}"
            connection.sendall(f"{head}content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
        answer = read_answer(connection)
    ids = [line.split(b": ")[1] for line in answer.split(b"\r\n") if line.startswith(b"x-request-id: ")]
    assert ids == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("DELETE", INFER, 405),
        ("POST", "/ready", 405),
        ("PUT", "/", 405),
        ("GET", "/nothing", 404),
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/linear/versions/9/infer", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%00", 404),
    ],
)
def test_a_wrong_path_or_method_is_named(small: Running, method: str, path: str, status: int) -> None:
    answer = small.ask(method, path)
    assert answer.status == status
    assert "`" in answer.error
    if status == 405:
        assert answer.headers["allow"] in ("GET", "POST")


def test_a_head_request_has_no_body(small: Running) -> None:
    answer = small.ask("HEAD", "/ready")
    assert answer.status == 200
    assert answer.body == b""


@pytest.mark.parametrize("given", ["", "x" * 129, "two\twords", "naïve"])
def test_a_request_number_that_cannot_be_logged_is_replaced(small: Running, given: str) -> None:
    with small.connect() as connection:
        head = f"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-request-id: {given}\r\n\r\n"
        connection.sendall(head.encode("utf-8"))
        answer = read_answer(connection).decode()
    number = next(line.split(": ")[1] for line in answer.split("\r\n") if line.startswith("x-request-id: "))
    assert number
    assert number != given
    assert small.get("/ready", X_Request_ID="order-7").headers["x-request-id"] == "order-7"


def test_a_full_queue_is_429_and_a_slow_answer_504(models: dict[str, Artifact]) -> None:
    limits = ("max_queue_size=8", "timeout_s=1.5", "max_batch_size=4")
    with serving(models["slow"].path, "served_model_name=slow", *limits) as server, ThreadPoolExecutor(32) as pool:
        slow = pool.submit(server.post, "/v2/models/slow/infer", turns(5_000_000))
        time.sleep(0.4)
        waiting = [pool.submit(server.post, "/v2/models/slow/infer", turns(1)) for _ in range(20)]
        time.sleep(0.3)
        started = time.monotonic()
        assert server.get("/health").status == 200  # the loop is not what is busy
        assert time.monotonic() - started < 1
        answers = [one.result() for one in waiting]
        assert slow.result().status == 504
    statuses = [answer.status for answer in answers]
    assert statuses.count(429) == 12
    assert statuses.count(504) == 8
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["retry-after"] == "1"
    assert refused.error == "8 samples are waiting already"


def test_a_key_is_asked_for_everywhere_but_at_the_health_checks(models: dict[str, Artifact]) -> None:
    name = "served_model_name=linear@1"
    with serving(models["linear"].path, name, MLTOOL_API_KEY="s3cret") as server:
        for path in ("/", "/docs", "/openapi.json", "/metrics", "/v2", "/v2/models/linear", "/nothing"):
            assert server.get(path).status == 401, path
        for path in ("/health", "/ready", "/v2/health/live", "/v2/health/ready", "/v2/models/linear/ready"):
            assert server.get(path).status == 200, path
        assert server.post(INFER, BODY).status == 401
        assert server.post(INFER, BODY, Authorization="Bearer s3cre").status == 401
        assert server.post(INFER, BODY, Authorization="Basic !!").status == 401
        assert server.post(INFER, BODY, X_API_Key="s3crets").status == 401
        assert server.post(INFER, BODY, Authorization="Bearer s3cret").status == 200
        assert server.post(INFER, BODY, Authorization="Basic YW55Ym9keTpzM2NyZXQ=").status == 200
        assert server.post(INFER, BODY, X_API_Key="s3cret").status == 200
        assert server.get("/").headers["www-authenticate"] == 'Basic realm="mltool"'
        assert "s3cret" not in server.get("/metrics", X_API_Key="s3cret").body.decode()
    assert not any("s3cret" in line for line in server.said)


def test_connections_come_and_go(small: Running) -> None:
    for _ in range(300):
        socket.create_connection((small.host, small.port)).close()
    assert small.post(INFER, BODY).status == 200
