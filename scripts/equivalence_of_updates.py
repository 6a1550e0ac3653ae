"""Do two mini-batches change the devices of a trained network alike with either engine?

A whole training is a blunt measure: its test accuracy moves by a point from seed to seed. So this
asks for the cause rather than the effect. LeNet-5 is trained for two epochs, in its warm start;
then the updates of the next two mini-batches, with the transfer that falls due after them, are
made again and again from that state, each time with keys of their own, by both engines. What every
device has got by then is compared: how many cross-points changed, the squares of their changes,
and the squares of the changes' sums over a row or a column, in which cross-points that go together
would show.

    python scripts/equivalence_of_updates.py --repeats 2000
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from device_ext import EngineName, KeyedAnalogTile  # noqa: E402
from scripts.equivalence import CASES, COMMON, ENGINES  # noqa: E402

EPOCHS = 2
BATCHES = 2
"""With the transfer period of the recipe, one column is transferred after them."""

Batch = tuple[Tensor, Tensor]
State = dict[str, Tensor]

MEASURES = {
    "changed cross-points": lambda w: (w != 0).sum(),
    "squares": lambda w: w.square().sum(),
    "squares of row sums": lambda w: w.sum(dim=1).square().sum(),
    "squares of column sums": lambda w: w.sum(dim=0).square().sum(),
}
"""Of the changes of one device, [out, in]."""


def trained_tiles(seed: int) -> list[tuple[str, KeyedAnalogTile, State, list[Batch]]]:
    """Names, tiles, their states after `EPOCHS`, and x and d of the mini-batches after that."""
    from torch.nn import functional as F

    from runner.analog import build_analog
    from runner.config import load_config
    from runner.data import batches, load_data
    from runner.models import build_model
    from runner.training.seeding import deterministic

    cfg = load_config([*COMMON, *CASES["warm_start"], f"run.seed={seed}"])
    data = load_data(cfg.data)
    with deterministic(seed, threads=1):
        built = build_analog(
            build_model(cfg.model, data.n_classes, data.image_shape), cfg, data.image_shape
        )
        tiles = {n: m for n, m in built.model.named_modules() if isinstance(m, KeyedAnalogTile)}

        def backward(images: Tensor, labels: Tensor) -> None:
            built.optimizer.zero_grad()
            F.nll_loss(built.model(images), labels).backward()

        for epoch in range(1, EPOCHS + 1):
            for images, labels in batches(data.train, cfg.data.batch_size, seed, epoch):
                backward(images, labels)
                built.optimizer.step()
        states = {name: tile.get_exact_state() for name, tile in tiles.items()}
        recorded: dict[str, list[Batch]] = {name: [] for name in tiles}
        order = iter(batches(data.train, cfg.data.batch_size, seed, EPOCHS + 1))
        for _ in range(BATCHES):
            backward(*next(order))
            for name, tile in tiles.items():
                context = tile.analog_ctx
                x, d = context.analog_input[0], context.analog_grad_output[0]
                recorded[name].append((x.detach().clone(), d.detach().clone()))
            built.optimizer.step()
    return [(name, tile, states[name], recorded[name]) for name, tile in tiles.items()]


def changes(
    tile: KeyedAnalogTile,
    state: State,
    recorded: Sequence[Batch],
    engine: EngineName,
    seeds: Sequence[int],
) -> Iterator[dict[str, Tensor]]:
    """What each device of a tile has changed by, [out, in], for each seed of its keys."""
    tile.engine = engine
    tile.set_exact_state(state)
    before = {k: v.clone() for k, v in _weights(tile).items()}
    for seed in seeds:
        tile.set_exact_state(state)
        tile.seed(seed, 0)
        for x, d in recorded:
            tile.update(x, d)
        yield {k: (v - before[k]).double() for k, v in _weights(tile).items()}


def _weights(tile: KeyedAnalogTile) -> dict[str, Tensor]:
    hidden = tile.get_hidden_parameters()
    return {name: value for name, value in hidden.items() if name.startswith("hidden_weights_")}


def _ratio(fast: Sequence[float], exact: Sequence[float]) -> str:
    a, b = statistics.fmean(fast), statistics.fmean(exact)
    relative = math.sqrt(
        statistics.variance(fast) / len(fast) / a**2
        + statistics.variance(exact) / len(exact) / b**2
    )
    return f"{a / b:.4f} ± {a / b * relative:.4f}"


def table(repeats: int, seed: int) -> Iterator[str]:
    """Lines of a table in markdown: fast beside exact, with standard errors."""
    yield f"Means of fast over those of exact, ± a standard error: {repeats} repeats, seed {seed}."
    yield ""
    yield f"| layer, device | {' | '.join(MEASURES)} |"
    yield "|" + "---|" * (len(MEASURES) + 1)
    for name, tile, state, recorded in trained_tiles(seed):
        found: dict[tuple[str, str, str], list[float]] = {}
        for e, engine in enumerate(ENGINES):
            seeds = range(1 + e * repeats, 1 + (e + 1) * repeats)
            for changed in changes(tile, state, recorded, engine, seeds):
                for device, w in changed.items():
                    for measure, of in MEASURES.items():
                        found.setdefault((device, measure, engine), []).append(float(of(w)))
        for device in sorted({key[0] for key in found}):
            columns = [[found[device, m, engine] for engine in ENGINES] for m in MEASURES]
            if any(columns[0][0]):
                number = device.rsplit("_", maxsplit=1)[-1]
                cells = " | ".join(_ratio(*column) for column in columns)
                yield f"| {name.split('.')[0]}, {number} | {cells} |"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--repeats", type=int, default=2000, help="of each engine, at least 2")
    parser.add_argument("--seed", type=int, default=1, help="of the training")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for line in table(arguments.repeats, arguments.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
