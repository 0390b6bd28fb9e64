"""All that is known of a project, read when it is first asked for, and once."""

from __future__ import annotations

from functools import cached_property

from mltool.stages.checklist.project import Project
from mltool.stages.checklist.reading import docker
from mltool.stages.checklist.reading.code import Code
from mltool.stages.checklist.reading.data_files import DataFiles
from mltool.stages.checklist.reading.docker import Dockerfile
from mltool.stages.checklist.reading.dvc import Dvc
from mltool.stages.checklist.reading.git import Git
from mltool.stages.checklist.reading.learning import Learning
from mltool.stages.checklist.reading.requirements import Requirements
from mltool.stages.checklist.reading.store import Recorded
from mltool.stages.checklist.reading.workflows import Workflows


class Evidence:
    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def data(self) -> DataFiles:
        return DataFiles(self.project)

    @cached_property
    def code(self) -> Code:
        return Code(self.project)

    @cached_property
    def git(self) -> Git | None:
        return Git.find(self.project.root)

    @cached_property
    def requirements(self) -> Requirements:
        return Requirements(self.project, self.data, self.code)

    @cached_property
    def workflows(self) -> Workflows:
        return Workflows(self.project, self.data)

    @cached_property
    def dockerfiles(self) -> list[Dockerfile]:
        return docker.dockerfiles(self.project)

    @cached_property
    def dvc(self) -> Dvc:
        return Dvc(self.project, self.data)

    @cached_property
    def recorded(self) -> Recorded:
        return Recorded(self.project)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.project, self.code, self.recorded)
