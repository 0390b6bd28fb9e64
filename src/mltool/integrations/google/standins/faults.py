"""What goes wrong on purpose: each fault is one that Google's services have, as their clients see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mltool.integrations.google.standins.methods import NAMES
from mltool.integrations.google.standins.refusals import Code, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Everything that goes wrong; by default nothing does.

    Methods are named as in `methods.NAMES`, such as `Services.CreateService` or `Buckets.Insert`.

    Attributes:
        disabled_apis: Such as `run.googleapis.com`; their calls are refused with the reason SERVICE_DISABLED.
        denied: Methods that the caller may not use.
        exhausted: Methods whose quota is used up.
        no_act_as: The account of instances that the caller may not act as, by its e-mail: no service can be changed.
        no_public: The organisation forbids to let everybody ask.
        cut_at: The connection ends at this method, and every call after it; `cut` says whether it was done.
        cut_after_calls: As `cut_at`, after so many calls have been answered.
        build_failure: What a build fails with, such as a missing permission of its service account.
        image_does_not_start: Containers end at once.
        operation_delay_s: How much longer every operation takes.
    """

    disabled_apis: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    exhausted: frozenset[str] = frozenset()
    no_act_as: str = ""
    no_public: bool = False
    cut_at: str | None = None
    cut: Literal["before", "after"] = "before"
    cut_after_calls: int | None = None
    build_failure: str = ""
    image_does_not_start: bool = False
    operation_delay_s: float = 0.0

    def __post_init__(self) -> None:
        unknown = {*self.denied, *self.exhausted, *([self.cut_at] if self.cut_at else [])} - NAMES
        if unknown:
            raise ValueError(f"no stand-in has the method {', '.join(sorted(unknown))}")


class Calls:
    """Every call in the order in which it came, and what goes wrong with it."""

    def __init__(self, faults: Faults) -> None:
        self.names: list[str] = []
        self._faults, self._num_answered, self._is_cut = faults, 0, False

    @property
    def faults(self) -> Faults:
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        """From now on other things go wrong; a connection that was cut is there again."""
        self._faults, self._num_answered, self._is_cut = faults, 0, False

    def begin(self, name: str, api: str, project: str) -> None:
        """Raises: RefusalError: A fault stops the call before it is done."""
        self.names.append(name)
        faults = self._faults
        after_calls = faults.cut_after_calls
        if after_calls is not None and self._num_answered >= after_calls:
            self._is_cut = True
        if self._is_cut or (name == faults.cut_at and faults.cut == "before"):
            self._is_cut = True
            raise _cut()
        self._num_answered += 1
        if api in faults.disabled_apis:
            raise _disabled(api, project)
        if name in faults.denied:
            permission = f"{api.partition('.')[0]}.{name.rpartition('.')[2]}"
            raise RefusalError(
                Code.PERMISSION_DENIED,
                f"Permission '{permission}' denied on resource of project '{project}' (or it may not exist).",
                reason="IAM_PERMISSION_DENIED",
                metadata={"permission": permission, "resource": f"projects/{project}"},
            )
        if faults.no_act_as and name in ("Services.CreateService", "Services.UpdateService"):
            raise RefusalError(
                Code.PERMISSION_DENIED,
                f"Permission 'iam.serviceaccounts.actAs' denied on service account {faults.no_act_as} (or it may not "
                "exist).",
                reason="IAM_PERMISSION_DENIED",
                metadata={"permission": "iam.serviceaccounts.actAs", "resource": faults.no_act_as},
            )
        if name in faults.exhausted:
            raise RefusalError(
                Code.RESOURCE_EXHAUSTED,
                f"Quota exceeded for quota metric '{name}' and limit 'per minute' of service '{api}'.",
                reason="RATE_LIMIT_EXCEEDED",
                metadata={"service": api, "quota_metric": name},
            )

    def end(self, name: str) -> None:
        """Raises: RefusalError: The call was done, but its answer is lost."""
        if name == self._faults.cut_at and self._faults.cut == "after":
            self._is_cut = True
            raise _cut()


def _cut() -> RefusalError:
    return RefusalError(Code.UNAVAILABLE, "Socket closed")


def _disabled(api: str, project: str) -> RefusalError:
    return RefusalError(
        Code.PERMISSION_DENIED,
        f"{api} has not been used in project {project} before or it is disabled. Enable it by visiting "
        f"https://console.developers.google.com/apis/api/{api}/overview?project={project} then retry.",
        reason="SERVICE_DISABLED",
        metadata={"service": api, "consumer": f"projects/{project}"},
    )
