"""gcs, train-gcp, deploy-gcp: what lies or runs on Google's cloud."""

from __future__ import annotations

import re

from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.commands import short_lines
from mltool.stages.checklist.reading.data_files import every, line_of
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, done, listed, missing, partly

_TRAINS = r"gcloud\s+(beta\s+)?ai\s+custom-jobs\s+create|gcloud\s+ai-platform\s+jobs|\bmltool\s+train\b.*\bon=gcp"
_DEPLOYS = (
    r"gcloud\s+(beta\s+)?(run\s+(deploy|services\s+replace)|functions\s+deploy|app\s+deploy)"
    r"|google-github-actions/deploy-cloudrun|\bmltool\s+deploy\s+gcp\b"
)


@judges("gcs")
def gcs(evidence: Evidence) -> Finding:
    remotes = [f"remote `{name}` at {url}" for name, url in evidence.dvc.remotes.items() if url.startswith("gs://")]
    hashed = [*evidence.dvc.tracked, *evidence.dvc.locked]
    if remotes and hashed:
        return done(f"DVC {listed(remotes)}", f"holds {listed(hashed)}", "it was not asked: an audit only reads")
    if remotes:
        return partly(f"DVC {listed(remotes)}", "no data with a hash belongs to it")
    strings = [
        f"{module.at(line)}"
        for module in evidence.code.working
        for text, line in module.strings
        if text.startswith("gs://")
    ]
    strings += evidence.code.where_called("google.cloud.storage.Client")
    return (
        partly(f"Cloud Storage at {listed(strings)}, but data versions know nothing of it")
        if strings
        else missing("no `gs://` remote")
    )


@judges("train-gcp")
def train_gcp(evidence: Evidence) -> Finding:
    recorded = [one for one in evidence.recorded.models if str(one.facts.get("on", "")).startswith("gcp")]
    if recorded:
        return done(f"`{recorded[-1].digest[:12]}` was trained there on {recorded[-1].created_utc[:10]}")
    specs = []
    for path in evidence.project.with_suffix(".yaml", ".yml", ".json"):
        if re.search(
            r"workerPoolSpecs|worker_pool_specs|machineSpec|machine_spec", evidence.project.text(path)[:50_000]
        ) and not path.startswith("tests/"):
            found = evidence.data.mapping(path)
            specs += (
                [path]
                if any(every(found, "workerPoolSpecs", "worker_pool_specs", "machineSpec", "machine_spec"))
                else []
            )
    jobs = evidence.code.where_called(
        "google.cloud.aiplatform.CustomJob",
        "google.cloud.aiplatform.CustomTrainingJob",
        "google.cloud.aiplatform.CustomContainerTrainingJob",
        "*.CustomJob.from_local_script",
    )
    steps = [step.at for step in evidence.workflows.runs(_TRAINS)]
    if specs or jobs or steps:
        return done(f"a job is described in {listed([*specs, *jobs, *steps])}")
    scripts = _scripts(evidence, _TRAINS)
    return (
        partly(f"a command in {listed(scripts)}, but no job is described or recorded") if scripts else missing("no job")
    )


@judges("deploy-gcp")
def deploy_gcp(evidence: Evidence) -> Finding:
    recorded = evidence.recorded.answered("gcp", on_stand_ins=False)
    if recorded:
        return done(listed(recorded))
    specs = []
    for path in evidence.project.with_suffix(".yaml", ".yml"):
        if "serving.knative.dev" in evidence.project.text(path)[:50_000]:
            specs += [
                f"{path}:{line_of(value)}"
                for _, value in every(evidence.data.yaml(path), "apiVersion")
                if str(value).startswith("serving.knative.dev")
            ]
    specs += [path for path in evidence.project.with_suffix(".tf") if "google_cloud_run" in evidence.project.text(path)]
    steps = [step.at for step in evidence.workflows.runs(_DEPLOYS)]
    for path in evidence.project.named("cloudbuild*.yaml", "cloudbuild*.yml"):
        text = evidence.project.text(path)
        if re.search(
            r"\brun\b[\s'\",\n-]+(deploy|services)|functions[\s'\",\n-]+deploy|gcloud run deploy", text
        ) and evidence.data.mapping(path).get("steps"):
            steps.append(path)
    if specs or steps:
        return done(f"described in {listed([*specs, *steps])}", "it was not asked: an audit only reads")
    tried = evidence.recorded.answered("gcp", on_stand_ins=True)
    if tried:
        return partly(listed(tried), "only against stand-ins")
    scripts = _scripts(evidence, _DEPLOYS)
    return (
        partly(f"a command in {listed(scripts)}, but nothing is recorded")
        if scripts
        else missing("no deployment is recorded or described")
    )


def _scripts(evidence: Evidence, pattern: str) -> list[str]:
    """Scripts, task files and pages that hold a command."""
    paths = [*evidence.project.with_suffix(".sh", ".md"), *evidence.project.named("Makefile", "tasks.py", "justfile")]
    return [path for path in paths if re.search(pattern, short_lines(evidence.project.text(path)))]
