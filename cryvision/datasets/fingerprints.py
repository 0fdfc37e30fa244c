"""Copies of a sound among many: coded again, louder, shifted, or at another speed or pitch.

A fingerprint is a picture of the sound on a logarithmic frequency axis from which its level, its
equalisation and its loudness contour are taken out, so that a change of pitch moves it up or down,
a change of speed stretches it, and a codec leaves it nearly as it was. Two steps find copies:

1. A descriptor of each fingerprint, the magnitude of its two-dimensional Fourier transform at low
   modulation frequencies, does not depend on where in time or pitch the sound lies. One product of
   matrices for each speed compares all descriptors with all.
2. Only the pairs that this leaves are laid over each other: a normalised cross-correlation over all
   shifts in time and pitch, near the speed that the descriptors agreed on.

The cost of the first step grows with the square of the number of clips, but at a few thousand
multiplications a pair; that of the second with the number of copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cryvision.config import SAMPLE_RATE_HZ, SoundConfig
from cryvision.inputs.audio import AMIN_POWER, as_floats, band_bins, spectrum_power

FINGERPRINT_SECONDS = 10.0
"""Of a longer sound, so much from its start counts."""

SHORTEST_SECONDS = 1.5
"""Below this there is too little to distinguish sounds."""

SIMILAR = 0.55
"""Similarity from which two sounds are called copies. What it misses and what it takes for copies
is measured by ``experiments/audit_donateacry.py``."""

LONG_SECONDS = 4.0
"""Sounds that are shorter resemble each other more by chance, as the square root of their length
says; so much more is required of them."""

N_BANDS = 97
"""Bands of a fingerprint: from 200 Hz on, a quarter tone each, to 3,200 Hz. Telephone coding leaves
these, and a corpus at 8 kHz has nothing above."""

_LOWEST_HZ = 200.0
_BANDS_PER_OCTAVE = 24
_SPECTRUM = SoundConfig(
    feature="stft", n_fft=3072, frame_hop_samples=512, min_hz=100.0, max_hz=3600.0
)
_FRAMES_PER_SECOND = _SPECTRUM.sample_rate_hz / _SPECTRUM.frame_hop_samples

_DEPTH_DB = 50.0
"""What lies so far below the loud parts is noise of the recorder, and is levelled."""

_LOCAL_BANDS, _LOCAL_FRAMES = 25, 21
"""An octave, and two thirds of a second. What changes more slowly is level and equalisation."""

_LARGEST_DB = 15.0
_STEPS_PER_DB = 8
_SMALLEST_RMS_DB = 0.7
"""A picture with less in it than this is of a steady sound, and fits any other."""

_MODULATIONS_HZ = np.arange(1, 41) * 0.125
_BAND_WAVES = np.arange(-10, 11)
_SPEEDS = 1.02 ** np.arange(13)
"""1 to 1.27. Slower copies are found from the other side."""

_CANDIDATE = 0.40
"""Agreement of two descriptors from which the pair is laid over each other."""

_MOST_CANDIDATES = 20
"""Of one sound. More copies of it hang together by those that were found."""

_FINE_SPEEDS = (0.99, 1.0, 1.01)
_LARGEST_SHIFT_BANDS = 9
"""4.5 semitones."""

_LEAST_OVERLAP = 0.6
"""Of the shorter of two sounds."""

_BLOCK = 512

FloatArray = NDArray[np.float32]


class Copy(NamedTuple):
    """Two sounds, by their places among the fingerprints, of which one was made from the other.

    ``similarity``, up to 1, is the geometric mean of the agreement of the descriptors and of the
    correlation of the fingerprints where they fit best. ``speed`` is how much faster the second,
    which has the higher place, runs, 1 within 1 % where it was not changed; ``semitones`` how much
    higher it is, to half a semitone.
    """

    first: int
    second: int
    similarity: float
    speed: float
    semitones: float


def band_levels(samples: ArrayLike) -> FloatArray:
    """Compute the level in each band of each frame, which fingerprints are made from.

    Of sound at 16 kHz, mono, float or int16, what is beyond `FINGERPRINT_SECONDS` is left out. The
    levels are float32, shape (n_frames, N_BANDS), in decibels, 31.25 frames a second, at most 50 dB
    below the loud parts of the sound. There are no frames where the sound is shorter than one.
    """
    samples = as_floats(samples)[: round(FINGERPRINT_SECONDS * SAMPLE_RATE_HZ)]
    if len(samples) < _SPECTRUM.n_fft:
        return np.zeros((0, N_BANDS), np.float32)
    power = np.einsum("fb,nb->fn", spectrum_power(samples, _SPECTRUM), _filters())
    decibels = 10.0 * np.log10(np.maximum(power, AMIN_POWER))
    cut: NDArray[np.float64] = np.maximum(decibels, np.percentile(decibels, 99) - _DEPTH_DB)
    return cut.astype(np.float32)


def fingerprint(levels: FloatArray) -> NDArray[np.int8] | None:
    """Make the fingerprint of a sound from `band_levels`, of the same shape; about 3 kB a second.

    None where the sound is shorter than `SHORTEST_SECONDS`, or so steady that nothing in it can be
    recognised, as silence is.
    """
    if len(levels) < SHORTEST_SECONDS * _FRAMES_PER_SECOND:
        return None
    contrast = levels - _local_mean(levels, _LOCAL_BANDS, axis=1)
    contrast -= _local_mean(contrast, _LOCAL_FRAMES, axis=0)
    contrast = np.clip(contrast, -_LARGEST_DB, _LARGEST_DB)
    if np.sqrt(np.mean(contrast**2)) < _SMALLEST_RMS_DB:
        return None
    steps: NDArray[np.float64] = np.round(contrast * _STEPS_PER_DB)
    return steps.astype(np.int8)


def find_copies(
    fingerprints: Sequence[NDArray[np.int8] | None], similar: float = SIMILAR
) -> list[Copy]:
    """Find the sounds that were made from one another, in the order of their places.

    A fingerprint of None is like nothing. From the similarity ``similar`` on, more where they are
    shorter than `LONG_SECONDS`, two sounds are called copies. Of more than 20 copies of one sound,
    not every pair is listed.
    """
    audible = [number for number, mark in enumerate(fingerprints) if mark is not None]
    marks = [mark for mark in fingerprints if mark is not None]
    best: dict[tuple[int, int], Copy] = {}
    for slower, faster, speed, agreement in _candidates(marks):
        correlation, speed, semitones = _lay_over(marks[slower], marks[faster], speed)
        similarity = min(1.0, float(np.sqrt(agreement * max(correlation, 0.0))))
        shorter_s = min(len(marks[slower]), len(marks[faster])) / _FRAMES_PER_SECOND
        if similarity < similar * np.sqrt(max(1.0, LONG_SECONDS / shorter_s)):
            continue
        copy = Copy(audible[slower], audible[faster], similarity, speed, semitones)
        if copy.first > copy.second:
            copy = Copy(copy.second, copy.first, similarity, 1 / speed, -semitones)
        pair = copy.first, copy.second
        if pair not in best or similarity > best[pair].similarity:
            best[pair] = copy
    return [best[pair] for pair in sorted(best)]


def _candidates(marks: Sequence[NDArray[np.int8]]) -> Iterator[tuple[int, int, float, float]]:
    """Pairs whose descriptors agree: the slower, the faster, the speed between, the agreement."""
    if len(marks) < 2:
        return
    plain = np.stack([_descriptor(mark, 1.0) for mark in marks])
    for start in range(0, len(marks), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(marks)))
        agreement = np.full((len(rows), len(marks)), -1.0, np.float32)
        speed = np.ones_like(agreement)
        for factor in _SPEEDS:
            slowed = np.stack([_descriptor(marks[row], factor) for row in rows])
            product = slowed @ plain.T
            better = product > agreement
            agreement[better] = product[better]
            speed[better] = factor
        for at, row in enumerate(rows):
            agreement[at, row] = -1.0
            likely = np.flatnonzero(agreement[at] > _CANDIDATE)
            likely = likely[np.argsort(-agreement[at, likely], kind="stable")]
            for column in likely[:_MOST_CANDIDATES]:
                yield int(column), row, float(speed[at, column]), float(agreement[at, column])


def _descriptor(mark: NDArray[np.int8], speed: float) -> FloatArray:
    """Describe a fingerprint, slowed down by a speed, whatever its place in time and pitch.

    What runs faster by a factor has its modulations at so much higher frequencies. The magnitudes
    are compared with those around them, as in a whitened spectrum, so that what all sounds have in
    common does not count.
    """
    in_time, in_bands = _waves(len(mark), speed)
    magnitude = np.sqrt(np.abs(in_time @ (mark.astype(np.float32) @ in_bands)))
    local = _local_mean(_local_mean(magnitude, 5, axis=0), 5, axis=1)
    described: NDArray[np.float64] = (magnitude - local).ravel()
    length = float(np.linalg.norm(described))
    return (described / length if length else described).astype(np.float32)


@lru_cache(maxsize=512)
def _waves(n_frames: int, speed: float) -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    time_s = np.arange(n_frames) / _FRAMES_PER_SECOND
    in_time = np.exp(-2j * np.pi * speed * _MODULATIONS_HZ[:, None] * time_s)
    in_bands = np.exp(-2j * np.pi * np.arange(N_BANDS)[:, None] * _BAND_WAVES / N_BANDS)
    return in_time.astype(np.complex64), in_bands.astype(np.complex64)


def _lay_over(
    slower: NDArray[np.int8], faster: NDArray[np.int8], speed: float
) -> tuple[float, float, float]:
    """Largest correlation of two fingerprints, the faster one slowed down; speed and semitones."""
    best = (-1.0, speed, 0.0)
    # Of sounds that share a part only, the descriptors may agree best at a wrong speed.
    for tried in {1.0, *(speed * fine for fine in _FINE_SPEEDS)}:
        correlation, bands = _correlate(slower.astype(np.float32), _slowed(faster, tried))
        if correlation > best[0]:
            best = correlation, tried, 12.0 * bands / _BANDS_PER_OCTAVE
    return best


def _slowed(mark: NDArray[np.int8], speed: float) -> FloatArray:
    n_frames = max(2, round(len(mark) * speed))
    time = np.minimum(np.arange(n_frames) / speed, len(mark) - 1.0)
    before = np.minimum(time.astype(np.intp), len(mark) - 2)
    share = (time - before)[:, None].astype(np.float32)
    return np.asarray(mark[before] * (1 - share) + mark[before + 1] * share)


def _correlate(first: FloatArray, second: FloatArray) -> tuple[float, int]:
    """Largest normalised correlation over the shifts, and by how many bands the second is higher.

    The products come from one correlation by FFT; the energies, over the overlap alone, from
    tables of sums.
    """
    from scipy.fft import next_fast_len

    n_first, n_second = len(first), len(second)
    shape = (next_fast_len(n_first + n_second, real=True), 2 * (N_BANDS - 1))
    product = np.fft.irfft2(
        np.conj(np.fft.rfft2(first, shape)) * np.fft.rfft2(second, shape), shape
    )
    needed = _LEAST_OVERLAP * min(n_first, n_second)
    lags = np.arange(1 - n_first, n_second)
    frames = np.minimum(n_first, n_second - lags) - np.maximum(0, -lags)
    lags = lags[frames >= needed]
    shifts = np.arange(-_LARGEST_SHIFT_BANDS, _LARGEST_SHIFT_BANDS + 1)
    energy = _overlap_energy(first, lags, n_second, shifts)
    energy *= _overlap_energy(second, -lags, n_first, -shifts)
    value = product[np.ix_(lags, shifts)] / np.sqrt(np.maximum(energy, 1.0))
    best = int(np.argmax(value))
    return float(value.flat[best]), int(shifts[best % len(shifts)])


def _overlap_energy(
    picture: FloatArray, lags: NDArray[np.intp], n_other: int, shifts: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Energy of a picture where another lies over it, moved by each lag and shift."""
    total = np.pad(picture.astype(np.float64) ** 2, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    first, last = np.maximum(0, -lags), np.minimum(len(picture), n_other - lags)
    low, high = np.maximum(0, -shifts), np.minimum(N_BANDS, N_BANDS - shifts)
    rows = total[last] - total[first]
    return np.asarray(rows[:, high] - rows[:, low])


def _local_mean(picture: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Mean over an odd number of neighbours, the edges continued."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(picture.astype(np.float64), width, axis, mode="nearest"))


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """Triangular bands, none narrower than a bin of the spectrum; each sums to 1."""
    bins = band_bins(_SPECTRUM)
    bin_hz = _SPECTRUM.sample_rate_hz / _SPECTRUM.n_fft
    hz = np.arange(bins.start, bins.stop) * bin_hz
    centre = (_LOWEST_HZ * 2 ** (np.arange(N_BANDS) / _BANDS_PER_OCTAVE))[:, None]
    half = np.maximum(centre * (2 ** (1 / _BANDS_PER_OCTAVE) - 1), bin_hz)
    weights = np.maximum(0.0, 1.0 - np.abs(hz - centre) / half)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
