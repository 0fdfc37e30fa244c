"""A lab's small corpus, made up: a harmonic glide stands for crying, labelled in every format."""

from __future__ import annotations

import itertools
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.augmentation.negatives import negative
from cryvision.models.frame_network import EDGES

if TYPE_CHECKING:
    import keras

RATE_HZ = 16_000
CLIP_SECONDS = 4.0
SUBJECTS = {
    "ada": "coloured_noise",
    "ben": "clicks",
    "cleo": "synthetic_speech",
    "dan": "rumble_and_wind",
}
"""The babies, and what is heard where they do not cry."""

SUBJECT_PATTERN = r"^(\w+)/"
"""Each baby has a folder."""


def crying(seed: int) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Four seconds with two bouts of a harmonic tone that rises and falls, over quiet noise.

    Returns
    -------
    samples : ndarray of float32, shape (n,)
    bouts : list of (float, float)
        Onset and offset of each, in seconds.
    """
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.002, round(CLIP_SECONDS * RATE_HZ))
    first_s, second_s = rng.uniform(0.5, 0.7), rng.uniform(2.55, 2.75)
    bouts = [(first_s, first_s + rng.uniform(0.9, 1.2)), (second_s, second_s + 1.0)]
    for onset_s, offset_s in bouts:
        place = slice(round(onset_s * RATE_HZ), round(offset_s * RATE_HZ))
        way = np.linspace(0, np.pi, place.stop - place.start)
        f0_hz = rng.uniform(350, 450) * (1 + 0.3 * np.sin(way))
        phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
        harmonics = sum(np.sin(k * phase + k) / k for k in range(1, 7))
        samples[place] += 0.1 * harmonics * np.minimum(1, 20 * np.sin(way))
    return samples.astype(np.float32), bouts


def babble(seed: int, seconds: float = 6.0) -> np.ndarray:
    """Bouts of a harmonic voice with a pitch, a length and a timbre of their own, over noise."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.002, round(seconds * RATE_HZ))
    start = 0
    while (start := start + int(rng.uniform(0.05, 0.5) * RATE_HZ)) < len(samples):
        length = min(int(rng.uniform(0.2, 1.1) * RATE_HZ), len(samples) - start)
        bend = np.interp(np.linspace(0, 1, length), (0, 0.3, 1), rng.uniform(280, 620, 3))
        phase = 2 * np.pi * np.cumsum(bend) / RATE_HZ
        voice = sum(rng.uniform(0.1, 1) / k * np.sin(k * phase) for k in range(1, 8))
        samples[start : start + length] += rng.uniform(0.05, 0.2) * voice * np.hanning(length)
        start += length
    return samples.astype(np.float32)


def write_wav(path: Path, samples: np.ndarray) -> Path:
    """Write mono 16-bit sound at 16 kHz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_labels(clip: Path, kind: str, bouts: Sequence[tuple[float, float]]) -> None:
    """Write the labels of a clip beside it, as ``TextGrid``, ``txt`` (Audacity) or ``csv``."""
    lines = {
        "TextGrid": _textgrid(bouts),
        "txt": [f"{onset}\t{offset}\tCry" for onset, offset in bouts],
        "csv": ["start_s,end_s", *(f"{onset},{offset}" for onset, offset in bouts)],
    }
    clip.with_suffix(f".{kind}").write_text("\n".join(lines[kind]) + "\n")


def _textgrid(bouts: Sequence[tuple[float, float]]) -> list[Any]:
    """A short TextGrid of one tier."""
    edges = [0.0, *(time_s for bout in bouts for time_s in bout), CLIP_SECONDS]
    spans = list(itertools.pairwise(edges))
    head = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", 0, CLIP_SECONDS]
    tier = ["<exists>", 1, '"IntervalTier"', '"baby"', 0, CLIP_SECONDS, len(spans)]
    rows = [(*span, '"cry"' if i % 2 else '""') for i, span in enumerate(spans)]
    return [str(line) for line in (*head, *tier, *(value for row in rows for value in row))]


def write_lab(folder: Path) -> Path:
    """Write two clips of each baby, crying and something else, each with a file of labels."""
    for number, (subject, family) in enumerate(SUBJECTS.items()):
        samples, bouts = crying(number)
        clip = write_wav(folder / subject / "crying.wav", samples)
        write_labels(clip, ("TextGrid", "txt", "csv", "TextGrid")[number], bouts)
        other = negative(np.random.default_rng(number), family, CLIP_SECONDS)
        clip = write_wav(folder / subject / "other.wav", other)
        write_labels(clip, "csv" if number % 2 else "TextGrid", [])
    return folder


def peak_edges() -> keras.Model:
    """Stands for trained edges: crying is where few bands stand far above the others."""
    import keras

    from cryvision.models.calibration import calibration_layer_class

    frames = keras.Input((None, EDGES.n_mels), name="logmel")
    peaks = keras.layers.GlobalMaxPooling1D(data_format="channels_first")(frames)
    means = keras.layers.GlobalAveragePooling1D(data_format="channels_first")(frames)
    height = keras.layers.Reshape((-1, 1))(keras.layers.Subtract()([peaks, means]))
    of_step = keras.layers.Conv1D(1, EDGES.window_frames, strides=EDGES.hop_frames, name="logits")
    logits = of_step(height)
    weights = np.zeros((EDGES.window_frames, 1, 1), np.float32)
    first = EDGES.window_frames - EDGES.lookahead_frames - EDGES.hop_frames
    weights[first : first + EDGES.hop_frames] = 10.0 / EDGES.hop_frames
    of_step.set_weights([weights, np.array([-10.0], np.float32)])
    return keras.Model(frames, calibration_layer_class()(name="calibration")(logits))
