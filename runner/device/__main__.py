"""``python -m runner.device device=...``: see how a device behaves, or fit one to a measurement."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from runner.config.errors import NO_VALUE, ConfigError, one_line
from runner.errors import UserError
from runner.threads import thread_variables

_EPILOG = """\
examples
  python -m runner.device device=reram_es
  python -m runner.device device=soft_bounds device.n_states=16 device.up_down=0.1
  python -m runner.device device=fitted device.csv=measured.csv device.model=soft_bounds

docs/devices.md describes what is drawn, what is fitted and the CSV."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, NO_VALUE, "see --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m runner.device",
        description="Draw a device's pulse response, step sizes, symmetry point and states.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="key=value", help="device=OPTION and device.KEY=VALUE")
    add("--devices", default="32", metavar="N", help="simulated devices, 1 to 1024 [32]")
    add("--cycles", default="3", metavar="N", help="repetitions of each, 1 to 100 [3]")
    add("--pulses", metavar="N", help="pulses of a ramp [three times the nominal states]")
    add("--seed", default="1", metavar="N", help="of spread and noise [1]")
    add("--out", metavar="DIR", help="folder for pictures and tables [runs/devices/NAME-HASH]")
    add("--config-dir", "-cd", metavar="DIR", help="one more folder of YAML groups")
    return parser


def _whole(option: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(option, text, f"must be a whole number, {low} to {high}") from None
    if not low <= value <= high:
        near = str(min(max(value, low), high))
        raise ConfigError(option, text, f"must be {low} to {high}", near)
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; 0 done, 2 the user's mistake."""
    try:
        args = _parser().parse_intermixed_args(sys.argv[1:] if argv is None else list(argv))
        counts = {
            "n_devices": _whole("--devices", args.devices, 1, 1024),
            "n_cycles": _whole("--cycles", args.cycles, 1, 100),
            "ramp": None if args.pulses is None else _whole("--pulses", args.pulses, 2, 100_000),
            "seed": _whole("--seed", args.seed, 0, 2**31 - 1),
        }
        from runner.device.options import compose_device, output_folder

        device = compose_device(args.overrides, args.config_dir)
        out = output_folder(args.out, device, counts)
        os.environ.update(thread_variables(1))
        from runner.device.show import show_device

        show_device(device, out, **counts)
    except UserError as error:
        print(f"warmtile: {one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("warmtile: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
