from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool evaluate",
    "mltool evaluate digits@3 split=validation",
    keys="mltool evaluate",
)


def evaluate(
    tokens: ModelKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure a model on a split of its dataset, with confidence intervals."""
    refs, overrides = read_args(tokens, "[REF]", verb="evaluate")
    import mltool
    from mltool.cli.show import show_config, show_evaluation
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("evaluate", overrides))
    else:
        show_evaluation(mltool.evaluate(*(refs or ["latest"]), *overrides))
