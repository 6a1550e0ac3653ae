"""The text of ``--help``. Needs no Hydra, so that it answers at once."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from runner.config.describe import describe_keys
from runner.config.folders import conf_dir
from runner.config.own_parts import own_parts

_HEAD = """\
Train neural networks on analog in-memory hardware: residual learning over several tiles, with
warm start, on aihwkit.

  python -m runner [group=option ...] [key=value ...] [options]      (also: warmtile ...)

Examples
  python -m runner experiment=lenet5_demo_warm_start
  python -m runner model=lenet5 algorithm=resl algorithm.n_tiles=6 device.n_states=10 data=mnist
  python -m runner -m algorithm=resl,sgd data=mnist5k 'run.seed=range(0,3)'"""

_TAIL = """\
docs/configuration.md explains every key; --cfg job prints the configuration of a command.
A mistake in a key or value: one line, exit status 2, nothing written."""


def help_text(parser: argparse.ArgumentParser) -> str:
    """Usage, groups and their options, the most used keys, the command line options."""
    return "\n\n".join([_HEAD, _groups(), _keys(), _options(parser), _TAIL])


def _groups() -> str:
    own = own_parts()
    rows = []
    for folder in sorted(Path(conf_dir()).iterdir()):
        if folder.is_dir() and folder.name != "hydra":
            names = [path.stem for path in folder.glob("*.yaml")] + list(own.get(folder.name, ()))
            rows.append((folder.name, ", ".join(sorted(names))))
            if folder.name == "device":
                rows.append(("fast_device", "null (like device), or an option of device"))
    rows.append(("hydra/launcher", "basic, joblib, ray, slurm (docs/clusters.md)"))
    rows.append(("hydra/sweeper", "basic, optuna"))
    return "Groups (group=option)\n" + _table(rows)


def _keys() -> str:
    rows = []
    for key in {key.path: key for key in reversed(describe_keys())}.values():
        if key.common and not key.path.startswith("fast_device."):
            allowed = f"; {key.allowed}" if key.allowed else ""
            rows.append((key.path, f"{key.doc} [{key.default}{allowed}]"))
    rows.reverse()
    return "Most used keys (key=value) [default; allowed]\n" + _table(rows)


def _options(parser: argparse.ArgumentParser) -> str:
    rows = [
        (", ".join(reversed(action.option_strings)), action.help or "")
        for action in parser._actions
        if action.option_strings
    ]
    return "Options\n" + _table(rows)


def _table(rows: list[tuple[str, str]], width: int = 100) -> str:
    left = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, width - left - 2) or [""]
        lines.append(f"  {name:<{left}}{wrapped[0]}")
        lines += [" " * (left + 2) + line for line in wrapped[1:]]
    return "\n".join(lines)
