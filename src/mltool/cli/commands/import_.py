from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, PrintConfigOpt, QuietOpt, WeightsKeysArg

EXAMPLES = examples(
    "mltool import weights.pt model.target=src.model:Net data.source=iris.csv",
    "mltool import model.onnx data.source=images/",
    keys="mltool import",
)


def import_(
    tokens: WeightsKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Make a verified model of trained weights, or of a graph."""
    weights, overrides = read_args(tokens, "[WEIGHTS]" if print_config else "WEIGHTS", verb="import")
    import mltool
    from mltool.cli.show import show_config, show_made
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("import", overrides))
    else:
        show_made(mltool.import_model(weights[0], *overrides))
