"""YAML whose unquoted values mean what they look like, for fields that take anything.

YAML 1.1, which PyYAML reads, takes `010` for 8, `1:30` for 90, `2020-01-01` for a date and `1e-3` for text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_WHOLE = re.compile(r"^[-+]?[0-9]+$")
_NUMBER = re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")
_NULLS = {"null", "none", "~", ""}


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """By first character: PyYAML's table, with plain numbers in place of its own and its dates."""
    replaced = (_INT, _FLOAT, "tag:yaml.org,2002:timestamp")
    ours = {
        first: [(tag, pattern) for tag, pattern in patterns if tag not in replaced]
        for first, patterns in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+.0123456789":
        ours.setdefault(first, []).extend([(_INT, _WHOLE), (_FLOAT, _NUMBER)])
    return ours


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers()


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _resolvers()

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(?=[a-zA-Z])", "", loader.construct_scalar(node)))  # YAML writes `.inf` and `.nan`


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if text.strip().lower() in _NULLS:  # unquoted, it is no text where a field may be null
        style = "'"
    if any(end in text for end in "\n\x85\u2028\u2029"):  # what YAML takes for the end of a line
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Loader.add_constructor(_INT, _int)
_Loader.add_constructor(_FLOAT, _float)
_Dumper.add_representer(str, _text)


def load(text: str) -> Any:
    """Read plain data.

    Raises:
        ValueError: The text has an unclosed quote or bracket, or a tag.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(text) from error


def scalars(text: str) -> list[str]:
    """The texts in a list such as `[a, 'b, c']`, as they were written.

    Raises:
        ValueError: It is no list, or holds more than texts.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    if not isinstance(node, yaml.SequenceNode) or not all(isinstance(one, yaml.ScalarNode) for one in node.value):
        raise ValueError(text)
    return [one.value for one in node.value]


def dump(value: Any) -> str:
    """One line that reads back as `value`."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return str(text).removesuffix("\n").removesuffix("...").removesuffix("\n")


def line_of(node: yaml.Node) -> str:
    """A node of a file on one line, its values as they were written."""
    _flow(node)
    return str(yaml.serialize(node, width=float("inf"))).strip()


def _flow(node: yaml.Node) -> None:
    if isinstance(node, yaml.SequenceNode):
        node.flow_style = True
        for one in node.value:
            _flow(one)
    elif isinstance(node, yaml.MappingNode):
        node.flow_style = True
        for key, one in node.value:
            _flow(key)
            _flow(one)
