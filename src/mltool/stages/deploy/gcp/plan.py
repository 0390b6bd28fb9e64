"""What a deployment would change, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mltool.artifacts.checks import Check
from mltool.artifacts.store import Store
from mltool.integrations.google import registry
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.run_messages import Service, Template
from mltool.stages.deploy.gcp.preflight import Standing
from mltool.stages.deploy.gcp.rollout import pick_revision
from mltool.stages.deploy.gcp.service import traffic_of
from mltool.stages.deploy.gcp.source import packed
from mltool.stages.deploy.gcp.wanted import Wanted, differences, revision_name

_NOT_BUILT = "(its digest is known once it is built)"


def planned(
    cloud: Cloud, wanted: Wanted, standing: Standing, store: Store, accepted: Sequence[Check]
) -> dict[str, Any]:
    """What would be made, and what of what is there would change."""
    config = wanted.config
    with store.scratch() as folder:
        source = packed(wanted, folder)
        source_bytes = source.path.stat().st_size
    found = None
    if standing.has_repository:
        found = registry.find_digest(cloud, config.repository, wanted.package, source.mark)
    template = wanted.template(found or _NOT_BUILT)
    base = revision_name(wanted.name, template) if found else None
    revision, is_there = pick_revision(base, standing.revisions) if base else (None, False)
    before = standing.service
    steps = [
        "" if standing.has_repository else f"make the repository `{config.repository}` in {config.region}",
        "" if standing.has_bucket or found else f"make the bucket `{config.bucket}` in {config.region}",
        "" if found else f"build the image `{wanted.address}:{source.mark}`",
        "" if before else f"make the service `{wanted.name}`",
        "" if is_there else f"make a revision{f' `{revision}`' if revision else ''}, and ask it for predictions",
        f"give it {config.traffic_percent} % of the traffic",
    ]
    return {
        "deployment": wanted.name,
        "target": "gcp",
        "project": config.project,
        "region": config.region,
        "emulator": config.emulator,
        "model": wanted.model.label,
        "model_digest": wanted.model.digest,
        "accepted": [check.to_json() for check in accepted],
        "url": before.url if before else None,
        "now": _now(before),
        "steps": [step for step in steps if step],
        "changes": differences(_settings(before, standing.is_public), _wanted_settings(wanted, template)),
        "image": template.image,
        "revision": revision,
        "upload_bytes": 0 if found else source_bytes,
        "config": [f"{key}={value}" for key, value in asdict(config).items() if value is not None],
    }


def _now(before: Service | None) -> list[str]:
    if before is None:
        return []
    shares = [f"{revision} gets {percent} % of the traffic" for revision, percent in traffic_of(before).items()]
    return [*shares, f"the last change failed: {before.problem}"] if before.problem else shares


def _settings(before: Service | None, is_public: bool) -> dict[str, Any]:
    if before is None:
        return {}
    scaling = {"min_instances": before.min_instances, "max_instances": before.max_instances}
    return {**(_of(before.template) if before.template else {}), **scaling, "public": is_public}


def _wanted_settings(wanted: Wanted, template: Template) -> dict[str, Any]:
    config = wanted.config
    scaling = {"min_instances": config.min_instances, "max_instances": config.max_instances}
    return {**_of(template), **scaling, "public": config.public}


def _of(template: Template) -> dict[str, Any]:
    """A template as it is compared: what Google fills in by itself is left out."""
    fields = asdict(template)
    labels, environment = fields.pop("labels"), fields.pop("environment")
    named = {key: labels.get(key) for key in ("mltool-model", "mltool-version")}
    return {**named, **fields, **{f"environment {key}": value for key, value in environment.items()}}
