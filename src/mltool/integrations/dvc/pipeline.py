"""A `dvc.yaml` in a folder of its own, run step by step by DVC, which decides what has to be done again."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from mltool.core.errors import ConfigError, MltoolError
from mltool.integrations.dvc import talk

FILE = "dvc.yaml"
_ENDED = re.compile(r"exited with (-?\d+)\Z")
"""How DVC says what a command ended with; its exception has it in no other form."""


class StepFailedError(Exception):
    """The command of a step did not end with 0."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Pipeline:
    """The steps of one folder, which is a project of DVC by itself: one around it is neither asked nor changed."""

    def __init__(self, folder: Path) -> None:
        talk.prepare()
        from dvc.repo import Repo

        self.folder = folder
        with talk.quiet():
            if not (folder / Repo.DVC_DIR).is_dir():
                Repo.init(str(folder), no_scm=True).close()
            self._repo: Any = Repo(str(folder))

    def run(self, step: str, on_start: Callable[[str], None]) -> bool:
        """Run a step, after those that it needs, unless nothing that it depends on has changed since it last ran.

        Args:
            on_start: Called with the name of each step before its command is run.

        Returns:
            Whether it was run.

        Raises:
            StepFailedError: Its command failed.
            ConfigError: The file cannot be read.
        """
        from dvc.exceptions import ReproductionError
        from dvc.stage.exceptions import StageCmdFailedError

        try:
            # DVC takes parts of its own paths from the current folder.
            with talk.quiet(), _starts(on_start), chdir(self.folder):
                done = self._repo.reproduce(targets=[f"{FILE}:{step}"])
        except ReproductionError as error:
            cause = error.__cause__
            ended = _ENDED.search(str(cause)) if isinstance(cause, StageCmdFailedError) else None
            if ended:
                raise StepFailedError(int(ended[1])) from error
            raise _explained(cause or error, self.folder) from error
        except Exception as error:
            raise _explained(error, self.folder) from error
        return any(stage.addressing.rpartition(":")[2] == step for stage in done)

    def changed(self) -> set[str]:
        """The steps that would run now, without what they would change for others."""
        with talk.quiet(), chdir(self.folder):
            status = self._repo.status()
        return {str(address).rpartition(":")[2] for address in status}


@contextmanager
def _starts(on_start: Callable[[str], None]) -> Iterator[None]:
    """Hear of each step as DVC does: by what it logs before the command."""
    from dvc.stage.run import logger

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if isinstance(record.args, tuple) and "Running" in record.msg:
                on_start(str(record.args[0]).rpartition(":")[2])

    with talk.held(logger, logging.INFO, Listener()):
        yield


def _explained(error: BaseException, folder: Path) -> MltoolError:
    from dvc.exceptions import DvcException
    from dvc.lock import LockError

    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if isinstance(error, LockError):
        return MltoolError(f"another run is at work in `{folder}`", hint="wait for it, or end it, and try again")
    if isinstance(error, DvcException):
        return ConfigError(f"DVC cannot run `{folder / FILE}`: {first}", hint="mend that file, or delete it")
    raise error
