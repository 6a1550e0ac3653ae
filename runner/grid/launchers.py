"""What Hydra's launchers have to be told, beside what the user says."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from runner.config import Config
from runner.threads import cores, jobs_at_once


def launcher_overrides(hydra: DictConfig, configs: Sequence[Config]) -> list[str]:
    """Overrides for the launcher of a grid.

    joblib starts as many jobs at once as there are cores for, by ``run.threads`` of the jobs; more
    would make small steps 10 to 50 times slower. A user's own ``hydra.launcher.n_jobs`` is kept,
    with a warning where it is more than that.

    Args:
        hydra: Hydra's part of the configuration.
        configs: the jobs.
    """
    if not str(hydra.launcher.get("_target_", "")).endswith(".JoblibLauncher"):
        return []
    threads = max(cfg.run.threads for cfg in configs)
    # joblib would bundle several jobs for one worker when the first ones, finished long ago, end
    # at once.
    overrides = ["hydra.launcher.batch_size=1"]
    wanted, room = hydra.launcher.n_jobs, jobs_at_once(threads)
    if wanted < 1:
        overrides.append(f"hydra.launcher.n_jobs={room}")
    elif wanted > room:
        print(
            f"warmtile: hydra.launcher.n_jobs={wanted}: with run.threads={threads} that is more "
            f"than the {cores()} cores; every job will be slowed down (fitting: {room})",
            file=sys.stderr,
        )
    return overrides
