"""Shrink a model, and check that it still works and that it pays."""

from __future__ import annotations

from dataclasses import asdict

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import any_failed
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.runtimes.candidate import Candidate
from mltool.stages.quantize.config import QuantizeJob
from mltool.variants.choose import pays
from mltool.variants.trial import Trial
from mltool.variants.variant import Variant, float_ancestor, keep_parent, make_variant


def quantize(model: Artifact, job: QuantizeJob, store: Store) -> Variant:
    """Convert the graph of a model by a scheme; a model whose twin does not pay stays.

    Raises:
        CheckError: The twin answers otherwise than the float model; it is kept without a name.
    """
    config, base = job.quantize, float_ancestor(model, store)
    with store.draft(ArtifactKind.model) as draft, store.scratch() as graphs:
        trial = Trial(
            base=base,
            to_beat=model,
            folder=graphs,
            batch_size=config.batch_size,
            max_metric_drop=config.max_metric_drop,
        )
        tried = trial.run([Candidate("onnxruntime", config.scheme, threads=1)])
        kept, twin = tried
        twin.raise_error()
        if not any_failed(twin.checks) and not pays(twin, kept):
            return keep_parent(model, tried, store, "quantize")
        return make_variant(draft, base, twin, tried, store, graphs=graphs, claim="quantize", config=asdict(config))
