"""What the branches of a bundle are given: features of sound and face, window by window.

Training, classifying and writing features all take their windows from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cryvision.config import FaceConfig, SoundConfig
from cryvision.errors import BundleError
from cryvision.inference.detector import DetectorWindows
from cryvision.inference.face_stream import FaceStream
from cryvision.inference.gated_windows import CryGate, SoundBranchWindows, WindowClock
from cryvision.inputs.features import WindowFeatures

FACE = "face"


class BranchInputs:
    """Windows of a stream that the gate lets through, with the features of each.

    ``sounds`` are the features of sound by name, none for faces alone; ``face`` is how faces are
    described, where a branch takes them, and ``faces`` what finds and embeds them: without it that
    feature is missing. ``gate_enter`` is the score from which the detector's windows are crying;
    None where every window passes.
    """

    def __init__(
        self,
        sounds: Mapping[str, SoundConfig],
        face: FaceConfig | None,
        faces: FaceStream | None,
        gate_enter: float | None,
        lookahead_samples: int = 0,
    ) -> None:
        settings: list[SoundConfig | FaceConfig] = [*sounds.values()]
        if face is not None:
            settings.append(face)
        times = {(s.window_samples, s.hop_samples) for s in settings}
        if len(times) != 1:
            raise BundleError(f"branches must share one window and hop; got {sorted(times)}")
        window_samples, hop_samples = times.pop()
        self._gate: CryGate | None = None
        if gate_enter is not None:
            self._gate = CryGate(gate_enter, window_samples, lookahead_samples)
        self._features = WindowFeatures(sounds) if sounds else None
        self._sound_clock = WindowClock(window_samples, hop_samples)
        self._picture_clock = WindowClock(window_samples, hop_samples)
        self._faces = faces
        self._has_sound = False
        self._n_samples = 0
        self._waiting_ends = np.empty(0, np.int64)

    def push(self, samples: np.ndarray, detected: DetectorWindows | None) -> SoundBranchWindows:
        """Take the next samples and the detector's outputs for them.

        A window waits until the detector has scored all that counts for it; its features are
        computed then, if it passes. A feature that is missing for a window is NaN throughout; one
        that is missing for all of them may be left out.
        """
        self._has_sound = True
        self._n_samples += len(samples)
        if self._features is None:
            ends = self._sound_clock.until(self._n_samples)
        else:
            ends = self._features.push(samples)
        return self._gated(ends, detected, ended=False)

    def push_time(self, n_samples: int) -> SoundBranchWindows:
        """Take note that pictures without sound have come to a time, in samples of its clock."""
        return self._of_pictures(self._picture_clock.until(n_samples), n_samples)

    def finish(self, detected: DetectorWindows | None, n_samples: int) -> SoundBranchWindows:
        """End the stream at a time; a stream shorter than a window gives one window."""
        if not self._has_sound:
            return self._of_pictures(self._picture_clock.finish(n_samples), n_samples)
        if self._features is None:
            ends = self._sound_clock.finish(self._n_samples)
        else:
            ends = self._features.finish()
        return self._gated(ends, detected, ended=True)

    def _gated(
        self, new_ends: np.ndarray, detected: DetectorWindows | None, ended: bool
    ) -> SoundBranchWindows:
        """Give the windows of which it is known whether they are crying."""
        ends = np.concatenate([self._waiting_ends, new_ends])
        n = len(ends)
        crying = np.ones(n, bool)
        if self._gate is not None:
            if detected is not None:
                self._gate.push(detected)
            n = n if ended else self._gate.n_ready(ends)
            crying = self._gate.crying(ends[:n])
        self._waiting_ends = ends[n:]
        settled = int(ends[n]) if n < len(ends) else self._n_samples
        features = {} if self._features is None else self._features.take(crying)
        inputs = {name: windows.inputs for name, windows in features.items()}
        return self._with_faces(SoundBranchWindows(ends[:n], crying, settled, inputs))

    def _of_pictures(self, ends: np.ndarray, n_samples: int) -> SoundBranchWindows:
        # Without sound there is no gate: whether the baby cries was not looked for.
        return self._with_faces(SoundBranchWindows(ends, np.ones(len(ends), bool), n_samples))

    def _with_faces(self, windows: SoundBranchWindows) -> SoundBranchWindows:
        if self._faces is None:
            return windows
        rows = [self._faces.window(int(end)) for end in windows.end_samples[windows.crying]]
        self._faces.forget(windows.settled_samples)
        if not rows:
            return windows
        return replace(windows, inputs={**windows.inputs, FACE: np.stack(rows)})
