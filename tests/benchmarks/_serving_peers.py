"""LitServe and TorchServe as `bench_serving.py` starts them, in an environment of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from _servers import Server, free_ports
from _serving_network import WEIGHTS

LITSERVE, LITSERVE_32, TORCHSERVE = "LitServe", "LitServe, batch 32", "TorchServe, batch 32"
HERE = Path(__file__).parent
IsRight = Callable[[object], bool]

PORTS = """inference_address=http://127.0.0.1:{0}
management_address=http://127.0.0.1:{1}
metrics_address=http://127.0.0.1:{2}
grpc_inference_port={3}
grpc_management_port={4}
metrics_mode=prometheus
install_py_dep_per_model=false
"""
BATCHING = "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 32\nmaxBatchDelay: 2\nresponseTimeout: 30\n"
LOGGING = """<Configuration>
<Appenders><Console name="console"><PatternLayout pattern="%p %c %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""


def peers(folder: Path, venv: Path, row: list[float], is_right: IsRight) -> Iterator[Server]:
    """Each peer that `venv` has.

    Args:
        folder: Holds the weights; what the peers need is written into it.
        row: The inputs of one prediction.
        is_right: Whether numbers are the network's answer to `row`.
    """
    (site,) = venv.glob("lib/python*/site-packages")
    if (site / "litserve").is_dir():
        yield litserve(LITSERVE, 1, folder, venv, row, is_right)
        yield litserve(LITSERVE_32, 32, folder, venv, row, is_right)
    if (site / "ts").is_dir() and shutil.which("java"):
        yield torchserve(folder, venv, row, is_right)


def litserve(name: str, max_batch: int, folder: Path, venv: Path, row: list[float], is_right: IsRight) -> Server:
    (port,) = free_ports(1)
    command = [str(venv / "bin/python"), str(HERE / "_serving_litserve.py"), str(folder), str(port), str(max_batch)]
    body = json.dumps({"input": row if max_batch > 1 else [row]}).encode()  # LitServe stacks only when it batches
    return Server(name, command, port, "/predict", body, lambda answer: is_right(json.loads(answer)["output"]), folder)


def torchserve(folder: Path, venv: Path, row: list[float], is_right: IsRight) -> Server:
    own, ports = folder / "torchserve", free_ports(5)
    (own / "tmp").mkdir(parents=True)
    (own / "config.properties").write_text(PORTS.format(*ports), encoding="utf-8")
    (own / "log4j2.xml").write_text(LOGGING, encoding="utf-8")
    (own / "model.yaml").write_text(BATCHING, encoding="utf-8")
    archive = [str(venv / "bin/torch-model-archiver"), "--model-name", "bench", "-v", "1", "-c", "model.yaml", "-f"]
    archive += ["--serialized-file", str(folder / WEIGHTS), "--extra-files", str(HERE / "_serving_network.py")]
    archive += ["--handler", str(HERE / "_serving_handler.py"), "--export-path", "."]
    subprocess.run(archive, cwd=own, check=True, capture_output=True)
    command = [str(venv / "bin/torchserve"), "--start", "--foreground", "--ncs", "--disable-token-auth"]
    command += ["--model-store", ".", "--models", "bench=bench.mar"]
    command += ["--ts-config", "config.properties", "--log-config", "log4j2.xml"]
    # TEMP: where it keeps its pid and what it unpacks. PATH: its workers are started as `python`.
    environment = {"TEMP": str(own / "tmp"), "PATH": f"{venv / 'bin'}:{os.environ['PATH']}"}
    body = json.dumps({"input": row}).encode()
    path = "/predictions/bench"
    return Server(
        TORCHSERVE, command, ports[0], path, body, lambda answer: is_right(json.loads(answer)), own, environment
    )
