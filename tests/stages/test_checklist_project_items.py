"""The first half of the checklist: change the evidence in the files, and the verdict changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from checklist_project import Change, Flip, both, replaced, without, write_whole_project, written

TESTS = ".github/workflows/tests.yaml"
TRAIN, MODEL = "src/corn/train.py", "src/corn/model.py"
FREE = "[project]\nrequires-python = '>=3.11'\ndependencies = ['torch', 'numpy']\n"
CONF = ("conf/config.yaml", "conf/experiment/wide.yaml")
FLIPS: list[Flip] = [
    ("environment", "partly", replaced("pyproject.toml", 'requires-python = ">=3.11"', ""), "not stated"),
    ("environment", "partly", written("uv.lock", '[[package]]\nname = "torch"\n'), "but not evidently"),
    ("environment", "partly", written("requirements.txt", "torch===\n"), "requirements.txt:1"),
    ("environment", "partly", written("pyproject.toml", FREE), "any version will do of torch, numpy"),
    ("environment", "missing", without("pyproject.toml"), "no requirements"),
    ("layout", "partly", without("src/corn/__init__.py"), "no package"),
    ("layout", "partly", written("src/corn/broken.py", "def :\n"), "cannot be imported: src/corn/broken.py:1"),
    ("make-dataset", "partly", without("data/processed/train.csv", "data.dvc"), "nothing shows that it was run"),
    ("make-dataset", "partly", replaced("src/corn/data.py", "torch.save(", "print("), "no script that makes it"),
    (
        "model-train",
        "partly",
        without("models/net.ckpt", "lightning_logs/version_0/hparams.yaml"),
        "no run is recorded",
    ),
    ("model-train", "partly", without(TRAIN), "nothing trains it"),
    (
        "model-train",
        "partly",
        both(without(MODEL), replaced(TRAIN, "from corn.model import Net", "")),
        "no model is reached",
    ),
    ("requirements", "partly", written("src/corn/more.py", "import sklearn.svm\n"), "`sklearn` (src/corn/more.py:1)"),
    ("requirements", "missing", without("pyproject.toml"), "nothing is declared"),
    ("pep8", "partly", written("src/corn/untidy.py", "a = 1 \n"), "src/corn/untidy.py:1 ends in blanks"),
    ("pep8", "partly", both(without(TESTS, ".pre-commit-config.yaml")), "nothing runs them"),
    (
        "pep8",
        "missing",
        both(replaced("pyproject.toml", "[tool.ruff]", "[tool.other]"), without(".pre-commit-config.yaml")),
        "no linter",
    ),
    (
        "typing-docs",
        "partly",
        written("src/corn/more.py", "\n".join(f"def f{n}(x): ...\n" for n in range(20))),
        "all types: 22% of 27",
    ),
    (
        "typing-docs",
        "missing",
        written("src/corn/more.py", "\n".join(f"def f{n}(x): ...\n" for n in range(99))),
        "limit 70%",
    ),
    ("data-version", "partly", without(".dvc/config"), "no remote"),
    (
        "data-version",
        "partly",
        replaced("data.dvc", "md5: 0123456789abcdef0123456789abcdef.dir", "md5:"),
        "no `.dvc` file",
    ),
    ("data-version", "missing", without(".dvc/config", "data.dvc"), "no `dvc.lock`"),
    (
        "cli",
        "partly",
        both(replaced("pyproject.toml", "corn.train:main", "corn.train:run"), without("Makefile")),
        "is not there",
    ),
    ("cli", "partly", both(replaced("pyproject.toml", "corn.train:main", ""), without("Makefile")), "leads to"),
    ("docker", "partly", replaced("dockerfiles/train.dockerfile", "COPY src", "COPY source"), ":3 copies `source`"),
    ("docker", "partly", replaced("dockerfiles/train.dockerfile", "ENTRYPOINT", "# ENTRYPOINT"), "starts nothing"),
    ("docker", "partly", replaced("dockerfiles/train.dockerfile", "RUN pip install", "RUN echo"), "installs nothing"),
    ("docker", "partly", replaced("dockerfiles/train.dockerfile", "FROM", "FORM"), "no instruction `FORM`"),
    ("docker", "missing", without("dockerfiles/train.dockerfile"), "no Dockerfile"),
    (
        "docker-build",
        "partly",
        both(without("cloudbuild.yaml"), replaced(TESTS, "docker/build-push-action@v6", "actions/checkout@v4")),
        "no workflow builds",
    ),
    ("docker-build", "missing", without("dockerfiles/train.dockerfile"), "no Dockerfile"),
    (
        "docker-build",
        "partly",
        both(without("cloudbuild.yaml"), replaced(TESTS, "[push, pull_request]", "workflow_dispatch")),
        "no build is recorded, and none runs on a push",
    ),
    (
        "docker-build",
        "partly",
        both(
            without("cloudbuild.yaml", TESTS),
            written("docker-compose.yml", "services:\n  corn:\n    build: .\n"),
        ),
        "could be built by docker-compose.yml",
    ),
    (
        "docker-build",
        "partly",
        both(without(TESTS), replaced("cloudbuild.yaml", "[build,", "[push,")),
        "no build is recorded",
    ),
    (
        "config",
        "partly",
        both(replaced(TRAIN, "@hydra.main", "@print"), without("src/corn/drift.py")),
        "no source loads",
    ),
    ("config", "missing", without(*CONF), "no config file"),
    ("hydra", "partly", replaced(MODEL, "lr=self.lr", "lr=1e-3"), "src/corn/model.py:21 lr=0.001"),
    (
        "hydra",
        "missing",
        both(replaced(TRAIN, "import hydra\n", ""), replaced(TRAIN, "@hydra.main", "@print")),
        "no Hydra",
    ),
    ("profiling", "partly", without("reports/profile.txt"), "no report is kept"),
    ("profiling", "partly", replaced(TRAIN, 'profiler="simple"', ""), "nothing says what came of it"),
    (
        "profiling",
        "missing",
        both(without("reports/profile.txt"), replaced(TRAIN, 'profiler="simple"', "")),
        "no profiler",
    ),
    ("logging", "partly", written("src/corn/more.py", "print(1)\n"), "src/corn/more.py:1"),
    ("logging", "missing", replaced("src/corn/data.py", "logger.info", "print"), "no logger"),
    ("wandb", "partly", replaced(TRAIN, ", log_model=True", ""), "not tracked: artifacts"),
    (
        "wandb",
        "missing",
        both(
            replaced(TRAIN, 'logger=WandbLogger(project="corn", log_model=True), ', ""),
            replaced(TRAIN, "wandb.log", "print"),
        ),
        "no tracker",
    ),
    (
        "sweep",
        "partly",
        both(without("sweep.yaml"), written("src/corn/tune.py", "import optuna\noptuna.create_study()\n")),
        "no study is recorded",
    ),
    ("sweep", "missing", without("sweep.yaml"), "no search space"),
    ("lightning", "partly", replaced(TRAIN, "L.Trainer", "Trainer"), "no `Trainer`"),
    (
        "lightning",
        "missing",
        both(
            without(MODEL),
            written(
                TRAIN,
                """
        import torch
        net = torch.nn.Linear(1, 1)
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        loss = net(torch.zeros(1)).sum()
        loss.backward()
        optimizer.step()
        """,
            ),
        ),
        "hand-written loop at src/corn/train.py:5",
    ),
    ("test-data", "partly", replaced("tests/test_data.py", "assert ", ""), "asserts something"),
    ("test-data", "partly", without(TESTS), "no workflow runs them"),
    ("test-data", "missing", without("tests/test_data.py"), "no test uses data"),
    ("test-model", "partly", replaced("tests/test_model.py", ".shape == (2, 3)", ".sum() < 9"), "none asserts a shape"),
    ("test-model", "missing", without("tests/test_model.py"), "no test uses the model"),
    ("coverage", "partly", replaced(TESTS, "pytest --cov=corn tests", "pytest"), "declared as a requirement"),
    ("coverage", "missing", both(without(TESTS), replaced("pyproject.toml", '"pytest-cov", ', "")), "no coverage"),
    ("ci", "partly", replaced(TESTS, "on: [push, pull_request]", "on: workflow_dispatch"), "not on a push"),
    ("ci", "partly", replaced(TESTS, "pytest --cov=corn tests", "pip install pytest"), "none runs the tests"),
    ("ci", "partly", replaced(TESTS, "runs-on: ${{ matrix.os }}", "machine: big"), "has no machine"),
    ("ci-matrix", "partly", replaced(TESTS, "with: {cache: pip}", ""), "nothing is cached"),
    (
        "ci-matrix",
        "partly",
        both(
            replaced(TESTS, "[ubuntu-latest, macos-latest]", "[ubuntu-latest]"),
            replaced(TESTS, '["3.11", "3.12"]', '["3.11"]'),
        ),
        "one system and version",
    ),
    ("ci-lint", "missing", replaced(TESTS, "ruff check .", "pip install ruff"), "no workflow lints"),
    ("ci-lint", "partly", replaced(TESTS, "on: [push, pull_request]", "on: workflow_dispatch"), "not on a push"),
    ("pre-commit", "partly", replaced(".pre-commit-config.yaml", "rev: v0.11.0", ""), "without a version"),
    ("pre-commit", "partly", written(".pre-commit-config.yaml", "repos: [\n"), "0 hooks"),
    ("pre-commit", "missing", without(".pre-commit-config.yaml"), "no `.pre-commit-config.yaml`"),
    ("cd-data", "partly", replaced(".github/workflows/data.yaml", "**.dvc", "**.py"), "no change of data starts it"),
    ("cd-data", "missing", without(".github/workflows/data.yaml"), "no workflow"),
    (
        "cd-model",
        "partly",
        replaced(".github/workflows/model.yaml", "repository_dispatch: {types: [staged]}", "workflow_dispatch:"),
        "no new model starts it",
    ),
    (
        "cd-model",
        "partly",
        replaced(".github/workflows/model.yaml", "gcloud run deploy corn", "echo"),
        "deploys nothing",
    ),
]


@pytest.mark.parametrize(
    ("item", "verdict", "change", "part"), FLIPS, ids=[f"{one[0]}-{one[1]}-{n}" for n, one in enumerate(FLIPS)]
)
def test_a_verdict_follows_from_the_evidence(
    tmp_path: Path, item: str, verdict: str, change: Change, part: str
) -> None:
    files = write_whole_project(tmp_path)
    change(files)
    found = files.judge(item)
    assert (found.verdict.value, part in found.evidence) == (verdict, True), found
