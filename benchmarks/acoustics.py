"""Measures the acoustics: F0 in noise, agreement with Praat, modes of the voice, cost.

``CRYVISION_DATA=... python benchmarks/acoustics.py`` writes ``results/acoustics.json``.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from report import ROOT, Demand, finish

sys.path.insert(0, str(ROOT / "experiments"))
from f0_trackers import real_cries, synthetic_errors
from praat_reference import TOLERANCES, agrees, measure_with_praat
from synthetic_cries import MODES, draw_cry, draw_mixture

from cryvision.acoustics.contour import (
    DYSPHONATION,
    HYPERPHONATION,
    PHONATION,
    frame_modes,
)
from cryvision.acoustics.cry import measure_cry
from cryvision.acoustics.phases import frame_levels_db, sounding
from cryvision.acoustics.praat import PraatSound
from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import read_sound

SEED = 30
"""No tracker and no setting was chosen on its cries."""
N_CRIES = 100
SNRS_DB = (20.0, 10.0, 5.0)
N_MIXTURES = 60
N_AGREEMENT = 50
MIN_AGREEMENT = 0.95
SYNTHETIC_RATES_HZ = (16_000, 44_100)


def track(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    contour = PraatSound(samples, SAMPLE_RATE_HZ).contour
    return contour.time_s, contour.f0_hz


def f0_errors() -> dict[str, dict[str, float]]:
    """Errors of F0 on synthetic cries in noise."""
    errors = {}
    for snr_db in SNRS_DB:
        rng = np.random.default_rng([SEED, int(snr_db)])
        errors[f"{snr_db:g}_db"] = synthetic_errors(
            track, [draw_cry(rng, snr_db) for _ in range(N_CRIES)]
        )
    return errors


def agreement(cries: list[tuple[Path, float, float]]) -> dict[str, Any]:
    """Share of cries in which a measure is as near to Praat's own as is demanded, and the cost."""
    close: dict[str, list[bool]] = {name: [] for name in TOLERANCES}
    distance: dict[str, list[float]] = {name: [] for name in TOLERANCES}
    cpu_s = 0.0
    for path, onset_s, offset_s in cries:
        reference = measure_with_praat(path, onset_s, offset_s)
        rate_hz = soundfile.info(path).samplerate
        samples = sound_of(path)
        started = time.process_time()
        found = measure_cry(samples, SAMPLE_RATE_HZ, onset_s, offset_s, recorded_rate_hz=rate_hz)
        cpu_s += time.process_time() - started
        for name in TOLERANCES:
            value = getattr(found, name)
            if math.isfinite(value):
                close[name].append(agrees(name, value, reference[name]))
                distance[name].append(abs(value - reference[name]))
    seconds = sum(offset_s - onset_s for _, onset_s, offset_s in cries)
    measures = {
        name: {
            "agree": float(np.mean(close[name])),
            "n_cries": len(close[name]),
            "median_distance": float(np.nanmedian(distance[name])),
        }
        for name in TOLERANCES
        if close[name]
    }
    return {
        "seconds_of_crying": seconds,
        "cpu_seconds_per_second": cpu_s / seconds,
        "measures": measures,
    }


@functools.lru_cache(maxsize=1)
def sound_of(path: Path) -> np.ndarray:
    return read_sound(path)


def synthetic_files(folder: Path) -> list[tuple[Path, float, float]]:
    """Write synthetic cries of several sample rates as files."""
    import soxr

    rng = np.random.default_rng([SEED, 1])
    files = []
    for number in range(N_AGREEMENT):
        cry = draw_cry(rng, rng.uniform(12, 30))
        rate_hz = SYNTHETIC_RATES_HZ[number % len(SYNTHETIC_RATES_HZ)]
        path = folder / f"{number}.wav"
        soundfile.write(path, soxr.resample(cry.samples, SAMPLE_RATE_HZ, rate_hz), rate_hz)
        files.append((path, cry.onset_s, cry.offset_s))
    return files


def mode_f1(snr_db: float, n_cries: int = N_MIXTURES) -> dict[str, float]:
    """F1 of each mode over the frames of synthetic mixtures."""
    rng = np.random.default_rng([SEED, 2, int(snr_db)])
    truths, predictions = [], []
    for _ in range(n_cries):
        mixture = draw_mixture(rng, snr_db)
        contour = PraatSound(mixture.samples, SAMPLE_RATE_HZ).contour
        inside = (contour.time_s > mixture.onset_s) & (contour.time_s < mixture.offset_s)
        levels_db = frame_levels_db(mixture.samples, SAMPLE_RATE_HZ, contour.time_s)
        predicted = frame_modes(contour, sounding(levels_db, inside, snr_db))
        at = np.round(contour.time_s * SAMPLE_RATE_HZ).astype(int)
        truths.append(mixture.modes[at][inside])
        predictions.append(predicted[inside])
    truth, predicted = np.concatenate(truths), np.concatenate(predictions)
    codes = (PHONATION, HYPERPHONATION, DYSPHONATION)
    return {
        name: float(
            2 * ((truth == k) & (predicted == code)).sum()
            / ((truth == k).sum() + (predicted == code).sum())
        )
        for k, (name, code) in enumerate(zip(MODES, codes, strict=True))
    }  # fmt: skip


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        files = synthetic_files(Path(folder))
        result: dict[str, Any] = {
            "f0": f0_errors(),
            "mode_f1": {f"{snr_db:g}_db": mode_f1(snr_db) for snr_db in (20.0, 10.0)},
            "praat_synthetic": agreement(files),
            "tolerances": {name: list(pair) for name, pair in TOLERANCES.items()},
            "praat_parselmouth": version("praat-parselmouth"),
        }
    demands = [
        Demand("gross errors of F0 at 20 dB", result["f0"]["20_db"]["gross_error_share"], 0.02),
        Demand("median error of F0 at 20 dB, Hz", result["f0"]["20_db"]["median_error_hz"], 5.0),
        Demand("gross errors of F0 at 10 dB", result["f0"]["10_db"]["gross_error_share"], 0.08),
        Demand("1 - F1 of hyperphonation", 1 - result["mode_f1"]["20_db"]["hyperphonation"], 0.1),
    ]
    if os.environ.get("CRYVISION_DATA"):
        cries = real_cries()
        result["praat_real"] = agreement(cries)
    for kind in ("praat_real", "praat_synthetic"):
        if kind not in result:
            continue
        cpu_s = result[kind]["cpu_seconds_per_second"]
        demands.append(Demand(f"{kind}: CPU a second of crying", cpu_s, 0.1))
        for name, found in result[kind]["measures"].items():
            demands.append(Demand(f"{kind}: 1 - {name}", 1 - found["agree"], 1 - MIN_AGREEMENT))
    return finish("acoustics", Bundle.load(), result, demands, SEED)


if __name__ == "__main__":
    sys.exit(main())
