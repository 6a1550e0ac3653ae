"""The W&B dashboard: its specification, and that it names what a run really logs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_script(home: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Call the script as a user without a key, W&B's usual places empty."""
    script = str(ROOT / "scripts" / "wandb_dashboard.py")
    command = [sys.executable, script, *arguments]
    if code:
        command = [sys.executable, "-c", code, *arguments]
    hidden = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
    env = {name: value for name, value in os.environ.items() if name not in hidden}
    env |= {"HOME": str(home), "NETRC": str(home / "netrc"), "WANDB_CONFIG_DIR": str(home / "c")}
    env["PYTHONPATH"] = str(ROOT / "scripts")
    return subprocess.run(
        command, cwd=home, env=env, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_script(tmp_path_factory.mktemp("home"), "--entity", "lab", "--project", "tiles")


@pytest.fixture(scope="module")
def sections(printed) -> dict[str, list[dict]]:
    bank = json.loads(printed.stdout)["spec"]["section"]["panelBankConfig"]
    return {s["name"]: [panel["config"] for panel in s["panels"]] for s in bank["sections"]}


def test_without_a_key_it_says_what_it_would_send(printed):
    assert printed.returncode == 0, printed.stderr
    assert printed.stderr.count("\n") == 1
    assert "nothing was sent (no API key" in printed.stderr
    view = json.loads(printed.stdout)
    assert (view["entity"], view["project"]) == ("lab", "tiles")
    (runs,) = view["spec"]["section"]["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "arm.value"}]
    assert "summary:final/test/accuracy" in runs["runFeed"]["columnOrder"]


def test_accuracy_has_error_bands_by_algorithm_and_states(sections):
    first = sections["Accuracy by algorithm and states"][0]
    assert first["metrics"] == ["test/accuracy"]
    assert (first["xAxis"], first["groupBy"]) == ("epoch", "arm.value")
    assert (first["groupAgg"], first["groupArea"]) == ("mean", "stddev")


def test_every_name_in_it_is_one_that_a_run_logs(sections, short_run, sittings):
    run = short_run(
        "a", "algorithm=resl", "algorithm.n_tiles=2", "warm_start.enabled=true",
        "data.train_limit=16", "run.epochs=1", "data.val_fraction=0.1", "tracking=[wandb]",
    )  # fmt: skip
    (seen,) = sittings(run.folder)
    logged = {name for row in seen.rows for name in row} | set(seen.summary)
    panels = [panel for each in sections.values() for panel in each]
    named = {name for panel in panels for name in panel.get("metrics", [])}
    assert {"test/accuracy", "warm_start/stage", "final/test/accuracy"} <= named <= logged
    patterns = [panel["metricRegex"] for panel in panels if panel.get("metricRegex")]
    assert len(patterns) == 4
    for pattern in patterns:
        fitting = [name for name in logged if re.search(pattern, name)]
        assert len(fitting) == 4 * 2, pattern
        assert all(isinstance(seen.scalars[0][name], int | float) for name in fitting)
    for column in _columns():
        kind, _, name = column.partition(":")
        if kind == "summary":
            assert name in seen.summary
        else:
            value = seen.config
            for part in name.replace(".value", "", 1).split("."):
                value = value[part]


def _columns() -> list[str]:
    from wandb_dashboard import COLUMNS

    return COLUMNS


def test_without_the_extra_it_names_it(tmp_path):
    code = (
        "import sys; sys.modules['wandb_workspaces'] = None; import wandb_dashboard; "
        "sys.exit(wandb_dashboard.main())"
    )
    done = run_script(tmp_path, code=code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install 'warmtile[dashboard]'" in done.stderr


def test_without_a_network_it_says_so(tmp_path):
    code = (
        "import os, sys; os.environ['WANDB_API_KEY'] = 'x' * 40; "
        "os.environ['WANDB_BASE_URL'] = 'http://127.0.0.1:9'; import wandb_dashboard; "
        "sys.exit(wandb_dashboard.main(['--entity', 'lab', '--out', 'view.json']))"
    )
    done = run_script(tmp_path, code=code)
    assert done.returncode == 0, done.stderr
    assert "nothing was sent" in done.stderr
    assert json.loads((tmp_path / "view.json").read_text())["entity"] == "lab"
