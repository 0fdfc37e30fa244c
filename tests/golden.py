"""Forty drawn clips and what the package made of them, to see whether a change changes results.

Run ``PYTHONPATH=. python tests/golden.py`` to write ``tests/data/golden.json`` anew, and say in the
commit why results change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "data" / "golden.json"
N_CLIPS = 40
RATE_HZ = 16_000


def drawn_clip(seed: int) -> np.ndarray:
    """Draw 3 to 6 s of cries of one pitch contour each, or of tones, and noise at some level."""
    rng = np.random.default_rng(seed)
    seconds = rng.uniform(3.0, 6.0)
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = rng.normal(0, 10 ** rng.uniform(-4, -1.7), len(time_s))
    onset_s = rng.uniform(0, 0.5)
    while onset_s < seconds - 0.3:
        length_s = rng.uniform(0.3, 1.3)
        inside = (time_s >= onset_s) & (time_s < onset_s + length_s)
        turn = (time_s[inside] - onset_s) / length_s
        f0_hz = rng.uniform(200, 700) * (1 + rng.uniform(-0.3, 0.6) * np.sin(np.pi * turn))
        if seed % 4 == 3:  # no cry: a steady tone
            f0_hz = np.full(len(turn), rng.uniform(150, 3000))
        phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
        voice = sum(np.sin(k * phase) / k**0.7 for k in range(1, 9))
        sound[inside] += 10 ** rng.uniform(-2, -0.7) * voice * np.sin(np.pi * turn) ** 0.3
        onset_s += length_s + rng.uniform(0.1, 0.8)
    return np.clip(sound, -1, 1).astype(np.float32)


def outcome(seed: int) -> dict[str, Any]:
    """Classify a drawn clip, and give what a change of results would show in."""
    import cryvision

    stream = cryvision.StreamClassifier(cryvision.Bundle.load())
    stream.push(drawn_clip(seed))
    result = stream.finish()
    timeline = {
        name: [float(np.nanmean(values)), float(np.nanmax(values))]
        for name, values in result.timeline.items()
        if len(values) and np.isfinite(values).any()
    }
    return {
        "label": result.label,
        "probability": result.detector.probability,
        "events": [
            [e.onset_s, e.offset_s, e.confidence, e.intensity_db, e.above_background_db]
            for e in result.events
        ],
        "rejected": [[e.onset_s, e.offset_s] for e in result.rejected],
        "timeline": timeline,
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps([outcome(seed) for seed in range(N_CLIPS)], indent=1) + "\n")
