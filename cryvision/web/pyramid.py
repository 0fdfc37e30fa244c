"""Waveform and spectrogram of a clip at falling resolutions, so that any stretch is drawn at once.

Level 0 has the finest rows, and each level above one row for four of the one below: the lowest and
highest sample, or the loudest moment in each band. A stretch is read from the level that has a few
rows for each point to draw.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.outputs.spectrogram import FLOOR_DBFS, Spectra

FACTOR = 4

PEAK_SAMPLES = 16
"""Samples in a row of the finest waveform: 1 ms."""

SPECTRUM_HOP_SAMPLES = 256
"""Half a window: nothing between two windows is missed."""

N_BANDS = 128
"""Bands of 62.5 Hz from 0 to 8 kHz."""

SHOWN_DB = 80.0
"""So much below the loudest moment of the clip is drawn."""

QUIET_TOP_DBFS = -30.0
"""A clip that never comes to this level is drawn as if it did: a quiet room stays dark."""

MAX_POINTS = 8_000

_SMALLEST_LEVEL = 1024
_STEPS_PER_DB = 255 / -FLOOR_DBFS
_FILE = "pyramid.json"


class PyramidWriter:
    """Writes the levels of a clip's sound, as it comes, into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rest = np.zeros(0, np.float32)
        self._spectra = Spectra(SPECTRUM_HOP_SAMPLES)
        self._n_samples = 0
        self._files: dict[str, IO[bytes]] = {
            name: open(folder / f"{name}-0", "wb")  # noqa: SIM115  (closed by finish)
            for name in ("peaks", "spectrum")
        }

    def push(self, samples: NDArray[np.float32]) -> None:
        """Take the next sound, float32, mono, 16 kHz."""
        self._n_samples += len(samples)
        sound = np.concatenate([self._rest, samples])
        whole = len(sound) // PEAK_SAMPLES * PEAK_SAMPLES
        self._rest = sound[whole:]
        self._write_peaks(sound[:whole])
        self._write_spectra(self._spectra.push(samples))

    def finish(self) -> None:
        """Write the upper levels."""
        padding = -len(self._rest) % PEAK_SAMPLES
        self._write_peaks(np.pad(self._rest, (0, padding)))
        if self._n_samples:
            self._write_spectra(self._spectra.finish())
        for file in self._files.values():
            file.close()
        about = {
            "n_samples": self._n_samples,
            "peaks": _write_levels(self._folder, "peaks"),
            "spectrum": _write_levels(self._folder, "spectrum"),
        }
        (self._folder / _FILE).write_text(json.dumps(about), "ascii")

    def _write_peaks(self, sound: NDArray[np.float32]) -> None:
        rows = np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)
        rows = rows.reshape(-1, PEAK_SAMPLES)
        peaks = np.stack([rows.min(axis=1), rows.max(axis=1)], axis=1)
        self._files["peaks"].write(peaks.tobytes())

    def _write_spectra(self, power: NDArray[np.float32]) -> None:
        # Bins 0 and 1 share the lowest band, so that 257 bins make 128 bands.
        pairs = power[:, 1:].reshape(len(power), N_BANDS, 2).max(axis=2)
        pairs[:, 0] = np.maximum(pairs[:, 0], power[:, 0])
        decibels = 10 * np.log10(np.maximum(pairs, np.float32(10 ** (FLOOR_DBFS / 10))))
        steps = np.clip(np.rint((decibels - FLOOR_DBFS) * _STEPS_PER_DB), 0, 255)
        self._files["spectrum"].write(steps.astype(np.uint8).tobytes())


def _pooled(name: str, rows: NDArray[Any], starts: NDArray[np.intp]) -> NDArray[Any]:
    """Pool rows from each start to the next: the lowest and highest sample, or the loudest."""
    if name == "spectrum":
        return np.asarray(np.maximum.reduceat(rows, starts, axis=0))
    lowest = np.minimum.reduceat(rows[:, 0], starts)
    return np.stack([lowest, np.maximum.reduceat(rows[:, 1], starts)], axis=1)


def _write_levels(folder: Path, name: str) -> dict[str, int]:
    """Write the levels above the finest; give the numbers of levels, and the largest value."""
    rows = _rows(folder, name, 0)
    largest, level = int(rows.max()) if rows.size else 0, 0
    while len(rows) > _SMALLEST_LEVEL:
        level += 1
        rows = _pooled(name, rows, np.arange(0, len(rows), FACTOR))
        (folder / f"{name}-{level}").write_bytes(rows.tobytes())
    return {"levels": level + 1, "largest": largest}


def _rows(folder: Path, name: str, level: int) -> NDArray[Any]:
    dtype, width = (np.int16, 2) if name == "peaks" else (np.uint8, N_BANDS)
    path = folder / f"{name}-{level}"
    if not path.stat().st_size:
        return np.zeros((0, width), dtype)
    return np.memmap(path, dtype, "r").reshape(-1, width)


class Pyramid:
    """Reads what `PyramidWriter` wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._about = json.loads((folder / _FILE).read_text("ascii"))

    @property
    def sound_seconds(self) -> float:
        """Length of the sound."""
        return float(self._about["n_samples"]) / SAMPLE_RATE_HZ

    def peaks(self, start_s: float, end_s: float, points: int) -> NDArray[np.float64]:
        """Return the lowest and the highest sample of each of so many stretches of equal length.

        Returns
        -------
        ndarray of float64, shape (points, 2)
            -1 to 1; zeros where there is no sound.
        """
        rows = self._stretches("peaks", PEAK_SAMPLES, start_s, end_s, points)
        return np.asarray(rows / 32768.0)

    def spectrogram_png(self, start_s: float, end_s: float, width: int, height: int) -> bytes:
        """Draw the spectrogram of a stretch, 0 to 8 kHz, as a PNG picture of a size in pixels."""
        from PIL import Image

        rows = self._stretches("spectrum", SPECTRUM_HOP_SAMPLES, start_s, end_s, width)
        quiet = (QUIET_TOP_DBFS - FLOOR_DBFS) * _STEPS_PER_DB
        top = max(self._about["spectrum"]["largest"], quiet)
        lowest = top - SHOWN_DB * _STEPS_PER_DB
        shown = np.clip((rows.astype(np.float32) - lowest) * (255 / (top - lowest)), 0, 255)
        grey = Image.fromarray(shown.T[::-1].astype(np.uint8))
        picture = grey.resize((width, height), Image.Resampling.BILINEAR)
        picture.putpalette(_palette())
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _stretches(
        self, name: str, row_samples: int, start_s: float, end_s: float, points: int
    ) -> NDArray[Any]:
        """Pool rows to so many stretches of equal length."""
        edges = np.linspace(start_s, end_s, points + 1) * (SAMPLE_RATE_HZ / row_samples)
        per_point = max(1.0, (edges[-1] - edges[0]) / points)
        level = min(int(np.log(per_point) / np.log(FACTOR)), self._about[name]["levels"] - 1)
        rows = _rows(self._folder, name, level)
        edges /= FACTOR**level
        first = np.floor(edges[:-1]).astype(np.intp)
        last = np.maximum(np.ceil(edges[1:]).astype(np.intp), first + 1)
        inside = (first >= 0) & (first < len(rows))
        pooled = np.zeros((points, rows.shape[1]), rows.dtype)
        if not inside.any():
            return pooled
        first, last = first[inside], np.minimum(last[inside], len(rows))
        base, held = first[0], np.asarray(rows[first[0] : last[-1]])
        # reduceat takes pairs: from a first row up to the last one, then on to the next first.
        pairs = np.stack([first, last], axis=1).ravel() - base
        padded = np.concatenate([held, held[-1:]])
        pooled[inside] = _pooled(name, padded, pairs)[::2]
        return pooled


def _palette() -> list[int]:
    """Colours of the steps, from silent to loud: 256 times red, green and blue."""
    from matplotlib import colormaps

    colours = colormaps["magma"](np.arange(256))[:, :3] * 255
    return [int(value) for value in colours.astype(np.uint8).ravel()]
