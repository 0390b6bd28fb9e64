"""Find the fastest way to run a model on this host that still answers as it did."""

from __future__ import annotations

from dataclasses import asdict

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store
from mltool.core.errors import ConfigError
from mltool.runtimes.candidate import Candidate
from mltool.runtimes.config import compilers
from mltool.runtimes.runner import candidate_of
from mltool.stages.compile_.config import CompileConfig, CompileJob
from mltool.variants.choose import fastest
from mltool.variants.trial import Trial
from mltool.variants.variant import Variant, float_ancestor, keep_parent, make_variant


def compile_model(model: Artifact, job: CompileJob, store: Store) -> Variant:
    """Try every runtime and precision that is here, and make a variant of the fastest; if none pays, the model stays.

    Raises:
        ConfigError: The runtime that was asked for is not installed.
    """
    config, base = job.compile, float_ancestor(model, store)
    today = candidate_of(model)
    candidates = [candidate for candidate in _candidates(config) if not candidate.is_run_as(today)]
    with store.draft(ArtifactKind.model) as draft, store.scratch() as graphs:
        trial = Trial(
            base=base,
            to_beat=model,
            folder=graphs,
            batch_size=config.batch_size,
            max_metric_drop=config.max_metric_drop,
        )
        tried = trial.run(candidates)
        best = fastest(tried[1:], config.min_speedup)
        if best is None:
            return keep_parent(model, tried, store, "compile")
        return make_variant(draft, base, best, tried, store, graphs=graphs, claim="compile", config=asdict(config))


def _candidates(config: CompileConfig) -> list[Candidate]:
    names = compilers.built_in() if config.backend == "auto" else (config.backend,)
    found = [candidate for name in names for candidate in compilers.load(name)()]
    fitting = [candidate for candidate in found if candidate.precision in config.precisions]
    if not found:
        raise ConfigError(
            f"`compile.backend={config.backend}` is not installed here",
            hint=f'install it with `pip install "mltool[{config.backend}]"`, or use `backend=auto`',
        )
    if not fitting:
        raise ConfigError(f"this host has none of the precisions {', '.join(config.precisions)} for {config.backend}")
    return fitting
