"""The pages of a server, and its description of itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mltool.artifacts.store import Store
from serving_testing import Running, serving
from small_models import table_model

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def rendered(url: str, profile: Path) -> str:
    """The document after its script has run."""
    assert CHROMIUM is not None
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", url]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("name", ["table", "picture", "linear"])
def test_the_page_asks_the_model_and_shows_its_answer(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    server: Running = request.getfixturevalue(name)
    page = rendered(f"{server.url}/", tmp_path)
    answer = re.search(r'<div id="answer"[^>]*>(.*?)</div></div>', page, re.DOTALL)
    assert answer, page[-3000:]
    assert re.search(r'<p class="label">(ant|bee|cat)</p>', answer[1])
    assert answer[1].count("<progress") == 3
    assert server.url in page  # the command line to copy has the right address


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_runs_its_own_script_and_nothing_else(table: Running, path: str) -> None:
    page = table.get(path).body.decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in policy[1]
    assert "default-src &#x27;none&#x27;" in policy[1]
    assert not re.search(r'(src|href)="https?://', page)


def test_names_of_a_model_cannot_become_markup(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    model = table_model(Store(tmp_path), columns=(evil, "length", "item"), vocabulary=(evil, "red"))
    with serving(model.path) as server:
        for path in ("/", "/docs"):
            assert "<script>alert" not in server.get(path).body.decode()
        if CHROMIUM is not None:
            assert 'class="label"' in rendered(f"{server.url}/", tmp_path / "browser")


def test_the_example_of_the_description_works(table: Running, picture: Running, linear: Running) -> None:
    for server, name in ((table, "table"), (picture, "picture"), (linear, "linear")):
        description = server.get("/openapi.json").json
        assert description["info"]["title"] == f"{name}@1"
        for path in ("/predict", f"/v2/models/{name}/infer"):
            content = description["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            answer = server.post(path, content["example"])
            assert answer.status == 200, answer.body
            assert "warnings" not in answer.json


@pytest.mark.parametrize("name", ["table", "picture"])
def test_a_fuzzer_that_reads_the_description_finds_no_failure(
    request: pytest.FixtureRequest, tmp_path: Path, name: str
) -> None:
    pytest.importorskip("schemathesis", reason="the fuzzer is not installed")
    server: Running = request.getfixturevalue(name)
    program = Path(sys.executable).with_name("schemathesis")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(program), "run", f"{server.url}/openapi.json", "--checks", checks, "--max-examples", "25", "--seed", "1",
        "--no-color", "--request-timeout", "20",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=tmp_path)
    assert found.returncode == 0, found.stdout[-4000:]
    assert server.get("/ready").status == 200


def test_the_description_is_one_that_tools_can_read(table: Running) -> None:
    description: dict[str, Any] = table.get("/openapi.json").json
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(description)))
    assert used == set(description["components"]["schemas"])
