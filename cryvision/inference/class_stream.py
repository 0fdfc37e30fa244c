"""The reasons behind the gate: branches on sound and face, and their ensemble, over a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cryvision.bundle import Bundle, Part
from cryvision.bundle.ensemble import StackModels, has_output
from cryvision.config import SAMPLE_RATE_HZ, FaceConfig, SoundConfig
from cryvision.errors import BundleError
from cryvision.inference.branch_inputs import FACE, BranchInputs
from cryvision.inference.detector import DetectorWindows
from cryvision.inference.face_stream import FaceStream
from cryvision.inference.gated_windows import SoundBranchWindows
from cryvision.inputs.frame_rows import FrameRows, RowFiles

SOUND = "sound"


@dataclass(frozen=True)
class ReasonWindows:
    """The predictions for windows that the gate has decided on.

    `predictions` and those of each of the `branches` are float32, shape (n, n_classes); NaN where a
    window is not crying, or has no input. No later window ends before `settled_samples`.
    """

    end_samples: np.ndarray
    predictions: np.ndarray
    branches: dict[str, np.ndarray]
    settled_samples: int


class ReasonStream:
    """Predicts the classes of a bundle at the end of each window that is crying.

    The branches of the bundle are on features of sound or on the face, all of the same window and
    hop, `window_seconds`. Without ``faces`` the face branch is silent. The outputs of a long stream
    go to ``files``; nothing of it can then be forgotten. `modalities` are the inputs of the
    predictions so far: ``sound``, ``face``.
    """

    def __init__(
        self,
        bundle: Bundle,
        runtime: str,
        faces: FaceStream | None = None,
        files: RowFiles | None = None,
    ) -> None:
        self._models = StackModels(bundle, runtime)
        self._labels = bundle.labels
        self.modalities: set[str] = set()
        sounds, face = branch_settings(self._models.branches, str(bundle.folder))
        settings: list[SoundConfig | FaceConfig] = [*sounds.values(), *([face] if face else [])]
        self.window_seconds = settings[0].window_seconds
        gated = None if bundle.gate is None else bundle.gate.enter
        lookahead = 0 if bundle.detector is None else bundle.detector.lookahead_samples
        self._inputs = BranchInputs(sounds, face, faces, gated, lookahead)
        # The windows that passed the gate: their ends, and the branches' outputs side by side.
        self._ends = FrameRows(1, files, "d")
        self._outputs = FrameRows(len(self._models.branches) * len(bundle.labels), files)

    @property
    def decider(self) -> Part:
        """Whose output is the prediction: the ensemble, or the only branch."""
        return self._models.decider

    @property
    def branches(self) -> list[str]:
        return [part.name for part in self._models.branches]

    @classmethod
    def of(
        cls, bundle: Bundle, runtime: str, faces: FaceStream | None, files: RowFiles | None = None
    ) -> ReasonStream | None:
        """Give the reasons of a bundle, or None where it is a detector alone."""
        has_branches = any(part.kind == "branch" for part in bundle.parts)
        return cls(bundle, runtime, faces, files) if has_branches else None

    def push(self, samples: np.ndarray, detected: DetectorWindows | None) -> ReasonWindows:
        return self._predicted(self._inputs.push(samples, detected))

    def push_time(self, n_samples: int) -> ReasonWindows:
        """Take note that pictures without sound have come to a time, in samples of its clock."""
        return self._predicted(self._inputs.push_time(n_samples))

    def finish(self, detected: DetectorWindows | None, n_samples: int) -> ReasonWindows:
        """End the stream at a time; a stream shorter than a window gives one window."""
        return self._predicted(self._inputs.finish(detected, n_samples))

    def forget(self, before_s: float) -> None:
        n_past = int(np.searchsorted(self._end_samples(), before_s * SAMPLE_RATE_HZ))
        self._ends.forget(n_past)
        self._outputs.forget(n_past)

    def branch_means(
        self, spans_s: Iterable[tuple[float, float]]
    ) -> Iterator[dict[str, dict[str, float]]]:
        """Average each branch's outputs over the windows that end within each stretch of time.

        Yielded is, for each, name of a branch to label to probability, without branches that have
        no output.
        """
        ends = self._end_samples()
        tables = self._tables(0, len(ends))
        for span_s in spans_s:
            first, stop = np.searchsorted(ends, np.array(span_s) * SAMPLE_RATE_HZ, side="right")
            means = {}
            for name, table in tables.items():
                outputs = table[first:stop]
                outputs = outputs[~np.isnan(outputs).any(axis=1)]
                if len(outputs):
                    mean = outputs.mean(axis=0, dtype=np.float64).tolist()
                    means[name] = dict(zip(self._labels, mean, strict=True))
            yield means

    def ablated(self) -> dict[str, np.ndarray]:
        """Predict the windows so far from one modality alone.

        ``sound``, ``face`` and ``sound and face`` to float32, shape (n_windows, n_classes); NaN
        where a window has none of them. Windows that are not crying are left out. Empty for a
        bundle on one modality.
        """
        modality = {part.name: FACE if part.face else SOUND for part in self._models.branches}
        if len(set(modality.values())) < 2 or not len(self._ends):
            return {}
        tables = self._tables(0, len(self._ends))
        outputs = {name: np.nan_to_num(table) for name, table in tables.items()}
        modalities = {SOUND: {SOUND}, FACE: {FACE}, f"{SOUND} and {FACE}": {SOUND, FACE}}
        return {
            name_of_set: self._models.fuse(
                {name: table * (modality[name] in names) for name, table in outputs.items()}
            )
            for name_of_set, names in modalities.items()
        }

    def _predicted(self, windows: SoundBranchWindows) -> ReasonWindows:
        """Run the models on the windows that passed the gate."""
        ends, passed = windows.end_samples, windows.crying
        n_passed = int(np.count_nonzero(passed))
        if not n_passed:
            nothing = np.full((len(ends), len(self._labels)), np.nan, np.float32)
            return ReasonWindows(
                ends, nothing, dict.fromkeys(self.branches, nothing), windows.settled_samples
            )
        outputs = self._models.outputs(windows.inputs, n_passed)
        self._note(ends[passed], outputs)
        return ReasonWindows(
            ends,
            self._spread(self._models.fuse(outputs), passed),
            {
                name: self._spread(np.where(has_output(values)[:, None], values, np.nan), passed)
                for name, values in outputs.items()
            },
            windows.settled_samples,
        )

    def _spread(self, rows: np.ndarray, passed: np.ndarray) -> np.ndarray:
        """Put rows back among the windows that did not pass, which are NaN."""
        table = np.full((len(passed), len(self._labels)), np.nan, np.float32)
        table[passed] = rows
        return table

    def _note(self, ends: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        tables = []
        for part in self._models.branches:
            values = outputs[part.name]
            present = has_output(values)
            tables.append(np.where(present[:, None], values, np.nan))
            if present.any():
                self.modalities.add(FACE if part.face else SOUND)
        self._ends.append(ends[:, None])
        self._outputs.append(np.concatenate(tables, axis=1))

    def _end_samples(self) -> np.ndarray:
        return self._ends.table(0, len(self._ends))[:, 0]

    def _tables(self, first: int, stop: int) -> dict[str, np.ndarray]:
        tables = np.split(self._outputs.table(first, stop), len(self.branches), axis=1)
        return dict(zip(self.branches, tables, strict=True))


def branch_settings(
    branches: Sequence[Part], where: str
) -> tuple[dict[str, SoundConfig], FaceConfig | None]:
    """Collect the settings of the branches' features: those of sound by name, and of the face.

    Two branches must not want one feature with other settings, nor one that no clip gives.
    """
    sounds: dict[str, SoundConfig] = {}
    face = next((part.face for part in branches if part.face), None)
    for part in branches:
        if part.sound is None and part.face is None:
            raise BundleError(
                f"{where}: the branch {part.name!r} takes arrays ({', '.join(part.inputs)}), which "
                "no clip gives; use Bundle.predict_arrays"
            )
        if len(part.inputs) > 1:
            raise BundleError(
                f"{where}: the branch {part.name!r} must take one feature; "
                f"got {', '.join(part.inputs)}"
            )
        sound = part.sound
        if sound is not None and sounds.setdefault(sound.feature, sound) != sound:
            raise BundleError(f"{where}: branches must agree on {sound.feature}")
        if part.face is not None and part.face != face:
            raise BundleError(f"{where}: branches must agree on face")
    return sounds, face
