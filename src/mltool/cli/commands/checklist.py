from __future__ import annotations

from mltool.cli.arguments import read_args
from mltool.cli.help import examples
from mltool.cli.options import FolderArg, JsonOpt, QuietOpt

EXAMPLES = examples("mltool checklist", "mltool checklist ../their-project --json")


def checklist(tokens: FolderArg = None, json: JsonOpt = False, quiet: QuietOpt = False) -> None:
    """Hold a project against the checklist: what is done, and what comes next."""
    folders, _ = read_args(tokens, "[DIR]")
    import mltool
    from mltool.cli.audits import show_audit

    show_audit(mltool.checklist(*folders))
