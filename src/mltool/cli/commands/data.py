from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import (
    DatasetArg,
    DryRunOpt,
    JsonOpt,
    KeysArg,
    OpenOpt,
    PrintConfigOpt,
    QuietOpt,
    YesOpt,
)

ADD_EXAMPLES = examples(
    "mltool data add source=iris.csv label=species",
    "mltool data add source=images/ image_size=64 --dry-run",
    keys="mltool data add",
)
SHOW_EXAMPLES = examples("mltool data show", "mltool data show iris@2 --open")
RM_EXAMPLES = examples("mltool data rm iris@1", "mltool data rm iris@1 --yes")


def add(
    tokens: KeysArg = None,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Decode a source once into a dataset that every later step reads fast."""
    _, overrides = read_args(tokens, verb="data add")
    from mltool.cli.show import show_config, show_made, show_plan
    from mltool.verbs import data, jobs

    if print_config:
        show_config(jobs.resolved("data add", overrides))
    elif dry_run:
        show_plan(data.plan(*overrides))
    else:
        show_made(data.add(*overrides))


def show(
    tokens: DatasetArg = None,
    open_: OpenOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Show a dataset: what it holds and where it comes from."""
    refs, _ = read_args(tokens, "[REF]")
    from mltool.cli import output
    from mltool.cli.show import open_page, show_dataset
    from mltool.verbs import data

    dataset = data.load(refs[0] if refs else "latest")
    show_dataset(dataset, data.show(dataset))
    if open_:
        page = data.page(dataset)
        output.say(f"page    {output.relative(page)}")
        open_page(page)


def rm(tokens: DatasetArg = None, yes: YesOpt = False, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Delete a dataset and its names; its source stays as it is."""
    (ref,), _ = read_args(tokens, "REF")
    from mltool.cli.removing import remove
    from mltool.verbs import data

    remove(ref, data.load, data.rm, yes=yes)
