"""The figure and the tables of the page on architecture, from the imports and from a run."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from floors import FLOORS, NAME, Floor, Module, direct_imports

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_INCHES, _FLOOR_INCHES, _WIDTH_INCHES, _TITLE_INCHES = 0.5, 0.16, 8.2, 1.75
_BOX_HEIGHT, _LETTER, _PADDING, _BOX_GAP = 0.29, 0.088, 0.24, 0.25
_TITLE_LETTERS = 22
_TURNS = 20
"""How often rooms are moved beside what they use; beyond this nothing changes any more."""

_TO_THE_MIDDLE = 0.2
"""Weight of the middle of the figure among what a room is moved beside."""

_BANDS = ("#eef3f8", "#f8f5ee")
_LINE, _BOX, _TEXT = "#8a9bb0", "#2f5d8a", "#1d2733"


def shown_name(room: str) -> str:
    """Name a room as a reader would: the package itself is not called ``__init__``."""
    return NAME if room == "__init__" else room


def draw_floors(imports: Mapping[str, set[str]], floors: Sequence[Floor] = FLOORS) -> Figure:
    """Draw the rooms on their floors, the ground at the bottom, with a line for each direct import.

    Lines to the ground floor are left out: nearly every room uses it.

    Parameters
    ----------
    imports : mapping of str to set of str
        Room to the rooms that it imports; without circles.
    floors : sequence of Floor
        From the ground up. Rooms of a floor that import one another stand in several rows.
    """
    from matplotlib.figure import Figure

    rows: list[list[str]] = []
    bands: list[tuple[Floor, float, float]] = []
    height_of: dict[str, float] = {}
    top = 0.0
    for floor in floors:
        bottom = top
        top += _FLOOR_INCHES / 2
        for row in _rows(floor, imports):
            rows.append(row)
            height_of |= dict.fromkeys(row, top + _ROW_INCHES / 2)
            top += _ROW_INCHES
        top += _FLOOR_INCHES / 2
        bands.append((floor, bottom, top))
    ground = set(floors[0].rooms)
    direct = {
        room: used if room in ground else used - ground
        for room, used in direct_imports(imports).items()
    }
    centre_of = _centres(rows, direct)

    figure = Figure(figsize=(_WIDTH_INCHES, top), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, _WIDTH_INCHES), ylim=(0, top))
    axes.axis("off")
    for number, (floor, low, high) in enumerate(bands):
        axes.axhspan(low, high, color=_BANDS[number % 2], linewidth=0)
        title = textwrap.fill(floor.purpose, _TITLE_LETTERS)
        axes.text(0.12, (low + high) / 2, title, fontsize=9, color=_TEXT, va="center")
    for room, used in sorted(direct.items()):
        for other in sorted(used):
            _draw_line(
                axes,
                (centre_of[room], height_of[room] - _BOX_HEIGHT / 2),
                (centre_of[other], height_of[other] + _BOX_HEIGHT / 2),
            )
    for room, centre in centre_of.items():
        _draw_box(axes, room, centre, height_of[room])
    return figure


def _draw_line(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    arrow = {"arrowstyle": "-|>", "color": _LINE, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=arrow)


def _draw_box(axes: Axes, room: str, centre: float, height: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    width = _box_width(room)
    corner = (centre - width / 2, height - _BOX_HEIGHT / 2)
    rounded = "round,pad=0,rounding_size=0.06"
    box = FancyBboxPatch(corner, width, _BOX_HEIGHT, rounded, fc="white", ec=_BOX, zorder=3)
    axes.add_patch(box)
    letters = {"ha": "center", "va": "center", "fontsize": 9, "family": "monospace"}
    axes.text(centre, height - 0.01, shown_name(room), color=_TEXT, zorder=4, **letters)


def _rows(floor: Floor, imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Divide a floor so that each room stands above those of the floor that it imports."""
    depth: dict[str, int] = {}
    for room in floor.rooms:
        depth[room] = 1 + max((depth[o] for o in imports[room] & set(depth)), default=-1)
    return [[r for r in floor.rooms if depth[r] == d] for d in range(max(depth.values()) + 1)]


def _box_width(room: str) -> float:
    return len(shown_name(room)) * _LETTER + _PADDING


def _centres(rows: Sequence[list[str]], direct: Mapping[str, set[str]]) -> dict[str, float]:
    """Place the rooms of each row near what they use and what uses them; boxes do not meet."""
    near = {room: set(used) for room, used in direct.items()}
    for room, used in direct.items():
        for other in used:
            near[other].add(room)
    centre_of: dict[str, float] = {}
    for row in rows:
        centre_of |= _spread({room: index for index, room in enumerate(row)})
    for turn in range(_TURNS):
        for row in rows if turn % 2 else reversed(rows):
            centre_of |= _spread({room: _middle_of(near[room], centre_of) for room in row})
    return centre_of


def _middle_of(rooms: set[str], centre_of: Mapping[str, float]) -> float:
    middle = (_TITLE_INCHES + _WIDTH_INCHES) / 2
    weights = _TO_THE_MIDDLE + len(rooms)
    return (_TO_THE_MIDDLE * middle + sum(centre_of[room] for room in rooms)) / weights


def _spread(wish: Mapping[str, float]) -> dict[str, float]:
    """Keep the order of the wished places, and push the boxes apart, within the figure."""
    row = sorted(wish, key=lambda room: wish[room])
    taken = sum(map(_box_width, row)) + _BOX_GAP * (len(row) + 1)
    free = _WIDTH_INCHES - _TITLE_INCHES - taken
    placed, left = {}, _TITLE_INCHES + _BOX_GAP
    for room in row:
        # A box may move to the right as long as those after it stay within the figure.
        at = min(max(wish[room] - _box_width(room) / 2, left), left + max(free, 0.0))
        free -= at - left
        placed[room] = at + _box_width(room) / 2
        left = at + _box_width(room) + _BOX_GAP
    return placed


def to_svg(figure: Figure) -> str:
    """Return a figure as SVG with its text as text; the same figure gives the same bytes."""
    import matplotlib

    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": NAME}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def image_tag(figure: Figure, alt: str) -> str:
    """Return a figure as an HTML image that holds its own data: no file, and no style leaks."""
    data = base64.b64encode(to_svg(figure).encode()).decode()
    return f'<img class="architecture" alt="{alt}" src="data:image/svg+xml;base64,{data}">'


def floors_table(modules: Sequence[Module], floors: Sequence[Floor] = FLOORS) -> str:
    """Describe every room in the words of its own docstring, the top floor first."""
    of_room: dict[str, list[Module]] = {}
    for module in modules:
        of_room.setdefault(module.room, []).append(module)
    lines = ["| floor | module or package | files | what it is |", "|---|---|---|---|"]
    for floor in reversed(floors):
        for number, room in enumerate(reversed(floor.rooms)):
            own = of_room[room]
            names = (room, f"{room}/__init__")
            purpose = next((m.purpose for m in own if m.name in names), "").replace("``", "`")
            title = floor.purpose if number == 0 else ""
            lines.append(f"| {title} | `{shown_name(room)}` | {len(own)} | {purpose} |")
    return "\n".join(lines) + "\n"


def record_way(run: Callable[[], Any], package: Path) -> list[tuple[str, str]]:
    """Run something and say which rooms it entered, in the order of the first entry of each.

    Parameters
    ----------
    run : callable
        What it calls in other threads is not seen.
    package : Path
        Folder of the package.

    Returns
    -------
    list of (str, str)
        Room, and the function that was called in it first. Importing a module is no entry.
    """
    root = os.path.join(os.fspath(package), "")
    entered: dict[str, str] = {}

    def watch(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(root) or code.co_name[0] == "<":
            return
        name = code.co_filename[len(root) :].removesuffix(".py").replace(os.sep, "/")
        room = name.split("/")[0]
        # A dunder is not what anyone came for, and neither is the body of a class.
        if room not in entered and not code.co_name.startswith("__") and code.co_flags & 2:
            function = getattr(code, "co_qualname", code.co_name)
            entered[room] = f"{name.replace('/', '.')}.{function}"

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(before)
    return list(entered.items())


def way_of_a_clip(root: Path, clip: str) -> list[tuple[str, str]]:
    """Record ``cryvision classify`` on a clip of a checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, clip], cwd=root, stdout=subprocess.PIPE, text=True, check=True
    )
    return [(room, function) for room, function in json.loads(done.stdout)]


def way_table(way: Sequence[tuple[str, str]]) -> str:
    """Write what `record_way` gives as a table."""
    rows = [f"| {i} | `{room}` | `{call}` |" for i, (room, call) in enumerate(way, start=1)]
    return "\n".join(["|  | module or package | first call there |", "|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    import cryvision.cli

    with contextlib.redirect_stdout(io.StringIO()):
        recorded = record_way(
            lambda: cryvision.cli.main(["classify", *sys.argv[1:]]),
            Path(cryvision.__file__).parent,
        )
    print(json.dumps(recorded))
