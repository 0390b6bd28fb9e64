from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import JsonOpt, ModelsKeysArg, OpenOpt, PrintConfigOpt, QuietOpt

EXAMPLES = examples(
    "mltool profile",
    "mltool profile digits@1 digits@2 batch_sizes=1,32",
    keys="mltool profile",
)


def profile(
    tokens: ModelsKeysArg = None,
    open_: OpenOpt = False,
    print_config: PrintConfigOpt = False,
    json: JsonOpt = False,
    quiet: QuietOpt = False,
) -> None:
    """Measure models side by side: latency, throughput, size, memory, load time."""
    refs, overrides = read_args(tokens, "[REF]...", verb="profile")
    import mltool
    from mltool.cli.profiles import show_profiles
    from mltool.cli.show import show_config
    from mltool.verbs import jobs

    if print_config:
        show_config(jobs.resolved("profile", overrides))
    else:
        show_profiles(mltool.profile(*refs, *overrides), and_open=open_)
