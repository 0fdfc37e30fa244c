"""Each measure that Praat has is Praat's own value, as a script in Praat measures the file."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from praat_reference import TOLERANCES, agrees, measure_with_praat
from synthetic_cries import draw_cry

from cryvision.acoustics import measure_cry
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import read_sound

pytest.importorskip("parselmouth")

Cry = tuple[Path, float, float]

MIN_AGREEMENT = 0.95  # what the project promises
N_CRIES, N_QUICK, N_QUICK_REAL = 50, 10, 20  # of 20, one may be outside
FEWEST_DEFINED = 0.5  # of the cries; else the agreement would rest on a few
FORMANTS = {"formant1_hz", "formant2_hz", "formant3_hz"}  # of low voices alone
WIDE_ONLY = {"spectral_centroid_hz", "spectral_tilt_db", *FORMANTS}  # undefined at 8 kHz
LOW_HZ = 250.0, 430.0  # with their contours below 500 Hz, where formants are defined


def agreement(cries: list[Cry], names: set[str]) -> dict[str, float]:
    """Share of the cries in which a measure is within its tolerance, of those that define it."""
    close: dict[str, list[bool]] = {name: [] for name in names}
    for path, in_file in itertools.groupby(cries, key=lambda cry: cry[0]):
        samples, rate_hz = read_sound(path), soundfile.info(path).samplerate
        for _, *span_s in in_file:
            reference = measure_with_praat(path, *span_s)
            found = measure_cry(samples, SAMPLE_RATE_HZ, *span_s, recorded_rate_hz=rate_hz)
            for name in names:
                if math.isfinite(getattr(found, name)):
                    close[name].append(agrees(name, getattr(found, name), reference[name]))
    assert min(map(len, close.values())) >= FEWEST_DEFINED * len(cries)
    return {name: float(np.mean(agreed)) for name, agreed in close.items()}


def synthetic(folder: Path, n: int, middle_hz: tuple[float, float] | None = None) -> list[Cry]:
    """Files of cries at the sample rates of phones and of recorders, with F0 around a range."""
    rng = np.random.default_rng(40)
    cries: list[Cry] = []
    for rate_hz in (16_000, 44_100):
        path, parts, start_s = folder / f"{rate_hz}.wav", [], 0.0
        for _ in range(n // 2):
            f0_hz = None if middle_hz is None else rng.uniform(*middle_hz)
            cry = draw_cry(rng, rng.uniform(12, 30), middle_hz=f0_hz)
            cries.append((path, start_s + cry.onset_s, start_s + cry.offset_s))
            parts.append(cry.samples)
            start_s += len(cry.samples) / SAMPLE_RATE_HZ
        sound = soxr.resample(np.concatenate(parts), SAMPLE_RATE_HZ, rate_hz)
        soundfile.write(path, sound, rate_hz)
    return cries


@pytest.mark.parametrize("n", [N_QUICK, pytest.param(N_CRIES, marks=pytest.mark.slow)])
def test_synthetic_cries_have_praats_values(tmp_path: Path, n: int) -> None:
    for name, share in agreement(synthetic(tmp_path, n), set(TOLERANCES) - FORMANTS).items():
        assert share >= MIN_AGREEMENT, name


@pytest.mark.parametrize("n", [N_QUICK_REAL, pytest.param(N_CRIES, marks=pytest.mark.slow)])
def test_formants_of_low_voices_are_praats(tmp_path: Path, n: int) -> None:
    for name, share in agreement(synthetic(tmp_path, n, LOW_HZ), FORMANTS).items():
        assert share >= MIN_AGREEMENT, name


@pytest.mark.corpus
@pytest.mark.parametrize("n", [N_QUICK_REAL, pytest.param(N_CRIES, marks=pytest.mark.slow)])
def test_real_cries_have_praats_values(corpus: Path, n: int) -> None:
    from f0_trackers import real_cries

    cries = real_cries(n_clips=n // 2)[:n]
    for name, share in agreement(cries, set(TOLERANCES) - WIDE_ONLY).items():
        assert share >= MIN_AGREEMENT, name
