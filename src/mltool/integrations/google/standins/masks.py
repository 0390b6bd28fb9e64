"""Which fields of a message a client may write, and which of them an update speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import field_mask_pb2

from mltool.integrations.google.standins.refusals import invalid


def apply_mask(given: Any, target: Any, paths: Iterable[str], writable: tuple[str, ...]) -> None:
    """Put the fields of `given` that the paths name into `target`; one that is empty there is emptied.

    Raises:
        RefusalError: A path names no field that a client may write.
    """
    message, changed = type(given).pb(given), type(target).pb(target)
    paths = list(writable) if list(paths) == ["*"] else list(paths)
    mask = field_mask_pb2.FieldMask(paths=paths)
    for path in paths:
        if not mask.IsValidForDescriptor(message.DESCRIPTOR) or path.partition(".")[0] not in writable:
            raise invalid(f"update_mask: `{path}` is no field of a service that can be written")
    # Replacing, and not adding to what is there: also lists, and by nothing what is not given.
    mask.MergeMessage(message, changed, True, True)


def copy_fields(source: Any, target: Any, names: tuple[str, ...]) -> None:
    """Replace whole fields, also by nothing where the source has nothing."""
    given, changed = type(source).pb(source), type(target).pb(target)
    for name in names:
        changed.ClearField(name)
    for field, value in given.ListFields():
        if field.name not in names:
            continue
        if hasattr(value, "MergeFrom"):
            getattr(changed, field.name).MergeFrom(value)
        else:
            setattr(changed, field.name, value)
