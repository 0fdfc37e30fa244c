"""The one path from any stretch of media to model inputs, for training and for inference.

Sound arrives in pieces of any size and leaves as windows; how it was cut does not matter. What a
window's input is stands in `cryvision.inputs.audio.sound_feature`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cryvision.config import SoundConfig
from cryvision.errors import CryvisionError
from cryvision.inputs.audio import as_sound
from cryvision.inputs.shared_spectrum import SharedSpectrum, spectrum_of


@dataclass(frozen=True)
class SoundWindows:
    """Windows of sound, ready for a model.

    Attributes
    ----------
    end_samples : ndarray of int64, shape (n,)
        Samples of the stream up to the end of each window.
    inputs : ndarray of float32, shape (n, config.n_frames, n_features)
        What a model is given.
    level_dbfs : ndarray of float32, shape (n,)
        RMS level of the window, without its context, from ``min_hz`` to ``max_hz``; decibels
        relative to full scale.
    padded : bool
        The sound was shorter than one window, and silence stands before it.
    """

    end_samples: np.ndarray
    inputs: np.ndarray
    level_dbfs: np.ndarray
    padded: bool = False


class WindowFeatures:
    """Cuts a stream of sound into windows, and computes the features of those that are wanted.

    Window k ends at ``window_samples + k * hop_samples``. Context before the start of the stream is
    silence. The sound from the start of the first window that was not taken on is kept, and no
    more. Features with the same spectrum share it.

    Parameters
    ----------
    sounds : mapping of str to SoundConfig
        At least one feature by name; window and hop must be the same for all.

    Attributes
    ----------
    non_finite : int
        Samples so far that were NaN or infinite, as a damaged float file may hold; they count as
        silence.

    Raises
    ------
    ConfigError
        If a configuration is not possible; ``hop_samples`` must be a multiple of
        ``frame_hop_samples``, and the window must hold one whole frame after the context.
    """

    def __init__(self, sounds: Mapping[str, SoundConfig]) -> None:
        spectra: dict[tuple[float, ...], dict[str, SoundConfig]] = {}
        for name, config in sounds.items():
            spectra.setdefault(spectrum_of(config), {})[name] = config
        self._spectra = [SharedSpectrum(group) for group in spectra.values()]
        self._times = next(iter(sounds.values()))
        self._context_samples = max(config.context_samples for config in sounds.values())
        self.non_finite = 0
        self._received = 0
        self._n_windows = self._n_taken = 0
        self._finished = self._padded = False
        # What is kept starts with the context of the next window to be taken.
        self._pieces = [np.zeros(self._context_samples, np.float32)]
        self._n_buffered = self._context_samples
        self._to_skip = 0

    def push(self, samples: np.ndarray) -> np.ndarray:
        """Take the next piece of the stream.

        Parameters
        ----------
        samples : ndarray of float, shape (n,)
            Sound at ``sample_rate_hz``, full scale 1; any length, also none.

        Returns
        -------
        ndarray of int64, shape (n_windows,)
            Ends of the windows that these samples complete, in samples of the stream.

        Raises
        ------
        CryvisionError
            If the samples are not one row of floating-point numbers, or the stream was finished.
        """
        if self._finished:
            raise CryvisionError("a finished stream takes no more samples; start a new one")
        piece, n_non_finite = as_sound(samples)
        self.non_finite += n_non_finite
        self._received += len(piece)
        skipped = min(self._to_skip, len(piece))
        self._to_skip -= skipped
        if len(piece) > skipped:
            self._pieces.append(piece[skipped:])
            self._n_buffered += len(piece) - skipped
        window, hop = self._times.window_samples, self._times.hop_samples
        first = self._n_windows
        self._n_windows = max(first, 1 + (self._received - window) // hop)
        return window + np.arange(first, self._n_windows, dtype=np.int64) * hop

    def finish(self) -> np.ndarray:
        """End the stream.

        Returns
        -------
        ndarray of int64, shape (n_windows,)
            The end of the one left-padded window of a stream that was shorter than a window; else
            none, and none for a stream without any sample.
        """
        ended, self._finished = self._finished, True
        if ended or self._n_windows or not self._received:
            return np.empty(0, np.int64)
        self._n_windows, self._padded = 1, True
        padding = self._context_samples + self._times.window_samples - self._n_buffered
        self._pieces.insert(0, np.zeros(padding, np.float32))
        self._n_buffered += padding
        return np.array([self._received], np.int64)

    def take(self, selected: np.ndarray) -> dict[str, SoundWindows]:
        """Compute the selected ones of the next windows, and forget the sound of all of them.

        Parameters
        ----------
        selected : ndarray of bool, shape (n,)
            Of the next ``n`` windows in order; they must be complete.

        Returns
        -------
        dict of str to SoundWindows
            By feature; of the selected windows.
        """
        hop = self._times.hop_samples
        numbers = np.flatnonzero(selected)
        out = {name: value for group in self._spectra for name, value in group.none(len(numbers))}
        if len(numbers):
            buffer = np.concatenate(self._pieces)
            runs = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) > 1) + 1)
            for group in self._spectra:
                start = self._context_samples - group.context_samples
                for run in runs:
                    first = int(numbers[run[0]])
                    rows = slice(int(run[0]), int(run[-1]) + 1)
                    group.compute(buffer[start + first * hop :], self._n_taken + first, out, rows)
        ends = self._times.window_samples + (self._n_taken + numbers) * hop
        if self._padded:
            ends = np.full(len(numbers), self._received)
        self._forget(len(selected))
        return {
            name: SoundWindows(
                ends.astype(np.int64), inputs, levels, self._padded and len(ends) > 0
            )
            for name, (inputs, levels) in out.items()
        }

    def _forget(self, n_windows: int) -> None:
        """Drop the sound before the next window; it may start beyond what has arrived."""
        self._n_taken += n_windows
        start = n_windows * self._times.hop_samples
        if not start or self._padded:
            return
        rest = np.concatenate(self._pieces)[start:].copy()  # a view would hold all in memory
        self._to_skip = max(0, start - self._n_buffered)
        self._pieces, self._n_buffered = [rest], len(rest)


class SoundFeatureStream:
    """Cuts a stream of sound into windows and computes the model input of each.

    The windows, the errors and ``non_finite`` are those of `WindowFeatures`. Between calls at most
    one span and one hop of sound are kept.

    Parameters
    ----------
    config : SoundConfig
        What to compute.
    """

    def __init__(self, config: SoundConfig) -> None:
        self.config = config
        self._windows = WindowFeatures({config.feature: config})

    @property
    def non_finite(self) -> int:
        return self._windows.non_finite

    def push(self, samples: np.ndarray) -> SoundWindows:
        """Take the next piece of the stream; see `WindowFeatures.push`.

        Returns
        -------
        SoundWindows
            Every window that these samples complete; none is possible.
        """
        return self._all(self._windows.push(samples))

    def finish(self) -> SoundWindows:
        """End the stream.

        Returns
        -------
        SoundWindows
            The one left-padded window of a stream that was shorter than a window, its end at the
            last sample; else none, and none for a stream without any sample.
        """
        return self._all(self._windows.finish())

    def _all(self, ends: np.ndarray) -> SoundWindows:
        return self._windows.take(np.ones(len(ends), bool))[self.config.feature]


def sound_windows(samples: np.ndarray, config: SoundConfig) -> SoundWindows:
    """Compute all windows of a clip that is in memory; errors as of `SoundFeatureStream`.

    Parameters
    ----------
    samples : ndarray of float, shape (n,)
        The whole clip at ``sample_rate_hz``, full scale 1.
    config : SoundConfig
        What to compute.

    Returns
    -------
    SoundWindows
        One padded window if the clip is shorter than a window, none if it has no samples.
    """
    stream = SoundFeatureStream(config)
    windows = stream.push(samples)
    return windows if len(windows.end_samples) else stream.finish()
