"""What concerns all keyed tiles of a model at once."""

from __future__ import annotations

from torch.nn import Module

from device_ext.tile import EngineName, KeyedAnalogTile


def keyed_tiles(model: Module) -> list[tuple[str, KeyedAnalogTile]]:
    """Return the keyed tiles of a model with their module names, in module order."""
    return [(n, m) for n, m in model.named_modules() if isinstance(m, KeyedAnalogTile)]


def seed_tiles(model: Module, seed: int) -> None:
    """Key all randomness of a model's tiles by ``seed`` (>= 0) and their order in the model.

    Call it once, after the whole model is built and before the first forward pass. The
    device-to-device spread is drawn earlier, at construction, from torch's generator.
    """
    for index, (_, tile) in enumerate(keyed_tiles(model)):
        tile.seed(seed, index)


def set_engine(model: Module, name: EngineName) -> dict[str, str]:
    """Set the update engine of every keyed tile.

    ``fast`` also lets every tile with perfect input-output pass directly through torch, whichever
    engine its updates take; ``exact`` leaves the passes to aihwkit too.

    Returns:
        For ``fast``: the tiles that stay on aihwkit's own path, with the reason. Empty otherwise.
    """
    refused: dict[str, str] = {}
    for tile_name, tile in keyed_tiles(model):
        refusal = tile.engine_refusal() if name == "fast" else None
        tile.direct_passes = name == "fast" and tile.can_pass_directly()
        if refusal is None:
            tile.engine = name
        else:
            tile.engine = "exact"
            refused[tile_name] = refusal
    return refused
