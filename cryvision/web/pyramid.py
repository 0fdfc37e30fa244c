"""Waveform and spectrogram of a clip at falling resolutions, so that any stretch is drawn at once.

Level 0 has the finest rows, and each level above one row for four of the one below: the lowest and
highest sample, or the loudest moment in each band. A stretch is read from the level that has a few
rows for each point to draw.
"""

from __future__ import annotations

import io
import json
import shutil
import threading
import zlib
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.inputs.media import open_clip
from cryvision.outputs.spectrogram import FLOOR_DBFS, Spectra

FACTOR = 4

PEAK_SAMPLES = 16
"""Samples in a row of the finest waveform: 1 ms."""

SPECTRUM_HOP_SAMPLES = 256
"""Half a window: nothing between two windows is missed."""

N_BANDS = 128
"""Bands of 62.5 Hz from 0 to 8 kHz."""

DARKEST_DBFS, BRIGHTEST_DBFS = -90.0, -20.0
"""Range of the colours, the same for every clip, so that a quiet one is dark: Audacity's brightest
level (a gain of 20 dB) and Praat's dynamic range (70 dB), where nobody has changed them."""

PYRAMID = "pyramid"
"""Its folder among the results of a clip."""

_SMALLEST_LEVEL = 1024
_STEPS_PER_DB = 255 / -FLOOR_DBFS
_FILE = "pyramid.json"


class PyramidWriter:
    """Writes the levels of a clip's sound, as it comes, into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
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
        padding = -len(self._rest) % PEAK_SAMPLES
        self._write_peaks(np.pad(self._rest, (0, padding)))
        if self._n_samples:
            self._write_spectra(self._spectra.finish())
        for file in self._files.values():
            file.close()
        about = {name: _write_levels(self._folder, name) for name in self._files}
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


def _write_levels(folder: Path, name: str) -> int:
    """Write the levels above the finest; give the number of all."""
    rows, level = _rows(folder, name, 0), 0
    while len(rows) > _SMALLEST_LEVEL:
        level += 1
        rows = _pooled(name, rows, np.arange(0, len(rows), FACTOR))
        (folder / f"{name}-{level}").write_bytes(rows.tobytes())
    return level + 1


def _rows(folder: Path, name: str, level: int) -> NDArray[Any]:
    dtype, width = (np.int16, 2) if name == "peaks" else (np.uint8, N_BANDS)
    path = folder / f"{name}-{level}"
    if not path.stat().st_size:
        return np.zeros((0, width), dtype)
    return np.memmap(path, dtype, "r").reshape(-1, width)


class Pyramid:
    """Reads what `PyramidWriter` wrote; its files are open, and may be removed meanwhile."""

    def __init__(self, folder: Path) -> None:
        n_levels: dict[str, int] = json.loads((folder / _FILE).read_text("ascii"))
        self._levels = {
            name: [_rows(folder, name, level) for level in range(n)] for name, n in n_levels.items()
        }

    def peaks(self, start_s: float, end_s: float, points: int) -> NDArray[np.float64]:
        """Return the lowest and the highest sample of each of so many stretches of equal length.

        Float64, shape (points, 2), -1 to 1; zeros where there is no sound.
        """
        rows = self._stretches("peaks", PEAK_SAMPLES, start_s, end_s, points)
        return np.asarray(rows / 32768.0)

    def spectrogram_png(self, start_s: float, end_s: float, width: int, height: int) -> bytes:
        """Draw the spectrogram of a stretch, 0 to 8 kHz, as a PNG picture of a size in pixels."""
        from PIL import Image

        rows = self._stretches("spectrum", SPECTRUM_HOP_SAMPLES, start_s, end_s, width)
        steps = Image.fromarray(np.ascontiguousarray(rows.T[::-1]))
        picture = steps.resize((width, height), Image.Resampling.BILINEAR)
        picture.putpalette(_palette())
        file = io.BytesIO()
        picture.save(file, "PNG", compress_level=1, compress_type=zlib.Z_RLE)  # for speed
        return file.getvalue()

    def _stretches(
        self, name: str, row_samples: int, start_s: float, end_s: float, points: int
    ) -> NDArray[Any]:
        """Pool rows to so many stretches of equal length."""
        edges = np.linspace(start_s, end_s, points + 1) * (SAMPLE_RATE_HZ / row_samples)
        per_point = max(1.0, (edges[-1] - edges[0]) / points)
        level = min(int(np.log(per_point) / np.log(FACTOR)), len(self._levels[name]) - 1)
        rows = self._levels[name][level]
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


@cache
def _palette() -> list[int]:
    """Colours of the steps, from silent to loud: 256 times red, green and blue."""
    from matplotlib import colormaps

    levels_dbfs = FLOOR_DBFS + np.arange(256) / _STEPS_PER_DB
    shares = (levels_dbfs - DARKEST_DBFS) / (BRIGHTEST_DBFS - DARKEST_DBFS)
    colours = colormaps["magma"](np.clip(shares, 0, 1))[:, :3] * 255
    return [int(value) for value in colours.astype(np.uint8).ravel()]


class Pyramids:
    """The pyramids of all clips, at most so many bytes of them.

    Those that were not looked at for longest are removed, and made anew from their clip when
    somebody looks again.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes: dict[Path, int] = {}  # in order of use
        self._lock, self._making = threading.Lock(), threading.Lock()

    def get(self, folder: Path, clip: Path) -> Pyramid:
        while (pyramid := self._kept(folder)) is None:
            with self._making:  # one at a time, and each once
                if not (folder / _FILE).exists():
                    self._make(clip, folder)
        return pyramid

    def keep(self, folder: Path) -> None:
        with self._lock:
            self._note(folder)

    def _kept(self, folder: Path) -> Pyramid | None:
        with self._lock:
            if not (folder / _FILE).exists():
                return None
            self._note(folder)
            return Pyramid(folder)

    def _make(self, clip: Path, folder: Path) -> None:
        """Write the pyramid beside its place, so that a half is never taken for a whole."""
        new = folder.with_name(f"{folder.name}.new")
        try:
            write_pyramid(clip, new)
            with self._lock:
                shutil.rmtree(folder, ignore_errors=True)
                new.replace(folder)
                self._note(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def _note(self, folder: Path) -> None:
        """Move a pyramid to the end of the order of use, and remove what is too much."""
        n_bytes = self._bytes.pop(folder, None)
        if n_bytes is None:
            n_bytes = sum(path.stat().st_size for path in folder.glob("*"))
        self._bytes[folder] = n_bytes
        if self._is_too_much():  # without those that were deleted with their clip
            self._bytes = {one: n for one, n in self._bytes.items() if one.exists()}
        while len(self._bytes) > 1 and self._is_too_much():
            oldest = next(iter(self._bytes))
            del self._bytes[oldest]
            shutil.rmtree(oldest, ignore_errors=True)

    def _is_too_much(self) -> bool:
        return sum(self._bytes.values()) > self._most_bytes


def write_pyramid(clip: Path, folder: Path) -> None:
    """Read the sound of a clip, and write its pyramid into a folder."""
    with open_clip(clip, frames=False) as opened:
        writer = PyramidWriter(folder)
        for piece in opened.pieces():
            if piece.samples is not None:
                writer.push(piece.samples)
        writer.finish()
