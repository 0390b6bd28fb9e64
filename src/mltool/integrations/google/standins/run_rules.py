"""What Cloud Run refuses at once, before anything is started; its limits are those of its documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.cloud import run_v2

from mltool.integrations.google.standins.refusals import RefusalError, invalid

SERVICE_ID = re.compile(r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?")
_REVISION_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
_TAG = re.compile(r"[a-z]([a-z0-9-]{0,44}[a-z0-9])?")
_SYSTEM_LABELS = ("run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev")
_RESERVED_VARIABLES = {"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"}
_MAX_LABELS, _MAX_CONCURRENCY, _MAX_TIMEOUT_S, _MAX_PROBE_S = 64, 1000, 3600, 240
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_MIB, _GIB = 2**20, 2**30
_MEMORY_GIB = {1.0: (0, 4), 2.0: (0, 8), 4.0: (2, 16), 6.0: (4, 24), 8.0: (4, 32)}
"""Least and most, by number of CPUs; below one CPU, half a GiB for each half of a CPU."""
_GPU = "nvidia.com/gpu"
_SECOND = run_v2.ExecutionEnvironment.EXECUTION_ENVIRONMENT_GEN2
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION


def check_service(service: run_v2.Service, service_id: str) -> None:
    """Raises: RefusalError: A value is one that Cloud Run does not take."""
    for problem in (*_labels("service", service.labels), *_scaling(service), *_template(service, service_id)):
        raise problem


def _labels(where: str, labels: Mapping[str, str]) -> Iterator[RefusalError]:
    if len(labels) > _MAX_LABELS:
        yield invalid(f"{where}.labels: at most {_MAX_LABELS} labels are allowed, not {len(labels)}")
    for key, value in labels.items():
        if any(name in key for name in _SYSTEM_LABELS):
            yield invalid(f"{where}.labels: labels with the prefix of `{key}` are reserved")
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            yield invalid(
                f"{where}.labels: label `{key}={value}` is invalid: keys match {_LABEL_KEY.pattern}, values match "
                f"{_LABEL_VALUE.pattern}"
            )


def _scaling(service: run_v2.Service) -> Iterator[RefusalError]:
    for where, scaling in (("scaling", service.scaling), ("template.scaling", service.template.scaling)):
        low, high = scaling.min_instance_count, scaling.max_instance_count
        if low < 0 or high < 0:
            yield invalid(f"{where}: instance counts must not be negative")
        if high and low > high:
            yield invalid(f"{where}.min_instance_count: {low} must not be above max_instance_count, which is {high}")


def _template(service: run_v2.Service, service_id: str) -> Iterator[RefusalError]:
    template = service.template
    name = template.revision
    if name and not (name.startswith(f"{service_id}-") and _REVISION_ID.fullmatch(name)):
        yield invalid(
            f"template.revision: `{name}` must start with `{service_id}-`, be lower-case letters, digits and hyphens, "
            "and have at most 63 of them"
        )
    yield from _labels("template", template.labels)
    if not template.containers or not template.containers[0].image:
        yield invalid("template.containers[0].image: Required field not provided.")
        return
    if not 0 <= template.max_instance_request_concurrency <= _MAX_CONCURRENCY:
        yield invalid(f"template.max_instance_request_concurrency: must be between 1 and {_MAX_CONCURRENCY}")
    if template.timeout is not None and template.timeout.total_seconds() > _MAX_TIMEOUT_S:
        yield invalid(f"template.timeout: must be at most {_MAX_TIMEOUT_S}s")
    for index, container in enumerate(template.containers):
        yield from _container(container, template, f"template.containers[{index}]")


def _container(container: run_v2.Container, template: run_v2.RevisionTemplate, where: str) -> Iterator[RefusalError]:
    if len(container.ports) > 1:
        yield invalid(f"{where}.ports: only one port may be given")
    names = [variable.name for variable in container.env]
    for name in names:
        if name in _RESERVED_VARIABLES:
            yield invalid(f"{where}.env: The following reserved env names were provided: {name}.")
        if names.count(name) > 1:
            yield invalid(f"{where}.env: `{name}` is given twice")
    probe = container.startup_probe
    if probe and probe.timeout_seconds > (probe.period_seconds or 10):
        yield invalid(f"{where}.startup_probe.timeout_seconds: must not be above period_seconds")
    if probe and (probe.period_seconds or 10) * (probe.failure_threshold or 3) > _MAX_PROBE_S:
        yield invalid(f"{where}.startup_probe: period_seconds times failure_threshold must be at most {_MAX_PROBE_S}")
    yield from _resources(container.resources, template, f"{where}.resources.limits")


def _resources(
    resources: run_v2.ResourceRequirements, template: run_v2.RevisionTemplate, where: str
) -> Iterator[RefusalError]:
    unknown = resources.limits.keys() - {"cpu", "memory", _GPU}
    if unknown:
        yield invalid(f"{where}: only cpu, memory and {_GPU} may be limited, not {', '.join(sorted(unknown))}")
    try:
        num_cpus = _quantity(resources.limits.get("cpu", "1"))
        memory = _quantity(resources.limits.get("memory", "512Mi"))
    except ValueError as error:
        yield invalid(f"{where}: Invalid value specified, {error}")
        return
    if not (0.08 <= num_cpus < 1 or num_cpus in _MEMORY_GIB):
        yield invalid(f"{where}.cpu: Invalid value specified for cpu, {num_cpus:g}: it is below 1, or 1, 2, 4, 6 or 8")
        return
    is_second = template.execution_environment == _SECOND
    low, high = _memory_limits(num_cpus, is_second=is_second)
    if not low <= memory <= high:
        of = " with gen2 execution environment" if is_second else ""
        yield invalid(
            f"{where}.memory: Invalid value specified for memory{of}. For {num_cpus:.1f} CPU, memory must be between "
            f"{_size(low)} and {_size(high)} inclusive."
        )
    if num_cpus < 1:
        if template.max_instance_request_concurrency != 1:
            yield invalid(f"{where}.cpu: less than 1 CPU needs max_instance_request_concurrency=1")
        if is_second:
            yield invalid(f"{where}.cpu: less than 1 CPU is not possible in the gen2 execution environment")
        if not resources.cpu_idle:
            yield invalid(f"{where}.cpu: less than 1 CPU is not possible when CPU is always allocated")
    if _GPU in resources.limits:
        yield from _gpu(resources, template, where, num_cpus, memory)


def _gpu(
    resources: run_v2.ResourceRequirements, template: run_v2.RevisionTemplate, where: str, num_cpus: float, memory: int
) -> Iterator[RefusalError]:
    if resources.limits[_GPU] != "1":
        yield invalid(f"{where}: only one {_GPU} is possible")
    if num_cpus < 4 or memory < 16 * _GIB:
        yield invalid(f"{where}: a GPU needs at least 4 CPU and 16Gi of memory")
    if resources.cpu_idle:
        yield invalid(f"{where}: a GPU needs CPU that is always allocated: cpu_idle must be false")
    if not template.node_selector.accelerator:
        yield invalid("template.node_selector.accelerator: Required field not provided.")


def _quantity(text: str) -> Any:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?", text)
    if not found:
        raise ValueError(f"`{text}` is no quantity")
    if found[2] == "m":
        return float(found[1]) / 1000
    return float(found[1]) * _UNITS[found[2] or ""]


def _memory_limits(num_cpus: float, *, is_second: bool) -> tuple[int, int]:
    if num_cpus < 1:
        return 128 * _MIB, 512 * _MIB if num_cpus < 0.5 else _GIB
    low, high = _MEMORY_GIB[num_cpus]
    least = 512 * _MIB if is_second else 128 * _MIB
    return max(low * _GIB, least), high * _GIB


def _size(num_bytes: int) -> str:
    return f"{num_bytes // _GIB}Gi" if num_bytes % _GIB == 0 else f"{num_bytes // _MIB}Mi"


def check_traffic(service: run_v2.Service, known: set[str]) -> None:
    """Check where requests are to go.

    Args:
        known: The revisions that there are, by their short names, with the one that is about to be.

    Raises:
        RefusalError: It does not sum to 100, or a revision is not there.
    """
    if not service.traffic:
        return
    if sum(target.percent for target in service.traffic) != 100 or any(one.percent < 0 for one in service.traffic):
        raise invalid("traffic: percentages must sum to 100")
    tags = [target.tag for target in service.traffic if target.tag]
    for target in service.traffic:
        if target.type_ == REVISION and not target.revision:
            raise invalid("traffic: a target of the type REVISION must name one")
        if target.type_ == LATEST and target.revision:
            raise invalid("traffic: a target of the type LATEST must name no revision")
        if target.revision and target.revision not in known:
            raise invalid(f"traffic: Revision named '{target.revision}' does not exist")
        if target.tag and (not _TAG.fullmatch(target.tag) or tags.count(target.tag) > 1):
            raise invalid(f"traffic: tag `{target.tag}` is invalid or given twice")
