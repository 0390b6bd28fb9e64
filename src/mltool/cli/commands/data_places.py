from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import AskOpt, DatasetKeysArg, DryRunOpt, JsonOpt, KeysArg, PrintConfigOpt, QuietOpt

PUSH_EXAMPLES = examples(
    "mltool data push remote=/srv/data",
    "mltool data push iris@2 remote=gs://bucket/path --dry-run",
    keys="mltool data push",
)
PULL_EXAMPLES = examples("mltool data pull", "mltool data pull iris@2", keys="mltool data pull")
LIST_EXAMPLES = examples("mltool data list", "mltool data list --ask", keys="mltool data list")


def push(
    tokens: DatasetKeysArg = None,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Send datasets to the remote, with what DVC tracks here."""
    refs, overrides = read_args(tokens, "[REF]", verb="data push")
    from mltool.cli.moving import show_moved, show_push_plan
    from mltool.cli.show import show_config
    from mltool.verbs import data, jobs

    ref = refs[0] if refs else None
    if print_config:
        show_config(jobs.resolved("data push", overrides))
    elif dry_run:
        show_push_plan(data.plan_push(ref, *overrides))
    else:
        show_moved(data.push(ref, *overrides), "pushed")


def pull(
    tokens: DatasetKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Fetch datasets that were pushed, with what DVC tracks here."""
    refs, overrides = read_args(tokens, "[REF]", verb="data pull")
    from mltool.cli.moving import show_moved
    from mltool.cli.show import show_config
    from mltool.verbs import data, jobs

    ref = refs[0] if refs else None
    if print_config:
        show_config(jobs.resolved("data pull", overrides))
    else:
        show_moved(data.pull(ref, *overrides), "pulled")


def list_(
    tokens: KeysArg = None,
    ask: AskOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """List the datasets of this project, and what DVC tracks here."""
    _, overrides = read_args(tokens, verb="data list")
    from mltool.cli.moving import show_datasets
    from mltool.cli.show import show_config
    from mltool.verbs import data, jobs

    if print_config:
        show_config(jobs.resolved("data list", overrides))
    else:
        show_datasets(data.list(), data.tracked(), data.in_remote(*overrides) if ask else None)
