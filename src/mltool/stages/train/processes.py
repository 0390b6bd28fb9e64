"""Several processes that train one network, started by `torch.distributed.run` and watched until the last has ended."""

from __future__ import annotations

import hmac
import os
import re
import secrets
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mltool.core import errors, events
from mltool.core.config.settings import find_project
from mltool.core.errors import MltoolError
from mltool.modeling.training.ranks import LostRankError
from mltool.modeling.training.stopping import stop_on_interrupt
from mltool.stages.train.order import CALL_HOME, Lines, Order, send

LOG = "processes.log"
_POLL_S = 0.1
_GRACE_S = 10.0
"""How long the others may take to notice that one has failed, before they are ended too."""
_LAST_WORDS_S = 1.0
"""How long what they said before they ended is listened to."""
_MAX_GREETING_BYTES = 1024
"""Of a connection that has not said the word yet: anybody on this machine can connect."""
_FIRST_TO_FAIL = re.compile(r"failed \(exitcode: -(\d+)\) local_rank: (\d+)")
"""How the launcher tells by which signal a process ended."""
_WORKER = "mltool.stages.train.worker"


def train_together(order: Order, on_epoch: Callable[[dict[str, Any]], None]) -> None:
    """Have as many processes as the config says bring a run to its last checkpoint.

    Raises:
        KeyboardInterrupt: Somebody stopped it; the checkpoint is written.
        MltoolError: A process failed; the same as it said, or how it ended.
    """
    log = Path(order.run_folder) / LOG
    with socket.create_server(("127.0.0.1", 0)) as server, stop_on_interrupt() as stop:
        word = secrets.token_hex(16)
        call_home = f"{server.getsockname()[1]} {word}"
        with _launched(order, call_home, log) as launcher:
            crew = _Crew(order, server, word, on_epoch)
            try:
                while launcher.poll() is None:
                    crew.listen()
                    if stop.is_set():
                        crew.ask_to_stop()
                    if crew.has_failed_for() > _GRACE_S:
                        break
                ended_at = time.monotonic()
                while crew.listen() and time.monotonic() - ended_at < _LAST_WORDS_S:
                    pass
            finally:
                crew.hang_up()
    crew.judge(log)
    if stop.is_set():  # too late for the processes, whose work was done
        raise KeyboardInterrupt


@contextmanager
def _launched(order: Order, call_home: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The launcher, in a session of its own: Ctrl-C is for us alone, and what the processes print goes to `log`."""
    num_processes = order.train["processes"]
    scratch = str(log.with_suffix(""))  # the launcher makes a folder, and leaves it
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1",
        f"--nproc-per-node={num_processes}", "--max-restarts=0", "--local-addr=127.0.0.1", f"--log-dir={scratch}",
        "--module", _WORKER, order.run_folder,  # which it does not read: whoever lists processes does
    ]  # fmt: skip
    environment = {
        **os.environ,
        CALL_HOME: call_home,
        "PYTHONPATH": _import_paths(),
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": str(order.threads),
        "GLOO_SOCKET_IFNAME": os.environ.get("GLOO_SOCKET_IFNAME", _loopback()),
    }
    with log.open("wb") as stream:
        launcher = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            yield launcher
        finally:
            try:
                launcher.wait(_GRACE_S)  # its processes have ended, or do so now that nobody listens to them
            except subprocess.TimeoutExpired:
                launcher.kill()
                launcher.wait()
            shutil.rmtree(scratch, ignore_errors=True)


def _import_paths() -> str:
    """Where this process finds modules, but for the user's own folders.

    Those come later, with the user's code: a `random.py` there must not stand before Python's own.
    """
    own = ("", str(Path.cwd()), str(find_project()))
    return os.pathsep.join(path for path in sys.path if path not in own)


def _loopback() -> str:
    names = [name for _, name in socket.if_nameindex()]
    return next((name for name in names if name.startswith("lo")), names[0])


@dataclass
class _Crew:
    """The processes, as far as they have called home.

    Attributes:
        ends: How each rank ended, in its own words: `done`, `stopped`, or an error.
    """

    order: Order
    server: socket.socket
    word: str
    on_epoch: Callable[[dict[str, Any]], None]
    ends: dict[int, dict[str, Any]] = field(default_factory=dict)
    _ranks: dict[socket.socket, int] = field(default_factory=dict)
    _lost: list[int] = field(default_factory=list)
    _failed_at: float | None = None
    _is_asked: bool = False

    def __post_init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.server, selectors.EVENT_READ)

    def listen(self) -> bool:
        """Take in what has been said, or wait for it a moment; False if nothing was."""
        ready = self._selector.select(_POLL_S)
        for key, _ in ready:
            if key.fileobj is self.server:
                self._accept()
            else:
                self._read(key.data)
        return bool(ready)

    def _accept(self) -> None:
        with suppress(OSError):  # whoever called has gone already
            connection, _ = self.server.accept()
            self._selector.register(connection, selectors.EVENT_READ, Lines(connection, _MAX_GREETING_BYTES))

    def _read(self, lines: Lines) -> None:
        try:
            messages = lines.read()
            if messages and lines.connection not in self._ranks:
                self._welcome(lines, messages.pop(0))
        except ValueError:  # a stranger, whatever it wants
            messages = None
        for message in messages or ():
            self._hear(lines.connection, message)
        if messages is None:
            self._forget(lines.connection)

    def _welcome(self, lines: Lines, message: dict[str, Any]) -> None:
        """Give the order to a process that knows the word.

        Raises:
            ValueError: It does not, or is none of ours.
        """
        word, rank = str(message.get("word")), message.get("rank")
        if not hmac.compare_digest(word.encode(), self.word.encode()):
            raise ValueError("it does not know the word")
        if not isinstance(rank, int) or rank in self._ranks.values():
            raise ValueError("it has no rank of its own")
        self._ranks[lines.connection], lines.max_bytes = rank, None
        _tell(lines.connection, {"order": asdict(self.order)})
        if self._is_asked:
            _tell(lines.connection, {"stop": True})

    def _hear(self, connection: socket.socket, message: dict[str, Any]) -> None:
        if "epoch" in message:
            self.on_epoch(message["epoch"])
        elif "said" in message:
            events.emit(events.Message(**message["said"]))
        elif "progress" in message:
            events.emit(events.Progress(**message["progress"]))
        elif "end" in message:
            self.ends[self._ranks[connection]] = message
            self._note_failure(message["end"] == "error")

    def _forget(self, connection: socket.socket) -> None:
        if connection.fileno() < 0:
            return
        rank = self._ranks.pop(connection, None)
        self._selector.unregister(connection)
        connection.close()
        if rank is not None and rank not in self.ends:
            self._lost.append(rank)
            self._note_failure(True)

    def _note_failure(self, is_failure: bool) -> None:
        if is_failure and self._failed_at is None:
            self._failed_at = time.monotonic()

    def has_failed_for(self) -> float:
        """Seconds since the first process failed; 0 if none did."""
        return 0.0 if self._failed_at is None else time.monotonic() - self._failed_at

    def ask_to_stop(self) -> None:
        """Tell everybody once; they agree on the step after which they save and end."""
        if not self._is_asked:
            self._is_asked = True
            for connection in self._ranks:
                _tell(connection, {"stop": True})

    def hang_up(self) -> None:
        """Close all connections: whoever still runs ends at once."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                key.data.connection.close()
        self._selector.close()

    def judge(self, log: Path) -> None:
        """Return if every process did its work, else raise what the first one that failed said."""
        size = self.order.train["processes"]
        said = [{**end, "rank": rank} for rank, end in self.ends.items() if end["end"] == "error"]
        own = [end for end in said if end["kind"] != LostRankError.__name__]
        if own and len(own) == size and len({end["message"] for end in own}) == 1:
            raise _error(own[0], own[0]["message"])
        if own:
            raise _error(own[0], f"rank {own[0]['rank']} of {size}: {own[0]['message']}")
        if self._lost or said or len(self.ends) < size:
            raise _ended_silently(self._lost, size, log)
        if any(end["end"] == "stopped" for end in self.ends.values()):
            raise KeyboardInterrupt


def _tell(connection: socket.socket, message: dict[str, Any]) -> None:
    with suppress(OSError):  # it has just died, which will be heard
        send(connection, message)


def _error(end: dict[str, Any], message: str) -> MltoolError:
    kind = getattr(errors, end["kind"], MltoolError)
    error: MltoolError = kind(message, hint=end["hint"])
    return error


def _ended_silently(lost: list[int], size: int, log: Path) -> MltoolError:
    """What is known of a process that said nothing: the launcher saw how it ended."""
    killed = _FIRST_TO_FAIL.search(log.read_text(encoding="utf-8", errors="replace"))
    rank = int(killed[2]) if killed else lost[0] if lost else None
    who = f"rank {rank} of {size}" if rank is not None else f"one of the {size} processes of the training"
    how = f"was ended by {signal.Signals(int(killed[1])).name}" if killed else "ended without a word"
    if killed and int(killed[1]) == getattr(signal, "SIGKILL", None):
        how += ", as by a system that is short of memory"
    return MltoolError(
        f"{who} {how}", hint=f"`--resume` continues from the last checkpoint; what was printed is in `{log}`"
    )
