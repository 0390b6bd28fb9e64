from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool serve",
    "mltool serve digits@2 port=9000 workers=2",
    keys="mltool serve",
)


def serve(
    tokens: ModelKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Answer over HTTP: Open Inference Protocol, records, pictures, and a page to try it."""
    refs, overrides = read_args(tokens, "[REF]", verb="serve")
    import mltool
    from mltool.cli.deployments import show_address
    from mltool.cli.show import show_config
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("serve", overrides))
    else:
        mltool.serve(*(refs or ["latest"]), *overrides, on_ready=show_address)
