"""Whatever Google's packages raise becomes one line, with the command that puts it right."""

from __future__ import annotations

import pytest
import requests
from google.api_core import exceptions as said
from google.auth import exceptions as auth

from mltool.core.errors import RemoteError
from mltool.integrations.google.clients import Cloud
from mltool.integrations.google.errors import BUILD, RUN, STORAGE, ConflictError, CutOffError, explained, in_words

GOOGLE = Cloud("p1", "europe-west1")
STAND_IN = Cloud("p1", "europe-west1", "127.0.0.1:1")
ACCOUNT = "12-compute@developer.gserviceaccount.com"


def words(error: Exception, cloud: Cloud = STAND_IN) -> tuple[str, str]:
    found = in_words(error, cloud, RUN, "make the service `iris`")
    assert found.exit_code == 5
    return found.message, found.hint or ""


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            auth.DefaultCredentialsError("Your default credentials were not found. To set up ..."),
            "there are no Google Cloud credentials",
            "`gcloud auth application-default login`",
        ),
        (
            auth.DefaultCredentialsError("File none.json was not found."),
            "the Google Cloud credentials cannot be used: File none.json was not found",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ),
        (
            auth.RefreshError("invalid_grant: Token has been expired or revoked."),
            "the Google Cloud credentials have expired or were taken back",
            "`gcloud auth application-default login`",
        ),
        (
            said.Unauthenticated("Request had invalid authentication credentials."),
            "Google Cloud does not accept the credentials that are here",
            "`gcloud auth application-default login`",
        ),
        (
            said.PermissionDenied(
                f"Permission 'iam.serviceaccounts.actAs' denied on service account {ACCOUNT} (or ...)"
            ),
            f"no permission to make the service `iris`: you may not act as `{ACCOUNT}`",
            f"`gcloud iam service-accounts add-iam-policy-binding {ACCOUNT} --project=p1 "
            "--member=user:YOUR-EMAIL --role=roles/iam.serviceAccountUser`",
        ),
        (
            said.PermissionDenied("Permission 'run.services.create' denied on resource ..."),
            "no permission to make the service `iris`: Permission 'run.services.create' denied on resource",
            "`gcloud projects add-iam-policy-binding p1 --member=user:YOUR-EMAIL --role=roles/run.admin`",
        ),
        (
            said.Forbidden("This API method requires billing to be enabled."),
            "the project `p1` has no billing account",
            "`gcloud billing projects link p1 --billing-account=ACCOUNT-ID`",
        ),
        (
            said.Aborted("Conflict for resource 'iris': version '1' was specified but current version is '2'."),
            "it was not possible to make the service `iris`: somebody else changes the same at the same time",
            "run the same command again",
        ),
        (
            said.InvalidArgument("Violation in CreateServiceRequest.service:\n  spec is wrong."),
            "it was not possible to make the service `iris`: Cloud Run says: Violation in "
            "CreateServiceRequest.service: spec is wrong",
            "",
        ),
        (
            said.InternalServerError("Oh."),
            "it was not possible to make the service `iris`: Cloud Run says: Oh",
            "again",
        ),
    ],
)
def test_an_error_is_one_line_with_what_puts_it_right(error: Exception, message: str, hint: str) -> None:
    found, with_hint = words(error)
    assert found == message
    assert hint in with_hint


@pytest.mark.parametrize(
    "error",
    [
        said.ServiceUnavailable("Socket closed"),
        said.GatewayTimeout("Deadline Exceeded"),
        said.RetryError("Timeout of 30.0s exceeded", cause=said.ServiceUnavailable("...")),
        requests.ConnectionError("Connection aborted."),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
    ],
)
def test_a_network_that_is_cut_is_told_from_a_service_that_refuses(error: Exception) -> None:
    found = in_words(error, GOOGLE, BUILD, "begin the build")
    assert isinstance(found, CutOffError)
    assert found.message == "it was not possible to begin the build: Cloud Build does not answer"
    assert found.hint == "run the same command again: it goes on where it stopped"
    emulated = in_words(error, STAND_IN, BUILD, "begin the build")
    assert emulated.message.endswith("the stand-in on `127.0.0.1:1` does not answer")
    assert "`mltool gcp emulate`" in str(emulated.hint)


def test_what_was_tried_again_and_again_is_told_by_what_it_met() -> None:
    message, _ = words(said.RetryError("Timeout of 1.0s exceeded", cause=said.TooManyRequests("Quota exceeded.")))
    assert message == (
        "it was not possible to make the service `iris`: a quota of Cloud Run is used up: Quota exceeded"
    )


def test_a_conflict_is_told_from_other_errors() -> None:
    assert isinstance(in_words(said.AlreadyExists("..."), STAND_IN, RUN, "make"), ConflictError)
    assert not isinstance(in_words(said.NotFound("..."), STAND_IN, RUN, "make"), ConflictError)


def test_what_the_storage_client_puts_before_an_error_is_left_out() -> None:
    error = said.BadRequest("POST https://storage.googleapis.com/storage/v1/b?project=p1: Invalid bucket name: 'x'")
    found = in_words(error, STAND_IN, STORAGE, "make the bucket `x`")
    assert found.message == ("it was not possible to make the bucket `x`: Cloud Storage says: Invalid bucket name: 'x'")


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), explained(STAND_IN, RUN, "divide"):
        1 / 0  # noqa: B018
    with pytest.raises(RemoteError, match="no permission to divide"), explained(STAND_IN, RUN, "divide"):
        raise said.PermissionDenied("no")


def test_a_service_account_is_named_in_the_command() -> None:
    class Account:
        service_account_email = "ci@p1.iam.gserviceaccount.com"

    cloud = Cloud("p1", "europe-west1")
    cloud.__dict__["credentials"] = Account()
    assert cloud.member == "serviceAccount:ci@p1.iam.gserviceaccount.com"
    cloud.__dict__["credentials"] = type("Machine", (), {"service_account_email": "default"})()
    assert cloud.member == "user:YOUR-EMAIL"
