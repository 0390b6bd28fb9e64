from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelKeysArg, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool predict input=photo.png",
    "cat rows.jsonl | mltool predict penguins@2 input=-",
    keys="mltool predict",
)


def predict(
    tokens: ModelKeysArg = None,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Answer for the records in a JSON, JSONL, CSV, image or .npy file."""
    refs, overrides = read_args(tokens, "[REF]", verb="predict")
    import mltool
    from mltool.cli.show import show_config, show_records
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("predict", overrides))
    else:
        show_records(mltool.predict(*(refs or ["latest"]), *overrides))
