"""Import torchvision also where its compiled operators do not fit the installed torch."""

from __future__ import annotations

import importlib
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: Any = None


def import_datasets() -> Any:
    """Return the module ``torchvision.datasets``."""
    return _import("torchvision.datasets")


def import_transforms() -> Any:
    """Return the module ``torchvision.transforms.v2``."""
    return _import("torchvision.transforms.v2")


def _import(name: str) -> Any:
    """Import a module of torchvision.

    A torchvision that was built for another torch (a CUDA build beside a CPU torch, say) fails at
    import with ``operator torchvision::nms does not exist``, because its Python code registers
    fake kernels for operators that its library could not register. Declaring the two schemas
    first is enough for everything but the compiled operators, which are not needed here.
    """
    global _library
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        # Kept alive by the module: a library that is collected takes its schemas with it.
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in _SCHEMAS:
            _library.define(schema)
        return importlib.import_module(name)
