"""Draws where data is, and what was moved."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mltool.artifacts.inventory import Row
from mltool.artifacts.manifest import ArtifactKind
from mltool.cli import output, words
from mltool.cli.listing import show_list
from mltool.cli.output import Mode
from mltool.core import units

if TYPE_CHECKING:
    from mltool.integrations.dvc.tracked import TrackedOut
    from mltool.stages.data.moved import Moved


def show_moved(moved: Moved, verb: str) -> None:
    """What a push or a pull did; `--quiet` is what to commit, or where the data is."""
    is_push = verb == "pushed"
    if output.mode() is Mode.json:
        output.write_json(moved.to_json())
        return
    if output.mode() is Mode.quiet:
        for one in moved.datasets:
            output.write(str(one.pointer if is_push else one.path))
        for out in moved.tracked:
            output.write(str(out.path))
        return
    rows = [
        (one.ref, "dataset", f"{one.num_files:,}", units.size(one.size_bytes), _news(one.moved_bytes, verb))
        for one in moved.datasets
    ]
    rows += [(output.relative(out.path), "tracked by DVC", *_size(out), "") for out in moved.tracked]
    output.draw_table(("name", "kind", ">files", ">size", verb), rows)
    output.write("")
    if moved.remote:
        output.write(f"remote  {moved.remote}")
    if moved.tracked_remote:
        num = words.count(moved.num_tracked_moved, "object")
        output.write(f"DVC     {moved.tracked_remote}, {num} {verb}")
    if is_push and moved.datasets:
        output.write(f"commit  {output.relative(moved.datasets[0].pointer.parent.parent)}")
    elif moved.datasets:
        output.write(f"next    mltool train data.source={moved.datasets[0].ref}")


def _news(num_bytes: int, verb: str) -> str:
    return units.size(num_bytes) if num_bytes else f"nothing: it was {'there' if verb == 'pushed' else 'here'} already"


def _size(out: TrackedOut) -> tuple[str, str]:
    files = "" if out.num_files is None else f"{out.num_files:,}"
    return files, "" if out.size_bytes is None else units.size(out.size_bytes)


def show_push_plan(plan: Mapping[str, Any]) -> None:
    """What a push would send."""
    if output.mode() is Mode.json:
        output.write_json(plan)
        return
    rows = [
        (name, "dataset", f"{one['num_files']:,}", units.size(one["size_bytes"]), f"{one['num_files_there']:,}")
        for name, one in plan.get("datasets", {}).items()
    ]
    tracked = [
        *((path, "yes", "") for path in plan.get("tracked", ())),
        *((path, "", "yes") for path in plan.get("tracked_there", ())),
    ]
    rows += [(output.relative(Path(path)), "tracked by DVC", send, "", there) for path, send, there in tracked]
    output.draw_table(("name", "kind", ">files to send", ">size", ">there already"), rows)
    output.write("")
    for name, label in (("remote", "remote"), ("tracked_remote", "DVC")):
        if plan.get(name):
            output.write(f"{label:<7} {plan[name]}")
    output.say("nothing was written: this was a dry run")


def show_datasets(found: Sequence[Row], tracked: Sequence[TrackedOut], in_remote: Collection[str] | None) -> None:
    """Every dataset with where it is, then what DVC tracks.

    Args:
        in_remote: What the remotes hold by digest and MD5; None if they were not asked.
    """
    if output.mode() is Mode.json:
        rows = [{**row.to_json(), "in_remote": _held(row.digest, in_remote)} for row in found]
        outs = [{**out.to_json(), "in_remote": _held(out.md5, in_remote)} for out in tracked]
        output.write_json({"datasets": rows, "tracked": outs})
        return
    if output.mode() is Mode.quiet or not found:
        show_list(found, ArtifactKind.dataset, empty="there is no dataset yet; make one with `mltool data add`")
    else:
        output.draw_table(("name", "made (UTC)", ">size", "rows", "where"), [_row(row, in_remote) for row in found])
    if tracked and output.mode() is Mode.human:
        output.write("")
        columns = ("tracked by DVC", ">files", ">size", "where")
        output.draw_table(
            columns, [(output.relative(out.path), *_size(out), _where_out(out, in_remote)) for out in tracked]
        )


def _held(key: str | None, in_remote: Collection[str] | None) -> bool | None:
    return None if in_remote is None else key in in_remote


def _row(row: Row, in_remote: Collection[str] | None) -> tuple[str, ...]:
    rows = {
        key.removeprefix("num_rows_"): words.number(num)
        for key, num in (row.manifest.metrics if row.manifest else {}).items()
        if key.startswith("num_rows_")
    }
    size = units.size(row.size_bytes) if row.manifest else ""
    shown = ", ".join(f"{name} {num}" for name, num in rows.items())
    return row.label, words.day(row.created_utc), size, shown, _where(row, in_remote)


def _where(row: Row, in_remote: Collection[str] | None) -> str:
    here = {"here": ["here"], "damaged": [f"{output.symbol('damaged')} damaged here"]}.get(row.state, [])
    return ", ".join([*here, *_there(row.pushed, _held(row.digest, in_remote))]) or "only its name is here"


def _where_out(out: TrackedOut, in_remote: Collection[str] | None) -> str:
    return ", ".join([*(["here"] if out.is_here else []), *_there(False, _held(out.md5, in_remote))]) or "not here"


def _there(pushed: bool, is_in_remote: bool | None) -> list[str]:
    if is_in_remote is None:
        return ["pushed"] if pushed else []
    return ["in the remote"] if is_in_remote else ["lost in the remote"] if pushed else ["not in the remote"]
