"""What is wanted of Google Cloud, with every name filled in."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from mltool.artifacts import digest
from mltool.artifacts.artifact import Artifact
from mltool.core.config.load import Resolved
from mltool.core.errors import ConfigError
from mltool.integrations.google.run_messages import Template
from mltool.records.deployment import Deployment
from mltool.stages.deploy import image
from mltool.stages.deploy.carrying import carried_over
from mltool.stages.deploy.config import DockerConfig, GcpConfig, GcpJob

HEALTH = "/health"
MANAGED = {"managed-by": "mltool"}
_FALLBACK = "model"
_DRAIN_S = 8
"""Cloud Run kills an instance ten seconds after it told it to end."""
_MAX_MEMORY_GIB = {1: 4.0, 2: 8.0, 4: 16.0, 6: 24.0, 8: 32.0}
_MIN_MEMORY_GIB = {4: 2.0, 6: 4.0, 8: 4.0}
_SMALLEST_MEMORY_GIB = 0.5
"""Of the execution environment that is asked for, the second generation."""
_DNS = "lower-case letters, digits and `-`"
_EMAIL = (r"[\w.+-]+@[\w.-]+", "e-mail of an account", "such as `name@my-project-1.iam.gserviceaccount.com`")
_PATTERNS = {
    "project": (r"[a-z][a-z0-9.:-]{0,62}", "ID of a project", f"use {_DNS}, such as `my-project-1`"),
    "region": (r"[a-z]+(-[a-z]+)+\d+", "region", "such as `europe-west1`"),
    "service": (r"[a-z]([a-z0-9-]{0,47}[a-z0-9])?", "name of a service", f"use {_DNS}, at most 49"),
    "repository": (r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "name of a repository", f"use {_DNS}, at most 63"),
    "bucket": (r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", "name of a bucket", f"use {_DNS}, 3 to 63"),
    "service_account": _EMAIL,
    "build_service_account": _EMAIL,
    "emulator": (r"[\w.\[\]:-]+:\d+", "address of stand-ins", "write HOST:PORT, as `mltool gcp emulate` prints it"),
}
"""What each may look like, what it is, and a hint."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model, and where and how it is to answer.

    Attributes:
        config: With `service`, and with `project`, `region` and `bucket` once they are known.
    """

    model: Artifact
    config: GcpConfig

    @property
    def name(self) -> str:
        """Of the service, and of the deployment in the ledger."""
        return str(self.config.service)

    @property
    def package(self) -> str:
        """What the image is called in the repository."""
        return slug(image.served_name(self.model)[0])

    @property
    def address(self) -> str:
        """Of the image, without a tag."""
        config = self.config
        return f"{config.region}-docker.pkg.dev/{config.project}/{config.repository}/{self.package}"

    @property
    def labels(self) -> dict[str, str]:
        name, number = image.served_name(self.model)
        return {**MANAGED, "mltool-model": slug(name), "mltool-version": slug(number)}

    @property
    def docker(self) -> DockerConfig:
        return DockerConfig(base_image=self.config.base_image)

    def template(self, image_digest: str) -> Template:
        config = self.config
        threads = str(max(1, math.ceil(config.cpu)))
        return Template(
            image=f"{self.address}@{image_digest}",
            cpu=f"{config.cpu:g}" if config.cpu >= 1 else f"{round(config.cpu * 1000)}m",
            memory=f"{round(config.memory_gib * 1024)}Mi",
            concurrency=config.concurrency,
            timeout_s=config.timeout_s,
            port=image.PORT,
            health_path=HEALTH,
            service_account=config.service_account or "",
            environment={
                "MLTOOL_SERVE__DRAIN_S": str(_DRAIN_S),
                "MLTOOL_SERVE__THREADS": threads,  # ONNX Runtime would count the CPUs of the whole machine
                "MLTOOL_SERVE__TIMEOUT_S": str(config.timeout_s),
            },
            labels=self.labels,
        )


def wanted(model: Artifact, resolved: Resolved[GcpJob], deployment: Deployment | None) -> Wanted:
    """What was written, over what the version before had in the same place, over the defaults.

    Raises:
        ConfigError: A name cannot be one, or Cloud Run has no such instances.
        ArtifactError: The model has no graph.
    """
    values = carried_over(resolved.config.gcp, "gcp", resolved.origins, _in_same_place(resolved.config.gcp, deployment))
    values["traffic_percent"] = resolved.config.gcp.traffic_percent  # half of the traffic was meant for that version
    values["service"] = service_name(model, resolved)
    config = GcpConfig(**values)
    _check(config)
    found = Wanted(model, config)
    image.requirements_of(model), image.dockerfile(model, found.docker)  # what is wrong with them is said at once
    return found


def _in_same_place(config: GcpConfig, deployment: Deployment | None) -> Deployment | None:
    """The deployment, if its settings may be carried over: what was tried on stand-ins must not open a real service."""
    if deployment is None or deployment.current is None:
        return None
    before = deployment.current.config
    is_same = before.get("emulator") == config.emulator and config.project in (None, before.get("project"))
    return deployment if is_same else None


def service_name(model: Artifact, resolved: Resolved[GcpJob]) -> str:
    return resolved.config.gcp.service or slug(image.served_name(model)[0])


def placed(found: Wanted, project: str, region: str) -> Wanted:
    """The same with its place, and what follows from it."""
    bucket = found.config.bucket or f"{re.sub(r'[^a-z0-9-]+', '-', project)}-mltool-build"
    placed_config = replace(found.config, project=project, region=region, bucket=bucket)
    _check(placed_config)
    return Wanted(found.model, placed_config)


def revision_name(service: str, template: Template) -> str:
    """The same for the same image and settings, so that a second run finds what the first one made."""
    return f"{service}-{digest.of_json(asdict(template))[:8]}"


def slug(text: str) -> str:
    """`text` as Google takes it for names: lower-case letters, digits and `-`."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (plain if plain[:1].isalpha() or plain.isdigit() else f"{_FALLBACK}-{plain}".strip("-"))[:49].rstrip("-")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changes, as `key: before -> after`."""
    keys = dict.fromkeys((*after, *before))
    pairs = {key: (_shown(before.get(key)), _shown(after.get(key))) for key in keys}
    return [f"{key}: {old} -> {new}" for key, (old, new) in pairs.items() if old != new]


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "", {}, []) else str(value)


def _check(config: GcpConfig) -> None:
    for key, (pattern, noun, hint) in _PATTERNS.items():
        value = getattr(config, key)
        if value is not None and not re.fullmatch(pattern, value, re.ASCII):
            raise ConfigError(f"`gcp.{key}={value}` is no {noun}", hint=hint)
    _check_instances(config)


def _check_instances(config: GcpConfig) -> None:
    cpu, memory = config.cpu, config.memory_gib
    if cpu > 1 and cpu not in _MAX_MEMORY_GIB:
        known = ", ".join(map(str, _MAX_MEMORY_GIB))
        raise ConfigError(f"`gcp.cpu={cpu:g}`: Cloud Run has no such instances", hint=f"choose {known}, or less than 1")
    if cpu < 1 and config.concurrency != 1:
        raise ConfigError(
            f"`gcp.cpu={cpu:g}` with `concurrency={config.concurrency}`: a part of a CPU takes one request at a time",
            hint="set `concurrency=1`, or `cpu=1`",
        )
    most = _MAX_MEMORY_GIB.get(int(cpu), _MAX_MEMORY_GIB[1])
    least = _MIN_MEMORY_GIB.get(int(cpu), _SMALLEST_MEMORY_GIB)
    if not least <= memory <= most:
        raise ConfigError(
            f"`gcp.memory_gib={memory:g}` does not go with `cpu={cpu:g}`", hint=f"choose {least:g} to {most:g}"
        )
    if config.min_instances > config.max_instances:
        raise ConfigError(
            f"`gcp.min_instances={config.min_instances}` is more than `max_instances={config.max_instances}`",
            hint="set `max_instances=` as well",
        )
