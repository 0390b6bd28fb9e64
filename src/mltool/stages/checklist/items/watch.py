"""drift, drift-api, system-monitor, model-monitor, alerts: whether it still works."""

from __future__ import annotations

import datetime
import re
from typing import Any

from mltool.artifacts.manifest import Manifest
from mltool.stages.checklist.evidence import Evidence
from mltool.stages.checklist.reading.data_files import every, first
from mltool.stages.checklist.registry import judges
from mltool.stages.checklist.verdict import Finding, counted, done, listed, missing, partly

MAX_AGE_DAYS = 90
"""How old a measurement of the deployed model may be, to be called recent."""
_MARGIN_S = 60.0
"""How much younger a report must be than the weights: a clone writes all files within moments."""
_DRIFT = ("evidently", "alibi_detect", "nannyml", "deepchecks", "frouros", "river.drift", "torchdrift", "whylogs")
_REPORT = re.compile(r"(drift|robustness|monitoring|evidently)[\w-]*\.(html|json|md)$", re.I)
_CHECKS = r"evidently|drift|\bmltool\s+monitor\b|nannyml|alibi"


@judges("drift")
def drift(evidence: Evidence) -> Finding:
    proofs = evidence.recorded.attested("robustness", "drift")
    models = evidence.recorded.models
    if proofs:
        last = proofs[-1]
        newest = max((one.created_utc for one in models), default="")
        facts = f"`{last.config.get('claim')}` of {last.created_utc[:10]} in `.mltool`"
        # It names the model that it speaks of; a model that came later has none yet.
        newest_ones = [one.digest for one in models if one.created_utc == newest]
        if last.created_utc > newest or last.config.get("subject") in newest_ones:
            return done(facts)
        return partly(facts, f"the newest model is of {newest[:10]}")
    code, project = evidence.code, evidence.project
    used = code.imports(*_DRIFT)
    reports = sorted(
        path for path in project.files if _REPORT.search(path) and not path.startswith(("tests/", "src/", "docs/"))
    )
    weights = [
        project.files[path].modified_s
        for path in project.files
        if path.endswith((".pt", ".pth", ".ckpt", ".onnx", ".safetensors"))
    ]
    younger = [path for path in reports if weights and project.files[path].modified_s > max(weights) + _MARGIN_S]
    if used and younger:
        return done(f"report {listed(younger)}, younger than the model", f"made at {listed(used)}")
    if used or reports:
        return partly(
            f"used at {listed(used)}" if used else f"report {listed(reports)}",
            "no report that is younger than the model" if used else "nothing makes it",
        )
    return missing("no robustness or drift report")


@judges("drift-api")
def drift_api(evidence: Evidence) -> Finding:
    scheduled = [one for one in evidence.workflows.valid if "schedule" in one.triggers]
    steps = evidence.workflows.runs(_CHECKS, scheduled)
    if steps:
        return done(f"checked on a schedule by {listed([step.at for step in steps])}")
    watched = evidence.recorded.attested("watch")
    if watched:
        return done(f"`mltool monitor watch` since {watched[-1].created_utc[:10]}")
    code = evidence.code
    apps = [
        module.at(function.line)
        for module in code.working
        if code.imports(*_DRIFT, among=code.reached_from(module))
        for function in module.functions
        if any(one.name.endswith((".get", ".post", ".route")) for one in function.decorators)
    ]
    built = [one.path for one in evidence.dockerfiles if re.search(r"drift|monitor", evidence.project.text(one.path))]
    if apps and built:
        return done(f"a route at {listed(apps)}", f"image {listed(built)}")
    return (
        partly(f"a route at {listed(apps)}", "nothing deploys or schedules it")
        if apps
        else missing("no detector is deployed or scheduled")
    )


@judges("system-monitor")
def system_monitor(evidence: Evidence) -> Finding:
    project, found = evidence.project, []
    for path in project.with_suffix(".yml", ".yaml"):
        text = project.text(path)[:100_000]
        if "scrape_configs" in text and isinstance(first(evidence.data.yaml(path)).get("scrape_configs"), list):
            found.append(f"{path}: `scrape_configs`")
        elif re.search(r"kind: *(PodMonitoring|ServiceMonitor|RunMonitoring)|cloud-run-gmp-sidecar", text):
            found += [f"{path}: a collector"] if evidence.data.yaml(path) else []
    found += [
        f"{path}: a dashboard"
        for path in project.with_suffix(".json")
        if '"mosaicLayout"' in project.text(path) or '"gridLayout"' in project.text(path)
    ]
    found += [
        f"{path}: Cloud Monitoring"
        for path in project.with_suffix(".tf")
        if re.search(r"google_monitoring_(dashboard|uptime)", project.text(path))
    ]
    if found:
        return done(listed(found))
    near = [
        path
        for path in project.named("docker-compose*.y*ml", "compose*.y*ml")
        if re.search(r"image: *\S*(prometheus|grafana)", project.text(path))
    ]
    near += evidence.code.imports("google.cloud.monitoring_v3")
    return (
        partly(f"{listed(near)}, but nothing says what is watched")
        if near
        else missing("no scrape, no sidecar, no cloud monitoring")
    )


@judges("model-monitor")
def model_monitor(evidence: Evidence) -> Finding:
    proofs = evidence.recorded.attested("performance")
    if proofs:
        age = _age_days(proofs[-1])
        facts = f"`{proofs[-1].config.get('claim')}` of {proofs[-1].created_utc[:10]} in `.mltool`"
        return done(facts) if age <= MAX_AGE_DAYS else partly(facts, f"it is {age} days old (limit {MAX_AGE_DAYS})")
    labels = [file.path for file in evidence.project.recorded(r"deployments/[^/]+/predictions/labels.*")]
    if labels:
        return partly(f"labels in {listed(labels)}", "no performance was computed from them")
    used = evidence.code.imports("nannyml")
    used += evidence.code.where_called(
        "*.ClassificationPreset", "*.RegressionPreset", "*.TargetDriftPreset", "*.ClassificationQualityPreset"
    )
    return (
        partly(f"used at {listed(used)}", "no recent figures are recorded")
        if used
        else missing("no labels are joined and no performance is estimated")
    )


def _age_days(proof: Manifest) -> int:
    try:
        made = datetime.datetime.fromisoformat(proof.created_utc)
    except ValueError:
        return MAX_AGE_DAYS + 1
    made = made if made.tzinfo else made.replace(tzinfo=datetime.UTC)
    return (datetime.datetime.now(datetime.UTC) - made).days


@judges("alerts")
def alerts(evidence: Evidence) -> Finding:
    project = evidence.project
    found: list[str] = []
    broken: list[str] = []
    for path in project.with_suffix(".yml", ".yaml"):
        if re.search(r"^[ \t]*(?:-[ \t]*)?alert:", project.text(path), re.MULTILINE):
            rules = [
                rule
                for _, rules in every(evidence.data.yaml(path), "rules")
                for rule in _mappings(rules)
                if "alert" in rule
            ]
            sound = [rule for rule in rules if rule.get("alert") and rule.get("expr")]
            (found if rules and len(sound) == len(rules) else broken).append(f"{path}: {counted(len(rules), 'rule')}")
    for path in project.with_suffix(".json", ".yaml", ".yml"):
        if re.search(r"conditionThreshold|condition_threshold|conditionAbsent", project.text(path)[:100_000]):
            policies = list(
                every(
                    evidence.data.yaml(path) if not path.endswith(".json") else evidence.data.json(path), "conditions"
                )
            )
            (found if policies else broken).append(f"{path}: a policy")
    found += [
        f"{path}: an alert policy"
        for path in project.with_suffix(".tf")
        if "google_monitoring_alert_policy" in project.text(path)
    ]
    found += [
        f"{module.at(call.line)}"
        for module, call in evidence.code.calls("*.AlertPolicyServiceClient.create_alert_policy")
    ]
    if found:
        return done(listed(found))
    near = project.named("alertmanager*.y*ml")
    return (
        partly(f"{listed([*broken, *near])}: no rule with a name and an expression")
        if broken or near
        else missing("no rules, no policies")
    )


def _mappings(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
