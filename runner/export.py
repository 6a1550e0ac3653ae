"""``python -m runner.export RUN``: the effective digital weights of a run as safetensors."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.config.errors import one_line
from runner.errors import UserError
from runner.stored import effective_weights, read_run


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

    from runner.files import write_atomic

    tensors = effective_weights(run)
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
