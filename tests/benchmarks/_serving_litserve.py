"""The network behind LitServe, as its documentation shows it: one API process and one worker, quiet.

python _serving_litserve.py FOLDER PORT MAX_BATCH
"""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import torch
from _serving_network import with_weights


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.network = with_weights(sys.argv[1])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads the annotation
        return np.asarray(request["input"], np.float32)

    def batch(self, inputs: list[Any]) -> Any:
        return np.stack(inputs)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def predict(self, x: Any) -> Any:
        with torch.inference_mode():
            return self.network(torch.from_numpy(x)).numpy()

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"output": output.tolist()}


if __name__ == "__main__":
    max_batch = int(sys.argv[3])
    batching = {"max_batch_size": max_batch, "batch_timeout": 0.001} if max_batch > 1 else {}
    server = litserve.LitServer(Api(**batching), accelerator="cpu", workers_per_device=1, timeout=30)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[2]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="error",
        access_log=False,
    )
