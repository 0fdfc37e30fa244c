"""What noise and codecs do to a detector, measured on phones that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import probes

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs import augment
from cryvision.learning.decisions import SOUND, Calibration, gate_for
from cryvision.learning.training import detector_logits
from cryvision.learning.windows import LabelledSound, Windows, windows_of
from cryvision.smoothing import find_events

EVALUATED_HOP = 2  # every second window: 0.2 s
SNRS_DB = (20, 10, 5, 0)
KINDS = ("white", "pink", "household")
CODED_CLIPS_PER_FOLD = 30
CODECS = ("amr-nb", "aac", "mp3", "opus", "g723.1")
RATES_HZ = (8000, 44_100)


def events_of(windows: Windows, probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Events of one clip, shape (n, 2)."""
    found = find_events(
        windows.end_s,
        probabilities,
        windows.level_dbfs,
        gate_for(threshold),
        SOUND.window_seconds,
        SOUND.hop_seconds,
        float(windows.end_s[-1]),
    )
    return np.array([(e.onset_s, e.offset_s) for e in found]).reshape(-1, 2)


def noises(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """White, pink and household-like noise: a fan, hum and clatter of families not trained on."""
    white = rng.standard_normal(n)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    parts = [probes.noise(rng, n), 0.5 * probes.hum(rng, n), 0.7 * probes.clicks(rng, n)]
    house = np.sum([part / max(np.sqrt(np.mean(part**2)), 1e-9) for part in parts], axis=0)
    return {"white": white, "pink": pink, "household": house}


@dataclass
class Robustness:
    """Of one fold's held-out phones: windows of cry that were found, and what codecs change."""

    hits: dict[str, np.ndarray] = field(default_factory=dict)
    changes: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    @classmethod
    def measure(
        cls, held_out: Sequence[LabelledSound], model: object, found: Calibration
    ) -> Robustness:
        """Lay noise over each clip, and code some of them."""
        measured = cls()
        rng = np.random.default_rng(len(held_out))
        measured._recall("clean", model, found, held_out)
        kinds = [noises(rng, len(sound.samples)) for sound in held_out]
        for kind in KINDS:
            for snr_db in SNRS_DB:
                noisy = [
                    LabelledSound(
                        augment.add_noise(s.samples, k[kind].astype(np.float32), snr_db, rng),
                        s.cry, s.subject, s.source, s.clip,
                    )
                    for s, k in zip(held_out, kinds, strict=True)
                ]  # fmt: skip
                measured._recall(f"{kind} {snr_db} dB", model, found, noisy)
        for sound in held_out[:CODED_CLIPS_PER_FOLD]:
            measured._codecs(sound, model, found)
        return measured

    def _recall(
        self, name: str, model: object, found: Calibration, sounds: Sequence[LabelledSound]
    ) -> None:
        windows = windows_of(sounds, SOUND, every=EVALUATED_HOP)
        called = found.probabilities(detector_logits(model, windows)) >= found.threshold
        self.hits[name] = called[windows.cry >= 0.5]

    def _codecs(self, sound: LabelledSound, model: object, found: Calibration) -> None:
        before = _judged(sound.samples, model, found)
        copies = {name: augment.code(sound.samples, name) for name in CODECS}
        for rate_hz in RATES_HZ:
            there = augment.change_speed(sound.samples, SAMPLE_RATE_HZ / rate_hz)
            copies[f"wav {rate_hz} Hz"] = augment.change_speed(there, rate_hz / SAMPLE_RATE_HZ)
        for name, samples in copies.items():
            p, cries = _judged(samples.astype(np.float32), model, found)
            self.changes.setdefault(name, []).append((abs(p - before[0]), cries == before[1]))


def _judged(samples: np.ndarray, model: object, found: Calibration) -> tuple[float, bool]:
    windows = windows_of([LabelledSound(samples, (), "", "", "")], SOUND)
    probabilities = found.probabilities(detector_logits(model, windows))
    scored = windows.scored
    p = float(probabilities[scored].mean()) if scored.any() else 0.0
    return p, len(events_of(windows, probabilities, found.threshold)) > 0


def robustness_figures(folds: Sequence[Robustness]) -> dict:
    """Put the folds together."""
    recall = {
        name: float(np.concatenate([fold.hits[name] for fold in folds]).mean())
        for name in folds[0].hits
    }
    codecs = {}
    for name in folds[0].changes:
        changes = [change for fold in folds for change in fold.changes[name]]
        codecs[name] = {
            "n_clips": len(changes),
            "median_change": float(np.median([change for change, _ in changes])),
            "same_label": float(np.mean([same for _, same in changes])),
        }
    return {
        "recall": recall,
        "fall_at_10_db": {kind: recall["clean"] - recall[f"{kind} 10 dB"] for kind in KINDS},
        "codecs": codecs,
    }
