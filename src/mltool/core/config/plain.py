"""YAML whose unquoted values mean what they look like, for fields that take anything.

YAML 1.1, which PyYAML reads, takes `010` for 8, `1:30` for 90, `2020-01-01` for a date and `1e-3` for text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_NUMBER = re.compile(r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$")
_WHOLE = re.compile(r"^[-+]?[0-9]+$")
_REPLACED = ("int", "float", "timestamp")
_RESOLVERS = {
    first: [(tag, pattern) for tag, pattern in patterns if tag.rpartition(":")[2] not in _REPLACED]
    for first, patterns in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NULLS = {"null", "none", "~", ""}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = dict(_RESOLVERS)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = dict(_RESOLVERS)

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-+0123456789"))
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+0123456789."))


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if text.lower() in _NULLS:  # unquoted, it is no text where a field may be null
        style = "'"
    if "\n" in text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(re.sub(r"\.(?=[a-zA-Z])", "", loader.construct_scalar(node)))
)
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
    return text.removesuffix("\n").removesuffix("...").strip()


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
