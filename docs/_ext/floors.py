"""The layers of the package: one table, and what the imports say about it.

The page on architecture, its figure and ``tests/test_package.py`` all read `FLOORS`. Whoever moves
a module changes this table and nothing else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

NAME = "cryvision"


class Floor(NamedTuple):
    """Some modules and packages, side by side.

    Attributes
    ----------
    purpose : str
    rooms : tuple of str
        Modules and packages at the top of cryvision. Each may import all rooms on lower floors,
        and on its own floor those named before it.
    """

    purpose: str
    rooms: tuple[str, ...]


FLOORS = (
    Floor(
        "settings, results, errors, files",
        (
            "errors",
            "os_errors",
            "argument_types",
            "layers",
            "spans",
            "result",
            "config",
            "atomic",
            "safe_text",
            "subjects",
            "traces",
            "download",
        ),
    ),
    Floor("networks, and how files of them are checked and run", ("models", "runtime")),
    Floor(
        "media become arrays; annotators' files; times of recordings",
        ("inputs", "annotations", "start_times"),
    ),
    Floor("saved models", ("bundle",)),
    Floor(
        "from arrays to events, classes and acoustics; files for people and tools",
        ("inference", "acoustics", "outputs"),
    ),
    Floor("many clips, other runtimes, live sound", ("export", "batch", "monitor")),
    Floor("labelled recordings, altered sound", ("augmentation", "datasets")),
    Floor("measures and reports", ("evaluation",)),
    Floor("training, audits", ("training", "detector_training", "auditing")),
    Floor("the public names", ("__init__",)),
    Floor("the page, the command line", ("web", "commands", "cli", "__main__")),
)
"""From the ground up."""

_PARTS = ("body", "orelse", "handlers", "finalbody", "cases")
"""Where a statement holds others."""

KERAS_USERS = (
    *(
        "models",
        "runtime/loading",
        "export",
        "inputs/pictures/backbone",
        "inputs/pictures/embedding",
    ),
    *("training/branches", "training/epochs", "training/tensorboard"),
    *("detector_training/pieces", "detector_training/tag_scores"),
)
"""The only rooms and modules that may import Keras or TensorFlow."""


@dataclass(frozen=True)
class Module:
    """A file of the package.

    Attributes
    ----------
    name : str
        Its path below the package without the suffix, such as ``inputs/audio``.
    purpose : str
        First line of its docstring; empty where it has none.
    imports : frozenset of str
        Dotted names of all modules that it imports, at the top or in a function, without those
        that only a type checker reads.
    """

    name: str
    purpose: str
    imports: frozenset[str]

    @property
    def room(self) -> str:
        return self.name.split("/")[0]

    @property
    def rooms(self) -> set[str]:
        """Rooms that the module imports, its own among them if it imports from there."""
        names = (name.split(".") for name in self.imports)
        # What starts with an underscore, such as __version__, is a name in the package itself.
        return {n[1] for n in names if n[0] == NAME and len(n) > 1 and not n[1].startswith("_")}


def read_modules(package: Path) -> list[Module]:
    """Parse every file of a package; nothing is imported."""
    return [_read(path, package) for path in sorted(package.rglob("*.py"))]


def _read(path: Path, package: Path) -> Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    name = path.relative_to(package).with_suffix("").as_posix()
    imports = set(_imports(tree))
    if name == "__init__":
        # The package names what it loads late: {"classify": "cryvision.inference.clip", ...}.
        strings = (n.value for n in ast.walk(tree) if isinstance(n, ast.Constant))
        imports |= {s for s in strings if isinstance(s, str) and s.startswith(f"{NAME}.")}
    return Module(name, (ast.get_docstring(tree) or "").split("\n")[0], frozenset(imports))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Iterate over all statements, without those that only a type checker reads.

    What they are made of is left out: `ast.walk`, which gives that too, takes five times as long.
    """
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for_types = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for part in _PARTS[1:] if for_types else _PARTS:
            waiting += getattr(node, part, ())


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in statements(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level or not node.module:
                raise ValueError(f"line {node.lineno}: the layers are read from absolute imports")
            yield node.module
            if node.module == NAME:
                yield from (f"{NAME}.{alias.name}" for alias in node.names)


def room_imports(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Give for each room the other rooms that it imports."""
    found: dict[str, set[str]] = {}
    for module in modules:
        found.setdefault(module.room, set()).update(module.rooms - {module.room})
    return found


def layer_faults(modules: Iterable[Module], floors: Iterable[Floor] = FLOORS) -> list[str]:
    """List what the imports and the table do not agree on: a line each, none where all is well."""
    modules = list(modules)
    order = [room for floor in floors for room in floor.rooms]
    there = {module.room for module in modules}
    faults = [f"{room} is on no floor of the table" for room in sorted(there - set(order))]
    faults += [
        f"{room} is on a floor, but not in the package" for room in order if room not in there
    ]
    faults += [
        f"{room} is on two floors" for room in sorted({r for r in order if order.count(r) > 1})
    ]
    for module in modules:
        for room in sorted(module.rooms - {module.room}):
            if {room, module.room} <= set(order) and order.index(room) > order.index(module.room):
                faults.append(f"{module.name} imports {room}, which is above {module.room}")
            elif room not in there:
                faults.append(f"{module.name} imports {room}, which is not in the package")
    return faults


def keras_faults(modules: Iterable[Module]) -> list[str]:
    """List the modules that import Keras or TensorFlow and are not among `KERAS_USERS`."""
    return [
        f"{module.name} imports {', '.join(sorted(heavy))}"
        for module in modules
        if (heavy := {name.split(".")[0] for name in module.imports} & {"keras", "tensorflow"})
        and not any(
            module.name == user or module.name.startswith(f"{user}/") for user in KERAS_USERS
        )
    ]


def direct_imports(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out every import that a longer way of imports implies.

    Parameters
    ----------
    imports : mapping of str to set of str
        Without circles.
    """
    below: dict[str, set[str]] = {}

    def all_below(room: str) -> set[str]:
        if room not in below:
            below[room] = set(imports[room]).union(*map(all_below, imports[room]))
        return below[room]

    return {
        room: {one for one in used if not any(one in all_below(other) for other in used - {one})}
        for room, used in imports.items()
    }
