"""Where conf/ is."""

from __future__ import annotations

from pathlib import Path

from runner.config.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent


def conf_dir() -> Path:
    """The folder of YAML groups: inside the installed package, or beside it in a checkout.

    Raises:
        ConfigError: if neither exists (a damaged installation).
    """
    for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise ConfigError("", str(_PACKAGE / "conf"), "the YAML groups are missing; reinstall warmtile")
