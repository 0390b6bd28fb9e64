"""The network behind TorchServe: a handler that needs torch alone."""

from __future__ import annotations

import json
from typing import Any

import torch
from _serving_network import with_weights


class Handler:
    def initialize(self, context: Any) -> None:
        self.network = with_weights(context.system_properties["model_dir"])

    def handle(self, requests: list[dict[str, Any]], context: Any) -> list[list[float]]:
        bodies = [request.get("body") for request in requests]
        rows = [json.loads(body) if isinstance(body, bytes | bytearray) else body for body in bodies]
        with torch.inference_mode():
            return self.network(torch.tensor([row["input"] for row in rows], dtype=torch.float32)).tolist()
