"""The token that a private service wants to see."""

from __future__ import annotations

import shutil
import subprocess

from mltool.core.errors import RemoteError
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import RUN, explained

_ASK_S = 30


def identity_token(cloud: Cloud, url: str) -> str:
    """A token that says to the service at `url` who asks.

    Raises:
        RemoteError: The credentials give none.
    """
    if cloud.emulator:
        return "stand-in"  # which believes everybody
    from google.auth.exceptions import GoogleAuthError, TransportError
    from google.auth.transport.requests import Request
    from google.oauth2 import id_token

    with explained(cloud, RUN, "get an identity token"):
        try:
            return str(id_token.fetch_id_token(Request(), url))  # type: ignore[no-untyped-call]
        except GoogleAuthError as error:
            if isinstance(error, TransportError):
                raise
    token = _of_gcloud() or _of_a_person(cloud)
    if not token:
        raise RemoteError(
            "these credentials give no identity token, so the service cannot be asked",
            hint="`gcloud auth login`, or use a service account: "
            "`gcloud auth application-default login --impersonate-service-account=ACCOUNT`",
        )
    return token


def _of_a_person(cloud: Cloud) -> str | None:
    """What signing in has brought beside the access token."""
    if not cloud.credentials.valid:
        with explained(cloud, RUN, "get an identity token"):
            cloud.sign_in()
    return getattr(cloud.credentials, "id_token", None) or None


def _of_gcloud() -> str | None:
    """Cloud Run takes the tokens that gcloud gives to people."""
    if shutil.which("gcloud") is None:
        return None
    asked = subprocess.run(
        ["gcloud", "auth", "print-identity-token"], capture_output=True, text=True, timeout=_ASK_S, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else None
