from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, KeysArg, PrintConfigOpt, QuietOpt

EMULATE_EXAMPLES = examples(
    "mltool gcp emulate",
    "mltool gcp emulate port=8085 storage_port=9023",
    keys="mltool gcp emulate",
)


def emulate(
    tokens: KeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Stand in for Google Cloud on this machine, so that no account is needed."""
    _, overrides = read_args(tokens, verb="gcp emulate")
    from mltool.cli.deployments import show_endpoints
    from mltool.cli.show import show_config
    from mltool.verbs import gcp, jobs

    if print_config:
        show_config(jobs.resolved("gcp emulate", overrides))
    else:
        gcp.emulate(*overrides, on_ready=show_endpoints)
