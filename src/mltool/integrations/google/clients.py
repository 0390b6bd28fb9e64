"""One project of Google Cloud in one region, and clients for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeVar

from mltool.core.errors import RemoteError
from mltool.core.version import version

ClientT = TypeVar("ClientT")
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
ANSWER_S = 30.0
"""How long one answer may take."""
_PATIENCE_S, _PATIENCE_WITH_STAND_INS_S = 30.0, 1.0
STORAGE_VARIABLE = "STORAGE_EMULATOR_HOST"
"""Google's own name for where a stand-in of Cloud Storage answers."""


class Cloud:
    """Where things are made, and as whom. Clients are made when they are first used, and share what they can.

    Args:
        emulator: `HOST:PORT` of stand-ins, which need no credentials; empty for Google itself.
    """

    def __init__(self, project: str, region: str, emulator: str = "") -> None:
        self.project, self.region, self.emulator = project, region, emulator
        self.resource_manager = None if emulator else "https://cloudresourcemanager.googleapis.com"
        """Where permissions are asked for; the stand-ins have none."""
        self._clients: dict[type[Any], Any] = {}

    @property
    def parent(self) -> str:
        """What everything of this project and region is below."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def patience_s(self) -> float:
        """How long a reading call is tried again where the network is cut."""
        return _PATIENCE_WITH_STAND_INS_S if self.emulator else _PATIENCE_S

    @property
    def poll_s(self) -> float:
        """How long to wait before looking again whether something is done."""
        return 0.1 if self.emulator else 2.0

    @property
    def reading(self) -> dict[str, Any]:
        """How a call that only reads is made: tried again for a while."""
        from google.api_core import exceptions, retry

        again = retry.if_exception_type(exceptions.ServiceUnavailable)
        return {"retry": retry.Retry(again, initial=0.2, timeout=self.patience_s), "timeout": ANSWER_S}

    @property
    def writing(self) -> dict[str, Any]:
        """How a call that writes is made: once, since nobody knows whether one that was cut off has arrived."""
        return {"retry": None, "timeout": 2 * ANSWER_S}

    @cached_property
    def credentials(self) -> Any:
        """Google's application default credentials."""
        import google.auth
        from google.auth.credentials import AnonymousCredentials

        if self.emulator:
            return AnonymousCredentials()  # type: ignore[no-untyped-call]
        return google.auth.default(scopes=[_SCOPE])[0]

    @property
    def member(self) -> str:
        """Who asks, as IAM writes it; people's credentials do not tell."""
        email = getattr(self.credentials, "service_account_email", None)
        return f"serviceAccount:{email}" if email and "@" in email else "user:YOUR-EMAIL"

    def client(self, make: Callable[..., ClientT]) -> ClientT:
        """The client of a Google package, such as `run_v2.ServicesClient`."""
        kind: Any = make
        if kind not in self._clients:
            self._clients[kind] = self._made(kind)
        found: ClientT = self._clients[kind]
        return found

    def _made(self, kind: Any) -> Any:
        from google.api_core.gapic_v1.client_info import ClientInfo

        about = ClientInfo(user_agent=f"mltool/{version()}")  # type: ignore[no-untyped-call]
        if self.emulator:
            # An endpoint alone is not enough: without a channel of its own, the client insists on TLS.
            return kind(transport=kind.get_transport_class("grpc")(channel=self._channel), client_info=about)
        return kind(credentials=self.credentials, client_info=about)

    @cached_property
    def _channel(self) -> Any:
        import grpc

        return grpc.insecure_channel(self.emulator)

    @cached_property
    def storage(self) -> Any:
        """The client of Cloud Storage, which speaks HTTP and has a stand-in of its own."""
        from google.cloud.storage import Client

        options = None
        if self.emulator:
            endpoint = os.environ.get(STORAGE_VARIABLE)
            if not endpoint:
                raise RemoteError(
                    f"{STORAGE_VARIABLE} is not set, so there is no stand-in of Cloud Storage",
                    hint="`mltool gcp emulate` says what to set",
                )
            options = {"api_endpoint": endpoint}
        return Client(project=self.project, credentials=self.credentials, client_options=options)

    @property
    def has_ended(self) -> bool:
        """Whether these were stand-ins, which are gone, and everything that was deployed to them."""
        if not self.emulator:
            return False
        host, _, port = self.emulator.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=self.patience_s).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def sign_in(self) -> None:
        """Get a token now, so that expired credentials are noticed before anything is begun."""
        if not self.emulator:
            from google.auth.transport.requests import Request

            self.credentials.refresh(Request())


def usual_project() -> str | None:
    """The project that Google's own tools would take: of the environment, of the credentials, or what they bill."""
    named = os.environ.get("GOOGLE_CLOUD_PROJECT")
    if named:
        return named
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, project = google.auth.default(scopes=[_SCOPE])
    except GoogleAuthError:
        return None
    return project or getattr(credentials, "quota_project_id", None)


def usual_region() -> str | None:
    """The region that Google's own tools would take from the environment."""
    return os.environ.get("GOOGLE_CLOUD_REGION") or os.environ.get("CLOUDSDK_RUN_REGION")
