from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, KeysArg, OpenOpt, PrintConfigOpt, QuietOpt, ResumeOpt

EXAMPLES = examples(
    "mltool train",
    "mltool train data.source=iris.csv epochs=50 lr=0.01",
    "mltool train model.target=src.model:Net data.target=src.data:corrupt_mnist",
    keys="mltool train",
)


def train(
    tokens: KeysArg = None,
    resume: ResumeOpt = False,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Train a model, measure it, and verify its export."""
    _, overrides = read_args(tokens, verb="train")
    import mltool
    from mltool.cli.show import show_config, show_made
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("train", overrides))
    else:
        show_made(mltool.train(*overrides, resume=resume), and_open=open_)
