"""How a Google service says no: a code, a sentence, and sometimes a reason that programs can read."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

Code = grpc.StatusCode


class RefusalError(Exception):
    """A call that is not done; raised by whoever finds out, and sent to the client as a status.

    Args:
        reason: As in `google.rpc.ErrorInfo`, such as `SERVICE_DISABLED`.
    """

    def __init__(
        self, code: grpc.StatusCode, message: str, *, reason: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.reason, self.metadata = reason, dict(metadata or {})

    def status(self) -> status_pb2.Status:
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        if self.reason:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain="googleapis.com", metadata=self.metadata)
            packed = any_pb2.Any()
            packed.Pack(info)
            status.details.append(packed)
        return status


def invalid(message: str) -> RefusalError:
    return RefusalError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> RefusalError:
    return RefusalError(Code.NOT_FOUND, message)


def exists(message: str) -> RefusalError:
    return RefusalError(Code.ALREADY_EXISTS, message)
