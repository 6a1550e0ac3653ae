"""How fast are updates and steps: stock aihwkit, its pulse path on our tiles, the engine, torch.

    python scripts/bench.py [--quick] [--only tiles lenet5 ...] [--out build/bench]

All subjects of a row are timed in turns in one process; the table gives medians and the paired
ratio. Writes OUT/benchmarks.md, OUT/images/benchmarks.png and OUT/benchmarks.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [p for p in (str(ROOT), str(ROOT / "scripts")) if p not in sys.path]
# Before anything is loaded. The rows set OpenMP's threads themselves; aihwkit's own reductions go
# through OpenBLAS, which starts a thread a core of its own and would make one thread two.
os.environ["OMP_NUM_THREADS"] = "2"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import torch  # noqa: E402
from benchmark.fallbacks import CASES, SERVED, configured_step  # noqa: E402
from benchmark.loading import POLICIES, images_like_cifar, loading, training  # noqa: E402
from benchmark.subjects import (  # noqa: E402
    ANALOG,
    lenet_step,
    pulses_of,
    resnet_step,
    tile,
    tile_update,
    vectors,
    warm_up,
)
from benchmark.table import COLUMNS, Row, picture, ratio_text, table  # noqa: E402
from benchmark.timing import (  # noqa: E402
    Limits,
    Times,
    alternate,
    machine_limits,
    peak_memory_mb,
    seconds_of,
)

from device_ext import KeyedAnalogTile  # noqa: E402
from runner.provenance import git_commit, machine  # noqa: E402


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    slow_rounds: int
    stock_vectors: int | None
    """Stock updates use only so many vectors, and are scaled up; None = all."""


FULL = Effort(rounds=15, slow_rounds=3, stock_vectors=None)
QUICK = Effort(rounds=3, slow_rounds=1, stock_vectors=32)

TILES = ((4608, 512, 2048), (2304, 256, 8192))
PULSES = 300_000


def tiles(effort: Effort, limits: Limits) -> Iterator[Row]:
    """The two large tiles of a ResNet, 8 devices."""
    for in_size, out_size, n in TILES:
        for states, pulses in ((4, PULSES), (16, PULSES), (4, 10 * PULSES)):
            x, d = vectors(n, in_size, out_size, pulses)
            m = n if effort.stock_vectors is None else effort.stock_vectors
            made = tile("fast", in_size, out_size, 8, states)
            assert isinstance(made, KeyedAnalogTile)
            fired = pulses_of(made, x, d)
            times = alternate(
                {
                    "stock": tile_update("stock", x[:m], d[:m], 8, states),
                    "exact": tile_update("exact", x[:m], d[:m], 8, states),
                },
                effort.slow_rounds,
                0.0,
            )
            quick = alternate(
                {
                    "fast": lambda made=made, x=x, d=d: made.update(x, d),
                    "digital": tile_update("digital", x, d),
                },
                effort.rounds,
            )
            scaled = {k: Times([s * n / m for s in t.seconds]) for k, t in times.items()}
            yield Row(
                "tile update, one thread",
                f"{in_size}→{out_size}, {n} vectors, {states} states"
                + ("" if pulses == PULSES else ", 10x the pulses"),
                {**scaled, **quick},
                limits.update_s(in_size, out_size, n, fired),
                fired,
                goal="≥ 300x" if pulses == PULSES else "",
            )


def lenet5(effort: Effort, limits: Limits) -> Iterator[Row]:
    """The parts of a LeNet-5 step, and whole steps of other algorithms."""
    steps = {kind: warm_up(lenet_step(kind)) for kind in COLUMNS}
    gc.collect()
    gc.freeze()  # as a run does
    whole = alternate({k: s.step for k, s in steps.items()}, effort.rounds, 0.05)
    parts: dict[str, dict[str, list[float]]] = {p: {} for p in ("forward", "backward", "update")}
    for _ in range(effort.rounds):
        for kind, step in steps.items():
            sums = dict.fromkeys(parts, 0.0)
            for _ in range(10):
                for part in parts:
                    sums[part] += seconds_of(getattr(step, part))
            for part, total in sums.items():
                parts[part].setdefault(kind, []).append(total / 10)
    lines = 8 * sum(v * (i + o) for v, i, o in LENET_VECTORS)
    for part, by_kind in parts.items():
        floor = lines * limits.draw_s if part == "update" else None
        yield Row(
            "LeNet-5 step, 8 tiles, 4 states, batch 8, one thread",
            part,
            {k: Times(v) for k, v in by_kind.items()},
            floor,
            goal="≥ 15x" if part == "update" else "",
        )
    group = "LeNet-5 step, 8 tiles, 4 states, batch 8, one thread"
    yield Row(group, "whole step", whole, goal="≥ 6x")
    of_digital = {k: whole[k] for k in ("fast", "digital")}
    yield Row(
        group, "whole step beside torch", of_digital, ratio=("fast", "digital"), goal="≤ 1.3x"
    )
    for algorithm in ("ttv2", "mp"):
        others = {kind: warm_up(lenet_step(kind, algorithm)) for kind in ANALOG}
        times = alternate({k: s.step for k, s in others.items()}, effort.rounds, 0.05)
        yield Row("LeNet-5 step of other algorithms", algorithm, times, goal="≥ 3x")


def resnets(effort: Effort, limits: Limits) -> Iterator[Row]:
    """A whole step of the ResNets whose last stages are analog; stock once, it takes minutes."""
    del limits
    for name in ("resnet18", "resnet34"):
        stock = resnet_step("stock", name)
        slow = Times([seconds_of(stock.step)])
        del stock
        steps = {kind: resnet_step(kind, name) for kind in ("fast", "digital")}
        for step in steps.values():
            step.step()
        gc.collect()
        gc.freeze()
        times = alternate({k: s.step for k, s in steps.items()}, effort.rounds // 3, 0.0)
        parts: dict[str, dict[str, list[float]]] = {
            p: {} for p in ("forward", "backward", "update")
        }
        for _ in range(max(effort.rounds // 5, 1)):
            for kind, step in steps.items():
                for part, by_kind in parts.items():
                    by_kind.setdefault(kind, []).append(seconds_of(getattr(step, part)))
        group = "ResNet steps, D D D A A A, 8 tiles, 4 states, batch 128, one thread"
        ratio = ("fast", "digital")
        for part, by_kind in parts.items():
            yield Row(
                group, f"{name}, {part}", {k: Times(v) for k, v in by_kind.items()}, ratio=ratio
            )
        yield Row(
            group, f"{name}, whole step", {"stock": slow, **times}, ratio=ratio, goal="≤ 1.1x"
        )


def fallbacks(effort: Effort, limits: Limits) -> Iterator[Row]:
    """What configurations cost that the engine or the direct passes do not serve."""
    del limits
    steps = {name: warm_up(configured_step(how), 5) for name, how in CASES.items()}
    gc.collect()
    gc.freeze()
    times = alternate({name: s.step for name, s in steps.items()}, max(effort.rounds // 3, 2), 0.0)
    for name, found in times.items():
        pair = {"fast": found, "served": times[SERVED]}
        yield Row("what stays with aihwkit: LeNet-5 steps", name, pair, ratio=("fast", "served"))


def loaders(effort: Effort, limits: Limits) -> Iterator[Row]:
    """Augmentation of CIFAR's mini-batches, alone and beside a ResNet-18 step on two cores."""
    del limits
    split = images_like_cifar(20_000)
    rounds = effort.rounds
    alone = alternate({policy: loading(split, policy) for policy in POLICIES}, rounds)
    names = {
        f"{policy}, {workers} workers" if workers else f"{policy}, in turn": (policy, workers)
        for policy in POLICIES
        for workers in ((0,) if policy == "as they are" else (0, 1))
    }
    step = resnet_step("fast", "resnet18")
    step.step()
    subjects = {name: training(step, split, *how) for name, how in names.items()}
    for work in subjects.values():
        work()  # starts the workers
    times = alternate(subjects, max(rounds // 3, 2), 0.0)
    plain = times["as they are, in turn"]
    group = "mini-batches of 128 CIFAR images and a ResNet-18 step"
    for policy, found in alone.items():
        yield Row(group, f"{policy}, alone", {"fast": found}, ratio=("", ""))
    for name, found in times.items():
        pair = {"fast": found, "not augmented": plain}
        yield Row(group, f"{name}, with the step", pair, ratio=("fast", "not augmented"))


LENET_VECTORS = ((576, 25, 16), (64, 400, 32), (1, 512, 128), (1, 128, 10))
"""Vectors an image, inputs and outputs of LeNet-5's layers."""


def scaling(effort: Effort, limits: Limits) -> Iterator[Row]:
    """Number of tiles, vectors and lines."""
    x, d = vectors(256, 1024, 1024, 30_000)
    few = {f"{n}": tile_update("fast", x, d, n) for n in (2, 4, 8, 16)}
    times = alternate(few, effort.rounds)
    for n in (2, 4, 8, 16):
        yield Row(
            "1024→1024, 256 vectors, by number of tiles",
            f"{n} tiles",
            {"fast": times[f"{n}"], "2 tiles": times["2"]},
            ratio=("fast", "2 tiles"),
            goal="≤ 1.3x" if n == 16 else "",
        )
    for n in (1, 4, 16, 64, 256):
        x, d = vectors(n, 1024, 1024, 120 * n)
        yield _quick_row("1024→1024, 8 tiles, by vectors", f"{n} vectors", x, d, effort, limits)
    for size in (64, 256, 1024, 4096):
        x, d = vectors(64, size, size, 64 * size / 8)
        yield _quick_row("64 vectors, 8 tiles, by size", f"{size}→{size}", x, d, effort, limits)


def _quick_row(
    group: str, name: str, x: torch.Tensor, d: torch.Tensor, effort: Effort, limits: Limits
) -> Row:
    made = tile("fast", x.shape[1], d.shape[1])
    assert isinstance(made, KeyedAnalogTile)
    fired = pulses_of(made, x, d)
    subjects = {"fast": lambda: made.update(x, d), "digital": tile_update("digital", x, d)}
    times = alternate(subjects, effort.rounds)
    floor = limits.update_s(x.shape[1], d.shape[1], x.shape[0], fired)
    return Row(group, name, times, floor, fired, ratio=("fast", "digital"))


def threads(effort: Effort, limits: Limits) -> Iterator[Row]:
    """Two threads against one."""
    del limits

    def with_threads(n: int, work: Callable[[], object]) -> Callable[[], object]:
        def call() -> None:
            torch.set_num_threads(n)
            work()

        return call

    subjects: dict[str, tuple[Callable[[], object], str]] = {}
    for in_size, out_size, n in TILES:
        for pulses in (PULSES, 10 * PULSES):
            x, d = vectors(n, in_size, out_size, pulses)
            name = f"{in_size}→{out_size}, {n} vectors, {pulses:,} pulses"
            subjects[name] = tile_update("fast", x, d), "≥ 1.8x"
    subjects["LeNet-5, whole step"] = warm_up(lenet_step("fast")).step, "≥ 1x"
    # What memory alone gives to a second thread: a bound where an update waits for it.
    subjects["reading 256 MB, torch.sum"] = torch.ones(1 << 26).sum, ""
    for name, (work, goal) in subjects.items():
        both = {"1 thread": with_threads(1, work), "2 threads": with_threads(2, work)}
        times = alternate(both, effort.rounds)
        yield Row(
            "threads",
            name,
            times,
            ratio=("1 thread", "2 threads"),
            goal=goal,
        )
    torch.set_num_threads(1)


def memory(effort: Effort, limits: Limits) -> Iterator[Row]:
    """Peak memory of a process that updates the larger tile, less that of one that does not."""
    del effort, limits
    me = str(Path(__file__).resolve())
    base = peak_memory_mb([me, "--memory-of", "nothing"])
    extra = {kind: peak_memory_mb([me, "--memory-of", kind]) - base for kind in COLUMNS}
    yield Row("peak memory", "4608→512, 64 vectors, 8 tiles, MB above the imports", {}, extra=extra)


GROUPS = {
    "tiles": tiles,
    "lenet5": lenet5,
    "resnets": resnets,
    "fallbacks": fallbacks,
    "loaders": loaders,
    "scaling": scaling,
    "threads": threads,
    "memory": memory,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--quick", action="store_true", help="few rounds, stock extrapolated")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS))
    parser.add_argument("--memory-of", choices=[*COLUMNS, "nothing"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.memory_of:
        if arguments.memory_of != "nothing":
            tile_update(arguments.memory_of, *vectors(64, 4608, 512, 10_000))()
        return
    limits = machine_limits()
    effort = QUICK if arguments.quick else FULL
    rows: list[Row] = []
    for group in arguments.only:
        for row in GROUPS[group](effort, limits):
            rows.append(row)
            shown = "; ".join(f"{k} {t.median * 1e3:.3g} ms" for k, t in row.times.items())
            shown = shown or "; ".join(f"{k} {v:.0f} MB" for k, v in row.extra.items())
            print(f"{row.group}: {row.name}: {shown}  {ratio_text(row)}", flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "benchmarks.md").write_text(
        table(rows, limits, arguments.quick), encoding="utf-8"
    )
    data = {"machine": machine(), "commit": git_commit(), "rows": [asdict(row) for row in rows]}
    (arguments.out / "benchmarks.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    picture(rows, arguments.out / "images" / "benchmarks.png")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
