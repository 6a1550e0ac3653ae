"""The example of docs/own_parts.md, as a package beside the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "own_parts.md").read_text()
COMMAND = re.findall(r"python -m runner (.*?)\n```", PAGE, re.S)[0].replace("\\\n", " ").split()


def block(language: str) -> str:
    """The page's one block of code in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    return found


@pytest.fixture
def package(tmp_path) -> Path:
    """The package of the page, as pip would put it on the path."""
    site = tmp_path / "site"
    about = site / "my_parts-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "my_parts.py").write_text(block("python"))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-parts\nVersion: 1.0\n")
    points = block("toml").replace('project.entry-points."', "").replace('"]', "]")
    (about / "entry_points.txt").write_text(points.replace(' = "', " = ").replace('"\n', "\n"))
    return site


def call(package: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-m", "runner", *argv],
        cwd=package.parent,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_of_the_page(package):
    first = call(package, *COMMAND, "run.dir=a")
    assert first.returncode == 0, first.stderr
    summary = json.loads((package.parent / "a" / "summary.json").read_text())
    assert summary["final"]["test/accuracy"] > 0.9
    assert summary["cross_points"] == 2 * (64 * 16 + 16 * 2)
    assert call(package, *COMMAND, "run.dir=b").returncode == 0

    def timeless(name: str) -> list[dict]:
        lines = (package.parent / name / "metrics.jsonl").read_text().splitlines()
        return [
            {k: v for k, v in json.loads(line).items() if not k.startswith("time/")}
            for line in lines
        ]

    assert timeless("a") == timeless("b")


def test_own_keys_are_checked(package):
    for argv, words in (
        (["model=perceptron", "model.width=0"], "model.width=0: must be at least 1"),
        (["model=perceptrn"], "nearest valid: perceptron"),
        (["model=lenet5", "model.width=3"], "is a key of model=perceptron, not of model=lenet5"),
        (["device=linear", "device.slope=2"], "device.slope=2: must be at least 0 and at most 1"),
    ):
        done = call(package, *argv)
        assert done.returncode == 2, done.stdout
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (package.parent / "runs").exists()


def test_a_broken_package_is_named(package):
    (package / "my_parts.py").write_text("import nonsense_that_is_not_there")
    done = call(package, "run.epochs=0")
    assert done.returncode == 2
    assert done.stderr.startswith("warmtile: entry point warmtile.model: perceptron")
    assert len(done.stderr.splitlines()) == 1


def test_help_lists_them(package):
    done = call(package, "--help")
    assert "perceptron" in done.stdout
    assert "two_tiles" in done.stdout


def test_the_algorithm_of_the_page_on_a_built_in_device(package):
    answer = call(package, *COMMAND[:5], "run.epochs=0", "run.dir=c")
    assert answer.returncode == 0, answer.stderr


def test_a_built_in_name_can_not_be_taken(package):
    points = package / "my_parts-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("stripes =", "mnist ="))
    answer = call(package, "run.epochs=0")
    assert answer.returncode == 2
    assert answer.stderr == (
        "warmtile: entry point warmtile.data: mnist=my_parts:Stripes: "
        "this name is a built-in option's\n"
    )
