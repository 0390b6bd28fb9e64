"""Stand-ins for Google Cloud on this machine, for clients that are Google's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_status import rpc_status

from mltool.core import events
from mltool.core.errors import MltoolError
from mltool.integrations.engines import Engine
from mltool.integrations.google.standins.artifact_registry import ArtifactRegistry
from mltool.integrations.google.standins.build import CloudBuild
from mltool.integrations.google.standins.checking import check_request, project_of, resource_of, response_problems
from mltool.integrations.google.standins.containers import Fleet
from mltool.integrations.google.standins.faults import Calls, Faults
from mltool.integrations.google.standins.iam import Policies
from mltool.integrations.google.standins.images import Images
from mltool.integrations.google.standins.methods import METHODS, Method
from mltool.integrations.google.standins.operations import Operations
from mltool.integrations.google.standins.refusals import Code, RefusalError
from mltool.integrations.google.standins.rollout import Rollouts
from mltool.integrations.google.standins.run import CloudRun
from mltool.integrations.google.standins.runners import InEngine, Processes, Runner
from mltool.integrations.google.standins.storage import Storage
from mltool.serving.listening import listen

HOST = "127.0.0.1"
_NUM_THREADS = 16
Handler = Callable[[Any], Any]


class StandIns:
    """Cloud Run, Cloud Build, Artifact Registry and Cloud Storage on loopback, until the block ends.

    Args:
        folder: For objects, images and logs; a temporary one if there is none.
        port: Of gRPC; 0 takes a free one.
        storage_port: Of Cloud Storage.
        project: The only project that exists; None lets every project exist.
        engine: What builds and runs images; None runs them as processes of this Python.
        faults: What goes wrong; can be changed later.

    Raises:
        MltoolError: A port is taken.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        storage_port: int = 0,
        project: str | None = None,
        engine: Engine | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._calls = Calls(faults or Faults())
        with ExitStack() as stack:  # what was begun ends again if something later fails
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mltool-gcp-")))
            self.folder = folder.resolve()
            self.folder.mkdir(parents=True, exist_ok=True)
            handlers = self._start_services(stack, storage_port, project, engine)
            self._port = _listen(stack, port, _Router(handlers, self._calls, project))
            self._closing = stack.pop_all()

    def _start_services(
        self, stack: ExitStack, storage_port: int, project: str | None, engine: Engine | None
    ) -> dict[str, Handler]:
        runner: Runner = InEngine(engine) if engine else Processes()
        images, policies = Images(self.folder / "images"), Policies(self._calls)
        operations = Operations(self._calls)
        stack.callback(operations.stop)
        fleet = Fleet(runner, self.folder / "revisions")
        stack.callback(fleet.stop)
        rollouts = Rollouts(operations, images, policies, fleet, self._calls)
        stack.callback(rollouts.stop)
        storage = Storage(storage_port, self.folder / "storage", self._calls, project or "any")
        stack.callback(storage.stop)
        self._storage_endpoint = storage.endpoint
        build = CloudBuild(operations, images, storage.read, self.folder, runner, self._calls)
        run = CloudRun(operations, policies, rollouts)
        return {
            **run.handlers(),
            **build.handlers(),
            **ArtifactRegistry(operations, images).handlers(),
            **operations.handlers(),
        }

    @property
    def grpc_endpoint(self) -> str:
        """Such as `127.0.0.1:8085`, for an insecure channel."""
        return f"{HOST}:{self._port}"

    @property
    def storage_endpoint(self) -> str:
        """Such as `http://127.0.0.1:9023`, for STORAGE_EMULATOR_HOST."""
        return self._storage_endpoint

    @property
    def calls(self) -> list[str]:
        """The names of all calls so far, such as `Services.CreateService`."""
        return list(self._calls.names)

    @property
    def faults(self) -> Faults:
        return self._calls.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._calls.faults = faults

    def stop(self) -> None:
        """End everything that was started; nothing of it runs on."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _listen(stack: ExitStack, port: int, router: grpc.GenericRpcHandler) -> int:
    """Answer calls on a port, until the stack unwinds.

    Raises:
        MltoolError: It is taken.
    """
    # Otherwise the kernel would share a port that is taken, and give every other call to somebody else.
    server = grpc.server(ThreadPoolExecutor(_NUM_THREADS), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((router,))
    try:
        found = int(server.add_insecure_port(f"{HOST}:{port}"))
    except RuntimeError as error:
        listen(HOST, port).close()  # says why
        raise MltoolError(f"cannot listen on {HOST}:{port}") from error
    server.start()
    stack.callback(lambda: server.stop(grace=0).wait())
    return found


class _Router(grpc.GenericRpcHandler):  # type: ignore[misc]
    """From the path of a call to what answers it; everything that is said goes through the checks."""

    def __init__(self, handlers: dict[str, Handler], calls: Calls, project: str | None) -> None:
        self._methods = {method.path: method for method in METHODS.values()}
        self._handlers, self._calls, self._project = handlers, calls, project

    def service(self, details: Any) -> Any:
        method = self._methods.get(details.method)
        if method is None:
            return None
        metadata = dict(details.invocation_metadata)

        def call(request: Any, context: Any) -> Any:
            try:
                return self._answer(method, request, metadata)
            except RefusalError as error:
                refusal = error
            except Exception as error:  # noqa: BLE001 - a fault of ours, which the client must tell from its own
                events.warning(f"a stand-in failed at {method.name}: {error!r}")
                refusal = RefusalError(Code.INTERNAL, f"The stand-in failed: {error!r}")
            return context.abort_with_status(rpc_status.to_status(refusal.status()))

        return grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=method.request.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )

    def _answer(self, method: Method, request: Any, metadata: dict[str, str]) -> Any:
        resource = resource_of(method, request)
        project = project_of(resource) or getattr(request, "project_id", "")
        self._calls.begin(method.name, method.api, project)
        if self._project is not None and project != self._project:
            raise RefusalError(
                Code.PERMISSION_DENIED,
                f"Permission denied on resource project {project}.",
                reason="CONSUMER_INVALID",
                metadata={"service": method.api, "consumer": f"projects/{project}"},
            )
        check_request(method, request, metadata)
        answer = self._handlers[method.name](request)
        for problem in response_problems(method, answer):
            raise RefusalError(Code.INTERNAL, f"The stand-in answers what Google does not describe: {problem}")
        self._calls.end(method.name)
        return answer
