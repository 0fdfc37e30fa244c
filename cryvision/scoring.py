"""The models of a bundle over a stream of sound: the detector, and the reasons behind its gate."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.config import GateConfig, SoundConfig
from cryvision.errors import BundleError
from cryvision.inputs.features import SoundFeatureStream, SoundWindows

MIN_CRY_SHARE = 0.5
"""A window of the reasons counts as crying if this share of the detector's windows in it does."""


@dataclass(frozen=True)
class DetectorWindows:
    """What the detector says of a stretch of sound.

    Attributes
    ----------
    end_samples : ndarray of int64, shape (n,)
    scores : ndarray of float32, shape (n,)
        Cry scores; 0 where a window is too quiet to be scored.
    level_dbfs : ndarray of float32, shape (n,)
    scored : ndarray of bool, shape (n,)
        Which windows passed the energy gate.
    padded : bool
        The sound was shorter than one window.
    """

    end_samples: np.ndarray
    scores: np.ndarray
    level_dbfs: np.ndarray
    scored: np.ndarray
    padded: bool = False


class CryDetector:
    """Scores a stream of sound, window by window.

    Parameters
    ----------
    bundle : Bundle
        It must have a detector of sound.
    runtime : {"onnx", "keras"}

    Attributes
    ----------
    part : Part
    sound : SoundConfig
    gate : GateConfig
    """

    def __init__(self, bundle: Bundle, runtime: str = "onnx") -> None:
        part, gate = bundle.detector, bundle.gate
        if part is None or part.sound is None or gate is None:
            raise BundleError(f"a bundle must have a detector of sound; {bundle.name!r} has none")
        self.part: Part = part
        self.sound: SoundConfig = part.sound
        self.gate: GateConfig = gate
        self._input_name = part.inputs[0]
        self._model = bundle.model(part, runtime)
        self._features = SoundFeatureStream(part.sound)

    @property
    def non_finite(self) -> int:
        """Samples so far that were not finite and count as silence."""
        return self._features.non_finite

    def push(self, samples: np.ndarray) -> DetectorWindows:
        """Score every window that these samples, float32 of shape (n,), complete."""
        return self._scored(self._features.push(samples))

    def finish(self) -> DetectorWindows:
        """End the stream; score the one window of a stream shorter than a window."""
        return self._scored(self._features.finish())

    def _scored(self, windows: SoundWindows) -> DetectorWindows:
        scores = np.zeros(len(windows.end_samples), np.float32)
        loud = windows.level_dbfs >= self.gate.min_level_dbfs
        if loud.any():
            scores[loud] = self._model.predict({self._input_name: windows.inputs[loud]})[:, 0]
        return DetectorWindows(
            windows.end_samples, scores, windows.level_dbfs, loud, windows.padded
        )


class CryGate:
    """Tells which windows of the reasons lie in crying, by what the detector said within them.

    Parameters
    ----------
    enter : float
        Score from which a window of the detector is crying.
    window_samples : int
        Length of the windows asked about.
    """

    def __init__(self, enter: float, window_samples: int) -> None:
        self._enter = enter
        self._window_samples = window_samples
        self._known: deque[tuple[int, bool]] = deque()

    def push(self, windows: DetectorWindows) -> None:
        """Take the detector's next windows."""
        crying = windows.scores >= self._enter
        self._known.extend(zip(windows.end_samples.tolist(), crying.tolist(), strict=True))

    def crying(self, end_samples: np.ndarray) -> np.ndarray:
        """Say which windows are crying; all that the detector knows up to their ends was pushed.

        Parameters
        ----------
        end_samples : ndarray of int, shape (n,)
            Where the windows end; must not go back behind an earlier call.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        return np.array([self._is_crying(int(end)) for end in end_samples], bool)

    def _is_crying(self, end: int) -> bool:
        while self._known and self._known[0][0] <= end - self._window_samples:
            self._known.popleft()
        inside = [crying for known_end, crying in self._known if known_end <= end]
        return bool(inside) and sum(inside) >= MIN_CRY_SHARE * len(inside)


@dataclass(frozen=True)
class SoundBranchWindows:
    """Windows of the sound branches, those in crying alone carrying inputs.

    Attributes
    ----------
    end_samples : ndarray of int64, shape (n,)
    crying : ndarray of bool, shape (n,)
    inputs : dict of str to ndarray
        Name of a feature to float32, shape (n_crying, n_frames, n_features).
    """

    end_samples: np.ndarray
    crying: np.ndarray
    inputs: dict[str, np.ndarray] = field(default_factory=dict)


class WindowClock:
    """Tells where windows end on a stream that brings none of its own, as pictures do.

    Parameters
    ----------
    window_samples, hop_samples : int
    """

    def __init__(self, window_samples: int, hop_samples: int) -> None:
        self._next = window_samples
        self._window_samples = window_samples
        self._hop_samples = hop_samples

    def until(self, n_samples: int) -> np.ndarray:
        """Give the ends, int64, of the windows that are complete at a time and were not before."""
        ends = np.arange(self._next, n_samples + 1, self._hop_samples, dtype=np.int64)
        self._next += len(ends) * self._hop_samples
        return ends

    def finish(self, n_samples: int) -> np.ndarray:
        """Give the last ends: of a stream shorter than a window, where it ended."""
        ends = self.until(n_samples)
        if n_samples and self._next == self._window_samples:
            ends = np.array([n_samples], np.int64)
        return ends


class GatedSound:
    """Sound becomes the inputs of the branches, for the windows that the gate lets through.

    Training and classifying both take their windows from here.

    Parameters
    ----------
    sounds : dict of str to SoundConfig
        Feature to settings; window and hop must be the same for all.
    gate : CryGate or None
        None where everything passes.
    times : tuple of int, optional
        Window and hop in samples, for windows without any feature of sound; needed where
        ``sounds`` is empty.
    """

    def __init__(
        self,
        sounds: dict[str, SoundConfig],
        gate: CryGate | None,
        times: tuple[int, int] | None = None,
    ) -> None:
        self._streams = {name: SoundFeatureStream(config) for name, config in sounds.items()}
        self._gate = gate
        self._clock = WindowClock(*times) if times and not sounds else None
        self._n_samples = 0

    def push(self, samples: np.ndarray, detected: DetectorWindows | None) -> SoundBranchWindows:
        """Take the next samples, and what the detector said of them."""
        self._n_samples += len(samples)
        if self._gate is not None and detected is not None:
            self._gate.push(detected)
        if self._clock is not None:
            return self._gated(self._clock.until(self._n_samples), {})
        windows = {name: stream.push(samples) for name, stream in self._streams.items()}
        return self._gated(next(iter(windows.values())).end_samples, windows)

    def finish(self, detected: DetectorWindows | None) -> SoundBranchWindows:
        """End the stream."""
        if self._gate is not None and detected is not None:
            self._gate.push(detected)
        if self._clock is not None:
            return self._gated(self._clock.finish(self._n_samples), {})
        windows = {name: stream.finish() for name, stream in self._streams.items()}
        return self._gated(next(iter(windows.values())).end_samples, windows)

    def _gated(self, ends: np.ndarray, windows: dict[str, SoundWindows]) -> SoundBranchWindows:
        crying = np.ones(len(ends), bool) if self._gate is None else self._gate.crying(ends)
        inputs = {name: found.inputs[crying] for name, found in windows.items()}
        return SoundBranchWindows(ends, crying, inputs)
