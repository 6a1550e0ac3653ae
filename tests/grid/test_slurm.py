"""Grids on a real Slurm of one node: preempted, requeued, cancelled, killed, left alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from slurm_node import SlurmNode, missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

SLURM = "hydra/launcher=slurm"
TINY = ("data=mnist5k", "data.train_limit=60", "data.batch_size=20", "run.epochs=1")
LONG = ("data=mnist5k", "data.train_limit=300", "run.epochs=6")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with SlurmNode(tmp_path_factory.mktemp("slurm"), cpus=2) as node:
        yield node
    assert node.pids() == []


@pytest.fixture
def slurm(grid, node):
    """Commands that know the node; nothing of them is left in the end."""
    grid.env |= node.env | {k: v for k, v in grid.env.items() if k != "PATH"}
    yield grid
    node.command("scancel", "--me")


def running(grid, number: int = 1):
    """Whether so many jobs have done an epoch, and are at work."""

    def condition() -> bool:
        at_work = [r for r in grid.records("x") if r["state"] == "running"]
        done = [m for m in grid.metrics("x").values() if len(m) > 1]
        return len(at_work) >= number and len(done) >= number

    return condition


def states(grid) -> list[str]:
    return [record["state"] for record in grid.records("x")]


def test_preempted_jobs_end_as_undisturbed_ones(slurm, node, until):
    command = slurm.start(*LONG, SLURM, "run.seed=1,2", "sweep.dir=x")
    until(running(slurm, 2))
    # The other partition takes both processors; Slurm puts our jobs back into the queue.
    node.command("sbatch", "--partition=urgent", "-n2", "--output=/dev/null", "--wrap=sleep 1")
    until(lambda: states(slurm) == ["requeued"] * 2)
    out, err = command.communicate(timeout=280)
    assert (command.returncode, err) == (0, ""), out
    assert out.count(": requeued") == 2

    assert slurm(*LONG, "hydra/launcher=joblib", "run.seed=1,2", "sweep.dir=y").returncode == 0
    assert slurm.metrics("x") == slurm.metrics("y")
    assert slurm.tensors("x") == slurm.tensors("y")
    places = [summary["place"] for summary in slurm.summaries("x").values()]
    assert [place["slurm_restarts"] for place in places] == [1, 1]
    assert len({place["slurm_job_id"] for place in places}) == 2
    assert {place["launcher"] for place in places} == {"slurm"}
    others = [summary["place"] for summary in slurm.summaries("y").values()]
    assert [place["launcher"] for place in others] == ["joblib"] * 2
    assert not any(name.startswith("slurm") for place in others for name in place)


@pytest.mark.slow
def test_a_job_near_its_time_limit_puts_itself_back(slurm, node, until):
    command = slurm.start(*LONG, SLURM, "run.seed=1", "sweep.dir=x")
    until(running(slurm))
    job = node.command("squeue", "--noheader", "--format=%i").strip()
    node.command("scancel", "--signal=USR2", job)  # as Slurm does signal_delay_s before the limit
    out, err = command.communicate(timeout=280)
    assert (command.returncode, err) == (0, ""), out
    assert ": requeued" in out
    assert slurm(*LONG, "run.seed=1", "sweep.dir=y").returncode == 0
    assert slurm.metrics("x") == slurm.metrics("y")
    assert slurm.tensors("x") == slurm.tensors("y")
    (summary,) = slurm.summaries("x").values()
    assert summary["place"]["slurm_restarts"] == 1


@pytest.mark.slow
def test_a_job_that_may_not_go_on_says_so(slurm, node, until):
    jobs = (*LONG, "run.epochs=500", SLURM, "hydra.launcher.max_num_timeout=0")
    limit = ("hydra.launcher.timeout_min=9", "hydra.launcher.signal_delay_s=5")
    command = slurm.start(*jobs, *limit, "sweep.dir=x")
    until(running(slurm))
    job = node.command("squeue", "--noheader", "--format=%i").strip()
    node.command("scancel", "--signal=USR2", job)
    command.communicate(timeout=280)
    assert command.returncode == 1
    (record,) = slurm.records("x")
    assert record["state"] == "interrupted"
    assert "timed-out too many times" in record["message"]
    assert slurm.tensors("x")


@pytest.mark.slow
def test_dead_jobs_are_recorded_and_stop_nothing(slurm, node, until):
    command = slurm.start(*LONG, SLURM, "run.epochs=500", "run.seed=1,2", "sweep.dir=x")
    until(running(slurm, 2))
    dead, cancelled = sorted(node.command("squeue", "--noheader", "--array", "--format=%i").split())
    node.command("scancel", cancelled)
    until(lambda: "interrupted" in states(slurm))
    task = f"SLURM_ARRAY_TASK_ID={dead.partition('_')[2]}"
    for pid in slurm.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        python = words[0].endswith(b"python") and b"submitit.core._submit" in words
        if python and task.encode() in variables:
            os.kill(pid, signal.SIGKILL)
    out, err = command.communicate(timeout=280)
    assert (command.returncode, err) == (1, "")
    one, two = (record["message"] for record in slurm.records("x"))
    assert one.startswith(f"Slurm's job {dead}: ended in Slurm without an answer, state FAILED; ")
    assert Path(one.partition("its log is ")[2]).is_file()
    assert two == "cancelled in Slurm"
    assert "2 jobs: " in out
    assert "1 interrupted" in out
    assert "1 failed" in out
    assert slurm.tensors("x")


@pytest.mark.slow
def test_jobs_outlive_the_command(slurm, node, until):
    jobs = (*TINY, SLURM, "run.seed=1", "sweep.dir=x")
    command = slurm.start(*jobs)
    until(lambda: "running" in states(slurm))
    os.killpg(command.pid, signal.SIGKILL)
    command.communicate()
    until(lambda: states(slurm) == ["finished"])
    again = slurm(*jobs)
    assert (again.returncode, again.stderr) == (0, "")
    assert "1 jobs: 1 finished earlier\n" in again.stdout


@pytest.mark.slow
def test_a_signal_stops_a_grid_and_empties_the_queue(slurm, node, until):
    command = slurm.start(*LONG, SLURM, "run.epochs=500", "run.seed=1,2,3", "sweep.dir=x")
    until(running(slurm))
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=120)
    assert command.returncode == 130
    assert err == "warmtile: SIGINT: stopped; the same command goes on from here\n"
    assert "interrupted" in out
    until(lambda: not node.command("squeue", "--noheader").strip())
    assert not slurm.processes()


def test_what_slurm_does_not_take_is_one_line(slurm):
    answer = slurm(*TINY, SLURM, "hydra.launcher.partition=nowhere", "sweep.dir=x")
    assert answer.returncode == 2
    assert answer.stderr.startswith("warmtile: hydra/launcher=slurm: ")
    assert "invalid partition" in answer.stderr.lower()
    assert answer.stderr.count("\n") == 1
    assert not (slurm.cwd / "x").exists()


def test_a_machine_without_slurm_is_one_line(grid):
    grid.env["PATH"] = "/nowhere"
    answer = grid(*TINY, SLURM, "sweep.dir=x")
    assert answer.returncode == 2
    assert answer.stderr.startswith("warmtile: hydra/launcher=slurm: there is no sbatch on this")
    assert answer.stderr.count("\n") == 1
    assert not (grid.cwd / "x").exists()
