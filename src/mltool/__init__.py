"""From a PyTorch training script, or trained weights, to a verified, fast, deployed and watched model.

The verbs load when they are first used, so that `import mltool` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mltool.core import errors
    from mltool.verbs import (
        Model,
        compile_model,
        data,
        evaluate,
        import_model,
        load,
        models,
        predict,
        quantize,
        save,
        train,
    )

__all__ = [
    "Model",
    "compile_model",
    "data",
    "errors",
    "evaluate",
    "import_model",
    "load",
    "models",
    "predict",
    "quantize",
    "save",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        from mltool.core import errors

        return errors
    if name in __all__:
        from mltool import verbs

        return getattr(verbs, name)
    raise AttributeError(f"module `mltool` has no attribute `{name}`")


def __dir__() -> list[str]:
    return sorted(__all__)
