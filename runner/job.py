"""One run, from typed config to result."""

from __future__ import annotations

import contextlib
import datetime
import gc
import logging
import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from runner.config.errors import one_line
from runner.config.schema import Config
from runner.config.values import config_to_dict
from runner.errors import UserError
from runner.provenance import GRID, git_commit, machine, peak_memory_mb, place, versions
from runner.tracking import JsonLines, ProgressDisplay, RunFolder, RunInfo, Trackers, read_metrics
from runner.tracking.choice import chosen_trackers
from runner.tracking.progress import ScreenHandler

if TYPE_CHECKING:
    from runner.analog import AnalogModel
    from runner.data import Dataset
    from runner.training.checkpoint import CheckpointStore, Loaded
    from runner.training.loop import Parts
    from runner.training.position import Position

log = logging.getLogger(__name__)

EXIT_CODES = {"finished": 0, "failed": 1, "refused": 2, "diverged": 3}
"""Exit status by status of a run; an interrupted run has 128 plus the signal's number."""


@dataclass(frozen=True)
class JobResult:
    """How a run ended.

    Args:
        status: finished, interrupted (a signal; it can be continued), diverged (a loss that is
            infinite or not a number), failed (an error of the program or the machine) or refused
            (the user's mistake).
        exit_code: exit status for a process that ran this one job.
        run_dir: the run folder.
        message: one line that says what went wrong; None for a finished run.
        metric: best ``val/accuracy``; None without validation images. Test images never select.
        summary: content of summary.json; empty for a refused run.
    """

    status: str
    exit_code: int
    run_dir: Path
    message: str | None = None
    metric: float | None = None
    summary: dict[str, Any] | None = None


def run_job(cfg: Config, console: Console | None = None) -> JobResult:
    """Do one run, or continue it, and leave its folder closed and described.

    Whatever goes wrong inside is in the result, as one line for the user; only a
    KeyboardInterrupt comes through. A refused run has written nothing.

    Args:
        cfg: a checked configuration.
        console: where progress and messages are shown; standard output if None.
    """
    with _messages_on(console := console or Console()), contextlib.ExitStack() as stack:
        try:
            result = _run(cfg, console, stack)
        except UserError as error:
            result = JobResult(
                "refused", EXIT_CODES["refused"], Path(cfg.run.dir), one_line(str(error))
            )
        except Exception as error:  # noqa: BLE001  (a job records what happened; it does not raise)
            result = _failed_early(cfg, stack, error)
    return result


def _run(cfg: Config, console: Console, stack: contextlib.ExitStack) -> JobResult:
    """Everything that can be refused comes before the first write."""
    from runner.data import load_data
    from runner.device.prepare import fit_devices, keep_fits
    from runner.training.checkpoint import CheckpointStore
    from runner.training.resume import find_checkpoint, finished_summary
    from runner.training.seeding import deterministic

    run_dir = Path(cfg.run.dir)
    if cfg.run.dry:
        return _dry_run(cfg, run_dir, stack)
    store = CheckpointStore(run_dir / "checkpoints", cfg.checkpoint.keep)
    loaded = find_checkpoint(cfg, store)
    if loaded is not None and (summary := finished_summary(cfg, loaded)):
        log.info("%s is finished already: %s", run_dir, _headline(summary))
        return _result("finished", run_dir, summary)
    cfg, fits = fit_devices(cfg)
    data = load_data(cfg.data)
    stack.enter_context(deterministic(cfg.run.seed, cfg.run.threads))
    built = _build_model(cfg, data)

    folder = RunFolder(run_dir)
    stack.callback(folder.close)
    # Another job may have been at work there until the lock was ours.
    loaded = find_checkpoint(cfg, store)
    trackers = Trackers(
        JsonLines(folder.metrics), [ProgressDisplay(console), *chosen_trackers(cfg)]
    )
    parts = _assemble(cfg, data, built, trackers, store)
    position = _restore(parts, loaded)
    folder.start_log()
    folder.write_config(config_to_dict(cfg))
    keep_fits(cfg, fits, folder.path)
    _announce(cfg, data, built, loaded)
    return _train(parts, position, folder, built, fresh=loaded is None)


def _dry_run(cfg: Config, run_dir: Path, stack: contextlib.ExitStack) -> JobResult:
    from runner.data import load_data
    from runner.device.prepare import fit_devices
    from runner.dry import Estimate, estimate
    from runner.training.seeding import deterministic

    cfg, _ = fit_devices(cfg)
    data = load_data(cfg.data)
    stack.enter_context(deterministic(cfg.run.seed, cfg.run.threads))
    built = _build_model(cfg, data)
    _announce(cfg, data, built, None)
    found: Estimate = estimate(cfg, data, built)
    log.info("%s", found.text())
    return JobResult("finished", EXIT_CODES["finished"], run_dir)


def _train(
    parts: Parts, at: Position, folder: RunFolder, built: AnalogModel, *, fresh: bool
) -> JobResult:
    from runner.data.batches import n_batches
    from runner.training.loop import Diverged, Interrupted, train

    cfg = parts.cfg
    started = datetime.datetime.now(datetime.timezone.utc)
    info = RunInfo(
        run_dir=folder.path,
        config=config_to_dict(cfg),
        n_batches=n_batches(len(parts.data.train), cfg.data.batch_size),
        epochs=cfg.run.epochs,
        finished_epochs=None if fresh else at.epoch,
        grid=os.environ.get(GRID),
    )
    status, message, code = "finished", None, None
    try:
        parts.trackers.start(info)
        # What is there now stays: each full collection would walk all of torch again.
        gc.collect()
        gc.freeze()
        with parts.signals:
            train(parts, at)
    except Interrupted:
        number = parts.signals.received
        assert number is not None
        status, code = "interrupted", 128 + number
        message = f"{number.name}: stopped with a checkpoint; the same command continues the run"
    except Diverged as error:
        status = "diverged"
        kept = next(iter(parts.saver.store.files()), None)
        message = (
            f"{error}: stopped; the last good checkpoint is {kept or 'none'}; look at optim.lr, "
            "algorithm.fast_lr and algorithm.transfer_lr"
        )
    except Exception as error:
        status, message = "failed", _describe(error)
        log.debug("the run failed", exc_info=True)
    except BaseException:  # a second Ctrl-C
        parts.trackers.close()
        raise
    finally:
        gc.unfreeze()
    try:
        summary = _summary(parts, at, folder, built, status, message, started)
        try:
            folder.write_summary(summary)
            _draw(folder)
            parts.trackers.finish(summary)
        except OSError as error:
            status, message = "failed", message or _describe(error)
    finally:
        parts.trackers.close()
    if message is None:
        log.info("%s: %s", folder.path, _headline(summary))
    else:
        log.debug("%s: %s", status, message)
    parts.signals.hand_over()
    return _result(status, folder.path, summary, message, code)


# ------------------------------------------------------------------------- parts of a run


def _build_model(cfg: Config, data: Dataset) -> AnalogModel:
    from runner.analog import build_analog
    from runner.models import build_model
    from runner.stored import effective_weights, read_run

    weights, source = None, cfg.model.init_from
    if source is not None and (folder := Path(source).expanduser()).is_dir():
        weights = effective_weights(read_run(folder))
    model = build_model(cfg.model, data.n_classes, data.image_shape, weights)
    return build_analog(model, cfg, data.image_shape)


def _assemble(
    cfg: Config, data: Dataset, built: AnalogModel, trackers: Trackers, store: CheckpointStore
) -> Parts:
    from runner.analog import read_tiles, set_tile_states, tile_histograms, tile_states
    from runner.training.loop import Parts
    from runner.training.plateau import make_rule
    from runner.training.saver import Saver
    from runner.training.signals import StopSignals
    from runner.training.warm_start import WarmStart

    warm_start = WarmStart(built.staged, make_rule(cfg.warm_start))
    saver = Saver(
        store,
        cfg.checkpoint,
        built.model,
        built.optimizer,
        warm_start,
        lambda: tile_states(built.model),
        lambda states: set_tile_states(built.model, states),
        {"config": config_to_dict(cfg), "versions": versions(), "cpu": machine()["cpu"]},
        score="train/loss" if data.val is None else "val/accuracy",
    )
    return Parts(
        cfg=cfg,
        data=data,
        model=built.model,
        optimizer=built.optimizer,
        warm_start=warm_start,
        read_tiles=lambda: read_tiles(built.model),
        tile_histograms=lambda: tile_histograms(built.model),
        trackers=trackers,
        saver=saver,
        signals=StopSignals(),
    )


def _restore(parts: Parts, loaded: Loaded | None) -> Position:
    from runner.training.position import Position

    return Position() if loaded is None else parts.saver.restore(loaded)


# ------------------------------------------------------------------------------- reporting


def _announce(cfg: Config, data: Dataset, built: AnalogModel, loaded: Loaded | None) -> None:
    """What is worth knowing before the first epoch."""
    from runner.analog import format_layers

    val = f", {len(data.val)} for validation" if data.val is not None else ""
    log.info("run folder %s", cfg.run.dir)
    log.info(
        "%s: %d training images%s, %d for the test", data.name, len(data.train), val, len(data.test)
    )
    log.info("%s", format_layers(built.layers))
    for note in built.notes:
        log.info("%s", note)
    if loaded is None:
        return
    position = loaded.document["position"]
    log.info(
        "continuing from %s: after epoch %d and %d mini-batches",
        loaded.path,
        position["epoch"],
        position["batch"],
    )
    before, now = loaded.document["versions"], versions()
    changed = [
        f"{name} {before.get(name)} -> {now[name]}" for name in now if before.get(name) != now[name]
    ]
    if changed:
        log.warning("versions have changed (%s): the bits may too", ", ".join(changed))


def _summary(
    parts: Parts,
    at: Position,
    folder: RunFolder,
    built: AnalogModel,
    status: str,
    message: str | None,
    started: datetime.datetime,
) -> dict[str, Any]:
    lines = {line["epoch"]: _headline_metrics(line) for line in read_metrics(folder.metrics)}
    return {
        "status": status,
        "message": message,
        "epochs": at.epoch,
        "seed": parts.cfg.run.seed,
        "final": lines.get(at.epoch),
        "best": {"by": parts.saver.score, **lines.get(at.best_epoch, {})},
        "wall_time_s": round(at.elapsed_s, 3),
        "sitting_started": started.isoformat(timespec="seconds"),
        "sitting_ended": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "images": {
            "train": len(parts.data.train),
            "val": 0 if parts.data.val is None else len(parts.data.val),
            "test": len(parts.data.test),
        },
        "peak_memory_mb": round(peak_memory_mb()),
        "cross_points": sum(layer.cross_points for layer in built.layers),
        "threads": parts.cfg.run.threads,
        "versions": versions(),
        "git_commit": git_commit(),
        "machine": machine(),
        "place": place(),
    }


def _headline_metrics(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if not key.startswith("tiles/")}


def _headline(summary: dict[str, Any]) -> str:
    accuracy = (summary["final"] or {}).get("test/accuracy")
    shown = "no epoch" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"
    return f"{shown} after epoch {summary['epochs']}, {summary['wall_time_s']:.1f} s"


def _draw(folder: RunFolder) -> None:
    """The picture is a convenience: without it the run is still whole."""
    from runner.report.curves import draw_run

    try:
        draw_run(folder.path, folder.picture)
    except Exception as error:
        log.warning("%s could not be drawn: %s", folder.picture, error)
        log.debug("drawing failed", exc_info=True)


def _failed_early(cfg: Config, stack: contextlib.ExitStack, error: Exception) -> JobResult:
    """Record an error that came before the first epoch."""
    # Whatever the run held is let go of, the lock of its folder too.
    stack.close()
    run_dir, message = Path(cfg.run.dir), _describe(error)
    summary = {"status": "failed", "message": message, "epochs": 0, "versions": versions()}
    try:
        folder = RunFolder(run_dir)
        stack.callback(folder.close)
        folder.start_log()
        log.debug("the run failed before it began", exc_info=error)
        folder.write_summary(summary)
    except (UserError, OSError) as second:
        message = f"{message} (and it could not be recorded: {second})"
    return _result("failed", run_dir, summary, message)


def _describe(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return one_line(f"{error.strerror}{where}")
    text = textwrap.shorten(str(error), 200, placeholder=" ...")
    return one_line(f"{type(error).__name__}: {text}; run.log has the traceback")


def _result(
    status: str,
    run_dir: Path,
    summary: dict[str, Any],
    message: str | None = None,
    code: int | None = None,
) -> JobResult:
    best = summary.get("best") or {}
    metric = best.get("val/accuracy")
    code = EXIT_CODES[status] if code is None else code
    return JobResult(status, code, run_dir, message, metric, summary)


@contextlib.contextmanager
def _messages_on(console: Console) -> Iterator[None]:
    """Show what the package logs on the console, for the time of a job."""
    logger = logging.getLogger("runner")
    handler = ScreenHandler(console)
    propagates, level = logger.propagate, logger.level
    # Hydra puts a handler of its own on the root logger: everything would be shown twice.
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
