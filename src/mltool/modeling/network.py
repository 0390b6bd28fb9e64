"""The network that a config names, and how its inputs are called."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mltool.core.errors import ConfigError
from mltool.datasets.schema import Schema
from mltool.modeling.config import ModelConfig, networks
from mltool.modeling.user_code import import_object, user_code

PROBE_ROWS = 64
"""Samples that tell what a network answers."""


def check_network(config: ModelConfig) -> None:
    """Refuse what can be known to be wrong before any data is read: a decode may take an hour.

    Raises:
        ConfigError: The import path, or an argument of the class, is wrong.
        UserCodeError: The user's module raises while it is imported.
    """
    if config.target is not None and config.name != "auto":
        raise ConfigError(
            f"`model.name={config.name}` and `model.target={config.target}` both say which network",
            hint="leave one of them out",
        )
    if config.target is not None:
        made_by = import_object(config.target, "model.target")
        if not isinstance(made_by, nn.Module):
            _check_arguments(made_by, config.target, config.args)
    elif config.name != "auto":
        _check_names(config.name, networks.load(config.name), config.args)


def make_network(config: ModelConfig, schema: Schema, seed: int) -> nn.Module:
    """Build the network with weights drawn from `seed`; a module that stands under the path brings its own.

    Raises:
        ConfigError: The name, the import path or an argument is wrong.
        UserCodeError: The user's class raises.
    """
    torch.manual_seed(seed)
    if config.target is not None:
        made_by = import_object(config.target, "model.target")
        return _called(made_by, config.target, config.args)
    name = config.name if config.name != "auto" else default_network(schema)
    build = networks.load(name)
    _check_names(name, build, config.args)
    try:
        network: nn.Module = build(schema, num_outputs(schema), **config.args)
    except (TypeError, RuntimeError, ValueError) as error:
        raise ConfigError(f"network `{name}` cannot be built with {config.args}: {error}") from error
    return network


def _check_names(name: str, build: Any, arguments: dict[str, Any]) -> None:
    known = [p.name for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for argument in arguments:
        if argument not in known:
            raise ConfigError(f"network `{name}` has no argument `{argument}`", hint=f"it has {', '.join(known)}")


def default_network(schema: Schema) -> str:
    has_picture = len(schema.inputs) == 1 and (schema.image is not None or len(schema.inputs[0].shape) == 3)
    return "cnn" if has_picture else "mlp"


def default_arguments(config: ModelConfig, schema: Schema) -> dict[str, Any]:
    """What the arguments of the network are that nobody gives; one without a default is left out."""
    if config.target is not None:
        made_by = import_object(config.target, "model.target")
    else:
        made_by = networks.load(config.name if config.name != "auto" else default_network(schema))
    if isinstance(made_by, nn.Module):
        return {}
    try:
        parameters = inspect.signature(made_by).parameters.values()
    except ValueError:  # a built-in has none to look at
        return {}
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def num_outputs(schema: Schema) -> int:
    return len(schema.target.classes) if schema.target.kind == "class" else 1


def _called(made_by: Any, path: str, arguments: dict[str, Any]) -> nn.Module:
    """Call the user's class or function, or take the module that stands under the path."""
    if isinstance(made_by, nn.Module):
        # A copy: what is imported stays as it is, however often it is trained from.
        return copy.deepcopy(made_by)
    _check_arguments(made_by, path, arguments)
    with user_code(f"`{path}`"):
        module = made_by(**arguments)
    if not isinstance(module, nn.Module):
        raise ConfigError(f"`model.target={path}` gives a `{type(module).__name__}`, but an `nn.Module` is needed")
    return module


def _check_arguments(made_by: Any, path: str, arguments: dict[str, Any]) -> None:
    if not callable(made_by):
        raise ConfigError(f"`model.target={path}` is a `{type(made_by).__name__}`, but a class or a function is needed")
    try:
        inspect.signature(made_by).bind(**arguments)
    except TypeError as error:
        raise ConfigError(
            f"`{path}` cannot be called with {arguments or 'no arguments'}: {error}",
            hint="give its arguments as `model.args.NAME=VALUE`",
        ) from error
    except ValueError:  # a built-in has no signature to compare with
        pass


def input_names(network: nn.Module, schema: Schema) -> list[str]:
    """What the graph's inputs are called, in the order in which the network takes them.

    Pictures, numbers and categories keep their names; prepared tensors take the names of the network's `forward`.

    Raises:
        ConfigError: The network takes more or fewer inputs than the data has.
    """
    names = [spec.name for spec in schema.inputs]
    parameters = list(inspect.signature(network.forward).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return names
    taken = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in taken if p.default is p.empty]
    if not len(required) <= len(names) <= len(taken):
        raise ConfigError(
            f"the network's forward takes {', '.join(f'`{p.name}`' for p in required) or 'nothing'}, "
            f"but the data has {', '.join(f'`{name}`' for name in names)}",
            hint="choose the arrays with `data.fields.inputs=NAME`",
        )
    if all(column.kind == "tensor" for column in schema.columns):
        return in_order(names, [parameter.name for parameter in taken[: len(names)]])
    return names


def in_order(given: list[str], taken: list[str]) -> list[str]:
    """The names that a network or a graph takes, unless the data has the same names in another order.

    Raises:
        ConfigError: It has, so that the network would get one input for the other.
    """
    if set(given) == set(taken) and given != taken:
        raise ConfigError(
            f"the data has {', '.join(f'`{name}`' for name in given)}, but the network takes them in another order",
            hint=f"write `data.fields.inputs={','.join(taken)}`",
        )
    return taken


def renamed_inputs(schema: Schema, names: list[str]) -> Schema:
    """The schema of the model: its inputs under the names that the graph has."""
    new = dict(zip((spec.name for spec in schema.inputs), names, strict=True))
    return dataclasses.replace(
        schema,
        inputs=tuple(dataclasses.replace(spec, name=new[spec.name]) for spec in schema.inputs),
        columns=tuple(dataclasses.replace(c, name=new[c.name]) if c.kind == "tensor" else c for c in schema.columns),
    )


def answer_of(network: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """What the network answers for some prepared samples, in evaluation mode.

    Raises:
        UserCodeError: Its forward raises.
    """
    with evaluating(network), torch.no_grad(), user_code("the network's forward"):
        return network(*inputs)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode until the block ends; then every part has the mode that it had, such as a frozen norm."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
