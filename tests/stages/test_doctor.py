"""What is wrong is said with the line that mends it; one broken library is one row; secrets stay secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path

import pytest

from mltool.stages.doctor import credentials, machine, probes
from mltool.stages.doctor.finding import Row, State
from mltool.stages.doctor.fitting import EXTRAS, fitting
from mltool.stages.doctor.installed import Installed
from mltool.stages.doctor.library import OPSET, TRIALS

Fake = Callable[[str, str], None]
Distribute = Callable[..., None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a module in the place of an installed one, for the processes that try libraries."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), os.environ.get("PYTHONPATH", ""))))

    def write(name: str, code: str) -> None:
        (folder / f"{name}.py").write_text(textwrap.dedent(code), encoding="utf-8")

    return write


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribute:
    """Puts the metadata of a distribution before all that is installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)

    def write(name: str, version: str, *wants: str) -> None:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {one}" for one in wants]
        (info / "METADATA").write_text(
            "\n".join([f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *lines]) + "\n"
        )

    return write


def tried(name: str, limit_s: float = 60.0) -> Row:
    (row,) = probes.libraries(Installed(), limit_s, [name])
    return row


def test_a_library_that_works_is_fine() -> None:
    row = tried("simplejpeg")
    assert (row.state, row.is_core, row.mend) == (State.fine, True, "")


def test_a_runtime_is_tried_on_a_graph_like_ours() -> None:
    from mltool.modeling.packaging import export

    assert export.OPSET == OPSET
    row = tried("onnxruntime")
    assert row.state is State.fine
    assert "opset 18, on" in row.detail


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ImportError('no\\nsecond line')", "does not work: ImportError: no"),
        ("import nothing_of_this_name", "does not work: ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise SystemExit(3)", "does not work: SystemExit: 3"),
        ("import os; os.abort()", "does not work: it crashed with SIGABRT"),
        ("import os; os._exit(7)", "does not work: it ended with 7"),
        ("import os; print('x'); os._exit(0)", "does not work: it ended without a word"),
        ("import time; time.sleep(600)", "does not work: it did not answer within 3 s"),
        ("raise KeyError", "does not work: KeyError"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals have other names there")
def test_a_library_that_fails_crashes_or_hangs_is_one_row(fake: Fake, code: str, problem: str) -> None:
    fake("simplejpeg", code)
    row = tried("simplejpeg", 3.0 if "sleep" in code else 60.0)
    assert (row.state, row.is_core) == (State.broken, True)
    assert problem in row.detail
    assert row.mend == 'pip install --force-reinstall "simplejpeg"'


def test_what_a_library_prints_is_not_what_it_says(fake: Fake) -> None:
    fake("simplejpeg", 'print(\'{"error": "no"}\')')
    assert tried("simplejpeg").state is State.fine


def test_a_process_that_a_hanging_library_started_is_ended(fake: Fake, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(6); pathlib.Path({str(mark)!r}).write_text('lived')"
    fake(
        "simplejpeg",
        f"import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(600)",
    )
    tried("simplejpeg", 3.0)
    time.sleep(4.0)
    assert not mark.exists()


def test_a_file_of_the_project_is_not_taken_for_a_library(tmp_path: Path) -> None:
    (tmp_path / "simplejpeg.py").write_text("raise ImportError('mine')")
    assert tried("simplejpeg").state is State.fine


def test_a_library_of_an_extra_is_no_core_and_may_be_absent() -> None:
    rows = {row.name: row for row in probes.libraries(Installed(), 60.0, ["torch-tensorrt", "torchvision"])}
    if Installed().get("torch-tensorrt") is None:
        assert rows["torch-tensorrt"].state is State.absent
        assert rows["torch-tensorrt"].mend == 'pip install "mltool[tensorrt]"'
    if Installed().get("torchvision") is None:
        assert "torchvision" not in rows


def test_the_parent_loads_nothing_heavy() -> None:
    code = """
        import sys
        from pathlib import Path
        from mltool.stages.doctor import credentials, fitting, machine, probes, stage
        from mltool.stages.doctor.installed import Installed
        installed = Installed()
        fitting.fitting(installed), probes.libraries(installed, 60.0, ["simplejpeg"]), machine.machine(Path())
        print(*{name.partition(".")[0] for name in sys.modules})
        """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "onnxruntime", "simplejpeg", "dvc", "google", "wandb"} & set(ended.stdout.split())


def test_every_extra_is_explained() -> None:
    assert set(EXTRAS) == set(metadata("mltool").get_all("Provides-Extra") or ())
    assert {row.name for row in fitting(Installed()) if row.area == "extras"} == set(EXTRAS)


def test_every_library_that_is_tried_is_one_of_ours_or_a_companion_of_torch() -> None:
    installed = Installed()
    extras = {one.name for extra in EXTRAS for one in installed.added_by(extra)}
    assert set(TRIALS) <= installed.core | extras | {"torchvision"}


def problems() -> list[Row]:
    return [row for row in fitting(Installed()) if row.state in (State.broken, State.warning)]


def test_what_is_installed_here_fits() -> None:
    assert [row for row in problems() if row.is_core] == []


def test_a_version_that_mltool_cannot_use_is_broken_and_has_its_line(distribute: Distribute) -> None:
    distribute("msgspec", "0.1.0")
    row = next(row for row in problems() if row.name == "msgspec")
    assert (row.state, row.is_core, row.mend) == (State.broken, True, 'pip install "msgspec>=0.19"')
    assert row.detail == "`mltool` needs msgspec>=0.19, but 0.1.0 is installed"


def test_a_requirement_of_a_requirement_is_followed(distribute: Distribute) -> None:
    distribute(
        "msgspec", "0.20.0", "corn>=2", "maize; extra == 'never'", "wheat; python_version < '3'", "not = a requirement"
    )
    row = next(row for row in problems() if row.name == "corn")
    assert row.detail == "`msgspec` needs corn>=2, which is not installed"
    assert not {"maize", "wheat"} & {row.name for row in problems()}


@pytest.mark.parametrize("wants", ["numpy<2", "omegaconf<2.1", "protobuf<4"])
def test_something_else_that_wants_another_version_is_a_warning(distribute: Distribute, wants: str) -> None:
    distribute("corn", "1.0", wants)
    row = next(row for row in problems() if "`corn`" in row.detail)
    assert (row.state, row.is_core, row.mend) == (State.warning, False, f'pip install "{wants}"')


def test_builds_of_torch_that_do_not_fit_are_said(distribute: Distribute) -> None:
    distribute("torchvision", "0.28.0+cu130", "torch==2.13.0")
    rows = [row for row in problems() if row.name == "torchvision"]
    assert all("+cu130" in row.detail and row.mend.startswith("pip install --force-reinstall") for row in rows)
    torch = Installed().version("torch") or ""
    assert len(rows) == ("+" in torch and not torch.endswith("+cu130"))


def test_a_version_that_stole_credentials_is_refused(distribute: Distribute) -> None:
    distribute("lightning", "2.6.3")
    row = next(row for row in fitting(Installed()) if (row.area, row.name) == ("extras", "lightning"))
    assert (row.state, "but 2.6.3 is installed" in row.detail) == (State.warning, True)


SECRET = "hunter2xyz-secret"
VARIABLES = (
    "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT", "HF_TOKEN", "HF_HOME", "NETRC",
    "HUGGING_FACE_HUB_TOKEN",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it."""
    folder = tmp_path / "home"
    folder.mkdir()
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def found(project: Path) -> dict[str, Row]:
    return {row.name: row.without_secrets() for row in credentials.credentials(project)}


def test_without_credentials_each_has_the_line_that_brings_it(home: Path, tmp_path: Path) -> None:
    rows = found(tmp_path)
    assert {row.state for row in rows.values()} == {State.absent}
    assert all(row.mend for row in rows.values())


def test_credentials_in_files_are_found_and_never_shown(home: Path, tmp_path: Path) -> None:
    write(home / ".netrc", f"machine api.wandb.ai\n  login user\n  password {SECRET}\n")
    key = {"type": "service_account", "private_key": SECRET, "client_email": SECRET}
    write(home / ".config/gcloud/application_default_credentials.json", json.dumps(key))
    write(home / ".config/gcloud/configurations/config_default", f"[core]\naccount = {SECRET}\nproject = corn\n")
    write(home / ".cache/huggingface/token", SECRET)
    write(tmp_path / ".dvc/config", f"[core]\nremote = s\n['remote \"s\"']\nurl = ssh://me:{SECRET}@host/data\n")
    write(tmp_path / ".dvc/config.local", f"['remote \"s\"']\npassword = {SECRET}\n")
    rows = found(tmp_path)
    assert SECRET not in json.dumps([row.to_json() for row in rows.values()])
    assert {name for name, row in rows.items() if row.state is State.fine} == {
        "wandb", "google", "gcloud", "dvc s", "hugging face",
    }  # fmt: skip
    assert rows["google"].detail.endswith("service account")
    assert rows["gcloud"].detail == "there: an account, project corn"
    assert rows["dvc s"].detail == "ssh://host/data, with settings in `.dvc/config.local`"


def test_credentials_in_variables_are_found_and_never_shown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("WANDB_API_KEY", "HF_TOKEN", "MLTOOL_API_KEY"):
        monkeypatch.setenv(variable, SECRET)
    rows = found(tmp_path)
    assert SECRET not in json.dumps([row.to_json() for row in rows.values()])
    assert [rows[name].detail for name in ("wandb", "hugging face", "serving key")] == [
        "there: WANDB_API_KEY", "there: HF_TOKEN", "there: MLTOOL_API_KEY",
    ]  # fmt: skip


def test_a_secret_that_a_library_quotes_is_taken_out(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    fake("simplejpeg", "import os\nraise ImportError('bad key ' + os.environ['WANDB_API_KEY'])")
    assert tried("simplejpeg").without_secrets().detail.endswith("ImportError: bad key <WANDB_API_KEY>")


def masked(detail: str, mend: str = "") -> tuple[str, str]:
    row = Row("area", "name", State.warning, detail, mend).without_secrets()
    return row.detail, row.mend


@pytest.mark.parametrize(
    "name", ["CORN_API_KEY", "corn_token", "DB_PASSWORD", "PGPASSWORD", "GITHUB_PAT", "AWS_SECRET_ACCESS_KEY_2"]
)
def test_a_secret_is_taken_out_of_the_line_that_mends_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, SECRET)
    assert masked(f"no {SECRET}", f"pip install {SECRET}") == (f"no <{name}>", f"pip install <{name}>")


@pytest.mark.parametrize("name", ["GIT_AUTHOR_NAME", "MONKEYS", "PWD", "KEYBOARD", "TOKENIZERS_PARALLELISM"])
def test_a_name_that_only_holds_the_letters_of_a_secret_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "python")
    assert masked("python 3", "python -m pip") == ("python 3", "python -m pip")


def test_of_two_secrets_the_longer_is_taken_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", SECRET)
    monkeypatch.setenv("B_TOKEN", f"{SECRET}-and-more")
    assert masked(f"{SECRET}-and-more")[0] == "<B_TOKEN>"


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"type": 3}', '{"type": "corn"}', "[" * 100_000])
def test_google_credentials_that_are_none_are_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    path = tmp_path / "key.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    row = found(tmp_path)["google"]
    assert (row.state, row.mend) == (State.warning, "gcloud auth application-default login")


def test_an_account_without_a_project_and_a_broken_config_are_said(home: Path, tmp_path: Path) -> None:
    write(home / ".config/gcloud/configurations/config_default", "[core]\naccount = a\n")
    assert found(tmp_path)["gcloud"].mend == "gcloud config set project PROJECT"
    write(home / ".config/gcloud/configurations/config_default", "no section")
    assert found(tmp_path)["gcloud"].mend == "gcloud init"
    write(home / ".config/gcloud/active_config", "../../../etc/passwd")
    assert found(tmp_path)["gcloud"].state is State.absent
    write(tmp_path / ".dvc/config", "no section")
    assert found(tmp_path)["dvc"].state is State.warning


def test_this_machine_is_described(tmp_path: Path) -> None:
    rows = {row.name: row for row in machine.machine(tmp_path / "not" / "there")}
    assert set(rows) == {"python", "cpu", "instructions", "memory", "gpu", "store"}
    assert rows["store"].is_core
    assert rows["store"].state in (State.fine, State.warning)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_store_that_cannot_be_written_is_broken(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    rows = {row.name: row for row in machine.machine(tmp_path / ".mltool")}
    tmp_path.chmod(0o700)
    assert (rows["store"].state, rows["store"].is_core) == (State.broken, True)


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")
def test_programs_that_do_not_work_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("docker", "echo 'no daemon' >&2; exit 1"), ("java", "echo 'java 17' >&2"), ("git", "exit 3")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = {row.name: row for row in machine.programs()}
    assert (rows["docker"].state, rows["docker"].detail) == (State.warning, "does not work (no daemon)")
    assert (rows["java"].state, rows["java"].detail) == (State.fine, "java 17")
    assert (rows["git"].state, rows["git"].detail) == (State.warning, "does not work: it ended with 3")
    assert (rows["gcloud"].state, rows["podman"].state) == (State.absent, State.absent)


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")
def test_one_engine_that_works_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("docker", "echo 'no daemon' >&2; exit 1"), ("buildah", "echo buildah")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    rows = {row.name: row for row in machine.programs()}
    assert (rows["docker"].state, rows["docker"].mend) == (State.absent, "")
    assert rows["docker"].detail == "does not work (no daemon); buildah is used instead"
    assert rows["buildah"].state is State.fine
