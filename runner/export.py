"""``python -m runner.export RUN``: the effective digital weights of a run as safetensors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runner.config.errors import one_line
from runner.errors import UserError
from runner.stored import build, read_run

if TYPE_CHECKING:
    from torch import Tensor, nn


def digital_weights(model: nn.Module, twin: nn.Module) -> dict[str, Tensor]:
    """Weights with which the digital network does what the network on tiles does, without noise.

    Args:
        model: network on tiles.
        twin: digital network of the same configuration.

    Returns:
        tensors by the names of the twin's ``state_dict``; digital scales are multiplied in.
    """
    import torch
    from aihwkit.nn.modules.base import AnalogLayerBase

    found = {name: t.clone() for name, t in twin.state_dict().items()}
    own = model.state_dict()
    analog = {n: m for n, m in model.named_modules() if isinstance(m, AnalogLayerBase)}
    for name, tensor in found.items():
        layer_name, _, kind = name.rpartition(".")
        if layer_name in analog:
            with torch.no_grad():
                weight, bias = analog[layer_name].get_weights()
            value = weight if kind == "weight" else bias
            assert value is not None  # the twin has it too
            found[name] = value.detach().reshape(tensor.shape).clone().contiguous()
        else:
            found[name] = own[name].detach().clone().contiguous()
    return found


def export_run(folder: Path, target: Path | None = None, which: str = "newest") -> Path:
    """Write the effective digital weights of a run's checkpoint.

    Args:
        folder: the run folder.
        target: file; None = ``weights.safetensors`` in the run folder.
        which: ``newest`` or ``best`` checkpoint.

    Returns:
        the file, which ``model.init_from`` reads.

    Raises:
        UserError: there is nothing to export, or the file can not be written.
    """
    run = read_run(folder, which)
    import safetensors.torch

    from runner.data import load_data
    from runner.files import write_atomic
    from runner.models import build_model
    from runner.training.seeding import deterministic

    data = load_data(run.config.data)
    with deterministic(run.config.run.seed, run.config.run.threads):
        model = build(run, run.config, data)
        twin = build_model(run.config.model, data.n_classes, data.image_shape)
        tensors = digital_weights(model, twin)
    path = target or folder / "weights.safetensors"
    about = {"format": "pt", "model": run.config.model.name, "epoch": str(run.epoch)}
    try:
        write_atomic(path, safetensors.torch.save(tensors, metadata=about))
    except OSError as error:
        raise UserError(f"out={path}: {error.strerror}") from error
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 done, 2 the user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.export", description=(__doc__ or "").strip()
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--out", type=Path, help="file; default: RUN/weights.safetensors")
    parser.add_argument("--checkpoint", default="newest", help="newest or best")
    args = parser.parse_args(argv)
    try:
        print(export_run(args.run, args.out, args.checkpoint))
    except UserError as error:
        print(f"warmtile: {one_line(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
