"""Writes files in every format of annotations and reads them again: is every interval there?"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from report import RESULTS, ROOT, SEED

from cryvision.annotations import Interval

sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "experiments"))
from annotation_files import WRITABLE, lost_or_moved, write_and_read
from record import write_result

N_FILES = 200
MOST_INTERVALS = 60
DAY_S = 86_400.0
LABELS = ("cry", "fuss", "baby cry", "Gebrüll & <laut>", "笑い", "=cry", "-", 'a "quoted" word')
TIERS = ("", "cry", "coder 2")
_RENAMED = {"srt": {"Gebrüll & <laut>": "Gebrüll & \u2039laut\u203a"}}


def _intervals(rng: np.random.Generator) -> list[Interval]:
    """Draw intervals of a day; every second one begins within the first minute."""
    n = int(rng.integers(1, MOST_INTERVALS))
    starts = np.where(rng.random(n) < 0.5, rng.uniform(0, 60, n), rng.uniform(0, DAY_S, n))
    lengths = 10 ** rng.uniform(-3, 2.5, n)
    labels, tiers = rng.choice(LABELS, n), rng.choice(TIERS, n)
    return [
        Interval(float(start), float(start + length), str(label), str(tier))
        for start, length, label, tier in zip(starts, lengths, labels, tiers, strict=True)
    ]


def main() -> int:
    """Write the files, read them, and write the counts as JSON."""
    rng = np.random.default_rng(SEED)
    formats = {}
    for form in WRITABLE:
        n_intervals = n_lost = n_more = 0
        started_s = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(N_FILES):
                written = _intervals(rng)
                words = _RENAMED.get(form, {})
                read = write_and_read(written, Path(folder), form)
                wanted = [
                    Interval(i.start_s, i.end_s, words.get(i.label, i.label)) for i in written
                ]
                n_intervals += len(written)
                n_lost += len(lost_or_moved(wanted, read, form))
                n_more += max(0, len(read) - len(written))
        formats[form] = {
            "files": N_FILES,
            "intervals": n_intervals,
            "lost_or_moved": n_lost,
            "added": n_more,
            "cpu_s": round(time.process_time() - started_s, 2),
        }
        print(form, formats[form])
    write_result("annotations", SEED, {"formats": formats}, RESULTS)
    return int(any(one["lost_or_moved"] or one["added"] for one in formats.values()))


if __name__ == "__main__":
    sys.exit(main())
