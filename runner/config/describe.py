"""The key reference: every key with its type, range, default and meaning."""

from __future__ import annotations

import itertools
import typing
from dataclasses import dataclass
from typing import Any, Literal

from runner.config.errors import show
from runner.config.folders import conf_dir
from runner.config.keyset import Key, all_keys, split_optional


@dataclass(frozen=True)
class KeyDescription:
    """One key in words.

    Args:
        path: dotted path, as on the command line.
        type: e.g. ``int``, ``float or null``, ``list``.
        allowed: range or choices; empty if everything of the type is allowed.
        default: of the dataclass, as one would type it.
        doc: meaning.
        option: for a key that only some options of its group have, the option; else "".
        common: whether ``--help`` lists it.
    """

    path: str
    type: str
    allowed: str
    default: str
    doc: str
    option: str
    common: bool


def describe_keys() -> list[KeyDescription]:
    """Every key of every section, in the order of the dataclasses."""
    return [_describe(key) for key in all_keys() if not key.path.endswith(".name")]


def _describe(key: Key) -> KeyDescription:
    annotation, optional = split_optional(key.type)
    if typing.get_origin(annotation) is Literal:
        kind, allowed = "text", " | ".join(typing.get_args(annotation))
    elif typing.get_origin(annotation) is tuple:
        kind, allowed = "list", key.spec.range_text().removeprefix("must be ")
        if key.spec.choices:
            allowed = "entries " + ", ".join(key.spec.choices)
    else:
        kind = "text" if annotation is str else annotation.__name__
        allowed = key.spec.range_text().removeprefix("must be ")
    return KeyDescription(
        path=key.path,
        type=kind + (" or null" if optional else ""),
        allowed=allowed,
        default=show(key.default),
        doc=key.spec.doc,
        option=key.option,
        common=key.spec.common,
    )


def describe_options() -> list[tuple[str, str, str]]:
    """Group, option and the comment at the head of its YAML, for every option of ``conf/``."""
    rows = []
    for path in sorted(conf_dir().glob("*/*.yaml")):
        head = itertools.takewhile(lambda line: line.startswith("#"), path.read_text().splitlines())
        words = [line.lstrip("# ") for line in head if not line.startswith("# @")]
        rows.append((path.parent.name, path.stem, " ".join(words)))
    return rows


def markdown() -> str:
    """The text of ``docs/configuration.md``."""
    lines = [
        _INTRODUCTION.strip(),
        "",
        "## Groups",
        "",
        "| choose with | what it is |",
        "|---|---|",
    ]
    lines += [f"| `{g}={o}` | {_cell(text)} |" for g, o, text in describe_options()]
    for title, rows in _sections().items():
        lines += [f"## {title}", "", "| key | type | allowed | default | meaning |"]
        lines += ["|---|---|---|---|---|", *rows]
    text = "\n".join(lines)
    return text.replace("|\n## ", "|\n\n## ") + "\n"


def _sections() -> dict[str, list[str]]:
    """Rows of the reference by heading; what several options of a group share stands once."""
    options: dict[tuple[str, ...], list[str]] = {}
    for key in describe_keys():
        if not key.path.startswith(_LIKE_DEVICE):
            row = (key.path, key.type, key.allowed, key.default, key.doc)
            options.setdefault(row, []).append(key.option)
    sections: dict[str, list[str]] = {}
    for (path, kind, allowed, default, doc), of in options.items():
        head = path.partition(".")[0] if "." in path else ""
        title = "top level" if not head else f"{head}={', '.join(of)}" if of[0] else head
        cells = [f"`{path}`", kind, allowed, f"`{default}`", doc]
        row = "| " + " | ".join(_cell(cell) for cell in cells) + " |"
        sections.setdefault(title, []).append(row)
    return sections


def _cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


_LIKE_DEVICE = "fast_device."

_INTRODUCTION = """
# Configuration keys

Every key of a run, made from the dataclasses in `runner/config/schema.py` and the comments in
`conf/` by `python -m runner.config > docs/configuration.md`. A key is set on the command line as
`key=value`; a group is chosen as `group=option`, where the options are the files of
`conf/<group>/`. The defaults below are those of the dataclasses; the YAML of the chosen options and
experiment comes on top. `python -m runner --cfg job` shows the result.

A wrong key or value ends the command before anything is loaded or written: one line on standard
error names the key, the value and what is allowed, and the exit status is 2.

The group `fast_device` has the options and keys of `device`, for the gradient tile of a compound;
its default is null: like the other tiles.
"""
