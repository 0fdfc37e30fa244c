"""Counts the events and alerts of what ships in recordings that nothing was trained or tuned on.

The sounds of games and of a drawing program, as Debian packages them; nobody cries in them. One
folder holds the packages, each unpacked in a folder of its name::

    apt-get download hedgewars-data openarena-data tuxpaint-stamps-default supertux-data \\
        freedroidrpg-data warmux-data wesnoth-1.16-music
    for deb in *.deb; do dpkg-deb -x "$deb" "${deb%%_*}"; done
    (cd openarena-data && for pk3 in $(find . -name '*.pk3'); do unzip -qo "$pk3"; done)
    python experiments/unmet.py FOLDER

It writes ``results/unmet.json``.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from record import say, write_result

import cryvision
from cryvision.bundle import Bundle
from cryvision.errors import MediaError
from cryvision.inputs.media import read_sound

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import live

SEED = 0
ENDINGS = (".ogg", ".wav", ".mp3")
GAMES = r"(openarena|supertux|freedroidrpg|warmux)-data/.*"

KINDS = {
    "animals": r"tuxpaint-stamps-default/.*/stamps/animals/(?!.*_desc).*",
    "spoken words, many languages": r"tuxpaint-stamps-default/.*_desc.*",
    "exaggerated voices, shouts and laughs of a game": r"hedgewars-data/.*/Sounds/voices/.*",
    "voices of other games": GAMES + r"/(speech|voices|voice_samples|player|tux_.*)/.*",
    "music": r"(wesnoth-1\.16-music/.*|" + GAMES + r"/music/.*)",
    "effects of games": GAMES,
}  # fmt: skip
"""What a path below the folder must match; the first that it matches is its kind."""

EVERY = {"spoken words, many languages": 10}
"""Of so many files one is taken."""

VARIANTS = ("edges", "fused", "strict")


def recordings(folder: Path) -> Iterator[tuple[str, list[Path]]]:
    """Give each kind of sound and its files."""
    kinds: dict[str, list[Path]] = {name: [] for name in KINDS}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in ENDINGS and p.is_file()):
        place = path.relative_to(folder).as_posix()
        name = next((name for name, words in KINDS.items() if re.fullmatch(words, place)), None)
        if name is not None:
            kinds[name].append(path)
    for name, paths in kinds.items():
        yield name, paths[:: EVERY.get(name, 1)]


def events(path: Path, bundle: Bundle) -> tuple[float, list[int]]:
    """Give the seconds of a clip and the number of its events, for each variant."""
    fused, strict = (cryvision.classify(path, bundle, veto=veto) for veto in ("normal", "strict"))
    candidates = len(fused.events) + len(fused.rejected)
    return fused.duration_s, [candidates, len(fused.events), len(strict.events)]


def summed(rows: list[tuple[float, list[int]]]) -> dict[str, Any]:
    hours = sum(seconds for seconds, _ in rows) / 3600
    counts = np.array([found for _, found in rows])
    return {
        "hours": hours,
        "clips": len(rows),
        **{
            variant: {
                "events_per_hour": counts[:, i].sum() / hours,
                "clips_with_an_event": (counts[:, i] > 0).mean(),
            }
            for i, variant in enumerate(VARIANTS)
        },
    }


def main() -> None:
    (folder,) = map(Path, sys.argv[1:])
    bundle = Bundle.load().keeping_models()
    digest = hashlib.sha256()
    found: dict[str, Any] = {}
    alerts: dict[str, Any] = {}
    for name, paths in recordings(folder):
        rows, sounds = [], []
        for path in paths:
            digest.update(path.read_bytes())
            try:
                rows.append(events(path, bundle))
                sounds.append(read_sound(path))
            except MediaError as error:
                say(f"left out: {error}")
        found[name] = summed(rows)
        alerts |= live.false_alerts(bundle, {name: sounds})
        say(f"{name}: {found[name]}, {alerts[name]}")
    write_result(
        Path(__file__).stem,
        SEED,
        {
            "protocol": f"bundle {bundle.name} on sounds of Debian packages that nothing was "
            "trained or tuned on; nobody cries in them",
            "packages": sorted(path.name for path in folder.glob("*.deb")),
            "sha256_of_the_files": digest.hexdigest(),
            "bundle_sha256": bundle.sha256,
            "false_events": found,
            "false_alerts": live.summed_classes(alerts),
        },
    )


if __name__ == "__main__":
    main()
