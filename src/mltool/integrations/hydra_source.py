"""A Hydra tree as a source of settings, with all that was taken from it said."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mltool.core import events
from mltool.core.config.fields import FieldType, parse
from mltool.core.config.settings import Setting, find_project
from mltool.core.errors import ConfigError
from mltool.integrations.config import HydraConfig
from mltool.integrations.hydra import compose
from mltool.integrations.hydra_mapping import map_tree


def read_unresolved(written: str | Sequence[str]) -> tuple[str, ...]:
    """`hydra.overrides` with every `${…}` still in it: a text where there are any.

    Raises:
        ConfigError: It cannot be read before they are resolved.
    """
    if not isinstance(written, str):
        return tuple(written)
    try:
        overrides: tuple[str, ...] = parse(written, FieldType(str, many=True))
    except ValueError:
        raise ConfigError(
            f"`hydra.overrides={written}` cannot be read",
            hint="write each override in quotes: `['key=${oc.env:NAME}']`",
        ) from None
    return overrides


def settings_of(config: HydraConfig, sections: Collection[str]) -> list[Setting]:
    """What the `hydra` section says, in the form of every other source.

    Args:
        sections: Those of the verb; what is of others is not taken.

    Raises:
        ConfigError: The tree cannot be composed, or a key of `hydra.map` is not there.
    """
    if config.config is None:
        raise ConfigError("`hydra` says nothing without a tree", hint="give `hydra.config=conf/config.yaml`")
    tree = compose(config.config, config.overrides)
    mapped = map_tree(tree, config.map, find_project())
    settings = [setting for setting in mapped.settings if setting.key.partition(".")[0] in sections]
    choices = ", ".join(f"{group}={choice}" for group, choice in tree.choices.items())
    where = f"`{tree.file}`" + (f" ({choices})" if choices else "")
    given = ", ".join(f"{setting.key} from {mapped.taken[setting.key]}" for setting in settings)
    events.info(f"{where} gives {given or 'nothing'}")
    if mapped.left:
        events.info(f"left alone in it: {', '.join(mapped.left)}; `hydra.map.KEY=PATH` takes more")
    for key, doubt in mapped.doubts.items():
        if key.partition(".")[0] in sections:
            events.warning(doubt)
    return settings
