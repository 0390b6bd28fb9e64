"""`python -m mltool.stages.serve FOLDER [KEY=VALUE]...`: the server of an image, without torch or typer."""

from __future__ import annotations

import sys
from pathlib import Path

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.core import events
from mltool.core.config.load import load_config
from mltool.core.errors import ArtifactError, ConfigError, MltoolError
from mltool.stages.serve.config import ServeJob
from mltool.stages.serve.stage import serve


def _say(event: events.Event) -> None:
    if isinstance(event, events.Message):
        sys.stderr.write(f"{'warning: ' if event.level == 'warning' else ''}{event.text}\n")


def main(arguments: list[str]) -> int:
    with events.subscribed(_say):
        try:
            if not arguments or "=" in arguments[0]:
                raise ConfigError("the folder of a model is missing", hint="it takes FOLDER [KEY=VALUE]...")
            job = load_config(ServeJob, "serve", arguments[1:])
            model = Artifact.open(Path(arguments[0]))
            if model.kind is not ArtifactKind.model:
                raise ArtifactError(f"`{arguments[0]}` is a {model.kind.value}, but a model is needed")
            serve(model, job, ledger=None)
        except MltoolError as error:
            sys.stderr.write(f"error: {error.message}\n")
            if error.hint:
                sys.stderr.write(f"hint: {error.hint}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
