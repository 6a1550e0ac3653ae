"""Launchers and sweepers that need an extra: named where it is missing, their keys checked."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from hydra.core.plugins import Plugins

GRID = ("-m", "data=mnist5k", "run.seed=1,2", "sweep.dir=x")
SLURM = "hydra/launcher=slurm"
SUBMITIT = "hydra_plugins.hydra_submitit_launcher"
RAY = "hydra_plugins.hydra_ray_launcher"


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


@pytest.mark.parametrize(
    ("argv", "module", "line"),
    [
        ((*GRID, "hydra/launcher=slurm"), SUBMITIT, "hydra/launcher=slurm: needs the extra slurm"),
        (
            (*GRID, "hydra/launcher=slurm"),
            "submitit",
            "hydra/launcher=slurm: needs the extra slurm",
        ),
        ((*GRID, "hydra/launcher=ray"), RAY, "hydra/launcher=ray: needs the extra ray"),
        ((*GRID, "hydra/launcher=ray"), "ray", "hydra/launcher=ray: needs the extra ray"),
        (("sweep=search",), "optuna", "hydra/sweeper=optuna: needs the extra optuna"),
        (
            (*GRID, "hydra/sweeper=optuna", "data.val_fraction=0.1"),
            "optuna",
            "hydra/sweeper=optuna: needs the extra optuna",
        ),
    ],
)
def test_a_missing_extra_is_named(cli, monkeypatch, tmp_path, argv, module, line):
    Plugins.instance()  # Hydra looks for plugins once in a process; the other tests need them
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way to say: not to be found
    extra = line.rpartition(" ")[2]
    answer = cli(*argv)
    assert answer.status == 2
    assert answer.err == f"warmtile: {line}: pip install -e '.[{extra}]'\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "override", "line"),
    [
        (
            SUBMITIT,
            "hydra.launcher.timeout_min=long",
            "hydra.launcher.timeout_min=long: Value 'long' of type 'str' could not be converted",
        ),
        (SUBMITIT, "hydra.launcher.partitio=a", "hydra.launcher.partitio=a: there is no such key;"),
        (SUBMITIT, "+hydra.launcher.partitio=a", "+hydra.launcher.partitio=a: there is no such"),
        (RAY, "hydra.launcher.n_jobs=2", "hydra.launcher.n_jobs=2: there is no such key;"),
    ],
)
def test_keys_of_launchers_are_checked(cli, tmp_path, module, override, line):
    needs(module)
    launcher = "slurm" if module == SUBMITIT else "ray"
    answer = cli(*GRID, f"hydra/launcher={launcher}", override)
    assert answer.status == 2
    assert answer.err.startswith(f"warmtile: {line}")
    assert answer.err.count("\n") == 1
    assert "partitio" not in override or "(nearest valid: hydra.launcher.partition)" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_what_is_typed_as_a_number_is_searched_no_more():
    needs("optuna")
    from runner.config.compose import Composer

    typed = ["sweep=search", "algorithm.gamma=0.25"]
    configs, complete = Composer().grid(typed)
    assert not complete
    assert {config.algorithm.gamma for config in configs} == {0.25}  # type: ignore[union-attr]
    space = Composer().space(typed)
    assert "algorithm.gamma" not in space
    assert space["warm_start.significance"] == "interval(0.0, 2.0)"
    assert len(space) == 5


def test_distributions_of_hydras_grammar():
    needs("optuna")
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    from runner.config.errors import ConfigError
    from runner.grid.search import distribution_of

    def of(value: str):
        return distribution_of(OverridesParser.create().parse_override(f"key={value}"))

    assert of("interval(0.1, 0.9)") == FloatDistribution(0.1, 0.9)
    assert of("tag(log, interval(0.1, 0.9))") == FloatDistribution(0.1, 0.9, log=True)
    assert of("int(interval(2, 8))") == IntDistribution(2, 8)
    assert of("range(2, 9, 3)") == IntDistribution(2, 8, step=3)
    assert of("choice(a, b)") == CategoricalDistribution(("a", "b"))
    assert of("0.1,0.2") == CategoricalDistribution(("0.1", "0.2"))
    with pytest.raises(ConfigError, match="above 0"):
        of("tag(log, interval(0, 1))")
