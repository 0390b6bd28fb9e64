from __future__ import annotations

import contextlib
import logging

import pytest

from mltool.core import events
from mltool.core.events import Event, Message, Progress


def test_without_a_subscriber_messages_go_to_the_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mltool"):
        events.info("100% of %s")
        events.warning("look")
        with events.track("read", 2, "rows") as tracker:
            tracker.advance(2)
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("mltool", logging.INFO, "100% of %s"),
        ("mltool", logging.WARNING, "look"),
    ]


def test_with_a_subscriber_the_logger_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Event] = []
    with caplog.at_level(logging.INFO, logger="mltool"), events.subscribed(seen.append):
        events.info("a")
        events.warning("b")
    assert seen == [Message("info", "a"), Message("warning", "b")]
    assert caplog.records == []


def test_every_subscriber_hears_until_its_block_ends() -> None:
    outer: list[Event] = []
    inner: list[Event] = []
    with events.subscribed(outer.append):
        with contextlib.suppress(KeyError), events.subscribed(inner.append):
            events.info("both")
            raise KeyError
        events.info("outer")
    assert outer == [Message("info", "both"), Message("info", "outer")]
    assert inner == [Message("info", "both")]


def test_a_long_task_says_where_it_is() -> None:
    seen: list[Event] = []
    with events.subscribed(seen.append), events.track("decode", 5, "images") as tracker:
        tracker.advance(2)
        tracker.advance(3, "b.png")
    assert seen == [
        Progress("decode", 0, 5, "images"),
        Progress("decode", 2, 5, "images"),
        Progress("decode", 5, 5, "images", "b.png"),
        Progress("decode", 5, 5, "images", finished=True),
    ]


def test_a_task_that_fails_is_ended_too() -> None:
    seen: list[Event] = []
    with events.subscribed(seen.append), contextlib.suppress(OSError), events.track("decode", None, "x") as tracker:
        tracker.advance(1)
        raise OSError
    assert seen[-1] == Progress("decode", 1, None, "x", finished=True)
