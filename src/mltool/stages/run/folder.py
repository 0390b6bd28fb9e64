"""The folder of a road: its `dvc.yaml`, and one JSON file a step."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mltool.artifacts import digest
from mltool.artifacts.store import Store
from mltool.artifacts.writing import write_text
from mltool.core import events
from mltool.core.errors import ConfigError, MltoolError
from mltool.stages.run import pipeline

PAGE, RESULT = "road.html", "road.json"
_IGNORED = f"/.dvc/tmp\n/.dvc/cache\n/.lock\n/{PAGE}\n/{RESULT}\n"


def standing(folder: Path, text: str) -> str:
    """The `dvc.yaml` that is there, else `text`.

    Raises:
        ConfigError: It is somebody else's.
    """
    path = folder / pipeline.FILE
    found = path.read_text(encoding="utf-8", errors="replace") if path.exists() else text
    if not pipeline.is_ours(found):
        raise ConfigError(
            f"`{path}` was not written by `mltool run`, and stays as it is",
            hint="move it to another folder; `mltool run` needs the folder `road` for itself",
        )
    return found


def write(folder: Path, text: str, asked: Sequence[str]) -> None:
    """Write `dvc.yaml` unless somebody edited it.

    Args:
        asked: What somebody wants to be otherwise than the project's file says.

    Raises:
        ConfigError: It is somebody else's, cannot be read, or was edited and would not do what is asked.
    """
    found, path = standing(folder, text), folder / pipeline.FILE
    pipeline.stages_of(found, folder)
    if not pipeline.is_as_written(found):
        if asked and not pipeline.is_same(found, text):
            raise ConfigError(
                f"`{asked[0]}` would change `{path}`, which somebody edited",
                hint="write it into that file, or delete the file to have it written anew",
            )
        events.info(f"`{path}` was edited, so it is run as it stands")
        return
    if not path.exists():
        write_text(path, text)
    elif not pipeline.is_same(found, text):
        write_text(path, text)
        if found.count("#") > text.count("#"):
            events.warning(f"`{path}` was written anew, without the comments that were added to it")
    ignored = path.with_name(".gitignore")
    if not ignored.exists():
        write_text(ignored, _IGNORED)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from the folder, which is made, until the block ends.

    Raises:
        MltoolError: Another run is at work in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(folder / ".lock"), timeout=0)
    try:
        with lock:
            yield
    except Timeout:
        raise MltoolError(
            f"another `mltool run` is at work in `{folder}`", hint="wait for it, or end it, and try again"
        ) from None


def forget_lost(folder: Path, names: Sequence[str], store: Store) -> None:
    """Take the results whose artifacts are no longer in the store, so that their steps run again."""
    for name in names:
        result = result_of(folder, name)
        if "digest" in result and not (store.artifacts / str(result["digest"])[: digest.SHORT]).is_dir():
            events.info(
                f"`{result.get('ref') or result['digest'][: digest.SHORT]}` is not in this store; {name} runs again"
            )
            (folder / f"{name}.json").unlink()


def results_of(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    return {name: result for name in names if (result := result_of(folder, name))}


def result_of(folder: Path, name: str) -> dict[str, Any]:
    try:
        result = json.loads((folder / f"{name}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return result if isinstance(result, dict) else {}


def seconds_before(folder: Path) -> dict[str, float]:
    steps = result_of(folder, RESULT.removesuffix(".json")).get("steps", [])
    return {step["name"]: step["seconds"] for step in steps if step.get("seconds") is not None}
