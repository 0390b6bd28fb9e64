"""Hydra's config trees, composed by Hydra itself; nothing of the project's code is imported or run."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mltool.core.errors import ConfigError
from mltool.integrations.hydra_guards import code_refused, environment_watched, reference_text


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value of the tree.

    Attributes:
        value: Resolved.
        text: What stands for it where it comes from the environment: that is stored, and no secret.
        problem: Why there is no value.
        variables: Of the environment, that the value would be read from, where no text can stand for it.
    """

    value: Any = None
    text: str | None = None
    problem: str = ""
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """A composed config.

    Attributes:
        file: Its main file, as it was written.
        choices: Of the config groups, such as `model=cnn`.
        leaves: By dotted path; lists, and mappings without entries, are leaves.
    """

    file: str
    choices: Mapping[str, str]
    leaves: Mapping[str, Leaf]


def compose(file: str, overrides: Sequence[str]) -> Tree:
    """Compose a tree by its main file, in this folder, without Hydra's folders for output.

    Raises:
        ConfigError: The file, a group or an override is not there or not readable, or needs the project's code.
    """
    path = Path(file)
    if path.is_dir():
        raise ConfigError(
            f"`hydra.config={file}` is a folder", hint=f"give its main file, such as `{file}/config.yaml`"
        )
    if not path.is_file():
        raise ConfigError(
            f"`hydra.config={file}` does not exist in `{Path.cwd()}`", hint="give Hydra's main config file"
        )
    if path.suffix != ".yaml":
        raise ConfigError(f"`hydra.config={file}` does not end in `.yaml`", hint="Hydra reads no other files")
    import hydra  # 0.35 s: only where there is such a tree
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        with (
            _alone(),
            hydra.initialize_config_dir(str(path.parent.resolve()), version_base=None),
            code_refused(file),
        ):
            config = hydra.compose(path.stem, overrides=list(overrides), return_hydra_config=True)
            return _tree(file, config)
    except RecursionError as error:
        raise ConfigError(f"`{file}` leads back to itself in its `defaults`", hint="break the circle") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"a file of `{path.parent}` is not plain UTF-8 text", hint="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{Path(mark.name).name}:{mark.line + 1}" if mark else file
        raise ConfigError(f"`{where}` cannot be read: {problem or 'it is no YAML'}") from error
    except ValueError as error:
        if not str(error).startswith("No config source"):
            raise
        raise _explained(file, str(error).partition(",")[0], overrides) from error
    except (HydraException, OmegaConfBaseException, OSError) as error:
        raise _explained(file, str(error), overrides) from error


@contextmanager
def _alone() -> Iterator[None]:
    """Without the project on the path, where Hydra would look for plugins, and without Hydra's warnings.

    What a Hydra application around us has set is put back.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig as Current

    before, current, application = list(sys.path), Current.instance().cfg, GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    sys.path[:] = [entry for entry in before if Path(entry).resolve() not in (Path.cwd(), *Path.cwd().parents)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.path[:] = before
        Current.instance().cfg, GlobalHydra.instance().hydra = current, application


def _tree(file: str, config: Any) -> Tree:
    from hydra.core.hydra_config import HydraConfig as Current
    from omegaconf import OmegaConf

    Current.instance().set_config(config)  # for `${hydra:runtime.cwd}`
    chosen = {name: choice for name, choice in config.hydra.runtime.choices.items() if not name.startswith("hydra/")}
    raw = OmegaConf.to_container(config, resolve=False)
    with environment_watched() as read:
        leaves = dict(_leaves(config, raw, raw, "", read))
    return Tree(file, {name: str(chosen[name]) for name in sorted(chosen)}, leaves)


def _leaves(node: Any, raw: Any, root: Any, prefix: str, read: list[str]) -> Iterator[tuple[str, Leaf]]:
    """Every leaf below a node, each resolved by itself: one that cannot be is no reason to lose the others.

    Args:
        raw: The node, unresolved.
        root: The whole tree, unresolved.
        read: Grows by each variable of the environment that is read.
    """
    from omegaconf import DictConfig, ListConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for name in node:
        path = f"{prefix}{name}"
        if not prefix and name == "hydra":
            continue
        read.clear()
        try:
            if OmegaConf.is_missing(node, name):
                yield path, Leaf(problem="it must be given (`???`)")
                continue
            value = node[name]
            if isinstance(value, DictConfig) and len(value) and not read:
                inner = OmegaConf.to_container(value, resolve=False)  # of what an alias stands for, too
                yield from _leaves(value, inner, root, f"{path}.", read)
                continue
            if isinstance(value, DictConfig | ListConfig):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            # What OmegaConf says may quote what it read.
            yield path, _kept_secret(read) if read else Leaf(problem=str(error).partition("\n")[0])
            continue
        if not read:
            yield path, Leaf(value)
            continue
        text = reference_text(raw.get(name) if isinstance(raw, Mapping) else None, root)
        yield path, Leaf(value, text) if text is not None else _kept_secret(read)


def _kept_secret(read: Sequence[str]) -> Leaf:
    """No value: fail closed, so that nothing of the environment is stored as plain text."""
    names = tuple(dict.fromkeys(read))
    shown = ", ".join(f"`{name}`" for name in names)
    return Leaf(
        problem=f"it comes from {shown} of the environment in a way that cannot be stored as text", variables=names
    )


def _explained(file: str, problem: str, overrides: Sequence[str]) -> ConfigError:
    """What Hydra says, in one line, with what to do."""
    first, *more = [line.strip() for line in problem.splitlines() if line.strip()] or ["it cannot be composed"]
    first = first.rstrip(".")
    given = f"`{file}`" + (f" with {', '.join(f'`{one}`' for one in overrides)}" if overrides else "")
    options = [line for line in more if not line.startswith(("Available", "Config", "provider"))]
    hint = None
    if "Could not load" in first:
        hint = (
            "a config that is made in Python (`ConfigStore`) cannot be read without running its code: write it as YAML"
        )
    elif "Could not find" in first and "hydra/" in first:
        hint = "install the plugin that brings it, or leave it out with `hydra.overrides`"
    elif "Could not find" in first:
        hint = f"there are {', '.join(options)}" if options else "check the `defaults` list"
    elif "Could not override" in first:
        hint = "an override changes what is there: check its name"
    elif found := re.search(r"You must specify '([^']+)'", first):
        hint = f"choose one with `hydra.overrides={found[1]}=CHOICE`: {', '.join(options)}"
    elif any("override_grammar" in line for line in more):
        hint = "write overrides as Hydra does: `GROUP=CHOICE` and `key.below=VALUE`"
    return ConfigError(f"{given} cannot be composed: {first}", hint=hint)
