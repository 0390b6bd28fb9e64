"""What the steps found, put together for the page that tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mltool.reports.story_page import StoryReport

Results = Mapping[str, Any]


def report_of(results: Results, steps: Sequence[Mapping[str, Any]]) -> StoryReport:
    """The plain data of the page; a step that is missing leaves its part out."""
    data, train, evaluate = (results.get(name, {}) for name in ("data", "train", "evaluate"))
    best = best_of(results)
    from mltool.reports.story_page import StoryReport

    return StoryReport(
        title=f"{str(train.get('ref') or 'model').partition('@')[0]}: the whole road",
        created_utc=str(train.get("created_utc", "")),
        data=data,
        model=train,
        evaluation=evaluate,
        variants={name: results[name] for name in ("quantize", "compile") if name in results},
        profiles=results.get("profile", {}).get("profiles", []),
        host=results.get("profile", {}).get("host", {}),
        robustness=results.get("robustness", {}),
        best=str(best.get("ref") or ""),
        steps=steps,
        next_commands=_next(best),
    )


def best_of(results: Results) -> Mapping[str, Any]:
    """The model to go on with: what `compile` took, else what was trained."""
    for name in ("compile", "train"):
        result = results.get(name, {})
        if result.get("ref"):
            return dict(result)
    return {}


def summary_of(results: Results) -> dict[str, Any]:
    """The few figures that a script wants."""
    train, best = results.get("train", {}), best_of(results)
    return {
        "dataset": results.get("data", {}).get("ref"),
        "model": train.get("ref"),
        "best": best.get("ref"),
        "digest": best.get("digest"),
        "path": best.get("path"),
        "metrics": results.get("evaluate", {}).get("metrics", {}),
        "speedup": results.get("compile", {}).get("speedup"),
    }


def _next(best: Mapping[str, Any]) -> list[str]:
    ref = best.get("ref")
    if not ref:
        return []
    return [
        f"mltool predict {ref} input=FILE",
        f"mltool deploy local {ref}",
        f"mltool monitor drift {ref} current=FILE",
    ]
