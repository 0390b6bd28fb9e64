"""What the processes of a training are told, and how they and their parent talk: lines of JSON over loopback."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mltool.artifacts.artifact import Artifact
from mltool.artifacts.manifest import Manifest
from mltool.datasets.dataset import Dataset
from mltool.modeling.config import ModelConfig, TaskConfig, TrainConfig
from mltool.stages.train.config import TrainJob

CALL_HOME = "_MLTOOL_TRAINING"
"""The variable that tells a process where its parent listens, and the word by which it is known there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be trained, as plain data; decisions that were measured are taken already."""

    model: dict[str, Any]
    task: dict[str, Any]
    train: dict[str, Any]
    dataset: str
    run_folder: str
    threads: int
    bf16: bool
    device: str
    resume: bool

    @classmethod
    def of(
        cls, job: TrainJob, dataset: Dataset, run_folder: Path, *, threads: int, bf16: bool, device: str, resume: bool
    ) -> Order:
        return cls(
            model=asdict(job.model),
            task=asdict(job.task),
            train=asdict(job.train),
            dataset=str(dataset.artifact.path),
            run_folder=str(run_folder),
            threads=threads,
            bf16=bf16,
            device=device,
            resume=resume,
        )

    def configs(self) -> tuple[ModelConfig, TaskConfig, TrainConfig]:
        return ModelConfig(**self.model), TaskConfig(**self.task), TrainConfig(**self.train)

    def opened(self) -> Dataset:
        """The dataset, whose digest the parent has compared already."""
        path = Path(self.dataset)
        return Dataset(Artifact(path, Manifest.read(path)))


class Lines:
    """Messages that come in over a socket, one JSON object a line.

    Attributes:
        max_bytes: The longest line that is taken; None for any.
    """

    def __init__(self, connection: socket.socket, max_bytes: int | None = None) -> None:
        self.connection, self.max_bytes, self._rest = connection, max_bytes, b""

    def read(self) -> list[dict[str, Any]] | None:
        """The messages that have come, waiting for the first bytes; None once the other end is closed.

        Raises:
            ValueError: A line is no JSON object, or too long.
        """
        try:
            data = self.connection.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self.max_bytes is not None and max(map(len, (*lines, self._rest))) > self.max_bytes:
            raise ValueError(f"a line of more than {self.max_bytes} bytes")
        return [_object(line) for line in lines]


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError("a line is nested too deeply") from error
    if not isinstance(message, dict):
        raise ValueError("a line is no JSON object")
    return message


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def call_home() -> tuple[socket.socket, str]:
    """Connect to the parent that started this process; also the word by which it knows us."""
    port, _, word = os.environ.pop(CALL_HOME).partition(" ")
    return socket.create_connection(("127.0.0.1", int(port))), word
