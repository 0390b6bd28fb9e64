"""Many files moved at once: one progress for all of them, and one end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any

from mltool.core import events

_KIB = 1024
_JOBS = 4
_REPORT_S = 0.1

Moved = Callable[[int], None]
"""Called with the bytes that were moved; raises once the others have stopped."""


class _StoppedError(Exception):
    """Another file failed, or somebody pressed Ctrl-C."""


def move_all(task: str, names: Iterable[str], move: Callable[[str, Moved], int], *, total_bytes: int | None) -> None:
    """Move all files, a few at a time; the first that fails ends it, and what had begun is given up.

    Args:
        move: Called with a name in a thread of its own; returns the bytes of the file.
    """
    stopped, lock, num_bytes = threading.Event(), threading.Lock(), 0

    def one(name: str) -> None:
        reported = 0

        def moved(more: int) -> None:
            nonlocal num_bytes, reported
            if stopped.is_set():
                raise _StoppedError
            with lock:
                reported += more
                num_bytes += more

        size = move(name, moved)
        moved(size - reported)  # what is small is moved without a word

    total = None if total_bytes is None else -(-total_bytes // _KIB)
    with events.track(task, total, "KiB") as bar, ThreadPoolExecutor(_JOBS) as pool:
        left = {pool.submit(one, name) for name in names}
        try:
            while left:
                done, left = wait(left, _REPORT_S, FIRST_EXCEPTION)
                bar.advance(-(-num_bytes // _KIB) - bar.done)
                for future in done:
                    future.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def callback(moved: Moved) -> Any:
    """`moved` in the form that DVC's file systems call."""
    from fsspec.callbacks import Callback

    class Advance(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            moved(inc)

    return Advance()
