"""From a network in memory to a verified model artifact: the end of `train`, `import` and `save` alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, any_failed
from mltool.artifacts.draft import Draft
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_json, write_text
from mltool.core import events, host
from mltool.core.errors import CheckError
from mltool.datasets.schema import SCHEMA
from mltool.modeling import evidence
from mltool.modeling.export import ExportError, export_onnx
from mltool.modeling.made import Made
from mltool.modeling.network import input_names, renamed_inputs
from mltool.modeling.served import Served, signature_of
from mltool.reports.model_page import model_page
from mltool.runtimes.backends.onnxruntime import GRAPH
from mltool.runtimes.runner import Signature
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.runtimes.verify import CHECK_IDS, verify_in_fresh_process

WEIGHTS, HISTORY, REPORT = "weights.safetensors", "history.jsonl", "report.html"
_NOT_IDENTITY = (HISTORY, REPORT)


def package(made: Made, name: str, store: Store) -> Artifact:
    """Export, verify, measure and store a model.

    Raises:
        CheckError: A check failed. The artifact is kept without a name, and the error carries it.
    """
    names = input_names(made.network, made.schema)
    schema = renamed_inputs(made.schema, names)
    served = Served(made.network, made.preprocess, made.task.head(made.target_scale))
    with store.draft(ArtifactKind.model) as draft:
        write_json(draft.path(SCHEMA), schema.to_json())
        # Clones, because safetensors refuses tied weights, which share their memory.
        weights = {key: value.detach().clone().contiguous() for key, value in served.state_dict().items()}
        save_file(weights, draft.path(WEIGHTS))
        with events.track("verify", None, "steps") as bar:
            samples = evidence.samples(made, served, names)
            samples.save(draft.path(SAMPLES))
            signature = signature_of(schema.inputs, samples.outputs)
            bar.advance(1, "export")
            checks = _graph(served, samples, signature, draft)
            bar.advance(1, "measure")
            measured = evidence.measure(made, served)
            evidence.reference(made, served).save(draft.path("reference"))
        _write_history(draft.path(HISTORY), made.history)
        facts = {"host": host.facts(), "metrics_split": made.metrics_split, **made.facts}
        report = evidence.report(made, measured, checks, signature, name, facts)
        write_text(draft.path(REPORT), model_page(report))
        artifact = draft.commit(
            name,
            config={**made.config, "rebuild": dict(made.rebuild)},
            parents=made.parents,
            metrics=measured.metrics,
            signature=signature.to_json(),
            checks=checks,
            facts=facts,
            not_identity=_NOT_IDENTITY,
            weights=WEIGHTS,
        )
    if artifact.has_failed_checks:
        failed = [check for check in checks if any_failed([check])]
        what = "; ".join(f"`{check.id}`: {check.detail or _beyond(check)}" for check in failed)
        raise CheckError(
            f"the model is stored as `{artifact.label}`, but it has no name because a check failed: {what}",
            hint=f"`mltool models show {artifact.label}` shows all checks; its weights are in `{artifact.path}`",
            artifact=artifact,
        )
    return artifact


def _graph(served: Served, samples: Samples, signature: Signature, draft: Draft) -> list[Check]:
    """Write the graph and verify it; a network that cannot be exported keeps its weights and its report."""
    inputs, outputs = [spec.name for spec in signature.inputs], list(samples.outputs)
    example = [np.repeat(array[:1], 2, axis=0) if len(array) < 2 else array[:2] for array in samples.inputs.values()]
    try:
        export_onnx(served, example, inputs, outputs, draft.path(GRAPH))
    except ExportError as error:
        events.warning(error.message)
        return [
            Check.failed("export", error.message),
            *(Check.not_run(check, "there is no graph") for check in ("fresh_process", *CHECK_IDS)),
        ]
    return [Check.passed("export"), *verify_in_fresh_process(draft.folder, signature)]


def _beyond(check: Check) -> str:
    return f"{check.value:.4g}, but the limit is {check.limit:g}" if check.value is not None else "it failed"


def _write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(dict(row)) + "\n" for row in history), encoding="utf-8")
