"""Spans of sound on which an exported file is compared with the models that it was made of."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import CryvisionError, MediaError
from cryvision.inputs import media

MAX_CLIPS = 64
"""Files of a folder that are tried; evenly chosen where it holds more."""

LONGEST_SECONDS = 60.0
"""As much of a clip is read."""


def synthetic(span_samples: int, n: int, seed: int = 0) -> np.ndarray:
    """Draw ``n`` spans of sound of many kinds: some like crying, some hard on the arithmetic.

    Harmonic sound with a gliding pitch in bursts, noise, sweeps and clicks, from loud to very
    quiet, some on an offset of the microphone; and at the end of each round digital silence. They
    are float32 of shape (n, span_samples), full scale 1.
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(span_samples) / SAMPLE_RATE_HZ
    kinds = (
        *(_cry, _noise, _cry, _sweep),
        lambda rng, time_s: 0.05 * _cry(rng, time_s) + rng.uniform(-0.7, 0.7),
        *(_clicks, _cry),
        lambda rng, time_s: 1e-4 * rng.normal(size=time_s.size),
        lambda rng, time_s: np.zeros_like(time_s),
    )
    return np.stack([kinds[i % len(kinds)](rng, time_s) for i in range(n)]).astype(np.float32)


def silent_frames(n_frames: int, n: int) -> np.ndarray:
    """Draw how many frames of a span lie before the start of a stream, and behind its end.

    Of ``n`` spans of ``n_frames`` most lie within their streams; float32, shape (n, 2).
    """
    rng = np.random.default_rng(0)
    drawn = np.zeros((n, 2), np.float32)
    drawn[2::5, 0] = rng.integers(1, n_frames, len(drawn[2::5]))
    drawn[4::5, 1] = rng.integers(1, n_frames // 4, len(drawn[4::5]))
    return drawn


def pictures(size: int, n: int) -> np.ndarray:
    """Draw pictures to compare on: noise of fine and of coarse grain, bright, dark and tinted.

    They are float32 of shape (n, size, size, 3), whole numbers from 0 to 255.
    """
    rng = np.random.default_rng(0)
    drawn = np.empty((n, size, size, 3), np.float32)
    for i in range(n):
        grain = 2 ** (i % 6)
        n_cells = -(-size // grain)
        low, high = np.sort(rng.integers(0, 256, (2, 3)), axis=0)  # of each colour
        cells = rng.integers(low, high + 1, (n_cells, n_cells, 3))
        drawn[i] = cells.repeat(grain, 0).repeat(grain, 1)[:size, :size]
    return drawn


def real(source: str | os.PathLike[str], span_samples: int, n: int) -> np.ndarray:
    """Cut up to ``n`` spans out of recordings, evenly over the files and over the time of each.

    ``source`` is a sound or video file, or a folder that is searched for them. The spans are
    float32, shape (n or fewer, span_samples); a clip shorter than a span stands behind silence. A
    file that cannot be read is a MediaError, a folder without any sound a CryvisionError.
    """
    paths = _files(Path(source))
    per_clip = -(-n // max(1, len(paths)))
    spans: list[np.ndarray] = []
    for path in paths:
        try:
            spans += _spans_of(path, span_samples, per_clip)
        except MediaError:
            if len(paths) == 1:
                raise
    if not spans:
        raise CryvisionError(f"{source}: must hold clips with sound; none could be read")
    chosen = np.linspace(0, len(spans) - 1, min(n, len(spans))).round().astype(int)
    return np.stack([spans[i] for i in chosen])


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    hidden = {".json", ".txt", ".csv", ".md", ".textgrid", ".labels"}
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and path.suffix.lower() not in hidden and path.name[0] != "."
    )
    chosen = np.linspace(0, len(files) - 1, min(MAX_CLIPS, len(files))).round().astype(int)
    return [files[i] for i in chosen]


def _spans_of(path: Path, span_samples: int, n: int) -> list[np.ndarray]:
    sound = media.read_sound(path, end_s=max(LONGEST_SECONDS, span_samples / SAMPLE_RATE_HZ))
    missing = max(0, span_samples - len(sound))
    sound = np.concatenate([np.zeros(missing, np.float32), sound])
    starts = np.linspace(0, len(sound) - span_samples, n).astype(int)
    return [sound[start : start + span_samples] for start in np.unique(starts)]


def _cry(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    """Harmonics of 300 to 600 Hz that rise and fall, in bursts, over a little noise."""
    pitch_hz = rng.uniform(300, 600) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    tilt = rng.uniform(0.5, 1.5)
    sound = sum(np.sin(k * phase) / k**tilt for k in range(1, 8))
    bursts = np.clip(
        2 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * time_s + rng.uniform(0, 6)), 0, 1
    )
    loudness = 10 ** rng.uniform(-2.5, -0.7)
    return np.asarray(loudness * (sound * bursts + 0.02 * rng.normal(size=time_s.size)))


def _noise(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    envelope = 1 + np.sin(2 * np.pi * rng.uniform(0.2, 3) * time_s)
    return 10 ** rng.uniform(-3, -0.7) * envelope * rng.normal(size=time_s.size) / 4


def _sweep(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    low_hz, high_hz = rng.uniform(80, 400), rng.uniform(800, 3000)
    phase = 2 * np.pi * (low_hz * time_s + (high_hz - low_hz) * time_s**2 / (2 * time_s[-1]))
    return np.asarray(0.3 * np.sin(phase) + 0.001 * rng.normal(size=time_s.size))


def _clicks(rng: np.random.Generator, time_s: np.ndarray) -> np.ndarray:
    return np.where(rng.random(time_s.size) < 0.001, rng.normal(size=time_s.size) / 2, 0.0)
