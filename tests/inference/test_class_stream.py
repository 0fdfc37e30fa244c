"""Branches and their ensemble over a stream: what they are given, and who decides."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bundles import BUNDLE_V1, REASON_SOUNDS, glides, reasons_bundle
from tolerances import RUNTIME_TOLERANCE

from cryvision.bundle import Bundle
from cryvision.errors import BundleError
from cryvision.inference.branch_inputs import BranchInputs
from cryvision.inference.class_stream import ReasonStream, branch_settings
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.detector import CryDetector
from cryvision.inference.gated_windows import SoundBranchWindows
from cryvision.inputs.features import sound_windows
from cryvision.runtime.loading import OnnxModel

FLOAT32 = 1e-6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reasons_bundle(tmp_path_factory)


def outputs(bundle: Bundle, samples: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of each branch for each window, without any gate."""
    return {
        f"branch_{feature}": bundle.model(f"branch_{feature}").predict(
            {feature: sound_windows(samples, config).inputs}
        )
        for feature, config in REASON_SOUNDS.items()
    }


def reasons(bundle: Bundle) -> ReasonStream:
    stream = ReasonStream.of(bundle, "onnx", None)
    assert stream is not None
    return stream


def predictions(bundle: Bundle, samples: np.ndarray) -> np.ndarray:
    return reasons(bundle).push(samples, None).predictions


class TestWhoDecides:
    """Without a gate, every window is predicted."""

    def test_the_ensemble_decides_from_all_branches(self, bundle: Bundle) -> None:
        free, samples = replace(bundle, gate=None), glides(3.0)
        expected = bundle.model("ensemble").predict(outputs(bundle, samples))
        found = predictions(free, samples)
        assert found == pytest.approx(expected, abs=FLOAT32)
        assert np.ptp(found, axis=0).min() > 0.05
        assert reasons(free).decider.name == "ensemble"

    @pytest.mark.parametrize("missing", ["left out", "NaN in some windows"])
    def test_a_missing_feature_is_zeros_to_the_ensemble_and_the_rest_decides(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        free, samples = replace(bundle, gate=None), glides(3.0)
        full = outputs(bundle, samples)
        lost = np.arange(len(full["branch_mfcc"])) % 2 == 0
        if missing == "left out":
            lost[:] = True
        push = BranchInputs.push

        def without(self: BranchInputs, *given: Any) -> SoundBranchWindows:
            windows = push(self, *given)
            inputs = dict(windows.inputs)
            inputs["mfcc"][lost] = np.nan
            if missing == "left out":
                del inputs["mfcc"]
            return replace(windows, inputs=inputs)

        monkeypatch.setattr(BranchInputs, "push", without)
        found = reasons(free).push(samples, None)
        silent = {**full, "branch_mfcc": np.where(lost[:, None], 0, full["branch_mfcc"])}
        expected = bundle.model("ensemble").predict(silent)
        assert found.predictions == pytest.approx(expected, abs=FLOAT32)
        np.testing.assert_array_equal(np.isnan(found.branches["branch_mfcc"]).all(axis=1), lost)
        assert np.isfinite(found.branches["branch_stft"]).all()
        assert expected != pytest.approx(bundle.model("ensemble").predict(full), abs=0.01)

    def test_a_single_branch_decides_alone(self, bundle: Bundle) -> None:
        parts = tuple(part for part in bundle.parts if part.name in ("detector", "branch_mfcc"))
        alone = replace(bundle, gate=None, parts=parts)
        stream, samples = reasons(alone), glides(2.0)
        assert stream.decider.name == "branch_mfcc"
        expected = outputs(bundle, samples)["branch_mfcc"]
        assert stream.push(samples, None).predictions == pytest.approx(expected, abs=FLOAT32)

    def test_on_one_modality_nothing_is_left_to_be_taken_out(self, bundle: Bundle) -> None:
        stream = reasons(replace(bundle, gate=None))
        stream.push(glides(3.0), None)
        assert stream.ablated() == {}

    def test_a_detector_alone_has_no_reasons(self) -> None:
        assert ReasonStream.of(Bundle.load(BUNDLE_V1), "onnx", None) is None


class TestGate:
    def test_only_windows_in_crying_are_predicted(self, bundle: Bundle) -> None:
        samples = glides(5.0)
        detected = CryDetector(bundle).push(samples)
        windows = reasons(bundle).push(samples, detected)
        ends, found = windows.end_samples, windows.predictions
        free = predictions(replace(bundle, gate=None), samples)
        crying = []
        for end in ends:
            inside = (detected.end_samples > end - 16_000) & (detected.end_samples <= end)
            crying.append(np.mean(detected.scores[inside] >= bundle.gate.enter) >= 0.5)  # type: ignore[union-attr]
        assert 0 < sum(crying) < len(crying)
        np.testing.assert_array_equal(np.isfinite(found).all(axis=1), crying)
        np.testing.assert_array_equal(np.isnan(found).all(axis=1), ~np.array(crying))
        assert found[crying] == pytest.approx(free[crying], abs=FLOAT32)

    def test_models_are_not_run_where_nobody_cries(
        self, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        silence = np.zeros(3 * 16_000, np.float32)
        stream, detected = reasons(bundle), CryDetector(bundle).push(silence)

        def refuse(model: OnnxModel, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            assert not any(map(len, inputs.values())), "a model ran on silence"
            return np.zeros((0, model.n_outputs), np.float32)

        monkeypatch.setattr(OnnxModel, "predict", refuse)
        windows = stream.push(silence, detected)
        assert len(windows.end_samples) == 11
        assert np.isnan(windows.predictions).all()


def test_both_runtimes_agree(bundle: Bundle) -> None:
    samples = glides(4.0)
    results = []
    for runtime in ("onnx", "keras"):
        stream = StreamClassifier(bundle, runtime=runtime)
        stream.push(samples)
        results.append(stream.finish())
    onnx, keras = results
    assert onnx.probabilities
    assert keras.probabilities == pytest.approx(onnx.probabilities, abs=RUNTIME_TOLERANCE)
    for name, column in onnx.timeline.items():
        np.testing.assert_allclose(keras.timeline[name], column, atol=RUNTIME_TOLERANCE)


class TestRefused:
    """A bundle from elsewhere may say anything; what cannot be run is one line."""

    def changed(self, bundle: Bundle, name: str, **changes: object) -> Bundle:
        parts = tuple(
            replace(part, **changes) if part.name == name else part  # type: ignore[arg-type]
            for part in bundle.parts
        )
        return replace(bundle, parts=parts)

    def test_several_branches_without_an_ensemble(self, bundle: Bundle) -> None:
        parts = tuple(part for part in bundle.parts if part.kind != "ensemble")
        with pytest.raises(BundleError, match="several branches need an ensemble"):
            StreamClassifier(replace(bundle, parts=parts))

    @pytest.mark.parametrize("change", [{"window_seconds": 2.0}, {"hop_seconds": 0.4}])
    def test_branches_of_different_windows(self, bundle: Bundle, change: dict[str, float]) -> None:
        other = replace(REASON_SOUNDS["stft"], **change)
        with pytest.raises(BundleError, match=r"share one window|must have the shape"):
            StreamClassifier(self.changed(bundle, "branch_stft", sound=other))

    def test_two_branches_that_compute_one_feature_in_two_ways(self, bundle: Bundle) -> None:
        branches = [part for part in bundle.parts if part.kind == "branch"]
        other = replace(branches[0], name="other", sound=replace(branches[0].sound, n_mels=30))
        with pytest.raises(BundleError, match="x: branches must agree on mfcc"):
            branch_settings([*branches, other], "x")

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            ({"sound": None, "inputs": ("rows",)}, r"takes arrays \(rows\), which no clip gives"),
            ({"inputs": ("mfcc", "rows")}, "must take one feature; got mfcc, rows"),
        ],
    )
    def test_a_branch_that_takes_what_a_clip_does_not_give(
        self, bundle: Bundle, change: dict[str, object], rule: str
    ) -> None:
        changed = self.changed(bundle, "branch_mfcc", **change)
        with pytest.raises(BundleError, match=f"the branch 'branch_mfcc' {rule}"):
            branch_settings([part for part in changed.parts if part.kind == "branch"], "x")

    def test_an_ensemble_that_listens_to_the_detector(self, bundle: Bundle) -> None:
        changed = self.changed(bundle, "ensemble", inputs=("branch_mfcc", "detector"))
        with pytest.raises(BundleError, match="an ensemble must take branches; got 'detector'"):
            StreamClassifier(changed)


KEPT_BYTES = 100_000
"""For the eight windows of four seconds. Pushes that each kept an array had 1.4 MB."""


def test_pushes_that_complete_no_window_keep_nothing(bundle: Bundle) -> None:
    stream = reasons(replace(bundle, gate=None))
    piece = np.zeros(16, np.float32)

    def kept_after(seconds: float) -> int:
        for _ in range(round(seconds * 16_000 / len(piece))):
            stream.push(piece, None)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = kept_after(4.0)
    after = kept_after(4.0)
    tracemalloc.stop()
    assert after - before < KEPT_BYTES
