"""How the processes of a training and their parent talk, and who else may connect to the parent's port."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from mltool.stages.train.order import Lines, Order, send
from mltool.stages.train.processes import _Crew
from mltool.stages.train.worker import _order

WORD = "abcd"
ORDER = Order(
    model={}, task={}, train={"processes": 2}, dataset="data", run_folder="run", threads=1, bf16=False, device="cpu",
    resume=False,
)  # fmt: skip
TIMEOUT_S = 10.0


@pytest.fixture
def crew() -> Iterator[_Crew]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        crew = _Crew(ORDER, server, WORD, lambda metrics: None)
        yield crew
        crew.hang_up()


@contextmanager
def caller(crew: _Crew, said: bytes) -> Iterator[socket.socket]:
    """A process on this machine that connects to the parent, and says something."""
    with socket.create_connection(crew.server.getsockname(), TIMEOUT_S) as connection:
        connection.sendall(said)
        while crew.listen():
            pass
        yield connection


def greeting(rank: int = 0, word: str = WORD) -> bytes:
    return json.dumps({"rank": rank, "word": word}).encode() + b"\n"


def ordered(connection: socket.socket) -> Order:
    return _order(Lines(connection), threading.Event())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"[1]\n",
        b"null\n",
        b"\xff\xfe\n",
        b"[" * 1000 + b"\n",
        b"[" * 60_000 + b"\n",
        b"9" * 5_000,
        json.dumps({"rank": 0, "word": "gr\u00fc\u00df"}).encode() + b"\n",
        b'{"rank": 0, "word": "\\ud800"}\n',
        greeting(word="wrong"),
        2 * greeting(word="wrong"),
        greeting(word="wrong") + greeting(),
        b'{"word": ["abcd"], "rank": 0}\n',
        json.dumps({"word": WORD}).encode() + b"\n",
        json.dumps({"word": WORD, "rank": [0]}).encode() + b"\n",
        b'{"end": "done"}\n',
    ],
)
def test_a_stranger_learns_nothing_is_hung_up_on_and_ends_no_training(crew: _Crew, said: bytes) -> None:
    with caller(crew, said) as stranger:
        with suppress(ConnectionResetError):  # it was not listened to until its end
            assert stranger.recv(1 << 16) == b""
        assert crew.has_failed_for() == 0
        assert crew.ends == {}
        with caller(crew, greeting()) as ours:
            assert ordered(ours) == ORDER


def test_a_stranger_that_is_silent_or_goes_ends_no_training(crew: _Crew) -> None:
    with caller(crew, b""), caller(crew, b'{"wor'):
        pass
    while crew.listen():
        pass
    assert crew.has_failed_for() == 0
    with caller(crew, greeting(1)) as ours:
        assert ordered(ours) == ORDER


def test_one_of_ours_that_goes_without_a_word_is_lost_whatever_it_said_last(crew: _Crew) -> None:
    with caller(crew, greeting()), caller(crew, greeting(1)) as ours:
        ours.sendall(b'{"said')
        assert crew.has_failed_for() == 0
    while crew.listen():
        pass
    assert crew.has_failed_for() > 0


def test_what_one_of_ours_says_may_be_long_and_come_with_its_greeting(crew: _Crew) -> None:
    end = {"end": "error", "kind": "MltoolError", "message": "much " * 50_000, "hint": None}
    with caller(crew, greeting()) as ours:
        send(ours, end)
        while crew.listen():
            pass
        assert crew.ends == {0: end}
    with caller(crew, greeting(1) + b'{"end": "done"}\n'):
        assert crew.ends[1] == {"end": "done"}


def test_a_process_that_comes_after_ctrl_c_stops_though_order_and_wish_arrive_together(crew: _Crew) -> None:
    crew.ask_to_stop()
    with caller(crew, greeting()) as ours:
        stop = threading.Event()
        assert _order(Lines(ours), stop) == ORDER
    assert stop.is_set()


def test_an_order_alone_is_no_wish_to_stop(crew: _Crew) -> None:
    with caller(crew, greeting()) as ours:
        stop = threading.Event()
        assert _order(Lines(ours), stop) == ORDER
    assert not stop.is_set()
