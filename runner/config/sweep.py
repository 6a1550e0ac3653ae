"""From an override with several values to the jobs of a grid."""

from __future__ import annotations

import itertools
import math

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from runner.config.errors import NO_VALUE, ConfigError

_MAX_JOBS = 100_000


def check_sweeps(parsed: list[Override], basic: bool) -> None:
    """Refuse sweeps without a value, too many jobs, and what only a search sweeper can do.

    Raises:
        ConfigError: naming the override.
    """
    size = 1
    for item in parsed:
        if not item.is_sweep_override():
            continue
        key, _, value = (item.input_line or "").partition("=")
        if item.is_discrete_sweep():
            count = _sweep_size(item)
            if count == 0:
                raise ConfigError(key, value, "gives no value at all")
            size *= count
        elif basic:
            raise ConfigError(key, value, "interval() needs a search sweeper; list the values")
    if basic and size > _MAX_JOBS:
        raise ConfigError("--multirun", NO_VALUE, f"{size} jobs are more than {_MAX_JOBS}")


def _sweep_size(item: Override) -> int:
    sweep = item.value()
    if isinstance(sweep, RangeSweep):
        start, stop, step = sweep.start or 0, sweep.stop or 0, sweep.step
        return max(0, math.ceil((stop - start) / step)) if step else 0
    return sum(1 for _ in item.sweep_string_iterator())


def all_jobs(parsed: list[Override]) -> list[list[str]]:
    """The overrides of each job, as Hydra's basic sweeper makes them."""
    return [list(job) for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]


def sample_jobs(parsed: list[Override]) -> list[list[str]]:
    """One job for each value of each sweep, the others at their first value."""
    columns = []
    for item in parsed:
        key = item.get_key_element()
        value = item.value()
        if isinstance(value, IntervalSweep):
            columns.append([f"{key}={_number(value.start)}", f"{key}={_number(value.end)}"])
        elif item.is_sweep_override():
            columns.append([f"{key}={text}" for text in item.sweep_string_iterator()])
        else:
            columns.append([(item.input_line or "")])
    first = [column[0] for column in columns]
    varied = (
        [*first[:i], text, *first[i + 1 :]]
        for i, column in enumerate(columns)
        for text in column[1:]
    )
    return list(itertools.chain([first], varied))


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        raise ConfigError("interval()", value, "needs two finite ends")
    return str(value)
