"""`google.longrunning.Operations`: work that goes on after the call that began it was answered."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.message import Message

from mltool.core import events
from mltool.integrations.google.standins.faults import Calls
from mltool.integrations.google.standins.refusals import Code, RefusalError, not_found

_POLL_S = 0.02
_LONGEST_WAIT_S = 30.0
_STOP_S = 15.0


class Operations:
    """Each operation is a thread of its own; a refusal that it raises becomes its error."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._operations: dict[str, operations_pb2.Operation] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def handlers(self) -> dict[str, Callable[[Any], Any]]:
        return {"Operations.GetOperation": self.get, "Operations.WaitOperation": self.wait}

    def start(
        self,
        parent: str,
        work: Callable[[], Message],
        metadata: Callable[[], Message],
        *,
        name: str | None = None,
    ) -> operations_pb2.Operation:
        """Begin `work`, whose result is that of the operation.

        Args:
            metadata: What is known of the work so far; asked at the beginning and at the end.
        """
        operation = operations_pb2.Operation(name=name or f"{parent}/operations/{uuid.uuid4()}")
        operation.metadata.Pack(metadata())
        with self._lock:
            self._operations[operation.name] = operation
            begun = _copy(operation)
        thread = threading.Thread(target=self._run, args=(operation, work, metadata), daemon=True)
        self._threads.append(thread)
        thread.start()
        return begun

    def _run(
        self, operation: operations_pb2.Operation, work: Callable[[], Message], metadata: Callable[[], Message]
    ) -> None:
        self._stopped.wait(self._calls.faults.operation_delay_s)
        result, problem = None, None
        try:
            result = work()
        except RefusalError as refusal:
            problem = refusal
        except Exception as error:  # noqa: BLE001 - whoever waits for the operation must hear of it
            events.warning(f"a stand-in failed: {error!r}")
            problem = RefusalError(Code.INTERNAL, f"The stand-in failed: {error!r}")
        with self._lock:
            operation.metadata.Pack(metadata())
            if result is not None:
                operation.response.Pack(result)
            elif problem is not None:
                operation.error.CopyFrom(problem.status())
            operation.done = True

    def get(self, request: Any) -> operations_pb2.Operation:
        with self._lock:
            if request.name not in self._operations:
                raise not_found(f"Operation {request.name} not found")
            return _copy(self._operations[request.name])

    def wait(self, request: Any) -> operations_pb2.Operation:
        """As `get`, once the operation is done or the client's patience has ended."""
        patience_s = min(request.timeout.ToTimedelta().total_seconds() or _LONGEST_WAIT_S, _LONGEST_WAIT_S)
        deadline = time.monotonic() + patience_s
        while not (operation := self.get(request)).done and time.monotonic() < deadline:
            if self._stopped.wait(_POLL_S):
                break
        return operation

    def stop(self) -> None:
        self._stopped.set()
        deadline = time.monotonic() + _STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))  # a build in an engine may not care


def _copy(operation: operations_pb2.Operation) -> operations_pb2.Operation:
    copy = operations_pb2.Operation()
    copy.CopyFrom(operation)
    return copy
