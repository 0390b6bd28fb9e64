from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, OpenOpt, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool compile",
    "mltool compile digits@3 backend=onnxruntime batch_size=32",
    keys="mltool compile",
)


def compile_(
    tokens: ModelKeysArg = None,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Find the fastest way to run a model here that still answers as it did."""
    refs, overrides = read_args(tokens, "[REF]", verb="compile")
    import mltool
    from mltool.cli.show import show_config
    from mltool.cli.variants import show_variant
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("compile", overrides))
    else:
        show_variant(mltool.compile_model(*(refs or ["latest"]), *overrides), and_open=open_)
