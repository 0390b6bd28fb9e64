"""DVC's exceptions in our words, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mltool.core.errors import ConfigError, DataError, MltoolError
from mltool.integrations.dvc.remote import explanation


@contextmanager
def explained(url: str | None, failures: Sequence[BaseException] = ()) -> Iterator[None]:
    """Turn DVC's exceptions into ours, and those of single files, which it only counts, into the first of them.

    Args:
        url: The address of the remote that is asked; None if only the project is read.
        failures: What `talk.quiet` heard.
    """
    try:
        yield
    except MltoolError:
        raise
    except Exception as error:
        for cause in (*failures, *_chain(error)):
            known = None if url is None else explanation(cause, url)
            if known is not None:
                raise known from error
        raise in_our_words(error, failures) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def in_our_words(error: Exception, failures: Sequence[BaseException]) -> MltoolError:
    from dvc.config import ConfigError as DvcConfigError
    from dvc.config import NoRemoteError
    from dvc.exceptions import CheckoutError, DvcException, FileTransferError

    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if isinstance(error, NoRemoteError):
        return no_remote()
    if isinstance(error, DvcConfigError):
        return ConfigError(f"DVC's config cannot be used: {first}", hint="mend `.dvc/config`")
    if "unsaved files" in str(error):
        return DataError(
            f"`{str(error).splitlines()[-1]}` was changed here, and pulling would lose that",
            hint="keep it with `dvc commit`, or throw it away with `dvc checkout --force`",
        )
    if isinstance(error, FileTransferError | CheckoutError):
        cause = f": {type(failures[0]).__name__}: {failures[0]}" if failures else ""
        return MltoolError(f"{first}{cause}", hint="try again; what was moved stays moved")
    if isinstance(error, ImportError):
        return ConfigError(first, hint="install it with pip")
    if isinstance(error, DvcException):
        return DataError(f"DVC cannot read this project: {first}", hint="`dvc status` says more")
    raise error


def no_remote() -> ConfigError:
    return ConfigError(
        "no remote is configured",
        hint="give `data.remote=FOLDER` or `data.remote=gs://BUCKET/PATH`, best in mltool.yaml; "
        "or give DVC one with `dvc remote add --default`",
    )
