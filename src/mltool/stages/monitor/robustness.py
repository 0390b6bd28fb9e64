"""Before a model is deployed: what damage to its data would cost, and whether it would be noticed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from mltool.artifacts import digest
from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.store import Store
from mltool.core import events, host
from mltool.core.errors import ConfigError
from mltool.datasets.corrupting import SEVERITIES, Damage, damages_for
from mltool.datasets.layout import Part, parts_of
from mltool.datasets.schema import schema_of
from mltool.reports.robustness_page import RobustnessReport, robustness_page
from mltool.runtimes.robustness import CLAIM
from mltool.runtimes.runner import Runner, load, run_all
from mltool.stages.monitor.config import MonitorConfig, RobustnessJob
from mltool.stages.monitor.ladder import Ladder, Robustness, Rung
from mltool.stages.monitor.material import Material, material_of
from mltool.stages.monitor.noticing import POWER, Watch
from mltool.stages.monitor.yardstick import Yardstick, agreement, yardstick_for

_OF_WINDOWS = ("current", "deployment", "since", "until", "last")
"""Keys that say where a window comes from: here it is made."""
_FEW_ROWS = 256
"""Rows that tell which columns matter."""


def robustness(model: Artifact, job: RobustnessJob, store: Store) -> Robustness:
    """Run a model on damaged data of rising severity, and attest what it costs and when it would be noticed.

    Raises:
        ConfigError: A corruption does not fit the inputs of the model.
        ArtifactError: The samples or the reference of the model are damaged.
        DataError: There are no rows, or the answers or their metric are not finite without any damage.
    """
    config = job.monitor
    runner = load(model, None if config.backend == "auto" else config.backend, config.threads)
    parts = parts_of(schema_of(model), runner.signature.inputs)
    if not damages_for(parts, config.corruptions, [part.name for part in parts]):
        raise ConfigError(
            f"no corruption fits the inputs of `{model.label}`",
            hint="corruptions are for pictures, tables and tensors of floats",
        )
    material = material_of(model, runner, store, config)
    damages = damages_for(parts, config.corruptions, _columns_that_matter(runner, parts, material, config))
    yardstick = yardstick_for(model, store, material.measured(material.outputs), material.target_N, config.seed)
    watch = material.watch(config)
    ladder = Ladder(
        model=model.label,
        digest=model.digest,
        split=material.split,
        num_rows=material.num_measured,
        metric=yardstick.metric,
        clean=yardstick.clean,
        rungs=_rungs(runner, damages, material, yardstick, watch, config),
        unseen=tuple(name for name in material.inputs if name not in material.recorded),
        windows=watch.sizes if watch else (),
        power=POWER,
        alpha=config.alpha,
        false_alarms=watch.false_alarms(*material.window_of(material.inputs, material.outputs)) if watch else None,
        max_loss=config.max_loss,
    )
    return Robustness(ladder, _attest(model, ladder, job, store))


def _columns_that_matter(runner: Runner, parts: Sequence[Part], material: Material, config: MonitorConfig) -> list[str]:
    """The columns that the answers depend on most: those that change most if a column is that of other rows."""
    columns = [part for part in parts if part.kind in ("number", "category")]
    if len(columns) <= config.columns:
        return [part.name for part in columns]
    few = slice(_FEW_ROWS)
    inputs, before = material.part(material.inputs, few), material.part(material.outputs, few)
    agreements = {}
    with events.track("rank", len(columns), "columns") as bar:
        for part in columns:
            (damage,) = damages_for([part], ["stale_values"], ())
            stale = damage.of(inputs, SEVERITIES[-1], material.usual, config.seed)
            agreements[part.name] = agreement(before, run_all(runner, stale, config.batch_size))
            bar.advance(1, part.name)
    chosen = sorted(agreements, key=lambda name: agreements[name])[: config.columns]
    events.info(
        f"of {len(columns)} columns, the {len(chosen)} that matter most are corrupted one by one: {', '.join(chosen)}"
    )
    return chosen


def _rungs(
    runner: Runner,
    damages: Sequence[Damage],
    material: Material,
    yardstick: Yardstick,
    watch: Watch | None,
    config: MonitorConfig,
) -> tuple[Rung, ...]:
    rungs: list[Rung] = []
    with events.track("corrupt", len(damages) * len(SEVERITIES), "rungs") as bar:
        for damage in damages:
            own: list[Rung] = []
            noticed_after: int | None = 0
            for severity in reversed(SEVERITIES):  # what is milder is not noticed sooner
                inputs = damage.of(material.inputs, severity, material.usual, config.seed)
                outputs = run_all(runner, inputs, config.batch_size)
                if watch is not None:
                    noticed_after = watch.first(*material.window_of(inputs, outputs), noticed_after)
                cost = yardstick.cost(material.measured(outputs))
                says = damage.says(severity)
                rung = Rung(
                    corruption=damage.name,
                    column=damage.column,
                    severity=severity,
                    says=says if cost.is_number else f"{says}; {yardstick.metric} is no number, so all counts as lost",
                    value=cost.value,
                    lost=cost.lost,
                    interval=cost.interval,
                    noticed_after=noticed_after if watch is not None else None,
                )
                own.append(rung)
                bar.advance(1, damage.label)
            rungs += reversed(own)
    return tuple(rungs)


def _attest(model: Artifact, ladder: Ladder, job: RobustnessJob, store: Store) -> Artifact:
    config = {key: value for key, value in asdict(job.monitor).items() if key not in _OF_WINDOWS}
    facts = {"robustness": ladder.to_json(), "config": {"monitor": config}, "host": host.facts()}
    report = RobustnessReport(ladder=facts["robustness"], config=config, host=facts["host"])
    return store.attest(
        model,
        CLAIM,
        metrics=ladder.metrics(),
        facts=facts,
        identity={"ladder": digest.of_json(facts["robustness"])},
        pages={REPORT: lambda own_digest: robustness_page(replace(report, digest=own_digest))},
    )
