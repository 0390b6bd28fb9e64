"""What a Hydra tree must not do here: give away secrets of the environment, or run code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mltool.core.errors import ConfigError

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_KEPT = re.compile(r"\$\{oc\.(env|decode):")
"""What may be left in a text that is stored: the loader of stored configs resolves it again."""


@contextmanager
def environment_watched() -> Iterator[list[str]]:
    """The names of the variables that are read through `${oc.env:…}`, in a list that grows with each.

    Watched where it happens, because a value may reach a variable by ways that its text does not show: an alias of a
    node, a reference in a reference, Hydra's own config.
    """
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    names: list[str] = []

    def env(*arguments: Any) -> Any:
        names.append(str(arguments[0]))
        return oc.env(*arguments)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)
    try:
        yield names
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def reference_text(written: Any, root: Any) -> str | None:
    """A text whose references all end at variables of the environment, with only those left in it.

    Args:
        written: As it stands in the tree, or None if nobody knows.
        root: The whole tree, unresolved.
    """
    if not isinstance(written, str) or "${" not in written:
        return None
    for _ in range(20):
        text = _REFERENCE.sub(lambda found: _text_at(root, found[1]) or found[0], written)
        if text == written:
            break
        written = text
    return written if written.count("${") == len(_KEPT.findall(written)) else None


def _text_at(root: Any, path: str) -> str | None:
    for part in path.split("."):
        root = root.get(part) if isinstance(root, Mapping) else None
    return str(root) if isinstance(root, str | int | float) else None


@contextmanager
def code_refused(file: str) -> Iterator[None]:
    """Refuse a search path that is no folder: to read it, Hydra imports a package or a module.

    Refused where Hydra opens it, after all quotes, escapes and references are read; what Hydra and its installed
    plugins bring themselves stays open.

    Raises:
        ConfigError: There is one.
    """
    from hydra._internal.sources_registry import SourcesRegistry  # the one place through which all of them go

    known: dict[str, Any] = SourcesRegistry.instance().types
    before = dict(known)

    def guarded(scheme: str) -> Any:
        def opened(provider: str, path: str) -> Any:
            if provider.startswith("hydra.searchpath"):
                raise ConfigError(
                    f"`{file}` looks for configs in a Python package (`{scheme}://`), which would run its code",
                    hint="use a folder, `file://…`, in `hydra.searchpath`",
                )
            return before[scheme](provider, path)

        return opened

    known.update({scheme: guarded(scheme) for scheme in before if scheme != "file"})
    try:
        yield
    finally:
        known.update(before)
