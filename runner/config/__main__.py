"""``python -m runner.config``: print the key reference as Markdown."""

from __future__ import annotations

from runner.config.describe import markdown

if __name__ == "__main__":
    print(markdown(), end="")
