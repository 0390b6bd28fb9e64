"""What Google says, in one line, and the command that puts it right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mltool.core.errors import RemoteError

if TYPE_CHECKING:
    from mltool.integrations.google.clients import Cloud

AGAIN = "run the same command again: it goes on where it stopped"
SIGN_IN = (
    "`gcloud auth application-default login`, or let GOOGLE_APPLICATION_CREDENTIALS name the key of a service account"
)
_ACCOUNT = re.compile(r"[\w.-]+@[\w.-]*gserviceaccount\.com")
_REQUEST = re.compile(r"^[A-Z]+ https?://\S+: ")
"""What the client of Cloud Storage puts before every error."""
_MAX_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Api:
    """One of Google's services, and the role that all that mltool asks of it takes."""

    name: str
    host: str
    role: str


RUN = Api("Cloud Run", "run.googleapis.com", "roles/run.admin")
BUILD = Api("Cloud Build", "cloudbuild.googleapis.com", "roles/cloudbuild.builds.editor")
REGISTRY = Api("Artifact Registry", "artifactregistry.googleapis.com", "roles/artifactregistry.admin")
STORAGE = Api("Cloud Storage", "storage.googleapis.com", "roles/storage.admin")
APIS = (RUN, BUILD, REGISTRY, STORAGE)


class CutOffError(RemoteError):
    """The service did not answer: whether the call has arrived is not known."""


class ConflictError(RemoteError):
    """Somebody else changed the same thing at the same time."""


@contextmanager
def explained(cloud: Cloud, api: Api, what: str) -> Iterator[None]:
    """Turn every error of Google's packages into one line.

    Args:
        what: What is being done, to complete `it was not possible to …`.

    Raises:
        RemoteError: The call failed.
    """
    import requests
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, requests.RequestException, ConnectionError, TimeoutError) as error:
        raise in_words(error, cloud, api, what) from error


def in_words(error: Exception, cloud: Cloud, api: Api, what: str) -> RemoteError:
    """The error of a call to `api`, for people."""
    from google.api_core import exceptions as said
    from google.auth import exceptions as auth

    if isinstance(error, said.RetryError) and isinstance(error.cause, Exception):
        error = error.cause  # what it met every time
    if isinstance(error, auth.GoogleAuthError) and not isinstance(error, auth.TransportError):
        return _about_credentials(error)
    if isinstance(error, said.Unauthorized | said.Unauthenticated):
        return RemoteError("Google Cloud does not accept the credentials that are here", hint=SIGN_IN)
    if isinstance(error, said.Forbidden):
        return _about_permission(error, cloud, api, what)
    if "permitted customer" in str(error):
        return RemoteError(
            "the organisation of the project forbids services that everybody may ask",
            hint="leave `public=true` out, or ask its administrators about the policy `iam.allowedPolicyMemberDomains`",
        )
    if isinstance(error, said.TooManyRequests):
        return RemoteError(
            f"it was not possible to {what}: a quota of {api.name} is used up: {_text(error)}",
            hint=f"wait, or ask for more: https://console.cloud.google.com/iam-admin/quotas?project={cloud.project}",
        )
    if isinstance(error, said.Conflict):  # `Aborted` and `AlreadyExists` are conflicts as well
        return ConflictError(
            f"it was not possible to {what}: somebody else changes the same at the same time", hint=AGAIN
        )
    if _is_cut(error):
        where = "Google" if isinstance(error, auth.TransportError) else api.name
        where = f"the stand-in on `{cloud.emulator}`" if cloud.emulator else where
        again = f"see whether `mltool gcp emulate` runs, then {AGAIN}" if cloud.emulator else AGAIN
        return CutOffError(f"it was not possible to {what}: {where} does not answer", hint=again)
    hint = AGAIN if isinstance(error, said.ServerError) else None
    return RemoteError(f"it was not possible to {what}: {api.name} says: {_text(error)}", hint=hint)


def _is_cut(error: Exception) -> bool:
    from google.api_core import exceptions as said

    cut = said.ServiceUnavailable | said.GatewayTimeout | said.BadGateway
    return isinstance(error, cut) or not isinstance(error, said.GoogleAPICallError)


def _about_credentials(error: Exception) -> RemoteError:
    from google.auth import exceptions as auth

    if isinstance(error, auth.RefreshError):
        return RemoteError("the Google Cloud credentials have expired or were taken back", hint=SIGN_IN)
    if "not found" in str(error) and "default credentials" in str(error):
        return RemoteError("there are no Google Cloud credentials", hint=SIGN_IN)
    return RemoteError(f"the Google Cloud credentials cannot be used: {_text(error)}", hint=SIGN_IN)


def _about_permission(error: Exception, cloud: Cloud, api: Api, what: str) -> RemoteError:
    text, reason = _text(error), str(getattr(error, "reason", None) or "")
    project = cloud.project
    if reason == "SERVICE_DISABLED" or "accessNotConfigured" in str(error) or "it is disabled" in str(error):
        host = dict(getattr(error, "metadata", None) or {}).get("service") or api.host
        return RemoteError(
            f"{api.name} is not enabled in the project `{project}`",
            hint=f"`gcloud services enable {host} --project={project}`",
        )
    if reason == "BILLING_DISABLED" or "billing" in text.lower():
        return RemoteError(
            f"the project `{project}` has no billing account",
            hint=f"`gcloud billing projects link {project} --billing-account=ACCOUNT-ID`",
        )
    if reason == "CONSUMER_INVALID":
        return RemoteError(
            f"there is no project `{project}`, or you may not see it", hint="`gcloud projects list` shows yours"
        )
    acting = _ACCOUNT.search(text) if "actas" in text.lower() else None
    if acting:
        return RemoteError(
            f"no permission to {what}: you may not act as `{acting.group()}`",
            hint=f"`gcloud iam service-accounts add-iam-policy-binding {acting.group()} --project={project} "
            f"--member={cloud.member} --role=roles/iam.serviceAccountUser`",
        )
    return RemoteError(f"no permission to {what}: {text}", hint=grant(cloud, api.role))


def grant(cloud: Cloud, role: str, member: str | None = None) -> str:
    """The command that gives a role."""
    return f"`gcloud projects add-iam-policy-binding {cloud.project} --member={member or cloud.member} --role={role}`"


def _text(error: Exception) -> str:
    said = str(getattr(error, "message", None) or (error.args[0] if error.args else "") or error)
    line = _REQUEST.sub("", " ".join(said.split())).rstrip(". ")
    return line if len(line) <= _MAX_CHARACTERS else f"{line[:_MAX_CHARACTERS]}…"
