"""The image of a model: its size, and its start to the first right answer, against the same service with torch.

    python tests/benchmarks/bench_image.py [--engine NAME] [--torch-index URL] [--json OUT] [--quick]

Both images come from the same build context, with the same server and the same network (64-256-256-10); the other one
runs it in eager torch (`_image_torch.py`) and has the CPU build of torch in place of ONNX Runtime. A start is timed
from the command that makes a container to the answer that equals the recorded one; the two take turns. What a
container takes by itself is in both, and shown beside them. Needs docker, podman or buildah, the base image, and an
index to install from; PyPI's own torch for Linux is the CUDA build, so give
`--torch-index https://download.pytorch.org/whl/cpu` where nothing else provides a CPU build.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from _harness import Cost, Report, command_line, interleave, ratio, report_of
from _serving_network import NUM_INPUTS, network

import mltool
from mltool.artifacts.artifact import Artifact
from mltool.artifacts.checks import CheckStatus
from mltool.integrations.engines import ENGINES, Engine, find_engine
from mltool.stages.deploy import image
from mltool.stages.deploy.asking import answers_as_recorded, is_ready
from mltool.stages.deploy.config import DockerConfig

OURS, TORCH, EMPTY = "mltool, ONNX Runtime", "the same, eager torch", "a container that only says ready"
TAGS = {OURS: "mltool-bench-image:ours", TORCH: "mltool-bench-image:torch", EMPTY: "mltool-bench-image:empty"}
SAY_READY = """
import socket, sys
values = dict(one.split('=') for one in sys.argv[1:])
server = socket.create_server((values['host'], int(values['port'])))
while True:
    client, _ = server.accept()
    client.recv(4096)
    client.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\n\\r\\n')
    client.close()
"""
CONTAINER, HOST, PORT = "mltool-bench-image", "127.0.0.1", 18432
URL = f"http://{HOST}:{PORT}"
BASE = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
POLL_S, START_TIMEOUT_S = 0.005, 120.0


def make_model() -> Artifact:
    torch.manual_seed(0)
    net, rows = network(), torch.randn(256, NUM_INPUTS)
    with torch.inference_mode():
        return mltool.save(net, rows, net(rows).argmax(1), name="bench")


def write_contexts(model: Artifact, folder: Path, torch_index: str | None) -> dict[str, Path]:
    ours, other = folder / "ours", folder / "torch"
    image.write_context(model, DockerConfig(), ours)
    shutil.copytree(ours, other)
    replace(other / "requirements.txt", {"onnxruntime==": "# onnxruntime=="})
    index = f"--extra-index-url {torch_index}\n" if torch_index else ""
    release = importlib.metadata.version("torch").partition("+")[0]
    (other / "torch.txt").write_text(f"{index}torch=={release}\nsafetensors\n", encoding="utf-8")
    replace(other / ".dockerignore", {"!mltool\n": "!mltool\n!torch.txt\n"})
    install = (
        "COPY torch.txt /opt/torch.txt\nRUN pip install --no-cache-dir --no-compile --requirement /opt/torch.txt\n"
    )
    replace(
        other / "Dockerfile",
        {
            "COPY mltool": f"{install}\nCOPY mltool",
            ", onnxruntime": ", torch, bench_torch",
            '"host=0.0.0.0"': '"host=0.0.0.0", "backend=torch_eager"',
        },
    )
    shutil.copy(Path(__file__).with_name("_image_torch.py"), other / "mltool" / "bench_torch.py")
    (facts,) = (other / "mltool").glob("*.dist-info")
    entry = "[mltool.runtimes.backends]\ntorch_eager = bench_torch:load\n"
    (facts / "entry_points.txt").write_text(entry, encoding="utf-8")
    empty = folder / "empty"
    empty.mkdir()
    command = json.dumps(["python", "-c", SAY_READY, "host=0.0.0.0", f"port={image.PORT}"])
    (empty / "Dockerfile").write_text(f"FROM {BASE}\nCMD {command}\n", encoding="utf-8")
    return {OURS: ours, TORCH: other, EMPTY: empty}


def replace(file: Path, words: dict[str, str]) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new in words.items():
        if old not in text:
            raise RuntimeError(f"`{old}` is not in {file}")
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def first_answer(engine: Engine, tag: str, model: Artifact) -> Cost:
    """Wall time from making a container to its first right answer; it is gone afterwards."""
    started = time.perf_counter()
    try:
        engine.start(CONTAINER, tag, HOST, PORT, image.PORT)
        while not is_ready(URL):
            if time.perf_counter() > started + START_TIMEOUT_S or not engine.is_running(CONTAINER):
                raise RuntimeError(f"{tag} does not start: {engine.last_lines(CONTAINER)}")
            time.sleep(POLL_S)
        if tag != TAGS[EMPTY]:
            check = answers_as_recorded(URL, "bench", model)
            if check.status is not CheckStatus.passed:
                raise RuntimeError(f"{tag} answers wrongly: {check}")
        wall_s = time.perf_counter() - started
        return Cost(wall_s, wall_s)  # the processor time of a container is not ours to read
    finally:
        engine.remove(CONTAINER)


def library_mib(name: str) -> float:
    """What a library takes here, without what Python compiled of it."""
    files = importlib.metadata.files(name) or []
    found = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(file.stat().st_size for file in found if file.is_file()) / 2**20


def measure(report: Report, engine: Engine, folder: Path, torch_index: str | None, rounds: int) -> None:
    model = make_model()
    sizes_mib: dict[str, float] = {}
    for name, context in write_contexts(model, folder, torch_index).items():
        started = time.perf_counter()
        engine.build(context, TAGS[name])
        sizes_mib[name] = engine.size_bytes(TAGS[name]) / 2**20
        print(f"built {TAGS[name]} in {time.perf_counter() - started:.0f} s", flush=True)
    base_mib = engine.size_bytes(BASE) / 2**20
    libraries = {line: library_mib(line.partition("==")[0]) for line in image.requirements_of(model)}
    rows = [{"part": f"base, {BASE}", "size_mib": base_mib}]
    rows += [{"part": name, "size_mib": size} for name, size in sorted(libraries.items(), key=lambda one: -one[1])]
    rows.append({"part": "the model", "size_mib": model.size_bytes / 2**20})
    rest_mib = sizes_mib[OURS] - sum(float(row["size_mib"]) for row in rows)
    rows.append({"part": "mltool, compiled files, the rest", "size_mib": rest_mib})
    report.table(f"what makes up {TAGS[OURS]}", rows)
    variants: dict[str, Callable[[], Cost]] = {
        name: lambda tag=tag: first_answer(engine, tag, model) for name, tag in TAGS.items()
    }
    starts = interleave(variants, rounds)
    rows = [
        {
            "image": name,
            "size_mib": sizes_mib[name],
            "above base_mib": sizes_mib[name] - base_mib,
            "first answer_s": statistics.median(cost.wall_s for cost in starts[name]),
        }
        for name in TAGS
    ]
    report.table(f"images, in {engine.name} (median of {rounds} starts)", rows)
    report.goal("size against the same service with torch", sizes_mib[OURS] / sizes_mib[TORCH], at_most=0.33)
    faster = ratio(starts, TORCH, OURS, of="wall_s")
    report.goal("start to first answer, torch's against ours", faster, at_least=3)
    pairs = zip(starts[TORCH], starts[OURS], starts[EMPTY], strict=True)
    alone = statistics.median(
        (other.wall_s - empty.wall_s) / (own.wall_s - empty.wall_s) for other, own, empty in pairs
    )
    report.goal("the same, without what a container takes by itself", alone, at_least=3)


def main() -> None:
    parser = command_line(__doc__)
    parser.add_argument("--engine", choices=("auto", *ENGINES), default="auto")
    parser.add_argument("--torch-index", metavar="URL", help="where the CPU build of torch is")
    options = parser.parse_args()
    report = report_of(__file__, options)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLTOOL_HOME"] = str(Path(folder) / "store")
        engine = find_engine(options.engine)
        measure(report, engine, Path(folder), options.torch_index, 1 if report.quick else 7)
    report.finish()


if __name__ == "__main__":
    main()
