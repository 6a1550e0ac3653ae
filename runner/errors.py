"""Errors that are a sentence for the user."""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can put right: shown as one line, exit status 2, no traceback."""
