"""Families of choices that belong to data; their names are known without numpy."""

from __future__ import annotations

from typing import Any

from mltool.core.registry import Family

corruptions: Family[Any] = Family("corruption", "mltool.datasets.corruptions", "corruption")
