"""What was measured, read from the committed results so that no page can drift from them.

A result is a JSON object that one script wrote: how it was made (``command``, ``commit``, ``seed``,
``versions``) and the figures, nested as the script likes. A figure is a number, a text, or a value
with its interval: ``{"value": ..., "interval": [low, high]}`` or ``{"value": ..., "low": ...,
"high": ...}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

FOLDERS = ("experiments/results", "benchmarks/results")
MADE = ("command", "commit", "seed", "versions")
MOST_COLUMNS = 9
MOST_IN_A_CELL = 12
SHOWN_HASH_DIGITS = 12

_HASH = re.compile(r"[0-9a-f]{40,}")
_FIGURE = {"value", "interval", "low", "high"}


class NoResultsError(Exception):
    """No result is there to be shown."""


@dataclass(frozen=True)
class Result:
    """One file of results: its path below the checkout, and all that it holds."""

    path: str
    content: dict[str, Any]


def find_results(root: Path, patterns: Sequence[str] = ("*",)) -> list[Result]:
    """Read the committed results.

    Parameters
    ----------
    root : Path
        The checkout.
    patterns : sequence of str
        Names of results without ``.json``, with ``*`` for anything; one that starts with ``!``
        leaves out what it fits.

    Returns
    -------
    list of Result
        In the order of the patterns, then of the names; each once.

    Raises
    ------
    NoResultsError
        If none fits.
    """
    paths = [path for folder in FOLDERS for path in sorted((root / folder).glob("*.json"))]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    paths = [path for path in paths if not any(fnmatch(path.stem, name) for name in unwanted)]
    wanted = [path for pattern in patterns for path in paths if fnmatch(path.stem, pattern)]
    if not wanted:
        raise NoResultsError(
            f"no result is called {' or '.join(patterns)}: {', '.join(FOLDERS)} must hold what the "
            f"scripts of experiments and benchmarks write; found {len(paths)} others"
        )
    return [
        Result(path.relative_to(root).as_posix(), json.loads(path.read_text(encoding="utf-8")))
        for path in dict.fromkeys(wanted)
    ]


def describe_result(result: Result) -> str:
    """Write a result as Markdown.

    Returns
    -------
    str
        A heading, how the result was made, and every figure in tables.
    """
    name = Path(result.path).stem.replace("_", " ")
    figures = {key: value for key, value in result.content.items() if key not in MADE}
    blocks = [f"### {name}", _made(result), *_blocks(figures, ())]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _made(result: Result) -> str:
    """One sentence on where the figures come from."""
    known = result.content
    text = f"From `{result.path}`"
    if "command" in known:
        text += f", written by `{known['command']}`"
    if "commit" in known:
        text += f" at commit `{known['commit']}`"
    if "seed" in known:
        text += f", seed {_cell(known['seed'])}"
    if isinstance(known.get("versions"), Mapping):
        text += f" ({', '.join(f'{n} {v}' for n, v in known['versions'].items())})"
    return text + "."


def _blocks(figures: Mapping[str, Any], above: tuple[str, ...]) -> list[str]:
    """Tables of nested figures: what stands alone first, then each group under its own name."""
    alone = {key: value for key, value in figures.items() if _is_cell(value)}
    blocks = []
    if alone:
        rows = [[_name(key), _cell(value)] for key, value in alone.items()]
        blocks += [_title(above), table(["what", "value"], rows)]
    for key, value in figures.items():
        if key not in alone:
            blocks += _group(value, (*above, key))
    return blocks


def _group(value: Any, path: tuple[str, ...]) -> list[str]:
    """One group of figures: a table of what its members share, then what only some of them have."""
    if isinstance(value, Mapping):
        rows, corner = dict(value), ""
    elif all(isinstance(item, Mapping) for item in value):
        rows, corner = {str(number): item for number, item in enumerate(value, 1)}, "no."
    else:
        return [_title(path), f"{len(value)} values, in the file."]
    columns = _columns(rows)
    if not columns:
        return _blocks(rows, path)
    cells = [[_name(key), *(_cell(row.get(c)) for c in columns)] for key, row in rows.items()]
    header = [corner, *map(_name, columns)]
    if len(columns) > MOST_COLUMNS and len(rows) <= MOST_COLUMNS:
        header, *cells = map(list, zip(header, *cells, strict=True))
    blocks = [_title(path), table(header, cells)]
    for key, row in rows.items():
        nested = {name: item for name, item in row.items() if name not in columns}
        blocks += _blocks(nested, (*path, key))
    return blocks


def _columns(rows: Mapping[str, Any]) -> list[str]:
    """What is a cell in every row that has it; empty where the rows have nothing in common."""
    names: dict[str, None] = {}
    for row in rows.values():
        if not isinstance(row, Mapping) or _is_cell(row):
            return []
        names.update(dict.fromkeys(row))
    if len(rows) < 2 or not any(all(name in row for row in rows.values()) for name in names):
        return []
    return [n for n in names if all(_is_cell(row[n]) for row in rows.values() if n in row)]


def _is_cell(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "value" in value and set(value) <= _FIGURE
    if isinstance(value, list):
        flat = not any(isinstance(item, Mapping | list) for item in value)
        return flat and len(value) <= MOST_IN_A_CELL
    return True


def _cell(value: Any) -> str:
    """One figure as text that stays inside its cell."""
    if isinstance(value, Mapping):
        ends = value.get("interval") or [value[end] for end in ("low", "high") if end in value]
        return _cell(value["value"]) + (f" [{', '.join(map(_cell, ends))}]" if ends else "")
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    text = " ".join(str(value).split())
    if _HASH.fullmatch(text):
        return f"{text[:SHOWN_HASH_DIGITS]}..."
    return text.replace("|", "\\|")


def _title(path: Sequence[str]) -> str:
    return f"**{': '.join(map(_name, path))}**" if path else ""


def _name(key: str) -> str:
    return str(key).replace("_", " ").replace("|", "\\|")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
