"""Draws what models cost, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mltool.artifacts.artifact import REPORT
from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import open_report
from mltool.core import units

if TYPE_CHECKING:
    from mltool.stages.profile.result import BatchTimes, Profile, Profiles


def show_profiles(result: Profiles, *, and_open: bool = False) -> None:
    """Show profiles; quietly, the path of each attestation."""
    if output.mode() is Mode.json:
        output.write_json(result.to_json())
    elif output.mode() is Mode.quiet:
        for proof in result.attestations:
            output.write(str(proof.path))
    else:
        _draw(result)
    if and_open:
        open_report(result.attestations[0])


def _draw(result: Profiles) -> None:
    rows = [_model_row(one) for one in result.profiles]
    output.draw_table(("model", "runs as", ">graph", ">memory", ">load"), rows)
    output.write("")
    several = len(result.profiles) > 1
    columns = (">batch", "model", ">p50", ">p90", ">p99", ">mean", ">samples/s", ">speed-up")
    by_size = zip(*(one.batches for one in result.profiles), strict=True)
    output.draw_table(
        columns,
        [
            _batch_row(one.model, batch, several=several)
            for batches in by_size
            for one, batch in zip(result.profiles, batches, strict=True)
        ],
    )
    output.write(f"\nreport  {output.relative(result.attestations[0].path / REPORT)}")


def _model_row(one: Profile) -> tuple[str, ...]:
    return (
        one.model,
        one.runs_as,
        "" if one.size_mib is None else units.size(one.size_mib * 2**20),
        "" if one.memory_mib is None else units.size(one.memory_mib * 2**20),
        f"{words.number(one.load_time_s)} s",
    )


def _batch_row(model: str, batch: BatchTimes, *, several: bool) -> tuple[str, ...]:
    times = (batch.latency_p50_ms, batch.latency_p90_ms, batch.latency_p99_ms, batch.latency_mean_ms)
    return (
        f"{batch.batch_size:,}",
        model if several else "",
        *(f"{words.number(time_ms)} ms" for time_ms in times),
        words.number(batch.throughput_per_s),
        f"{batch.speedup:.2f}x" if several else "",
    )
