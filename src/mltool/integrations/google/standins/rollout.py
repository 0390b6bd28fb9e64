"""From what is wanted of a service to containers that answer: a revision is started before it gets any request."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from google.cloud import run_v2
from google.longrunning import operations_pb2

from mltool.integrations.google.standins.containers import Fleet
from mltool.integrations.google.standins.faults import Calls
from mltool.integrations.google.standins.iam import Policies
from mltool.integrations.google.standins.images import Images
from mltool.integrations.google.standins.masks import copy_fields
from mltool.integrations.google.standins.operations import Operations
from mltool.integrations.google.standins.refusals import Code, RefusalError, not_found
from mltool.integrations.google.standins.run_rules import LATEST
from mltool.integrations.google.standins.runners import StartError, Wanted
from mltool.integrations.google.standins.times import now
from mltool.integrations.google.standins.traffic import Front

_PORT = 8080
_TCP_PATIENCE_S = 240.0
_SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
_FAILED = run_v2.Condition.State.CONDITION_FAILED
_RECONCILING = run_v2.Condition.State.CONDITION_RECONCILING


class Rollouts:
    """The services and revisions that there are, and what goes on with them.

    Attributes:
        lock: Of the two dictionaries and all that is in them; nothing slow is done with it.
        services: A service stays the same object for as long as it is there.
    """

    def __init__(self, operations: Operations, images: Images, policies: Policies, fleet: Fleet, calls: Calls) -> None:
        self._operations, self._images, self._fleet, self._calls = operations, images, fleet, calls
        self.services: dict[str, run_v2.Service] = {}
        self.revisions: dict[str, run_v2.Revision] = {}
        self.lock = threading.RLock()
        self._front = Front(self.services, policies, fleet)
        self._turns: dict[str, threading.Lock] = {}
        """One for each name of a service: it rolls out one thing after the other."""

    def add(self, service: run_v2.Service, revision: str) -> operations_pb2.Operation:
        """Begin to bring a new service about."""
        self.services[service.name] = service
        service.uri = self._front.open(service.name)
        service.urls = [service.uri]
        return self.advance(service, revision)

    def remove(self, service: run_v2.Service) -> operations_pb2.Operation:
        """Forget a service at once, and begin to stop what answered for it."""
        name, deleted = service.name, run_v2.Service.pb(run_v2.Service(service, delete_time=now()))
        del self.services[name]
        for one in [one for one in self.revisions if one.startswith(f"{name}/")]:
            del self.revisions[one]
        self._front.close(name)

        def work() -> Any:
            with self._turn(name):
                if name not in self.services:  # else the one that took its place stops what it does not need
                    self._fleet.keep_only(f"{name}/revisions", set())
            return deleted

        return self._operations.start(parent_of(name), work, lambda: deleted)

    def _turn(self, name: str) -> threading.Lock:
        with self.lock:
            return self._turns.setdefault(name, threading.Lock())

    def stop(self) -> None:
        self._front.stop()

    def advance(self, service: run_v2.Service, revision: str | None) -> operations_pb2.Operation:
        """Take note of what is wanted, and begin to bring it about."""
        service.generation += 1
        service.etag = f'"{uuid.uuid4().hex}"'
        service.update_time = now()
        service.reconciling = True
        service.terminal_condition = run_v2.Condition(type_="Ready", state=_RECONCILING)
        if not service.traffic:
            service.traffic = [run_v2.TrafficTarget(type_=LATEST, percent=100)]
        if revision is not None:
            made = _revision(service, revision)
            made.log_uri = self._fleet.log_of(made.name).as_uri()
            self.revisions[made.name] = made
            service.latest_created_revision = made.name
        name, generation = service.name, service.generation

        def work() -> Any:
            with self._turn(name):
                return self._roll_out(service, generation)

        def metadata() -> Any:
            with self.lock:
                return run_v2.Service.pb(run_v2.Service(self.services.get(name, service)))

        return self._operations.start(parent_of(name), work, metadata)

    def _roll_out(self, service: run_v2.Service, generation: int) -> Any:
        with self.lock:
            self._expect(service)
            latest = self.revisions[service.latest_created_revision]
        problem = None
        try:
            if service.latest_ready_revision != latest.name:
                self._start(latest)
                self._set_condition(latest, _SUCCEEDED)
                service.latest_ready_revision = latest.name
            self._move_traffic(service)
        except RefusalError as refusal:
            problem = refusal
        with self.lock:
            if problem is not None and service.latest_ready_revision != latest.name:
                self._set_condition(latest, _FAILED, problem.message)
            self._settle(service, generation, problem.message if problem else "")
            needed = self._front.serving(service)
        self._fleet.keep_only(f"{service.name}/revisions", needed)
        if problem is not None:
            raise problem
        with self.lock:
            self._expect(service)
            return run_v2.Service.pb(run_v2.Service(service))

    def _expect(self, service: run_v2.Service) -> None:
        if self.services.get(service.name) is not service:
            raise not_found(f"Resource '{last_part(service.name)}' was deleted meanwhile.")

    def _move_traffic(self, service: run_v2.Service) -> None:
        """Send requests where they are wanted, once everything that is to answer them is up."""
        with self.lock:
            targets = [run_v2.TrafficTarget(target) for target in service.traffic]
        statuses = []
        for target in targets:
            revision = target.revision or last_part(service.latest_ready_revision)
            with self.lock:
                self._expect(service)
                answering = self.revisions[f"{service.name}/revisions/{revision}"]
            self._start(answering)
            uri = self._front.open(service.name, target.tag) if target.tag else ""
            statuses.append(
                run_v2.TrafficTargetStatus(
                    type_=target.type_, revision=revision, percent=target.percent, tag=target.tag, uri=uri
                )
            )
        with self.lock:
            service.traffic_statuses = statuses
        self._front.close_tags(service.name, {target.tag for target in targets})

    def _settle(self, service: run_v2.Service, generation: int, problem: str) -> None:
        if service.generation == generation:
            service.reconciling = False
        service.observed_generation = generation
        service.terminal_condition = run_v2.Condition(
            type_="Ready", state=_FAILED if problem else _SUCCEEDED, message=problem, last_transition_time=now()
        )

    def _set_condition(self, revision: run_v2.Revision, state: Any, message: str = "") -> None:
        condition = run_v2.Condition(type_="Ready", state=state, message=message, last_transition_time=now())
        with self.lock:
            revision.reconciling = False
            revision.conditions = [condition]

    def _start(self, revision: run_v2.Revision) -> None:
        """Have the container of a revision run.

        Raises:
            RefusalError: Its image is not there, or it does not start.
        """
        container, short = revision.containers[0], last_part(revision.name)
        prefix = f"Revision '{short}' is not ready and cannot serve traffic."
        try:
            image = self._images.find(container.image)
        except RefusalError as refusal:
            raise not_found(f"{prefix} {refusal.message}") from refusal
        port = container.ports[0].container_port if container.ports else _PORT
        probe = container.startup_probe
        http = probe.http_get if probe and "http_get" in probe else None
        patience_s = probe.initial_delay_seconds + (probe.period_seconds or 10) * (probe.failure_threshold or 3)
        own = {"K_SERVICE": revision.service, "K_REVISION": short, "K_CONFIGURATION": revision.service}
        wanted = Wanted(
            name=revision.name,
            image=image,
            port=port,
            environment={**{variable.name: variable.value for variable in container.env}, **own},
            probe_path=(http.path or "/") if http else None,
            patience_s=patience_s if http else _TCP_PATIENCE_S,
            arguments=(*container.command, *container.args) if container.command else (),
        )
        try:
            if self._calls.faults.image_does_not_start:
                raise StartError("The container exited with code 1.")
            self._fleet.ensure(wanted)
        except StartError as error:
            raise RefusalError(
                Code.FAILED_PRECONDITION,
                f"{prefix} The user-provided container failed to start and listen on the port defined provided by the "
                f"PORT={port} environment variable within the allocated timeout. This can happen when the container "
                f"port is misconfigured or if the timeout is too short. {error} Logs for this revision might contain "
                f"more information.\n\nLogs URL: {self._fleet.log_of(revision.name).as_uri()}",
            ) from error


def _revision(service: run_v2.Service, short_name: str) -> run_v2.Revision:
    template = service.template
    revision = run_v2.Revision(
        name=f"{service.name}/revisions/{short_name}",
        uid=str(uuid.uuid4()),
        service=last_part(service.name),
        generation=1,
        create_time=now(),
        update_time=now(),
        reconciling=True,
        etag=f'"{uuid.uuid4().hex}"',
        launch_stage=service.launch_stage,
    )
    shared = (
        "labels", "annotations", "scaling", "vpc_access", "max_instance_request_concurrency", "timeout",
        "service_account", "containers", "volumes", "execution_environment", "encryption_key", "session_affinity",
        "node_selector", "gpu_zonal_redundancy_disabled",
    )  # fmt: skip
    copy_fields(template, revision, shared)
    return revision


def last_part(name: str) -> str:
    return name.rpartition("/")[2]


def parent_of(name: str) -> str:
    """Project and location of what is in them."""
    return "/".join(name.split("/")[:4])
