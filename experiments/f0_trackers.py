"""Compares trackers of F0 on synthetic cries of known F0 and on annotated real ones.

Trackers, each over 150 to 2,000 Hz: Praat's autocorrelation and cross-correlation (parselmouth),
SwiftF0, librosa's pyin, and the YIN of ``cryvision score``, which ends at 1,000 Hz.
On the real cries there is no truth: what counts is how far each agrees with Praat.

``python experiments/f0_trackers.py`` needs ``pip install praat-parselmouth swift-f0 librosa``, and
CRYVISION_DATA for the real cries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from record import say, write_result
from recordings import donateacry_segments
from synthetic_cries import SyntheticCry, draw_cry

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.datasets.annotated import cry_intervals
from cryvision.inputs.media import read_sound
from cryvision.inputs.pitch import PitchStream

SEED = 20
N_SYNTHETIC = 200
N_PYIN = 40
"""pyin takes a second for each second of sound."""
SNRS_DB = (20.0, 10.0)
GROSS = 0.2
"""Relative error from which on a frame is a gross error."""
EDGE_SECONDS = 0.05
"""Left out at both ends of a cry, where it fades."""
N_REAL_CLIPS = 60
SHORTEST_REAL_SECONDS = 0.3
FLOOR_HZ, CEILING_HZ = 150.0, 2000.0

Tracker = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Takes 16 kHz mono sound; gives times in seconds and F0 in Hz, NaN where unvoiced."""


def praat(method: str) -> Tracker:
    import parselmouth
    from parselmouth.praat import call

    def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sound = parselmouth.Sound(samples.astype(np.float64), SAMPLE_RATE_HZ)
        settings = (0.01, FLOOR_HZ, 15, True, 0.03, 0.45, 0.01, 0.35, 0.14, CEILING_HZ)
        pitch = call(sound, f"To Pitch ({method})", *settings)
        f0_hz = pitch.selected_array["frequency"]
        return pitch.xs(), np.where(f0_hz > 0, f0_hz, np.nan)

    return track


def swift() -> Tracker:
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=1)

    def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = detector.detect(samples, SAMPLE_RATE_HZ, FLOOR_HZ, CEILING_HZ)
        return found.timestamps, np.where(found.confidence >= 0.5, found.pitch_hz, np.nan)

    return track


def pyin(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import librosa

    f0_hz, _, _ = librosa.pyin(
        samples, fmin=FLOOR_HZ, fmax=CEILING_HZ, sr=SAMPLE_RATE_HZ, frame_length=512, hop_length=160
    )
    return np.arange(len(f0_hz)) * 0.01, f0_hz


def yin(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    stream = PitchStream()
    stream.push(samples)
    track = stream.track()
    return track.time_s, track.f0_hz.astype(np.float64)


def synthetic_errors(track: Tracker, cries: list[SyntheticCry]) -> dict[str, float]:
    """Share of gross errors among the voiced frames, median error, misses, CPU a second."""
    errors_hz, gross, missed = [], [], []
    started = time.process_time()
    for cry in cries:
        time_s, f0_hz = track(cry.samples)
        inside = (time_s > cry.onset_s + EDGE_SECONDS) & (time_s < cry.offset_s - EDGE_SECONDS)
        truth, found = cry.f0_at(time_s[inside]), f0_hz[inside]
        voiced = ~np.isnan(found)
        error = np.abs(found[voiced] - truth[voiced])
        errors_hz.append(error)
        gross.append(error > GROSS * truth[voiced])
        missed.append(~voiced)
    seconds = sum(len(cry.samples) for cry in cries) / SAMPLE_RATE_HZ
    return {
        "gross_error_share": float(np.concatenate(gross).mean()),
        "median_error_hz": float(np.median(np.concatenate(errors_hz))),
        "missed_share": float(np.concatenate(missed).mean()),
        "cpu_seconds_per_second": (time.process_time() - started) / seconds,
        "n_cries": len(cries),
    }


def real_cries(n_clips: int = N_REAL_CLIPS) -> list[tuple[Path, float, float]]:
    """List annotated crying of donateacry, of clips spread over the corpus: path, onset, offset."""
    data = Path(os.environ["CRYVISION_DATA"])
    folder = data / "donateacry-corpus" / "donateacry_corpus_cleaned_and_updated_data"
    clips = donateacry_segments(folder, data / "cry-segments")
    return [
        (clip.path, cry.start_s, cry.end_s)
        for clip in clips[:: max(1, len(clips) // n_clips)]
        for cry in cry_intervals(clip.intervals)
        if cry.end_s - cry.start_s >= SHORTEST_REAL_SECONDS
    ]


def agreement(track: Tracker, reference: Tracker, cries: list[np.ndarray]) -> dict[str, float]:
    """Frames that both call voiced: share within 5 % of the reference, and at its octave."""
    ratios, both, either = [], 0, 0
    for samples in cries:
        time_s, f0_hz = track(samples)
        at_s, reference_hz = reference(samples)
        nearest = np.abs(at_s[:, None] - time_s).argmin(axis=1)
        found = f0_hz[nearest]
        voiced = ~np.isnan(found) & ~np.isnan(reference_hz)
        either += int((~np.isnan(found) | ~np.isnan(reference_hz)).sum())
        both += int(voiced.sum())
        ratios.append(found[voiced] / reference_hz[voiced])
    ratio = np.concatenate(ratios)
    return {
        "within_5_percent": float((np.abs(ratio - 1) < 0.05).mean()),
        "octave_apart": float((np.abs(np.abs(np.log2(ratio)) - 1) < 0.1).mean()),
        "voiced_in_both_of_either": both / either,
    }


def main() -> None:
    trackers: dict[str, Tracker] = {
        "praat_ac": praat("ac"), "praat_cc": praat("cc"), "swift_f0": swift(), "pyin": pyin,
        "yin_to_1000_hz": yin,
    }  # fmt: skip
    result: dict[str, Any] = {"range_hz": [FLOOR_HZ, CEILING_HZ], "synthetic": {}, "real": {}}
    for snr_db in SNRS_DB:
        rng = np.random.default_rng([SEED, int(snr_db)])
        cries = [draw_cry(rng, snr_db) for _ in range(N_SYNTHETIC)]
        for name, track in trackers.items():
            chosen = cries[:N_PYIN] if name == "pyin" else cries
            errors = synthetic_errors(track, chosen)
            result["synthetic"].setdefault(f"{snr_db:g}_db", {})[name] = errors
            say(f"{snr_db:g} dB, {name}: {errors}")
    cries_found = (
        [read_sound(*cry) for cry in real_cries()] if os.environ.get("CRYVISION_DATA") else []
    )
    for name, track in trackers.items():
        if cries_found:
            chosen_real = cries_found[:: len(cries_found) // 20] if name == "pyin" else cries_found
            result["real"][name] = agreement(track, trackers["praat_ac"], chosen_real)
            say(f"real, {name}: {result['real'][name]}")
    packages = ("praat-parselmouth", "swift-f0", "librosa")
    result["trackers"] = {package: version(package) for package in packages}
    write_result("f0_trackers", SEED, result)


if __name__ == "__main__":
    main()
