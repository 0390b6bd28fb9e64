"""Each limit of Cloud Run, and a service that is just within it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from standins_testing import PARENT, PATIENCE_S, Clients, template

Change = Callable[[run_v2.Service], Any]
GEN1 = run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN1
IMAGE = "europe-west1-docker.pkg.dev/p1/mltool/never-started:1"


def try_out(clients: Clients, change: Change) -> None:
    """Whether Cloud Run would take a service; nothing is started."""
    service = run_v2.Service(template=template(IMAGE))
    change(service)
    request = {"parent": PARENT, "service_id": "tried", "service": service, "validate_only": True}
    clients.services.create_service(request=request).result(timeout=PATIENCE_S)


def limits(cpu: str, memory: str, *, gen2: bool = True, concurrency: int = 8, **more: Any) -> Change:
    def change(service: run_v2.Service) -> None:
        resources = service.template.containers[0].resources
        resources.limits = {"cpu": cpu, "memory": memory, **more.pop("others", {})}
        resources.cpu_idle = more.get("cpu_idle", True)
        service.template.max_instance_request_concurrency = concurrency
        if not gen2:
            service.template.execution_environment = GEN1

    return change


@pytest.mark.parametrize(
    ("cpu", "memory", "problem"),
    [
        ("1", "4.5Gi", "For 1.0 CPU, memory must be between 512Mi and 4Gi inclusive"),
        ("1", "256Mi", "memory with gen2 execution environment. For 1.0 CPU, memory must be between 512Mi"),
        ("1000m", "5Gi", "between 512Mi and 4Gi"),
        ("2", "9Gi", "For 2.0 CPU, memory must be between 512Mi and 8Gi"),
        ("4", "1Gi", "For 4.0 CPU, memory must be between 2Gi and 16Gi"),
        ("6", "3Gi", "between 4Gi and 24Gi"),
        ("8", "33Gi", "between 4Gi and 32Gi"),
        ("3", "4Gi", "Invalid value specified for cpu, 3"),
        ("0.01", "512Mi", "Invalid value specified for cpu"),
        ("one", "1Gi", "`one` is no quantity"),
        ("1", "1GB", "`1GB` is no quantity"),
        ("1", "-1Gi", "`-1Gi` is no quantity"),
    ],
)
def test_memory_that_does_not_go_with_its_cpus_is_refused(
    clients: Clients, cpu: str, memory: str, problem: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument) as caught:
        try_out(clients, limits(cpu, memory))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [
        ("1", "512Mi"),
        ("1", "4Gi"),
        ("2", "8192Mi"),
        ("4", "2Gi"),
        ("8000m", "32Gi"),
        ("6", "24Gi"),
        ("1", "1073741824"),
    ],
)
def test_memory_that_goes_with_its_cpus_is_taken(clients: Clients, cpu: str, memory: str) -> None:
    try_out(clients, limits(cpu, memory))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (limits("0.5", "512Mi", gen2=False), "needs max_instance_request_concurrency=1"),
        (limits("0.5", "512Mi", concurrency=1), "not possible in the gen2 execution environment"),
        (limits("0.5", "512Mi", gen2=False, concurrency=1, cpu_idle=False), "when CPU is always allocated"),
        (limits("0.25", "1Gi", gen2=False, concurrency=1), "between 128Mi and 512Mi"),
        (limits("1", "1Gi", others={"disk": "1Gi"}), "only cpu, memory and nvidia.com/gpu may be limited, not disk"),
        (limits("4", "16Gi", others={"nvidia.com/gpu": "1"}), "cpu_idle must be false"),
        (limits("1", "1Gi", others={"nvidia.com/gpu": "1"}), "a GPU needs at least 4 CPU and 16Gi"),
    ],
)
def test_what_goes_with_small_cpus_and_gpus_is_known(clients: Clients, change: Change, problem: str) -> None:
    with pytest.raises(exceptions.InvalidArgument) as caught:
        try_out(clients, change)
    assert problem in str(caught.value)


def test_half_a_cpu_for_one_request_at_a_time_is_taken(clients: Clients) -> None:
    try_out(clients, limits("500m", "512Mi", gen2=False, concurrency=1))


def changed(path: str, value: Any) -> Change:
    """Set one field, such as `template.containers.0.image`."""

    def change(service: Any) -> None:
        *above, last = path.split(".")
        for name in above:
            service = service[int(name)] if name.isdigit() else getattr(service, name)
        setattr(service, last, value)

    return change


VARIABLE = run_v2.EnvVar(name="A", value="1")


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("labels", {"Upper": "a"}, "label `Upper=a` is invalid"),
        ("labels", {"a": "Not allowed"}, "label `a=Not allowed` is invalid"),
        ("labels", {"a": "x" * 64}, "is invalid"),
        ("labels", {"run.googleapis.com/a": "x"}, "are reserved"),
        ("labels", {f"a{n}": "" for n in range(65)}, "at most 64 labels"),
        ("template.labels", {"1a": ""}, "template.labels: label `1a=` is invalid"),
        ("scaling.max_instance_count", -1, "must not be negative"),
        ("template.scaling.min_instance_count", -1, "must not be negative"),
        ("template.max_instance_request_concurrency", 1001, "must be between 1 and 1000"),
        ("template.timeout", {"seconds": 3601}, "must be at most 3600s"),
        ("template.containers.0.image", "", "image: Required field not provided"),
        ("template.containers", [], "template.containers[0].image: Required field not provided"),
        ("template.containers.0.ports", [run_v2.ContainerPort(container_port=n) for n in (1, 2)], "only one port"),
        (
            "template.containers.0.env",
            [run_v2.EnvVar(name="PORT", value="1")],
            "reserved env names were provided: PORT",
        ),
        ("template.containers.0.env", [VARIABLE, VARIABLE], "`A` is given twice"),
        ("template.containers.0.env", [run_v2.EnvVar(value="1")], "env[0].name: Required field not provided"),
        ("template.containers.0.startup_probe.timeout_seconds", 2, "must not be above period_seconds"),
        ("template.containers.0.startup_probe.failure_threshold", 241, "must be at most 240"),
        ("template.revision", "other-v1", "must start with `tried-`"),
        ("template.revision", "tried-V1", "must start with `tried-`, be lower-case"),
        ("template.revision", f"tried-{'x' * 60}", "have at most 63"),
        ("traffic", [run_v2.TrafficTarget(percent=100, type_=2)], "of the type REVISION must name one"),
        ("traffic", [run_v2.TrafficTarget(percent=100, type_=1, tag="Not")], "tag `Not` is invalid"),
        ("traffic", [run_v2.TrafficTarget(percent=100, type_=1, revision="a")], "LATEST must name no revision"),
    ],
)
def test_a_value_that_cloud_run_does_not_take_is_named(clients: Clients, path: str, value: Any, problem: str) -> None:
    with pytest.raises(exceptions.InvalidArgument) as caught:
        try_out(clients, changed(path, value))
    assert problem in str(caught.value)


def test_fewer_instances_at_most_than_at_least_are_refused(clients: Clients) -> None:
    def change(service: run_v2.Service) -> None:
        service.scaling = run_v2.ServiceScaling(min_instance_count=4, max_instance_count=3)

    with pytest.raises(exceptions.InvalidArgument, match="4 must not be above max_instance_count, which is 3"):
        try_out(clients, change)


def test_what_is_just_within_the_limits_is_taken(clients: Clients) -> None:
    def change(service: run_v2.Service) -> None:
        service.labels = {f"a{n}": "x" * 63 for n in range(64)}
        service.scaling = run_v2.ServiceScaling(min_instance_count=3, max_instance_count=3)
        service.template.timeout = {"seconds": 3600}
        service.template.max_instance_request_concurrency = 1000
        service.template.revision = f"tried-{'x' * 57}"

    try_out(clients, change)
