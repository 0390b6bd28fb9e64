"""What is not written stays as it was in the version before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mltool.records.deployment import Deployment


def carried_over(
    config: Any, section: str, origins: Mapping[str, str], deployment: Deployment | None
) -> dict[str, Any]:
    """The fields of a config: what was written, over what the version that answers has, over the defaults."""
    given = asdict(config)
    current = deployment.current if deployment else None
    before = dict(current.config) if current else {}
    written = {key for key in given if f"{section}.{key}" in origins}
    return {key: value if key in written else before.get(key, value) for key, value in given.items()}
