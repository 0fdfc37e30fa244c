"""Counts the events that a bundle finds where nobody cries, through the engine itself.

Run ``python experiments/world.py POOL NAME [BUNDLE]``; it writes ``results/world_NAME.json``. The
shipped bundle was trained on these sounds, so for it the figures only say what was learnt; the
detector of before had never met ``other-sounds``. `detector.py` has the held-out figures.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from pool import library
from record import say, write_result
from scores import talk_over_music

from cryvision.bundle import Bundle
from cryvision.inference.classifier import StreamClassifier

SEED = 0


def main() -> None:
    from detector import CLASSES

    pool, name, *given = sys.argv[1:]
    bundle = Bundle.load(given[0] if given else None)
    found = library(Path(pool))
    sounds = [*found.other, *talk_over_music(found)]
    counts: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for number, sound in enumerate(sounds):
        stream = StreamClassifier(bundle)
        stream.push(sound.samples)
        result = stream.finish()
        counts[sound.source].append(
            (len(result.events), result.detector.seconds, len(sound.samples) / 16_000)
        )
        if number % 500 == 0:
            say(f"{number} of {len(sounds)}")
    figures = {}
    for label, sources in CLASSES.items():
        rows = np.array([row for source in sources for row in counts.get(source, [])])
        if len(rows):
            hours = rows[:, 2].sum() / 3600
            figures[label] = {
                "clips": len(rows),
                "hours": hours,
                "events_per_hour": rows[:, 0].sum() / hours,
                "clips_with_an_event": float((rows[:, 0] > 0).mean()),
                "share_of_time_called_cry": rows[:, 1].sum() / rows[:, 2].sum(),
            }
    write_result(
        f"world_{name}", SEED, {"bundle": bundle.name, "sha256": bundle.sha256, "classes": figures}
    )


if __name__ == "__main__":
    main()
