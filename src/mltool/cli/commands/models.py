from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import DryRunOpt, JsonOpt, ModelArg, QuietOpt, TwoModelsArg, YesOpt

LIST_EXAMPLES = examples("mltool models list", "mltool models list --json")
SHOW_EXAMPLES = examples("mltool models show digits@3", "mltool models show latest --json")
COMPARE_EXAMPLES = examples("mltool models compare digits@2 digits@3")
RM_EXAMPLES = examples("mltool models rm digits@2", "mltool models rm digits@2 --yes")
GC_EXAMPLES = examples("mltool models gc --dry-run", "mltool models gc --yes")


def list_(json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """List the models of this project with their metrics and checks."""
    from mltool.artifacts.manifest import ArtifactKind
    from mltool.cli.listing import show_list
    from mltool.verbs import models

    show_list(models.list(), ArtifactKind.model, empty="there is no model yet; make one with `mltool train`")


def show(tokens: ModelArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Show a model: metrics, checks, attestations, and where it comes from."""
    (ref,), _ = read_args(tokens, "REF")
    from mltool.cli.listing import show_descent
    from mltool.verbs import models

    show_descent(models.show(ref))


def compare(tokens: TwoModelsArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Compare two models: metrics, size, checks and config, side by side."""
    (first, second), _ = read_args(tokens, "A", "B")
    from mltool.cli.listing import show_comparison
    from mltool.verbs import models

    show_comparison(models.compare(first, second))


def rm(tokens: ModelArg = None, yes: YesOpt = False, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Delete a model and its names."""
    (ref,), _ = read_args(tokens, "REF")
    from mltool.cli.removing import remove
    from mltool.verbs import load, models

    remove(ref, load, models.rm, yes=yes)


def gc(dry_run: DryRunOpt = False, yes: YesOpt = False, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Delete what nothing refers to: unnamed artifacts, and unfinished or damaged ones."""
    from mltool.cli.asking import confirmed
    from mltool.cli.listing import show_garbage, show_removed
    from mltool.verbs import models

    found = models.garbage()
    if dry_run or not found:
        show_garbage(found)
        return
    if not yes:
        show_garbage(found, asking=True)
    if confirmed(f"delete these {len(found)}?" if len(found) > 1 else "delete it?", yes=yes):
        show_removed(found, names=[], num_bytes=models.gc(found))
