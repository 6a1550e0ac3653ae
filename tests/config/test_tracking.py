"""Mistakes about trackers, told before anything is loaded or written."""

from __future__ import annotations

import sys

import pytest


def test_a_missing_package_is_one_line_that_names_the_extra(cli, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    answer = cli("tracking=[tensorboard]")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == (
        "warmtile: tracking=[tensorboard]: the package tensorboard is not installed: "
        "pip install 'warmtile[tensorboard]'\n"
    )
    assert list(tmp_path.iterdir()) == []
    answer = cli("-m", "tracking=[],[tensorboard]")
    assert (answer.status, answer.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("tracking=[wand]", "nearest valid: wandb"),
        ("tracking=[wandb,wandb]", "names a tracker twice"),
        ("wandb.mode=onlin", "nearest valid: online"),
        ("wandb.project=a/b", "must be letters, digits"),
        ("wandb.tags=['a,b']", "each entry must be 1 to 64 characters"),
        ("tracking=[wandb] wandb.dir=/dev/null", "wandb.dir=/dev/null: is a file"),
        ("tracking=[wandb] wandb.mode=online", "set WANDB_API_KEY or run `wandb login`"),
    ],
)
def test_a_mistake_is_one_line(cli, monkeypatch, tmp_path, option, said):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "none"))
    answer = cli(*option.split())
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert said in answer.err
    assert list(tmp_path.iterdir()) == []
