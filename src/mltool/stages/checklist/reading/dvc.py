"""Data under version control, out of DVC's own small files."""

from __future__ import annotations

import configparser
from functools import cached_property
from typing import Any

from mltool.core.dvc_config import remotes_of, without_password
from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading.data_files import DataFiles, every, first, inner

_HASHES = ("md5", "etag", "checksum")


class Dvc:
    def __init__(self, project: Project, data: DataFiles) -> None:
        self._project, self._data = project, data

    @cached_property
    def tracked(self) -> list[str]:
        """`.dvc` files that hold a hash."""
        paths = [path for path in self._project.with_suffix(".dvc") if not path.startswith(".dvc/")]
        paths += [file.path for file in self._project.recorded(r"refs/remote/.+\.dvc")]
        return [path for path in sorted(paths) if self._hashed(inner(first(self._data.yaml(path)), "outs"))]

    @cached_property
    def locked(self) -> list[str]:
        """Stages of a `dvc.lock` whose outputs have a hash."""
        found = []
        for path in self._project.named("dvc.lock"):
            stages = inner(first(self._data.yaml(path)), "stages")
            for name, stage in stages.items() if isinstance(stages, dict) else ():
                if self._hashed(inner(stage, "outs")):
                    found.append(f"{path}: stage `{name}`")
        return found

    @cached_property
    def stages(self) -> dict[str, Any]:
        """Of the `dvc.yaml` at the top."""
        root = first(self._data.yaml("dvc.yaml")) if "dvc.yaml" in self._project.files else {}
        stages = root.get("stages")
        return stages if isinstance(stages, dict) else {}

    @staticmethod
    def _hashed(outs: Any) -> bool:
        return any(str(value).strip() for _, value in every(outs, *_HASHES))

    @cached_property
    def remotes(self) -> dict[str, str]:
        """Addresses by name, the default one first."""
        own = inner(first(self._data.yaml("mltool.yaml")), "data", "remote") if self._has("mltool.yaml") else None
        found = {"mltool.yaml": without_password(str(own))} if own else {}
        try:
            return found | remotes_of(self._project.text(".dvc/config")) if self._has(".dvc/config") else found
        except configparser.Error as error:
            self._project.report(".dvc/config", f"cannot be read: {type(error).__name__}")
            return found

    def _has(self, path: str) -> bool:
        return path in self._project.files
