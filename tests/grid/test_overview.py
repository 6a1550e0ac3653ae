"""What is shown of a grid, and what its launcher is told."""

from __future__ import annotations

import io
import time

import pytest
from omegaconf import OmegaConf
from rich.console import Console

from runner.config import load_config
from runner.grid.launchers import launcher_overrides
from runner.grid.ledger import JobRecord, Ledger
from runner.grid.overview import Overview
from runner.threads import cores, jobs_at_once
from runner.tracking import JsonLines, RunFolder, RunInfo


@pytest.fixture
def shown(tmp_path):
    """An overview of four jobs: one failed, one at work, one skipped, one waiting."""
    configs = [
        load_config([f"run.seed={i}", f"sweep.dir={tmp_path}", "run.epochs=10"]) for i in range(4)
    ]
    ledger = Ledger.create(tmp_path, [])
    now = time.time()
    ledger.write(
        JobRecord(0, configs[0].run.dir, "failed", "killed by SIGKILL", now - 90, now - 30)
    )
    ledger.write(JobRecord(1, configs[1].run.dir, "running", started=now - 30))
    ledger.write(JobRecord(2, configs[2].run.dir, "skipped", None, now - 30, now - 30))
    folder = RunFolder(tmp_path / configs[1].run.dir)
    record = JsonLines(folder.metrics)
    record.start(RunInfo(folder.path, {}, 1, 10))
    for epoch in (0, 1, 2):
        record.epoch({"epoch": epoch, "test/accuracy": 0.25 * epoch})
    folder.close()
    out = io.StringIO()
    return Overview(ledger, configs, Console(file=out, width=160)), out


def text_of(overview: Overview) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(overview.table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_job_in_one_table(shown):
    overview, _ = shown
    overview.look()
    head, _, *rows = text_of(overview).splitlines()
    assert head.startswith("4 jobs: ")
    for part in ("1 failed", "1 running", "1 finished earlier", "1 waiting", "left"):
        assert part in head
    assert [row.split()[0] for row in rows] == ["1/4", "2/4", "3/4", "4/4"]
    assert "failed" in rows[0]
    assert "0:01:00" in rows[0]
    # Two epochs of ten in 30 s.
    assert all(part in rows[1] for part in ("2/10", "50.0 % test", "0:00:30", "0:02:00"))


def test_outside_a_terminal_every_event_is_a_line(shown):
    overview, out = shown
    with overview:
        pass
    lines = out.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("failed: killed by SIGKILL")
    assert lines[1].endswith("running")
    assert overview.counts() == "4 jobs: 1 failed, 1 running, 1 finished earlier, 1 waiting"


def joblib(n_jobs: int):
    return OmegaConf.create({"launcher": {"_target_": "x.JoblibLauncher", "n_jobs": n_jobs}})


def test_as_many_jobs_as_there_are_cores_for(capsys):
    configs = [load_config(["run.threads=2"])]
    fitting = f"hydra.launcher.n_jobs={max(1, cores() // 2)}"
    assert fitting in launcher_overrides(joblib(-1), configs)
    assert jobs_at_once(10 * cores()) == 1
    assert capsys.readouterr().err == ""


def test_too_many_jobs_at_once_are_warned_of(capsys):
    overrides = launcher_overrides(joblib(cores() + 1), [load_config(["run.threads=1"])])
    assert not any("n_jobs" in text for text in overrides)
    err = capsys.readouterr().err
    assert err.startswith(f"warmtile: hydra.launcher.n_jobs={cores() + 1}: with run.threads=1 ")
    assert err.count("\n") == 1


def test_other_launchers_are_left_alone():
    assert launcher_overrides(OmegaConf.create({"launcher": {}}), [load_config([])]) == []
