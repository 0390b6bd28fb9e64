"""Draws what a store holds: lists, descent, comparisons, and what was deleted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mltool.artifacts import digest
from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.inventory import Ancestor, Comparison, Descent, Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.cli import output, words
from mltool.cli.output import Mode
from mltool.cli.show import draw_checks, draw_metrics, show_artifact
from mltool.core import units

_NUM_METRICS = 2


def show_list(found: Sequence[Row], kind: ArtifactKind, empty: str) -> None:
    if output.mode() is Mode.json:
        output.write_json({f"{kind.value}s": [row.to_json() for row in found]})
    elif output.mode() is Mode.quiet:
        for row in found:
            if row.state == "here":
                output.write(str(row.path))
    elif not found:
        output.say(empty)
    else:
        what = "rows" if kind is ArtifactKind.dataset else "metrics"
        columns = ("name", "made (UTC)", ">size", what, "checks")
        output.draw_table(columns, [_list_row(row) for row in found])


def _list_row(row: Row) -> tuple[str, str, str, str, str]:
    made = words.day(row.created_utc)
    if row.manifest is None or row.state == "damaged":
        word = "only its name is here" if row.state == "missing" else f"{output.symbol('damaged')} damaged"
        return row.label, made, "", "", word
    metrics = row.manifest.metrics
    if row.manifest.kind is ArtifactKind.dataset:
        metrics = {key.removeprefix("num_rows_"): rows for key, rows in metrics.items() if key.startswith("num_rows_")}
    else:
        metrics = dict(list(metrics.items())[:_NUM_METRICS])
    shown = ", ".join(f"{name} {words.number(value)}" for name, value in metrics.items())
    status, word = words.verdict(row.manifest.checks)
    checks = f"{output.symbol(status)} {word}" if row.manifest.checks else ""
    return row.label, made, units.size(row.size_bytes), shown, checks


def show_descent(shown: Descent) -> None:
    """Show a model with where it comes from and what was proved later."""
    if output.mode() is Mode.json:
        output.write_json(shown.to_json())
        return
    model = shown.artifact
    show_artifact(model)
    if output.mode() is Mode.quiet:
        return
    if shown.ancestors:
        output.write("")
        _draw_tree(model, shown.ancestors)
    claims = [str(proof.config.get("claim", "attestation")) for proof in shown.attestations]
    for place, (claim, proof) in enumerate(zip(claims, shown.attestations, strict=True)):
        if claim in claims[place + 1 :]:
            continue  # the newest counts, and a model that is watched has one every hour
        earlier = claims.count(claim) - 1
        more = f", after {earlier:,} earlier" if earlier else ""
        output.write(f"\nattestation `{claim}`, {words.day(proof.manifest.created_utc)} UTC, {proof.label}{more}")
        if proof.metrics:
            draw_metrics(proof.metrics)
        if proof.checks:
            draw_checks(proof.checks)
        if (proof.path / REPORT).is_file():
            output.write(f"report  {output.relative(proof.path / REPORT)}")


def _draw_tree(model: Artifact, parents: Sequence[Ancestor]) -> None:
    from rich.text import Text
    from rich.tree import Tree

    def grow(branch: Tree, above: Sequence[Ancestor]) -> None:
        for one in above:
            absent = "" if one.present else ", not in this store"
            grow(
                branch.add(Text(f"{one.role}: {one.kind} {one.label} ({one.digest[: digest.SHORT]}{absent})")),
                one.parents,
            )

    tree = Tree(Text(f"{model.label} comes from"))
    grow(tree, parents)
    output.draw(tree)


def show_comparison(both: Comparison) -> None:
    first, second, config = both.first, both.second, both.config
    if not both.on_same_data:
        output.warn("the two were not measured on the same data, so their metrics do not compare")
    if output.mode() is Mode.json:
        output.write_json(both.to_json())
    elif output.mode() is Mode.quiet:
        output.write(f"{first.path}\n{second.path}")
    else:
        table: list[tuple[str, ...]] = [_comparison_row(name, *values) for name, values in both.metrics.items()]
        mib = [one.size_bytes / 2**20 for one in (first, second)]
        table.append(_comparison_row("size_mib", *mib))
        verdicts = [words.verdict(one.checks) for one in (first, second)]
        table.append(("checks", *(f"{output.symbol(status)} {word}" for status, word in verdicts), ""))
        output.draw_table(("", f">{first.label}", f">{second.label}", ">difference"), table)
        if config:
            output.write("")
            table = [(key, _value(one), _value(other)) for key, (one, other) in config.items()]
            output.draw_table(("config", first.label, second.label), table)


def _comparison_row(name: str, a: float | None, b: float | None) -> tuple[str, ...]:
    texts = ["" if one is None else words.number(one) for one in (a, b)]
    return (name, *texts, "" if a is None or b is None else words.difference(a, b))


def _value(value: object) -> str:
    return "" if value is None else str(value)


def show_garbage(found: Sequence[Path], *, asking: bool = False) -> None:
    """List what nothing refers to; before a question, on stderr."""
    num_bytes = sum(file.stat().st_size for path in found for file in path.rglob("*") if file.is_file())
    if output.mode() is Mode.json and not asking:
        output.write_json({"garbage": [str(path) for path in found], "size_bytes": num_bytes})
        return
    for path in found:
        (output.say if asking else output.write)(output.relative(path) if output.mode() is Mode.human else str(path))
    if found:
        output.say(f"{words.count(len(found), 'folder')}, {units.size(num_bytes)}")
    else:
        output.say("nothing to delete")


def show_removed(paths: Sequence[Path], *, names: Sequence[str], num_bytes: int) -> None:
    if output.mode() is Mode.json:
        output.write_json({"removed": [str(path) for path in paths], "names": list(names), "size_bytes": num_bytes})
    elif output.mode() is Mode.quiet:
        for path in paths:
            output.write(str(path))
    else:
        what = ", ".join(f"`{name}`" for name in names) or words.count(len(paths), "folder")
        output.say(f"deleted {what}, {units.size(num_bytes)}")
