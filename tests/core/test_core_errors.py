from __future__ import annotations

import pytest

from mltool.core import errors

CODES = {
    errors.MltoolError: 1,
    errors.ConfigError: 2,
    errors.DataError: 1,
    errors.InputError: 1,
    errors.UserCodeError: 1,
    errors.ArtifactError: 3,
    errors.CheckError: 4,
    errors.RemoteError: 5,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_every_error_carries_its_exit_code_and_hint(kind: type[errors.MltoolError], code: int) -> None:
    error = kind("`x` is wrong", hint="write `y`")
    assert (error.exit_code, error.message, error.hint, str(error)) == (
        code,
        "`x` is wrong",
        "write `y`",
        "`x` is wrong",
    )
    assert kind("`x`").hint is None


def test_no_error_is_missing_from_the_tree_at_the_top_of_its_file() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MltoolError)}
    assert kinds == set(CODES)
    for kind, code in CODES.items():
        assert any(kind.__name__ in line and f"exit {code}" in line for line in (errors.__doc__ or "").splitlines())
