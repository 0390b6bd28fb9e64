"""What a model must have proved before it answers others."""

from __future__ import annotations

from collections.abc import Iterable

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import Check, CheckStatus
from mltool.artifacts.store import Store
from mltool.core import events
from mltool.core.errors import CheckError
from mltool.runtimes.verify import CHECK_IDS

REQUIRED = ("fresh_process", *CHECK_IDS)
"""Checks that every model must have passed; whatever else was checked must have passed as well."""
OPTION = "--accept-failed-checks"


def admit(model: Artifact, store: Store, *, accept_failed_checks: bool = False) -> tuple[Check, ...]:
    """Refuse a model that failed a check or lacks one, in its own checks and in its attestations'.

    Returns:
        What failed or is missing and was accepted all the same, so that it can be recorded.

    Raises:
        CheckError: Something failed or is missing, and was not accepted.
    """
    wrong = _wrong(_newest(model, store))
    if not wrong:
        return ()
    named = "; ".join(map(_in_words, wrong))
    if not accept_failed_checks:
        raise CheckError(
            f"`{model.label}` is not fit to be deployed: {named}",
            hint=f"`mltool models show {model.label}` shows all checks; `{OPTION}` deploys it all the same",
        )
    events.warning(f"`{model.label}` is deployed although {named}")
    return wrong


def _newest(model: Artifact, store: Store) -> list[Check]:
    """The model's own checks and those of its attestations; where a claim was proved again, the newest counts."""
    found = {("", check.id): check for check in model.checks}
    for proof in store.attestations(model):
        found.update({(str(proof.config.get("claim")), check.id): check for check in proof.checks})
    return list(found.values())


def _wrong(checks: Iterable[Check]) -> tuple[Check, ...]:
    checks = list(checks)
    passed = {check.id for check in checks if check.status is CheckStatus.passed}
    failed = [check for check in checks if check.status is CheckStatus.failed]
    not_run = {check.id: check for check in checks if check.status is CheckStatus.not_run}
    missing = [
        not_run.get(name, Check.not_run(name, "nobody has checked it"))
        for name in dict.fromkeys((*REQUIRED, *not_run))
        if name not in passed | {check.id for check in failed} and not (name in not_run and _is_replaced(name, passed))
    ]
    return (*failed, *missing)


def _is_replaced(check_id: str, passed: set[str]) -> bool:
    """Whether other checks stand for one that could not be run.

    Without labels there is no task metric, and without classes no agreement of classes: then the answers themselves
    must agree with those of the network that the model was made from.
    """
    if check_id == "task_metric_drop":
        return bool({"class_agreement", "relative_error"} & passed)
    return check_id == "class_agreement" and "relative_error" in passed


def _in_words(check: Check) -> str:
    verdict = "failed" if check.status is CheckStatus.failed else "was not run"
    compared = (
        "" if check.value is None or check.limit is None else f"{check.value:.4g} where {check.limit:.4g} is the limit"
    )
    details = ", ".join(text for text in (compared, check.detail) if text)
    return f"`{check.id}` {verdict}" + (f" ({details})" if details else "")
