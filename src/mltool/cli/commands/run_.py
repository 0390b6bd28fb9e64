from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import DryRunOpt, JsonOpt, KeysArg, OpenOpt, PrintConfigOpt, QuietOpt

EXAMPLES = examples("mltool run", "mltool run data.source=iris.csv epochs=20 --open", keys="mltool run")


def run(
    tokens: KeysArg = None,
    dry_run: DryRunOpt = False,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Walk the whole road, from the data to robustness, and tell it in one page."""
    _, overrides = read_args(tokens, verb="run")
    import mltool
    from mltool.cli import output
    from mltool.cli.output import Mode
    from mltool.cli.road import show_road, show_road_plan
    from mltool.cli.show import open_page, show_config
    from mltool.verbs import jobs
    from mltool.verbs.road import plan_run

    if print_config:
        show_config(jobs.resolved("run", overrides))
    elif dry_run:
        show_road_plan(plan_run(*overrides))
    else:
        road = mltool.run(*overrides, quiet=output.mode() is Mode.quiet)
        show_road(road)
        if open_:
            open_page(road.page)
