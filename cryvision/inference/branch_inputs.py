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
from cryvision.inference.gated_windows import CryGate, GatedSound, SoundBranchWindows, WindowClock

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
        gate = None
        if gate_enter is not None:
            gate = CryGate(gate_enter, window_samples, lookahead_samples)
        self._sound = GatedSound(dict(sounds), gate, (window_samples, hop_samples))
        # Pictures without sound have no gate: whether the baby cries was not looked for.
        self._picture_clock = WindowClock(window_samples, hop_samples)
        self._faces = faces
        self._has_sound = False

    def push(self, samples: np.ndarray, detected: DetectorWindows | None) -> SoundBranchWindows:
        """Take the next samples and the detector's outputs for them.

        A feature that is missing for a window is NaN throughout; one that is missing for all of
        them may be left out.
        """
        self._has_sound = True
        return self._with_faces(self._sound.push(samples, detected))

    def push_time(self, n_samples: int) -> SoundBranchWindows:
        """Take note that pictures without sound have come to a time, in samples of its clock."""
        return self._of_pictures(self._picture_clock.until(n_samples), n_samples)

    def finish(self, detected: DetectorWindows | None, n_samples: int) -> SoundBranchWindows:
        """End the stream at a time; a stream shorter than a window gives one window."""
        if self._has_sound:
            return self._with_faces(self._sound.finish(detected))
        return self._of_pictures(self._picture_clock.finish(n_samples), n_samples)

    def _of_pictures(self, ends: np.ndarray, n_samples: int) -> SoundBranchWindows:
        return self._with_faces(SoundBranchWindows(ends, np.ones(len(ends), bool), n_samples))

    def _with_faces(self, windows: SoundBranchWindows) -> SoundBranchWindows:
        passed = windows.end_samples[windows.crying]
        if self._faces is None or not len(passed):
            return windows
        rows = np.stack([self._faces.window(int(end)) for end in passed])
        return replace(windows, inputs={**windows.inputs, FACE: rows})
