"""From a PyTorch training script, or trained weights, to a verified, fast, deployed and watched model.

The verbs load when they are first used, so that `import mltool` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mltool.core import errors
    from mltool.verbs import (
        Model,
        checklist,
        compile_model,
        data,
        deploy,
        doctor,
        evaluate,
        gcp,
        import_model,
        load,
        models,
        monitor,
        predict,
        profile,
        quantize,
        run,
        save,
        serve,
        train,
        tune,
    )

__all__ = [
    "Model",
    "checklist",
    "compile_model",
    "data",
    "deploy",
    "doctor",
    "errors",
    "evaluate",
    "gcp",
    "import_model",
    "load",
    "models",
    "monitor",
    "predict",
    "profile",
    "quantize",
    "run",
    "save",
    "serve",
    "train",
    "tune",
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
