from __future__ import annotations

import typer

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, OpenOpt, PrintConfigOpt, QuietOpt
from mltool.core.errors import CheckError

DRIFT_EXAMPLES = examples(
    "mltool monitor drift digits current=today.csv",
    "mltool monitor drift deployment=digits since=24h",
    keys="mltool monitor drift",
)
ROBUSTNESS_EXAMPLES = examples(
    "mltool monitor robustness digits",
    "mltool monitor robustness digits@2 corruptions=rotation,jpeg --open",
    keys="mltool monitor robustness",
)
REPORT_EXAMPLES = examples(
    "mltool monitor report digits --open",
    "mltool monitor report deployment=digits since=7d",
    keys="mltool monitor report",
)


def drift(
    tokens: ModelKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Say whether requests still look like the data of a model; 4 is an alarm."""
    refs, overrides = read_args(tokens, "[REF]", verb="monitor drift")
    from mltool.cli.monitoring import show_drift
    from mltool.cli.show import show_config
    from mltool.verbs import jobs, monitor

    if print_config:
        show_config(jobs.resolved("monitor drift", overrides))
        return
    found = monitor.drift(refs[0] if refs else None, *overrides)
    show_drift(found)
    if found.alarm:
        raise typer.Exit(CheckError.exit_code)


def robustness(
    tokens: ModelKeysArg = None,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure what damage to the data costs, and when `drift` would notice it."""
    refs, overrides = read_args(tokens, "[REF]", verb="monitor robustness")
    from mltool.cli.robustness import show_robustness
    from mltool.cli.show import show_config
    from mltool.verbs import jobs, monitor

    if print_config:
        show_config(jobs.resolved("monitor robustness", overrides))
    else:
        show_robustness(monitor.robustness(refs[0] if refs else "latest", *overrides), and_open=open_)


def report(
    tokens: ModelKeysArg = None,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Write one page about a model in service: drift, robustness, traffic, answers."""
    refs, overrides = read_args(tokens, "[REF]", verb="monitor report")
    from mltool.cli.service import show_report
    from mltool.cli.show import show_config
    from mltool.verbs import jobs, monitor

    if print_config:
        show_config(jobs.resolved("monitor report", overrides))
    else:
        show_report(monitor.report(refs[0] if refs else None, *overrides), and_open=open_)
