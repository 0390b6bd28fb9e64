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
    from mltool.artifacts.store import open_store
    from mltool.cli.listing import show_list

    show_list(open_store(), ArtifactKind.model, empty="there is no model yet; make one with `mltool train`")


def show(tokens: ModelArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Show a model: metrics, checks, attestations, and where it comes from."""
    (ref,), _ = read_args(tokens, "REF")
    from mltool.artifacts.manifest import ArtifactKind
    from mltool.artifacts.store import open_store
    from mltool.cli.listing import show_descent

    store = open_store()
    show_descent(store, store.find(ref, ArtifactKind.model))


def compare(tokens: TwoModelsArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Compare two models: metrics, size, checks and config, side by side."""
    refs, _ = read_args(tokens, "A", "B")
    from mltool.artifacts.manifest import ArtifactKind
    from mltool.artifacts.store import open_store
    from mltool.cli.listing import show_comparison

    store = open_store()
    first, second = (store.find(ref, ArtifactKind.model) for ref in refs)
    show_comparison(first, second)


def rm(tokens: ModelArg = None, yes: YesOpt = False, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Delete a model and its names."""
    (ref,), _ = read_args(tokens, "REF")
    from mltool.artifacts.manifest import ArtifactKind
    from mltool.artifacts.store import open_store
    from mltool.cli.asking import confirmed
    from mltool.cli.listing import show_removed

    store = open_store()
    model = store.find(ref, ArtifactKind.model)
    if confirmed(f"delete `{model.label}` in `{model.path}`?", yes=yes):
        show_removed([model.path], names=store.remove(model), num_bytes=model.size_bytes)


def gc(dry_run: DryRunOpt = False, yes: YesOpt = False, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Delete what nothing refers to: unnamed artifacts, and unfinished or damaged ones."""
    from mltool.artifacts.garbage import collect, garbage
    from mltool.artifacts.store import open_store
    from mltool.cli.asking import confirmed
    from mltool.cli.listing import show_garbage, show_removed

    found = garbage(open_store())
    if dry_run or not found:
        show_garbage(found)
        return
    if not yes:
        show_garbage(found, asking=True)
    if confirmed(f"delete these {len(found)}?" if len(found) > 1 else "delete it?", yes=yes):
        show_removed(found, names=[], num_bytes=collect(found))
