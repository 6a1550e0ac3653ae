"""Where a result comes from: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from importlib import metadata
from pathlib import Path

from runner import __version__


def versions() -> dict[str, str]:
    """Versions of what the numbers of a run depend on."""
    found = {"warmtile": __version__, "python": platform.python_version()}
    for package in ("torch", "aihwkit", "numpy"):
        found[package] = metadata.version(package)
    return found


def machine() -> dict[str, str]:
    """Name and processor of this machine; bits are the same on one processor model only."""
    return {"host": platform.node(), "platform": platform.platform(), "cpu": _cpu_model()}


GRID = "WARMTILE_GRID"
"""Environment variable with the name of the grid that this process does a job of."""
LAUNCHER = "WARMTILE_LAUNCHER"
"""Environment variable with the name of the launcher that a grid's job runs under."""
RAY_NODE = "WARMTILE_RAY_NODE_ID"
"""Environment variable with the id of the Ray node that a grid's job runs on."""

_PLACE = {
    "grid": GRID,
    "launcher": LAUNCHER,
    "ray_node_id": RAY_NODE,
    "slurm_job_id": "SLURM_JOB_ID",
    "slurm_array_job_id": "SLURM_ARRAY_JOB_ID",
    "slurm_array_task_id": "SLURM_ARRAY_TASK_ID",
    "slurm_node": "SLURMD_NODENAME",
    "slurm_partition": "SLURM_JOB_PARTITION",
    "slurm_restarts": "SLURM_RESTART_COUNT",
}


def place() -> dict[str, str | int]:
    """What brought this process to its machine: the launcher of its grid, Slurm's job, Ray's node.

    Returns:
        names as in summary.json; empty for a run started by hand. ``slurm_restarts`` counts how
        often Slurm has started the job again.
    """
    found: dict[str, str | int] = {k: os.environ[v] for k, v in _PLACE.items() if v in os.environ}
    if "slurm_job_id" in found:
        found["slurm_restarts"] = int(found.get("slurm_restarts", 0))
    return found


def peak_memory_mb() -> float:
    """Most memory that this process has held so far, in MB (2**20 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def git_commit() -> str | None:
    """Commit of the checkout that this package lies in, with ``-dirty``; None if in none."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            [
                "git",
                "-C",
                str(here),
                "describe",
                "--always",
                "--dirty",
                "--abbrev=40",
                "--exclude=*",
            ],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        inside = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # An installed package may lie inside the checkout of something else.
    if done.returncode != 0 or inside.returncode != 0:
        return None
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
