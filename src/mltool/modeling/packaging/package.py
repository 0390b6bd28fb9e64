"""From a model in memory to a verified artifact: the end of `train`, `import` and `save` alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json
from mltool.core import events, host
from mltool.core.errors import CheckError
from mltool.datasets.schema import SCHEMA
from mltool.modeling.network import renamed_inputs
from mltool.modeling.packaging import evidence
from mltool.modeling.packaging.made import Made
from mltool.modeling.packaging.served import signature_of
from mltool.reports.model_page import model_page
from mltool.runtimes.samples import SAMPLES
from mltool.runtimes.verify import CHECK_IDS, verify_in_fresh_process

HISTORY, REFERENCE = "history.jsonl", "reference"


def package(made: Made, name: str, store: Store) -> Artifact:
    """Export, verify, measure and store a model.

    Raises:
        CheckError: A check failed. The artifact is kept without a name, and the error carries it.
    """
    names = made.form.input_names(made.schema)
    schema = renamed_inputs(made.schema, names)
    with store.draft(ArtifactKind.model) as draft, events.track("verify", 4, "steps") as bar:
        write_json(draft.path(SCHEMA), schema.to_json())
        samples = evidence.samples(made, names)
        samples.save(draft.path(SAMPLES))
        bar.advance(1, "export")
        signature = signature_of(schema.inputs, samples.outputs)
        example = [array[[0, -1]] for array in samples.inputs.values()]
        export = made.form.write(draft.folder, signature, example)
        bar.advance(1, "check the graph in a fresh process")
        if any_failed([export]):
            checks = [export, *(Check.not_run(id_, "there is no graph") for id_ in ("fresh_process", *CHECK_IDS))]
        else:
            checks = [export, *verify_in_fresh_process(draft.folder, signature, task=made.task.kind)]
        bar.advance(1, "measure")
        measured = evidence.measure(made)
        evidence.reference(made).save(draft.path(REFERENCE))
        draft.path(HISTORY).write_text("".join(json.dumps(dict(row)) + "\n" for row in made.history), encoding="utf-8")
        facts = {"host": host.facts(), "metrics_split": made.metrics_split, **made.facts}
        report = evidence.report(made, measured, checks, signature, name, facts)
        bar.advance(1)
        artifact = draft.commit(
            name,
            config={**made.config, "rebuild": {**made.rebuild, "task": made.task.kind}},
            parents=made.parents,
            metrics=measured.metrics,
            signature=signature.to_json(),
            checks=checks,
            facts={**facts, **measured.facts()},
            not_identity=(HISTORY,),
            pages={REPORT: lambda digest: model_page(replace(report, digest=digest))},
            weights=made.form.weights_file,
        )
    if any_failed(checks):
        raise _failure(artifact, checks)
    return artifact


def _failure(artifact: Artifact, checks: Sequence[Check]) -> CheckError:
    failed = [check for check in checks if any_failed([check])]
    what = "; ".join(f"`{check.id}`: {check.detail or _beyond(check)}" for check in failed)
    return CheckError(
        f"the model is kept as `{artifact.label}`, but gets no name because a check failed: {what}",
        hint=f"`mltool models show {artifact.label}` shows all checks; weights and report are in `{artifact.path}`",
        artifact=artifact,
    )


def _beyond(check: Check) -> str:
    return f"{check.value:.4g}, but the limit is {check.limit:g}" if check.value is not None else "it failed"
