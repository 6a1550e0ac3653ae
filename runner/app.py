"""The command line: check everything, then let Hydra start the run or the grid.

The order matters. `main` composes and checks every job first and ends with one line and status 2
on the first mistake; Hydra, torch and aihwkit come after that, so a mistake costs no time and
leaves no file.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from runner import __version__
from runner.config.errors import NO_VALUE, ConfigError, nearest, one_line
from runner.errors import UserError
from runner.threads import thread_variables

if TYPE_CHECKING:
    from hydra.conf import HydraConf
    from omegaconf import DictConfig

    from runner.config.schema import Config

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_exit_codes: list[int] = []


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, NO_VALUE, "see --help")


def _parser() -> argparse.ArgumentParser:
    """Hydra's options, less those that would run unchecked configurations."""
    parser = _Parser(prog="warmtile", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("overrides", nargs="*")
    add("--help", "-h", action="store_true", help="this text")
    add("--version", action="store_true", help="versions of warmtile and Hydra")
    add("--multirun", "-m", action="store_true", help="run a grid: key=a,b,c or key=range(0,3)")
    add("--run", "-r", action="store_true", help="run one job (the default)")
    add("--cfg", "-c", choices=("job", "hydra", "all"), help="print the configuration, run nothing")
    add("--resolve", action="store_true", help="with --cfg: resolve interpolations")
    add("--package", "-p", help="with --cfg: print this section only")
    add(
        "--info",
        "-i",
        nargs="?",
        const="all",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
        help="print how the configuration is put together",
    )
    add("--config-dir", "-cd", help="one more folder of YAML groups")
    add("--config-name", "-cn", help="another primary configuration than config")
    add("--shell-completion", "-sc", action="store_true", help="install or remove completion")
    add("--hydra-help", action="store_true", help="Hydra's own help")
    return parser


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Options and overrides of a command line, in any order.

    Raises:
        ConfigError: for an unknown option.
    """
    parser = _parser()
    options = [text for action in parser._actions for text in action.option_strings]
    known, unknown = parser.parse_known_intermixed_args(list(argv))
    for text in unknown:
        raise ConfigError(text, NO_VALUE, "unknown option", nearest(text.split("=")[0], options))
    commands = [
        name
        for name in ("run", "multirun", "cfg", "info", "shell_completion")
        if getattr(known, name)
    ]
    if len(commands) > 1:
        first, second = (f"--{name.replace('_', '-')}" for name in commands[:2])
        raise ConfigError(second, NO_VALUE, f"does not go together with {first}")
    if known.resolve and not known.cfg:
        raise ConfigError("--resolve", NO_VALUE, "goes with --cfg only")
    if known.package and not known.cfg:
        raise ConfigError("--package", NO_VALUE, "goes with --cfg only")
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """The command ``warmtile`` and ``python -m runner``.

    Args:
        argv: arguments without the program's name; None = those of the process.

    Returns:
        Exit status: 0 done; 2 the user's mistake; 130 interrupted; otherwise that of the run
        (`runner.job.EXIT_CODES`), or 1 if any run of a grid failed.
    """
    try:
        return _main(sys.argv[1:] if argv is None else list(argv))
    except UserError as error:
        print(f"warmtile: {one_line(str(error))}", file=sys.stderr)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("warmtile: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `warmtile --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def _main(argv: list[str]) -> int:
    if "-h" in argv or "--help" in argv:
        from runner.config.help_text import help_text

        print(help_text(_parser()), flush=True)
        return 0
    args = parse_arguments(argv)
    if args.version:
        from importlib.metadata import version

        print(f"warmtile {__version__} (Hydra {version('hydra-core')})")
        return 0
    if args.hydra_help or args.shell_completion:
        return _hydra(args, args.overrides)
    plan = check_jobs(args)
    if args.multirun and not (args.cfg or args.info):
        return _grid(args, plan)
    return _single(args, plan)


@dataclass(frozen=True)
class Plan:
    """What a command line asks for, composed and checked.

    Args:
        configs: the jobs; of a search only examples.
        complete: whether these are all jobs, and in this order.
        hydra: Hydra's own part of the configuration.
        folders: that hold the groups, the first one first.
        space: what a search varies, by key.
    """

    configs: list[Config]
    complete: bool
    hydra: DictConfig
    folders: Sequence[Path]
    space: dict[str, str] = field(default_factory=dict)


def check_jobs(args: argparse.Namespace) -> Plan:
    """Compose and check every job of a command line.

    May set `args.multirun` (from ``hydra.mode``, also in a preset).

    Raises:
        ConfigError: for the first mistake.
    """
    from runner.config.compose import Composer

    composer = Composer(args.config_dir, args.config_name or "config", args.overrides)
    args.multirun = args.multirun or composer.multirun_mode(args.overrides)
    if not args.multirun:
        config = composer.one(args.overrides)
        return Plan([config], True, composer.hydra(args.overrides), composer.folders)
    configs, complete = composer.grid(args.overrides)
    space = {} if complete else composer.space(args.overrides)
    return Plan(configs, complete, composer.hydra(args.overrides), composer.folders, space)


def _hydra(args: argparse.Namespace, overrides: list[str]) -> int:
    """Hand over to ``hydra.main``; everything has been checked.

    Returns:
        exit status of Hydra itself.
    """
    import hydra

    from runner.config.folders import conf_dir

    entry = hydra.main(
        version_base="1.3", config_path=str(conf_dir()), config_name=args.config_name or "config"
    )(run_one)
    argv = sys.argv
    sys.argv = [argv[0], *_hydra_options(args), *overrides]
    try:
        entry()
    except SystemExit as end:  # after --hydra-help, or an error that only Hydra sees
        return end.code if isinstance(end.code, int) else 1
    finally:
        sys.argv = argv
    return 0


def _single(args: argparse.Namespace, plan: Plan) -> int:
    from runner.config.device_steps import complete_overrides, own_steps

    os.environ.update(thread_variables(plan.configs[0].run.threads))
    _exit_codes.clear()
    overrides = complete_overrides(args.overrides)
    for group, step in own_steps(args.overrides, plan.folders).items():  # so that --cfg shows it
        overrides += [f"{group}.n_states=null", f"{group}.dw_min={step}"]
    status = _hydra(args, overrides)
    return _exit_codes[0] if _exit_codes else status


def _grid(args: argparse.Namespace, plan: Plan) -> int:
    from runner.config.device_steps import complete_overrides
    from runner.grid.launchers import launcher_overrides, quoted, sweeper_overrides
    from runner.grid.master import Grid
    from runner.grid.plugins import register_plugins
    from runner.grid.refused import EXIT_REFUSED

    overrides = complete_overrides(args.overrides)
    overrides += launcher_overrides(plan.hydra, plan.configs)
    overrides += sweeper_overrides(plan.hydra, plan.configs, plan.space)
    register_plugins(plan.hydra)
    sweep_dir = Path(plan.configs[0].sweep.dir).expanduser()
    with Grid(plan.configs if plan.complete else None, sweep_dir, args.overrides) as grid:
        # Hydra's record of the command; the workers find the grid's ledger by it.
        status = _hydra(args, [*overrides, f"hydra.sweep.dir={quoted(str(grid.folder))}"])
    if status == EXIT_REFUSED:
        grid.discard()
        return status
    return grid.report() or status


def _hydra_options(args: argparse.Namespace) -> list[str]:
    flags = ["run", "resolve", "shell_completion", "hydra_help"]
    if not (args.cfg or args.info):  # a preset of a grid may have set it
        flags.append("multirun")
    options = ["--" + name.replace("_", "-") for name in flags if getattr(args, name)]
    for name in ("cfg", "package", "info", "config_dir"):
        if getattr(args, name):
            options += ["--" + name.replace("_", "-"), getattr(args, name)]
    return options


def run_one(values: DictConfig) -> float | None:
    """Hydra's task: one job. Never raises but for an interrupt, so that a grid goes on.

    A single run is trained in this process, a job of a grid in a child.

    Args:
        values: the composed configuration, without Hydra's own node.

    Returns:
        The metric for a sweeper that searches; None if the job failed or has none.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from runner.config.compose import finish

    hydra = HydraConfig.get()
    try:
        if hydra.mode == RunMode.MULTIRUN:
            return _run_of_grid(values, hydra)
        config = finish(values, list(hydra.overrides.task), _folders(hydra))
        from runner.job import run_job

        result = run_job(config)
    except UserError as error:
        print(f"warmtile: {one_line(str(error))}", file=sys.stderr)
        _exit_codes.append(EXIT_USER_ERROR)
        return None
    except Exception:  # noqa: BLE001  (a defect in one job must not end the others)
        traceback.print_exc()
        _exit_codes.append(1)
        return None
    if result.message:
        print(f"warmtile: {one_line(result.message)}", file=sys.stderr)
    _exit_codes.append(result.exit_code)
    return result.metric


def _run_of_grid(values: DictConfig, hydra: HydraConf) -> float | None:
    from runner.config.compose import finish
    from runner.grid.ledger import Ledger
    from runner.grid.plugins import launcher_name
    from runner.grid.worker import run_grid_job

    ledger = Ledger(Path(str(hydra.sweep.dir)))
    os.chdir(ledger.cwd())  # a worker may have been started elsewhere
    config = finish(values, list(hydra.overrides.task), _folders(hydra))
    return run_grid_job(config, int(hydra.job.num), ledger, launcher_name(hydra.launcher))


def _folders(hydra: HydraConf) -> list[Path]:
    """The folders that hold the groups, the first one first."""
    return [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
