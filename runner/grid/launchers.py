"""What Hydra's launchers and sweepers have to be told, beside what the user says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence

from omegaconf import DictConfig

from runner.config import Config, config_to_dict
from runner.config.extras import SEARCHES
from runner.config.values import NOT_HASHED, flatten
from runner.errors import UserError
from runner.grid.plugins import launcher_name
from runner.threads import cores, jobs_at_once

_SLURMS = ("sbatch", "srun", "squeue", "scontrol")


def launcher_overrides(hydra: DictConfig, configs: Sequence[Config]) -> list[str]:
    """Overrides for the launcher of a grid: each job gets as many cores as it has threads.

    Args:
        hydra: Hydra's part of the configuration.
        configs: the jobs.

    Raises:
        UserError: the launcher can not work on this machine.
    """
    threads = max(cfg.run.threads for cfg in configs)
    tell = _LAUNCHERS.get(launcher_name(hydra.launcher))
    return [] if tell is None else tell(hydra.launcher, threads)


def _joblib(launcher: DictConfig, threads: int) -> list[str]:
    """As many jobs at once as there are cores for.

    More would make small steps 10 to 50 times slower. A user's own ``hydra.launcher.n_jobs`` is
    kept, with a warning where it is more than that.
    """
    # joblib would bundle several jobs for one worker when the first ones, finished long ago, end
    # at once.
    overrides = ["hydra.launcher.batch_size=1"]
    wanted, room = launcher.n_jobs, jobs_at_once(threads)
    if wanted < 1:
        overrides.append(f"hydra.launcher.n_jobs={room}")
    elif wanted > room:
        print(
            f"warmtile: hydra.launcher.n_jobs={wanted}: with run.threads={threads} that is more "
            f"than the {cores()} cores; every job will be slowed down (fitting: {room})",
            file=sys.stderr,
        )
    return overrides


def _slurm(launcher: DictConfig, threads: int) -> list[str]:
    """The cores of a job; Slurm decides how many jobs run at once."""
    absent = [name for name in _SLURMS if shutil.which(name) is None]
    if absent:
        raise UserError(
            f"hydra/launcher=slurm: there is no {absent[0]} on this machine; submit from a machine "
            "of a Slurm cluster"
        )
    if launcher.cpus_per_task is not None:
        return []
    return [f"hydra.launcher.cpus_per_task={threads}"]


def _ray(launcher: DictConfig, threads: int) -> list[str]:
    """The cores of a job, and a cluster of this machine's cores where none is named.

    A cluster is named by ``hydra.launcher.ray.init.address`` or the variable ``RAY_ADDRESS``. Ray
    refuses to hear of the size of one that exists already, and the plugin would tell it.
    """
    given, overrides = launcher.ray, []
    if "num_cpus" not in given.remote:
        overrides.append(f"++hydra.launcher.ray.remote.num_cpus={threads}")
    address = given.init.get("address") or os.environ.get("RAY_ADDRESS") or "local"
    wanted: dict[str, str] = {
        "address": quoted(address),
        "log_to_driver": "false",
        "logging_level": "error",
    }
    if address == "local":
        wanted |= {"num_cpus": str(cores()), "include_dashboard": "false"}
    else:
        wanted |= {"object_store_memory": "null"}
    overrides += [
        f"++hydra.launcher.ray.init.{name}={value}"
        for name, value in wanted.items()
        if given.init.get(name) is None
    ]
    return overrides


_LAUNCHERS: dict[str, Callable[[DictConfig, int], list[str]]] = {
    "joblib": _joblib,
    "slurm": _slurm,
    "ray": _ray,
}


def sweeper_overrides(
    hydra: DictConfig, configs: Sequence[Config], space: Mapping[str, str]
) -> list[str]:
    """Overrides for a sweeper that searches: how many trials at once, and the study's name.

    The same search has the same name, so that it goes on where it was; another space, another
    value of any other key or another seed make another search.

    Args:
        hydra: Hydra's part of the configuration.
        configs: examples of its trials.
        space: what it varies, by key.
    """
    sweeper = hydra.sweeper
    if sweeper.get("_target_") != SEARCHES:
        return []
    left_out = {*space, *NOT_HASHED}
    flat = {k: v for k, v in flatten(config_to_dict(configs[0])).items() if k not in left_out}
    about = [flat, dict(space), sweeper.seed, sweeper.n_startup_trials]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:8]
    overrides = []
    if sweeper.study is None:
        overrides.append(f"hydra.sweeper.study=search-{digest}")
    if sweeper.n_jobs is None:
        threads = max(cfg.run.threads for cfg in configs)
        beside = launcher_name(hydra.launcher) in ("joblib", "ray")
        at_once = jobs_at_once(threads) if beside else 1
        overrides.append(f"hydra.sweeper.n_jobs={at_once}")
    return overrides


def quoted(text: str) -> str:
    """A text as Hydra's grammar takes it whatever is in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
