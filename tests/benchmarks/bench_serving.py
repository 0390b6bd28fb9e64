"""One model over HTTP with JSON: requests a second and processor time, against LitServe, TorchServe and a bare echo.

    python tests/benchmarks/bench_serving.py [--peers VENV] [--json OUT] [--quick]

Every server answers with the same network (64-256-256-10, float32) in one worker on one thread, and must have given
the right answer before it is measured. The echo is what mltool's server is built on (raw ASGI on uvicorn, with uvloop
and httptools) with nothing behind it: it reads the same JSON and writes it back. LitServe runs without batching, and
with batches of 32; TorchServe with batches of 32, logging at WARN. The servers run beside each other and take turns
under wrk, which has a core of its own.

The peers want other versions than mltool does, so they live in an environment of their own; TorchServe needs Java 17:

    python -m venv peers
    peers/bin/pip install torch litserve torchserve torch-model-archiver pyyaml numpy

wrk is a package of most systems (`apt-get install wrk`, `brew install wrk`). Linux only: costs are read from /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import Report, command_line, report_of
from _servers import Load, Server, free_ports
from _serving_network import NUM_INPUTS, WEIGHTS, network
from _serving_peers import LITSERVE, LITSERVE_32, TORCHSERVE, IsRight, peers

import mltool

OURS, ECHO = "mltool", "bare echo"
CONNECTIONS = (1, 16, 64)
ECHO_LIMITS = {1: 2.5, 16: 2.2, 64: 2.2}
"""How much of the echo's processor time we may take, by the number of connections."""
Loads = Mapping[tuple[str, int], list[Load]]


def prepare(folder: Path) -> tuple[list[Server], list[float], IsRight]:
    """Our server and the echo, the inputs of one prediction, and what tells whether numbers are the answer to it."""
    torch.manual_seed(0)
    net, rows = network(), torch.randn(256, NUM_INPUTS)
    torch.save(net.state_dict(), folder / WEIGHTS)
    with torch.inference_mode():
        logits = net(rows)
    model = mltool.save(net, rows, logits.argmax(1), name="bench")
    row, expected = rows[0].tolist(), logits[0].numpy()

    def is_right(numbers: object) -> bool:
        return bool(np.allclose(np.asarray(numbers, np.float32).ravel(), expected, atol=1e-4))

    (spec,) = model.manifest.signature["inputs"]
    tensor = {"name": spec["name"], "shape": [1, NUM_INPUTS], "datatype": "FP32", "data": row}
    body, path = json.dumps({"inputs": [tensor]}).encode(), "/v2/models/bench/infer"
    port, echo_port = free_ports(2)
    command = [sys.executable, "-m", "mltool.stages.serve", str(model.path), f"port={port}", "served_model_name=bench"]
    echo_command = [sys.executable, str(Path(__file__).with_name("_serving_echo.py")), str(echo_port)]
    ours = Server(OURS, command, port, path, body, lambda answer: is_right(logits_in(answer)), folder)
    echo = Server(ECHO, echo_command, echo_port, path, body, lambda a: json.loads(a) == json.loads(body), folder)
    return [ours, echo], row, is_right


def logits_in(answer: bytes) -> Any:
    return next(output["data"] for output in json.loads(answer)["outputs"] if output["name"] == "logits")


@contextlib.contextmanager
def running(servers: Sequence[Server], report: Report) -> Any:
    """Those servers that start, one after the other, until the block ends."""
    with contextlib.ExitStack() as stack:
        up = []
        for server in servers:
            stack.callback(server.stop)
            try:
                server.start()
                server.put_load(8, 2)  # Java compiles what is hot
                up.append(server)
            except RuntimeError as error:
                report.without(server.name, str(error))
        yield up


def measure(report: Report, servers: Sequence[Server], rounds: int, duration_s: int) -> dict[tuple[str, int], Any]:
    """Loads by server and number of connections; the servers take turns, in an order that rotates."""
    loads: dict[tuple[str, int], list[Load]] = {(one.name, n): [] for n in CONNECTIONS for one in servers}
    for turn in range(rounds):
        for num_connections in CONNECTIONS:
            at = turn % len(servers)
            for server in (*servers[at:], *servers[:at]):
                loads[server.name, num_connections].append(server.put_load(num_connections, duration_s))
    for num_connections in CONNECTIONS:
        rows = []
        for server in servers:
            own = loads[server.name, num_connections]
            middle = {key: statistics.median(getattr(one, key) for one in own) for key in Load.__slots__}
            against = ratio(loads, server.name, ECHO, num_connections) if (ECHO, num_connections) in loads else "-"
            rows.append({"server": server.name, **middle, "cpu to echo": against})
        report.table(f"{words(num_connections)} (median of {rounds} rounds of {duration_s} s)", rows)
    rows = [{"server": one.name, "memory_mib": one.memory_mib(), "first answer_s": one.start_s} for one in servers]
    report.table("memory of the process tree after load (shared pages once), and start to first answer", rows)
    return loads


def ratio(loads: Loads, of_server: str, to_server: str, num_connections: int, key: str = "cpu_us") -> float:
    """The median over rounds of the ratio within a round."""
    pairs = zip(loads[of_server, num_connections], loads[to_server, num_connections], strict=True)
    return statistics.median(getattr(a, key) / getattr(b, key) for a, b in pairs)


def words(num_connections: int) -> str:
    return "1 connection" if num_connections == 1 else f"{num_connections} connections"


def judge(report: Report, loads: Loads) -> None:
    names = {name for name, _ in loads}
    if OURS not in names:
        return
    for n in CONNECTIONS:
        for peer in (LITSERVE, LITSERVE_32, TORCHSERVE):
            if peer in names:
                faster = ratio(loads, OURS, peer, n, "requests_s")
                report.goal(f"requests a second against {peer}, {words(n)}", faster, at_least=1.0)
                report.goal(f"{peer}'s CPU against ours, {words(n)}", ratio(loads, peer, OURS, n), at_least=2.5)
        report.goal(f"CPU against the echo, {words(n)}", ratio(loads, OURS, ECHO, n), at_most=ECHO_LIMITS[n])
    failed = sum(one.num_failed for n in CONNECTIONS for one in loads[OURS, n])
    report.goal("our requests that failed", float(failed), at_most=0, unit="")


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument(
        "--peers", type=Path, metavar="VENV", help="the environment that LitServe and TorchServe are in"
    )
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("`wrk` is missing: install it with `apt-get install wrk` or `brew install wrk`")
    report = report_of(__file__, options)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
        servers, row, is_right = prepare(Path(folder))
        rivals = list(peers(Path(folder), options.peers.absolute(), row, is_right)) if options.peers else []
        missing = {LITSERVE, LITSERVE_32, TORCHSERVE} - {one.name for one in rivals}
        for name in sorted(missing):
            report.without(name, "not in the environment given with --peers" if options.peers else "no --peers given")
        with running([*servers, *rivals], report) as up:
            judge(report, measure(report, up, *((1, 1) if report.quick else (5, 2))))
    report.finish()


if __name__ == "__main__":
    main()
