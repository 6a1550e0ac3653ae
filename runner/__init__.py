"""warmtile's runner: YAML and overrides in, a trained network and its run folder out."""

from __future__ import annotations

__version__ = "0.1.0"
