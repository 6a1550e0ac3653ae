"""Grids on real Ray clusters: one that the test starts, and one that the command starts itself."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is None,
    reason="the extra ray is not installed",
)

RAY = "hydra/launcher=ray"
TINY = ("data=mnist5k", "data.train_limit=60", "data.batch_size=20", "run.epochs=1")
LONG = ("data=mnist5k", "data.train_limit=800", "run.epochs=500", "run.seed=1")
NODE = """
import ray, sys
ray.init(sys.argv[1], log_to_driver=False)
print(ray.nodes()[0]["NodeID"])
"""


def end_all(grid) -> None:
    """Ray's processes end with their head; whatever is left is a failure of the test."""
    until = time.monotonic() + 60
    while grid.processes() and time.monotonic() < until:
        time.sleep(0.2)
    left = grid.processes()
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.fixture
def cluster(grid, tmp_path_factory):
    """Address of a cluster of one node with two processors."""
    # Whether Ray asks for a token else depends on what it finds in the home folder.
    grid.env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    options = ("--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", "--block")
    head = subprocess.Popen(
        [*ray, "start", "--head", f"--port={port}", *options],
        env=grid.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert head.stdout is not None
        said = ""
        for line in head.stdout:
            said += line
            if "Ray runtime started" in line:
                break
        else:
            raise AssertionError(said)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.communicate(timeout=60)
        end_all(grid)


def test_a_cluster_gives_the_same_runs(grid, cluster):
    jobs = (*TINY, "algorithm=resl,sgd")
    answer = grid(*jobs, RAY, f"hydra.launcher.ray.init.address='{cluster}'", "sweep.dir=ray")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "2 jobs: 2 finished\n" in answer.stdout
    assert grid(*jobs, "hydra/launcher=joblib", "sweep.dir=joblib").returncode == 0
    assert len(grid.metrics("ray")) == 2
    assert grid.metrics("ray") == grid.metrics("joblib")
    asked = subprocess.run(
        [sys.executable, "-c", NODE, cluster], env=grid.env, capture_output=True, text=True
    )
    node = asked.stdout.split()[-1]
    places = [summary["place"] for summary in grid.summaries("ray").values()]
    assert [(place["launcher"], place["ray_node_id"]) for place in places] == [("ray", node)] * 2


@pytest.mark.slow
def test_a_killed_command_leaves_a_checkpoint_and_no_process(grid, until):
    command = grid.start(*LONG, RAY, "sweep.dir=x")
    until(lambda: any(len(lines) > 1 for lines in grid.metrics("x").values()))
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate(timeout=120)
    end_all(grid)
    assert grid.tensors("x")
