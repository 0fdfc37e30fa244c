"""Measures the shipped bundle on sounds of families that it was never trained on, and on the demo.

Run ``python experiments/default_probes.py`` (two minutes; it needs the program espeak-ng); it
writes ``results/default_probes.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import probes
import recordings
from record import ROOT, write_result

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.evaluation.metrics import false_alarms, intersection_over_union
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.clip import classify

SEED = 1
CLIPS_PER_FAMILY = 30
CLIP_SECONDS = 8.0
MOST = {
    "silence": 0.0,
    **dict.fromkeys(("noise", "hum", "clicks"), 0.01),
    **dict.fromkeys(("siren", "vibrato", "plucked_strings", "melody"), 0.01),
    **dict.fromkeys(("speech_unseen_speaker", "speech_synthetic"), 0.01),
}
"""Largest share of the time that may lie in events that stand."""

VOICES = ("en", "en+f3", "de", "de+f2", "fr", "es+f4", "it", "sv+m3")
SENTENCES = (
    "Are you still awake, little one? It is late, and the moon is already up.",
    "Please put the bottle on the table and close the window before you leave.",
    "One, two, three, four, five, six, seven, eight, nine, ten.",
)


def time_in_events(bundle: Bundle, clips: Iterable[np.ndarray], veto: str) -> tuple[float, float]:
    """Seconds inside events, and all seconds."""
    inside = seconds = 0.0
    for samples in clips:
        stream = StreamClassifier(bundle, veto=veto)
        stream.push(samples)
        result = stream.finish()
        inside += result.detector.seconds
        seconds += len(samples) / SAMPLE_RATE_HZ
    return inside, seconds


def families() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(SEED)
    n = round(CLIP_SECONDS * SAMPLE_RATE_HZ)
    clips = {
        name: [make(rng, n) for _ in range(CLIPS_PER_FAMILY)]
        for name, make in probes.HELD_OUT.items()
    }
    clips["speech_unseen_speaker"] = [
        sound.samples for sound in recordings.digits([recordings.UNSEEN_SPEAKER], seed=SEED)
    ]
    clips["speech_synthetic"] = [
        probes.espeak(text, voice, int(rng.integers(20, 99)), int(rng.integers(120, 220)))
        for voice in VOICES
        for text in SENTENCES
    ]
    return clips


def demo_figures(bundle: Bundle) -> dict:
    sys.path.insert(0, str(ROOT / "examples"))
    from make_demo import BOUTS

    result = classify(ROOT / "examples" / "demo.mp4", bundle)
    found = np.array([(e.onset_s, e.offset_s) for e in result.events]).reshape(-1, 2)
    bouts = np.array(BOUTS)
    return {
        "bouts": bouts,
        "events": found,
        "rejected": len(result.rejected),
        "iou_of_each_bout": [
            max((intersection_over_union(bout[None], event[None]) for event in found), default=0.0)
            for bout in bouts
        ],
        "events_outside": false_alarms(bouts, found),
    }


def main() -> None:
    bundle = Bundle.load()
    shares = {}
    for name, clips in families().items():
        edges, fused = (time_in_events(bundle, clips, veto) for veto in ("off", "normal"))
        shares[name] = {
            "edges": edges[0] / edges[1],
            "fused": fused[0] / fused[1],
            "seconds": fused[1],
            "at_most": MOST[name],
        }
        print(f"{name}: {shares[name]}", file=sys.stderr)
    write_result(
        Path(__file__).stem,
        SEED,
        {"bundle_sha256": bundle.sha256, "families": shares, "demo": demo_figures(bundle)},
    )


if __name__ == "__main__":
    main()
