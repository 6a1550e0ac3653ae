"""Does training with the pulse engine end where training with aihwkit's own update path ends?

Trains LeNet-5 on 10,000 MNIST images for 3 epochs with ``run.engine=fast`` and with
``run.engine=exact``, several seeds an arm, and tests the test accuracies for equivalence. Both
arms of a seed share initial weights, device spread and the order of the images; only the pulses
differ, so the differences are paired.

With few states the accuracy of one and the same training goes up and down by a point or two from
one hundred steps to the next. So a training counts by the mean of ten tests, spread evenly over its
last epoch; the accuracy at the very end is reported beside it.

    python scripts/equivalence.py --out build/equivalence --seeds 10 --workers 1
    python scripts/equivalence.py --out build/equivalence --report

One JSON line per finished training goes to OUT/results.jsonl. Started again, it does what is
missing, so it can be stopped at any time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import signal
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

EPOCHS = 3
IMAGES = 10_000
TESTS = 10
"""Tests on the 10,000 test images during the last epoch, the last one at its end."""
MARGIN = 0.5
"""Bound of equivalence, in points of test accuracy."""
LEVEL = 0.05
"""Level of each of the two one-sided tests."""

COMMON = (
    "model=lenet5", "data=mnist", f"data.train_limit={IMAGES}", "data.batch_size=8",
    "data.val_fraction=0", "mapping=whole_layers", "io=perfect", "optim=constant", "optim.lr=0.05",
)  # fmt: skip
CASES: dict[str, tuple[str, ...]] = {
    # The recipe of arXiv 2510.02516 for MNIST, without its warm start.
    "chain": (
        "algorithm=resl", "algorithm.n_tiles=6", "algorithm.gamma=0.5", "device.n_states=10",
        "warm_start=none",
    ),
    # Where the warm start pays: few tiles, small gamma, more states.
    "warm_start": (
        "algorithm=resl", "algorithm.n_tiles=4", "algorithm.gamma=0.1", "device.n_states=16",
        "warm_start=paper",
    ),
    # 10 states would stay at chance, where any two arms agree: 1,000 states learn.
    "analog_sgd": ("algorithm=analog_sgd", "device.n_states=1000", "warm_start=none"),
}  # fmt: skip
"""Overrides of the configuration by case."""
ENGINES = ("fast", "exact")


@dataclass(frozen=True)
class Training:
    """One training of the study."""

    case: str
    engine: str
    seed: int


def train(task: Training) -> dict[str, Any]:
    """Train and test once; one thread.

    Returns:
        what goes into the results file: the task, test accuracies in per cent, their mean and the
        last one, mean training loss of each epoch, the stage of the warm start at the end, seconds,
        commit.
    """
    from torch.nn import functional as F

    from runner.analog import build_analog
    from runner.config import load_config
    from runner.data import batches, load_data
    from runner.data.batches import n_batches
    from runner.models import build_model
    from runner.provenance import git_commit
    from runner.training.evaluate import evaluate
    from runner.training.plateau import make_rule
    from runner.training.seeding import deterministic
    from runner.training.warm_start import WarmStart

    began = time.perf_counter()
    cfg = load_config(
        [*COMMON, *CASES[task.case], f"run.seed={task.seed}", f"run.engine={task.engine}"]
    )
    data = load_data(cfg.data)
    with deterministic(task.seed, threads=1):
        built = build_analog(
            build_model(cfg.model, data.n_classes, data.image_shape), cfg, data.image_shape
        )
        if any("own update" in note for note in built.notes):
            raise RuntimeError(f"the engine refuses a tile: {built.notes}")
        model, optimizer = built.model, built.optimizer
        warm_start = WarmStart(built.staged, make_rule(cfg.warm_start))
        losses: list[float] = []
        accuracies: list[float] = []
        steps = n_batches(len(data.train), cfg.data.batch_size)
        for epoch in range(1, EPOCHS + 1):
            total = 0.0
            order = batches(data.train, cfg.data.batch_size, task.seed, epoch)
            for step, (images, labels) in enumerate(order, 1):
                optimizer.zero_grad()
                loss = F.nll_loss(model(images), labels)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(labels)
                if epoch == EPOCHS and step % (steps // TESTS) == 0:
                    accuracies.append(100.0 * evaluate(model, data.test, batch_size=500).accuracy)
            losses.append(total / len(data.train))
            warm_start.end_of_epoch(losses[-1])
    return {
        "case": task.case,
        "engine": task.engine,
        "seed": task.seed,
        "accuracy": statistics.mean(accuracies),
        "final": accuracies[-1],
        "accuracies": accuracies,
        "losses": losses,
        "stage": warm_start.stage,
        "seconds": round(time.perf_counter() - began, 1),
        "commit": git_commit(),
    }


def plan(cases: Sequence[str], seeds: Iterable[int]) -> Iterator[Training]:
    """All trainings, seed by seed, so that the cases grow side by side."""
    for seed, case, engine in itertools.product(seeds, cases, ENGINES):
        yield Training(case, engine, seed)


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines of a results file; none where there is no file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(tasks: Iterable[Training], path: Path, workers: int) -> None:
    """Do the trainings that the file lacks, and append each as it ends."""
    done = {Training(r["case"], r["engine"], r["seed"]) for r in read_results(path)}
    todo = [task for task in tasks if task not in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    # A plain kill must not leave workers behind that go on for minutes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with get_context("spawn").Pool(workers) as pool:
        for n, result in enumerate(pool.imap_unordered(train, todo), 1):
            with path.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(
                f"{n}/{len(todo)} {result['case']} seed {result['seed']} {result['engine']}: "
                f"{result['accuracy']:.2f} % in {result['seconds']:.0f} s",
                flush=True,
            )


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t-tests on paired differences, fast minus exact, in points of accuracy."""

    n: int
    means: tuple[float, float]
    spreads: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p: float
    p_unpaired: float

    @property
    def equivalent(self) -> bool:
        """Both one-sided tests reject a difference of `MARGIN` or more at `LEVEL`."""
        return self.p < LEVEL


def equivalence(fast: Sequence[float], exact: Sequence[float]) -> Equivalence:
    """Test paired accuracies for equivalence within +-`MARGIN` points (Schuirmann 1987).

    Args:
        fast, exact: test accuracies in per cent, one of each for every seed, in the same order;
            at least 2.
    """
    from scipy.stats import t

    def p_value(error: float, freedom: float) -> float:
        return float(t.sf((MARGIN - abs(mean)) / error, freedom))

    n = len(fast)
    differences = [a - b for a, b in zip(fast, exact, strict=True)]
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / math.sqrt(n)
    half = float(t.ppf(1.0 - LEVEL, n - 1)) * error
    # Welch: the arms as independent samples.
    variances = [statistics.variance(arm) / n for arm in (fast, exact)]
    welch = sum(variances) ** 2 / sum(v**2 / (n - 1) for v in variances)
    return Equivalence(
        n,
        (statistics.mean(fast), statistics.mean(exact)),
        (statistics.stdev(fast), statistics.stdev(exact)),
        mean,
        (mean - half, mean + half),
        p_value(error, n - 1),
        p_value(math.sqrt(sum(variances)), welch),
    )


def report(results: Sequence[dict[str, Any]]) -> str:
    """A table in markdown, two lines a case."""
    lines = [
        f"Test accuracy in per cent, {EPOCHS} epochs of {IMAGES:,} images. Equivalence within "
        f"+-{MARGIN} points at level {LEVEL}: two one-sided t-tests, paired by seed (p of the "
        "unpaired Welch tests in brackets). It counts the mean of the tests in the last epoch.",
        "",
        "| case | accuracy | seeds | fast, mean (sd) | exact, mean (sd) "
        "| difference, 90 % interval | p | equivalent |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, (measure, name) in itertools.product(
        CASES, {"accuracy": "last epoch", "final": "at the end"}.items()
    ):
        by_engine = {
            engine: {
                r["seed"]: r[measure]
                for r in results
                if r["case"] == case and r["engine"] == engine
            }
            for engine in ENGINES
        }
        seeds = sorted(by_engine["fast"].keys() & by_engine["exact"].keys())
        if len(seeds) < 2:
            lines.append(f"| {case} | {name} | {len(seeds)} | | | | | not yet |")
            continue
        e = equivalence(*([by_engine[engine][seed] for seed in seeds] for engine in ENGINES))
        lines.append(
            f"| {case} | {name} | {e.n} | {e.means[0]:.2f} ({e.spreads[0]:.2f}) "
            f"| {e.means[1]:.2f} ({e.spreads[1]:.2f}) "
            f"| {e.difference:+.2f}, {e.interval[0]:+.2f} to {e.interval[1]:+.2f} "
            f"| {e.p:.3g} ({e.p_unpaired:.3g}) | {'yes' if e.equivalent else 'not shown'} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Command line of the study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "equivalence")
    parser.add_argument("--seeds", type=int, default=10, help="trainings of each arm and case")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--report", action="store_true", help="only print the table")
    arguments = parser.parse_args()
    path = arguments.out / "results.jsonl"
    if not arguments.report:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        run(plan(arguments.cases, seeds), path, arguments.workers)
    table = report(read_results(path))
    print(table)
    if not arguments.report:
        (arguments.out / "report.md").write_text(table + "\n")


if __name__ == "__main__":
    main()
