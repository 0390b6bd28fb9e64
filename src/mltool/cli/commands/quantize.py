from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, OpenOpt, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool quantize",
    "mltool quantize digits@3 scheme=int8_static max_metric_drop=0.005",
    keys="mltool quantize",
)


def quantize(
    tokens: ModelKeysArg = None,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Shrink a model, and check that it still works and that it pays."""
    refs, overrides = read_args(tokens, "[REF]", verb="quantize")
    import mltool
    from mltool.cli.show import show_config
    from mltool.cli.variants import show_variant
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("quantize", overrides))
    else:
        show_variant(mltool.quantize(*(refs or ["latest"]), *overrides), and_open=open_)
