"""docker, docker-build, build-trigger: images, from the file to what builds them."""

from __future__ import annotations

from typing import Any

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import every, line_of
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, done, listed, missing, partly

BUILDS = (
    r"docker/build-push-action|\b(docker|podman|buildah)\s+(buildx\s+)?(image\s+)?(build|bake|bud)\b"
    r"|docker[- ]compose\s+(up\s+)?.*build"
    r"|\bgcloud\s+builds\s+submit\b|\bmltool\s+deploy\s+(docker|gcp)\b"
)


@judges("docker")
def docker(evidence: Evidence) -> Finding:
    files = evidence.dockerfiles
    recorded = evidence.recorded.attested("docker", "image")
    if not files:
        if recorded:
            return done(f"mltool wrote the Dockerfile of an image on {recorded[-1].created_utc[:10]}")
        return missing("no Dockerfile")
    mistakes = [mistake for one in files for mistake in one.mistakes]
    mistakes += [f"{one.path} installs nothing" for one in files if one.commands and not one.installs()]
    mistakes += [f"{one.path} starts nothing" for one in files if not one.has_entry_point]
    names = listed([one.path for one in files])
    if mistakes:
        return partly(names, listed(mistakes))
    return done(f"{names}: parsed, what is copied is there, and something is installed and started")


@judges("docker-build")
def docker_build(evidence: Evidence) -> Finding:
    for proof in reversed(evidence.recorded.attested("docker", "image")):
        return done(
            f"mltool built an image on {proof.created_utc[:10]}, and it answered",
            f"{proof.metrics.get('image_size_mib', 0):.0f} MiB",
        )
    if not evidence.dockerfiles:
        return missing("no Dockerfile, and no image is recorded")
    steps = evidence.workflows.runs(BUILDS, evidence.workflows.on_changes())
    if steps:
        return done(f"built by {listed([step.at for step in steps])}")
    cloud = cloud_builds(evidence)
    if cloud:
        return done(f"built by {listed(cloud)}")
    others = [step.at for step in evidence.workflows.runs(BUILDS)]
    others += [
        path
        for path in evidence.project.named("docker-compose*.y*ml", "compose*.y*ml")
        if any(every(evidence.data.yaml(path), "build"))
    ]
    if others:
        return partly(f"could be built by {listed(others)}", "no build is recorded, and none runs on a push")
    return partly(
        f"{listed([one.path for one in evidence.dockerfiles])}", "no build is recorded, and no workflow builds"
    )


def cloud_builds(evidence: Evidence) -> list[str]:
    """Steps of Cloud Build that build an image."""
    found = []
    for path in evidence.project.named("cloudbuild*.yaml", "cloudbuild*.yml", "cloudbuild*.json"):
        steps = evidence.data.mapping(path).get("steps")
        found += (
            [f"{path}:{line_of(one.get('name'))}" for one in steps or () if isinstance(one, dict) and _builds(one)]
            if isinstance(steps, list)
            else []
        )
    return found


def _builds(step: dict[str, Any]) -> bool:
    name, args = str(step.get("name", "")), step.get("args")
    words = " ".join(str(one) for one in args) if isinstance(args, list) else str(args)
    text = f"{words} {step.get('script', '')}"
    return ("docker" in name and "build" in text) or "kaniko" in name or "docker build" in text or "/pack" in name


@judges("build-trigger")
def build_trigger(evidence: Evidence) -> Finding:
    cloud = cloud_builds(evidence)
    steps = [
        step.at
        for step in evidence.workflows.runs(BUILDS, [one for one in evidence.workflows.valid if "push" in one.triggers])
    ]
    if cloud or steps:
        return done(f"an image is built at {listed([*cloud, *steps])}")
    broken = evidence.project.named("cloudbuild*.yaml", "cloudbuild*.yml", "cloudbuild*.json")
    if broken:
        return partly(f"no step that builds an image in {listed(broken)}")
    by_hand = [step.at for step in evidence.workflows.runs(BUILDS)]
    return (
        partly(f"an image is built at {listed(by_hand)}, but not on a push")
        if by_hand
        else missing("no `cloudbuild.yaml`, no workflow that builds")
    )
