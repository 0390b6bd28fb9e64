"""Every error mltool raises on purpose.

MltoolError          exit 1
├─ ConfigError       exit 2   a value the user wrote is wrong
├─ DataError         exit 1   the user's data cannot be read, or too much of it is damaged
├─ InputError        exit 1   what a model was given does not fit its signature
├─ UserCodeError     exit 1   the user's own module, loss or metric failed; names their line
├─ ArtifactError     exit 3   an artifact is missing, corrupt or of the wrong kind
├─ CheckError        exit 4   something was verified and failed
└─ RemoteError       exit 5   a service we called failed
"""

from __future__ import annotations


class MltoolError(Exception):
    """A message that names the value, and a hint that says what to do.

    Args:
        message: One sentence without a final period; what the user typed stands in backticks.
        hint: What to do next, in the same form.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(MltoolError):
    exit_code = 2


class DataError(MltoolError):
    exit_code = 1


class InputError(MltoolError):
    exit_code = 1


class UserCodeError(MltoolError):
    exit_code = 1


class ArtifactError(MltoolError):
    exit_code = 3


class CheckError(MltoolError):
    """A failed check; `artifact` is what was kept all the same, by its digest only."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str | None = None, artifact: object | None = None) -> None:
        super().__init__(message, hint=hint)
        self.artifact = artifact


class RemoteError(MltoolError):
    exit_code = 5
