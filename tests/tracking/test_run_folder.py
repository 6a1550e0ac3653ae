"""One process at a time writes into a run folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from runner.errors import UserError
from runner.tracking import RunFolder
from runner.tracking.run_folder import holds_run, read_summary

HOLD = """
import sys, time
from pathlib import Path
from runner.tracking import RunFolder
folder = RunFolder(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_job_is_refused_until_the_first_lets_go(tmp_path):
    first = RunFolder(tmp_path / "run")
    with pytest.raises(UserError, match=f"process {os.getpid()}.*choose another run.dir"):
        RunFolder(tmp_path / "run")
    first.close()
    RunFolder(tmp_path / "run").close()


def test_a_killed_process_lets_go(tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {child.pid}"):
            RunFolder(tmp_path)
        child.send_signal(signal.SIGKILL)
        child.wait()
    RunFolder(tmp_path).close()


def test_a_folder_that_can_not_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"run\.dir=.*file/run: Not a directory"):
        RunFolder(tmp_path / "file" / "run")


def test_summary_is_read_back(tmp_path):
    folder = RunFolder(tmp_path)
    assert read_summary(tmp_path) is None
    folder.write_summary({"status": "finished", "best": None})
    folder.close()
    assert read_summary(tmp_path) == {"status": "finished", "best": None}


def test_only_a_run_counts_as_one(tmp_path):
    RunFolder(tmp_path).close()
    assert not holds_run(tmp_path)
    (tmp_path / "config.yaml").write_text("")
    assert holds_run(tmp_path)
