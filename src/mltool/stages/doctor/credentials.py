"""Which credentials are there: where they lie, and never what they are."""

from __future__ import annotations

import configparser
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from mltool.core.dvc_config import remotes_of
from mltool.stages.doctor.finding import Row, State

_AREA = "credentials"
_MAX_BYTES = 1 << 20
_GOOGLE_KINDS = ("service_account", "authorized_user", "external_account", "impersonated_service_account")


def credentials(project: Path) -> list[Row]:
    """Rows for every service that some verb signs in to."""
    return [_wandb(), _google(), _gcloud(), *_dvc(project), _hugging_face(), _own_key()]


def _text(path: Path) -> str | None:
    """A small file of the user; None if there is none that can be read."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _home() -> Path:
    return Path(os.path.expanduser("~"))  # noqa: PTH111  # Path.home() raises where there is none


def _present(name: str, where: str) -> Row:
    return Row(_AREA, name, State.fine, f"there: {where}")


def _wandb() -> Row:
    if os.environ.get("WANDB_API_KEY"):
        return _present("wandb", "WANDB_API_KEY")
    server = re.sub(r"^https?://|/.*$", "", os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    files = [Path(os.environ["NETRC"])] if os.environ.get("NETRC") else [_home() / ".netrc", _home() / "_netrc"]
    for path in files:
        if re.search(rf"machine\s+{re.escape(server)}(\s|$)", _text(path) or ""):
            return _present("wandb", f"`{path}`, for {server}")
    return Row(_AREA, "wandb", State.absent, "runs are logged offline", "wandb login")


def _google() -> Row:
    name, login = "google", "gcloud auth application-default login"
    variable = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(variable) if variable else _gcloud_folder() / "application_default_credentials.json"
    where = "GOOGLE_APPLICATION_CREDENTIALS" if variable else f"`{path}`"
    text = _text(path)
    if text is None:
        if variable:
            return Row(_AREA, name, State.warning, f"{where} names a file that cannot be read", login)
        return Row(_AREA, name, State.absent, "no application default credentials", login)
    try:
        kind = json.loads(text)["type"]
    except (ValueError, TypeError, KeyError, RecursionError):
        kind = None
    if kind not in _GOOGLE_KINDS:
        return Row(_AREA, name, State.warning, f"{where}: the file holds no credentials", login)
    return _present(name, f"{where}, {kind.replace('_', ' ')}")


def _gcloud_folder() -> Path:
    return Path(os.environ.get("CLOUDSDK_CONFIG") or _home() / ".config" / "gcloud")


def _gcloud() -> Row:
    folder = _gcloud_folder()
    active = (_text(folder / "active_config") or "default").strip()
    text = _text(folder / "configurations" / f"config_{active}") if re.fullmatch(r"[\w-]+", active) else None
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text or "")
    except configparser.Error:
        return Row(_AREA, "gcloud", State.warning, f"its configuration `{active}` cannot be read", "gcloud init")
    has_account = bool(parser.get("core", "account", fallback=""))
    project = os.environ.get("CLOUDSDK_CORE_PROJECT") or parser.get("core", "project", fallback="")
    if not has_account:
        return Row(_AREA, "gcloud", State.absent, "nobody is signed in", "gcloud auth login")
    if not project:
        return Row(_AREA, "gcloud", State.warning, "an account, but no project", "gcloud config set project PROJECT")
    return _present("gcloud", f"an account, project {project}")


def _dvc(project: Path) -> Iterator[Row]:
    text = _text(project / ".dvc" / "config")
    if text is None:
        return
    try:
        remotes = remotes_of(text)
    except configparser.Error:
        yield Row(_AREA, "dvc", State.warning, "`.dvc/config` cannot be read", "dvc config --list")
        return
    if not remotes:
        yield Row(_AREA, "dvc", State.absent, "no remote", "dvc remote add --default NAME URL")
    local = _text(project / ".dvc" / "config.local") or ""
    for name, url in remotes.items():
        signed = ", with settings in `.dvc/config.local`" if re.search(rf'remote\s+"{re.escape(name)}"', local) else ""
        yield Row(_AREA, f"dvc {name}", State.fine, f"{url}{signed}")


def _hugging_face() -> Row:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(variable):
            return _present("hugging face", variable)
    path = Path(os.environ.get("HF_HOME") or _home() / ".cache" / "huggingface") / "token"
    if (_text(path) or "").strip():
        return _present("hugging face", f"`{path}`")
    return Row(_AREA, "hugging face", State.absent, "public models only", "huggingface-cli login")


def _own_key() -> Row:
    if os.environ.get("MLTOOL_API_KEY"):
        return _present("serving key", "MLTOOL_API_KEY")
    return Row(
        _AREA, "serving key", State.absent, "servers answer everybody who reaches them", "export MLTOOL_API_KEY=…"
    )
