"""Profiles of real models: measured in new processes, side by side, and attested."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import mltool
from mltool.artifacts.artifact import REPORT, Artifact
from mltool.artifacts.manifest import ArtifactKind
from mltool.artifacts.store import Store, open_store
from mltool.cli.app import run
from mltool.core import events, host
from mltool.core.errors import ArtifactError, CheckError, ConfigError, MltoolError
from mltool.runtimes.config import GRAPH
from mltool.runtimes.samples import SAMPLES, Samples
from mltool.stages.profile.measure import Subject
from user_project import Write, project, said, write

__all__ = ["project", "said", "write"]
pytestmark = pytest.mark.xdist_group("profile")

SHORT = {"batch_sizes": (1, 3), "duration_s": 0.02}


def make(name: str, hidden: int, num_samples: int = 20) -> mltool.Model:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 3)).eval()
    x = torch.randn(num_samples, 6)
    return mltool.save(module, x, module(x).argmax(1), name=name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a small model, a wide one, and a dataset."""
    folder = tmp_path_factory.mktemp("profile")
    with contextlib.chdir(folder):
        make("small", 8)
        make("wide", 2048)
        mltool.data.add("source=penguins")
    return folder


@pytest.fixture
def at_models(folder: Path) -> Iterator[Store]:
    with contextlib.chdir(folder):
        yield open_store()


def test_one_model_has_latencies_throughput_size_memory_and_load_time(at_models: Store) -> None:
    (profile,) = mltool.profile("small", **SHORT).profiles
    assert (profile.model, profile.digest) == ("small@1", mltool.load("small").digest)
    assert (profile.backend, profile.threads) == ("onnxruntime", host.num_cores())
    assert profile.size_mib == (mltool.load("small").path / GRAPH).stat().st_size / 2**20
    assert profile.load_time_s > 0
    assert [batch.batch_size for batch in profile.batches] == [1, 3]
    for batch in profile.batches:
        assert 0 < batch.latency_p50_ms <= batch.latency_p90_ms <= batch.latency_p99_ms
        assert batch.throughput_per_s == pytest.approx(batch.batch_size * 1000 / batch.latency_mean_ms)
        assert batch.speedup == 1.0
        assert batch.num_calls >= 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_memory_is_that_of_a_process_that_holds_the_model(at_models: Store) -> None:
    small, wide = mltool.profile("small", "wide", batch_sizes=(1, 20_000), duration_s=0.01).profiles
    assert small.memory_mib is not None
    assert wide.memory_mib is not None
    activations_mib = 20_000 * 2048 * 4 / 2**20
    assert activations_mib < wide.memory_mib < 4 * activations_mib + 500
    assert 20 < small.memory_mib < wide.memory_mib - activations_mib / 2


def test_the_others_are_held_against_the_first(at_models: Store) -> None:
    wide, small = mltool.profile("wide", "small@1", batch_sizes=2000, duration_s=0.05).profiles
    assert [wide.batches[0].speedup, wide.model, small.model] == [1.0, "wide@1", "small@1"]
    assert small.batches[0].speedup > 1, "a layer 256 times as wide is slower however busy the machine is"
    (back,) = mltool.profile("small", "wide", "batch_sizes=2000", "duration_s=0.05").profiles[1].batches
    assert back.speedup < 1


def test_few_samples_are_run_again_to_fill_a_batch(at_models: Store) -> None:
    assert len(Samples.load(mltool.load("small").path / SAMPLES)) == 20
    (profile,) = mltool.profile("small", batch_sizes=(64, 20, 64), duration_s=0.01).profiles
    assert [batch.batch_size for batch in profile.batches] == [64, 20]


def test_each_model_is_attested_with_its_numbers_and_a_page(at_models: Store) -> None:
    result = mltool.profile("small", "wide", **SHORT)
    for profile, proof in zip(result.profiles, result.attestations, strict=True):
        model = mltool.load(profile.model)
        assert at_models.attestations(model)[-1].digest == proof.digest
        assert proof.config == {"claim": "profile", "subject": model.digest}
        assert proof.metrics["batch_3_latency_p99_ms"] == profile.batches[1].latency_p99_ms
        assert proof.metrics["load_time_s"] == profile.load_time_s
        assert proof.manifest.facts["profile"] == json.loads(json.dumps(profile.to_json()))
        page = (proof.path / REPORT).read_text(encoding="utf-8")
        assert proof.digest in page
        assert "small@1 against wide@1" in page


def test_a_model_runs_as_it_was_compiled_unless_it_is_told_otherwise(at_models: Store) -> None:
    model = mltool.load("small")
    with at_models.draft(ArtifactKind.model) as draft:
        for name in (SAMPLES, GRAPH):
            draft.path(name).write_bytes((model.path / name).read_bytes())
        run_as = {"backend": "onnxruntime", "threads": 1, "options": {}}
        made = draft.commit("compiled", config={**model.config, "run": run_as}, signature=model.manifest.signature)
    (own,) = mltool.profile("compiled", **SHORT).profiles
    (told,) = mltool.profile("compiled", threads=2, **SHORT).profiles
    assert (own.runs_as, own.threads) == ("onnxruntime fp32, 1 thread", 1)
    assert (told.runs_as, told.threads) == ("onnxruntime fp32, 2 threads", 2)
    at_models.remove(made)


def test_a_model_that_is_given_twice_is_profiled_once_and_that_is_said(at_models: Store, said: list[str]) -> None:
    result = mltool.profile("small", "wide", "small@1", **SHORT)
    assert [one.model for one in result.profiles] == ["small@1", "wide@1"]
    assert said == ["`small@1` is given twice, so it is profiled once"]


@pytest.mark.parametrize(
    ("refs", "error", "message"),
    [
        (("nothing",), ArtifactError, "there is no model `nothing`"),
        (("penguins",), ArtifactError, "there is no model `penguins`"),
        (("small", "nothing"), ArtifactError, "there is no model `nothing`"),
        (("http://localhost:8000",), ConfigError, "`http://localhost:8000` is a URL, and only models can be profiled"),
        (("small", "batch_sizes=0"), ConfigError, "`batch_sizes` must be at least 1, not `0`"),
        (("small", "batch_sizes="), ConfigError, "`batch_sizes` must be a list of one or more"),
        (("small", "batch_sizes=one"), ConfigError, "`batch_sizes` must be a list, each a whole number, not `one`"),
        (("small", "duration_s=0"), ConfigError, "`duration_s` must be above 0"),
        (("small", "script=train.py"), ConfigError, "unknown key `script`"),
        (("small", "backend=caffe"), ConfigError, "`backend` must be one of"),
    ],
)
def test_what_cannot_be_profiled_is_refused_in_one_line(
    at_models: Store, refs: tuple[str, ...], error: type[MltoolError], message: str
) -> None:
    before = at_models.manifests()
    with pytest.raises(error) as caught:
        mltool.profile(*refs)
    assert message in caught.value.message
    assert at_models.manifests() == before


def test_a_dataset_is_no_model(at_models: Store) -> None:
    dataset = mltool.data.load("penguins")
    with pytest.raises(ArtifactError, match="is a dataset, but a model is needed"):
        mltool.profile(str(dataset.path))


def test_a_batch_that_no_memory_holds_is_refused_before_it_is_tried(at_models: Store) -> None:
    with pytest.raises(ConfigError, match=r"1,000,000,000,000 samples of `small@1` take .* GiB are free"):
        mltool.profile("small", batch_sizes=(1, 10**12))


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process is one of Linux")
def test_a_batch_that_does_not_fit_ends_its_process_and_no_other(at_models: Store, folder: Path) -> None:
    """Under a limit of its own, so that nothing else on this machine is short of memory."""
    import resource

    limit = 1 << 31
    code = "import mltool; mltool.profile('wide', batch_sizes=(1, 1_000_000), duration_s=0.01)"
    process = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
    )
    assert "ConfigError: `wide@1` cannot run 1,000,000 samples at once" in process.stderr


def copy_with(model: Artifact, store: Store, files: dict[str, bytes | None], **changes: object) -> Artifact:
    """A model that differs from another in some files; None leaves one out."""
    with store.draft(ArtifactKind.model) as draft:
        for name in (SAMPLES, GRAPH, "schema.json"):
            content = files.get(name, (model.path / name).read_bytes())
            if content is not None:
                draft.path(name).write_bytes(content)
        manifest = dataclasses.replace(model.manifest, **changes)  # type: ignore[arg-type]
        return draft.commit("odd", config=manifest.config, signature=manifest.signature)


@pytest.mark.parametrize(
    ("graph", "message"),
    [(b"no graph at all", "ONNX Runtime cannot load the graph"), (None, r"`odd@\d+` has no graph: its export failed")],
)
def test_a_graph_that_does_not_load_is_named(at_models: Store, graph: bytes | None, message: str) -> None:
    odd = copy_with(mltool.load("small"), at_models, {GRAPH: graph})
    with pytest.raises(ArtifactError, match=message):
        mltool.profile("small", "odd", **SHORT)
    at_models.remove(odd)


def test_a_model_that_was_edited_is_refused(at_models: Store) -> None:
    odd = copy_with(mltool.load("small"), at_models, {})
    with (odd.path / GRAPH).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ArtifactError, match="was changed after it was written"):
        mltool.profile("odd")
    at_models.remove(odd)


class Branching(nn.Module):
    """What no exporter can follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.layer(x)  # type: ignore[no-any-return]
        return self.layer(-x)  # type: ignore[no-any-return]


def test_a_model_whose_export_failed_says_that_it_has_no_graph(tmp_path: Path) -> None:
    with pytest.raises(CheckError) as caught:
        mltool.save(Branching().eval(), torch.randn(80, 6), torch.randint(0, 3, (80,)), name="branching")
    kept = caught.value.artifact
    assert isinstance(kept, Artifact)
    names = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]
    for backend in names:
        with pytest.raises(ArtifactError, match=f"`{kept.label}` has no graph: its export failed"):
            mltool.profile(kept.digest[:12], backend=backend)


NETWORK = """
    import os
    import resource
    from pathlib import Path
    from torch import nn

    print("the network is imported")
    Path("limit").write_text(str(resource.getrlimit(resource.RLIMIT_DATA)[0]))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 10))

        def forward(self, image):
            print("forward")
            if "HOW_TO_END" in os.environ:
                os.abort() if os.environ["HOW_TO_END"] == "abort" else os._exit(3)
            return self.layers(image)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits and signals are those of POSIX systems")
def test_the_eager_network_is_profiled_whatever_it_prints(write: Write) -> None:
    write("net.py", NETWORK)
    mltool.train("model.target=net:Net", epochs=1, name="own")
    (profile,) = mltool.profile("own", backend="torch", threads=1, **SHORT).profiles
    assert (profile.backend, profile.runs_as) == ("torch", "torch fp32, 1 thread")
    limit = int(Path("limit").read_text())
    assert sys.platform != "linux" or 0 < limit < 1 << 50, "a batch that is too large is to fail in its process alone"
    with pytest.MonkeyPatch.context() as patch:
        for way, end in (("abort", "was stopped by SIGABRT"), ("_exit", "ended with 3")):
            patch.setenv("HOW_TO_END", way)
            with pytest.raises(MltoolError, match=f"the process that ran `own@1` {end}"):
                mltool.profile("own", backend="torch", **SHORT)


@pytest.mark.skipif(sys.platform == "win32", reason="limits and signals are those of POSIX systems")
def test_a_variant_has_no_eager_network_to_profile(write: Write) -> None:
    write("net.py", NETWORK)
    mltool.train("model.target=net:Net", epochs=1, name="own")
    twin = mltool.quantize("own", max_metric_drop=1.0)
    assert not twin.kept_parent
    with pytest.raises(ArtifactError, match="`own@2` has a graph of its own and no weights for its network"):
        mltool.profile("own@1", "own@2", backend="torch", **SHORT)


def test_measuring_a_graph_loads_no_torch(at_models: Store) -> None:
    model = mltool.load("small")
    subject = Subject(str(model.path), model.label, "onnxruntime", 1, str(model.path / SAMPLES))
    code = (
        "import sys; from mltool.stages.profile.measure import *;"
        f"load_once([Subject(*{dataclasses.astuple(subject)})], [1, 2], list); print(*sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "onnxruntime" in shown
    assert "torch" not in shown


def child_that_times(pid: int) -> str:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has just ended
            if "time_all" in Path(f"/proc/{child}/cmdline").read_text():
                return child
    return ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the children of a process")
def test_ctrl_c_ends_what_was_started_and_leaves_nothing(at_models: Store, folder: Path) -> None:
    before = {path for path, _ in at_models.manifests()}
    command = [sys.executable, "-m", "mltool", "profile", "small", "duration_s=60", "batch_sizes=1"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (child := child_that_times(process.pid)):
        time.sleep(0.05)
    time.sleep(0.3)  # until its parent listens to it
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "error: interrupted"
    assert not Path(f"/proc/{child}").exists(), "or it would go on for a minute"
    assert {path for path, _ in at_models.manifests()} == before
    assert [path for path in at_models.staging.iterdir() if path.is_dir()] == []


def test_progress_reaches_its_end(at_models: Store) -> None:
    seen: dict[str, events.Progress] = {}
    with events.subscribed(lambda e: seen.update({e.task: e}) if isinstance(e, events.Progress) else None):
        mltool.profile("small", "wide", **SHORT)
    assert {task: (e.done, e.total) for task, e in seen.items()} == {"load": (6, 6), "time": (28, 28)}


def test_the_command_shows_one_table_for_all_models(at_models: Store, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["batch_sizes=1,3", "duration_s=0.02"]
    assert run(["profile", "small", "wide", *options]) == 0
    out = capsys.readouterr().out
    assert out.count("speed-up") == 1
    cells = [line.split()[:2] for line in out.splitlines() if line.endswith("x")]
    assert cells == [["1", "small@1"], ["1", "wide@1"], ["3", "small@1"], ["3", "wide@1"]]
    assert "onnxruntime fp32, all cores" in out
    assert run(["profile", "small", *options]) == 0
    assert "speed-up" not in capsys.readouterr().out
    assert run(["models", "show", "small"]) == 0
    shown = capsys.readouterr().out
    assert "attestation `profile`" in shown
    assert "batch_3_throughput_per_s" in shown
    assert (
        f"report  .mltool/artifacts/{at_models.attestations(mltool.load('small'))[-1].path.name}/report.html" in shown
    )


def test_the_command_speaks_json_and_is_quiet(at_models: Store, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["small", "wide", "batch_sizes=1,3", "duration_s=0.02"]
    assert run(["profile", *options, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [one["model"] for one in shown["profiles"]] == ["small@1", "wide@1"]
    assert {"digest", "backend", "threads", "size_mib", "memory_mib", "load_time_s"} <= set(shown["profiles"][0])
    assert set(shown["profiles"][1]["batches"][1]) >= {
        "batch_size", "latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_mean_ms", "throughput_per_s",
        "speedup",
    }  # fmt: skip
    assert shown["host"]["num_cores"] == host.num_cores()
    assert run(["profile", *options, "--quiet"]) == 0
    paths = capsys.readouterr().out.splitlines()
    assert [Artifact.open(Path(path)).config["claim"] for path in paths] == ["profile", "profile"]
    assert run(["profile", "digits@9"]) == 3
    assert run(["profile", "batch_sizes"]) == 2
    assert "write `batch_sizes=VALUE`" in capsys.readouterr().err
