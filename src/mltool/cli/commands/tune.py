from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import DryRunOpt, JsonOpt, KeysArg, OpenOpt, PrintConfigOpt, QuietOpt, ResumeOpt

EXAMPLES = examples(
    "mltool tune",
    "mltool tune trials=40 space.lr=1e-4..1e-1:log space.batch_size=32,64,128",
    "mltool tune space.model.args.hidden=16..256:log train.epochs=10",
    keys="mltool tune",
)


def tune(
    tokens: KeysArg = None,
    resume: ResumeOpt = False,
    open_: OpenOpt = False,
    dry_run: DryRunOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Search for the config that trains best, and write it down."""
    _, overrides = read_args(tokens, verb="tune")
    from mltool.cli.show import show_config, show_plan
    from mltool.cli.studies import show_tuned
    from mltool.verbs import jobs, training

    if print_config:
        show_config(jobs.resolved("tune", overrides))
    elif dry_run:
        show_plan(training.plan_tune(*overrides))
    else:
        show_tuned(training.tune(*overrides, resume=resume), and_open=open_)
