"""Networks by name."""

from __future__ import annotations

from runner.models.build import build_model

__all__ = ["build_model"]
