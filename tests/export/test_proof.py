"""What the comparison of an exported file with its original lets pass, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toys
from sklearn.metrics import f1_score

from cryvision.bundle import Part
from cryvision.errors import CryvisionError
from cryvision.export import proof, report
from cryvision.export.frame_span import FrameSpan
from cryvision.export.graph import Graph
from cryvision.inference.tags import HEARD

TOLERANCE = 1e-4
LEAN = np.array([0.004, 0, -0.004])
"""Makes the first label of three lead by less than a near-tie."""

N = 60


def made_graph() -> Graph:
    """A detector and a branch, as far as comparing needs them."""
    detector = Part("detector", "detector", ("mel",), toys.DETECTOR, toys.AGREEMENT)
    branch = Part("mfcc-dnn", "branch", ("mfcc",), toys.MFCC, toys.AGREEMENT)
    parts: dict[str, Any] = {"parts": (detector, branch), "detector": detector, "reason": branch}
    return Graph("all", False, toys.LABELS, **parts, sounds={}, face=None, network=None)


GRAPH = made_graph()


def outputs(change: float = 1.0) -> dict[str, np.ndarray]:
    """What the models give; all three labels come, and scores on both sides of the threshold."""
    rng = np.random.default_rng(0)
    detector = change * rng.normal(scale=2, size=(N, 1))
    branch = change * rng.normal(scale=2, size=(N, 3))
    powers = np.exp(branch)
    return {
        "probabilities": powers / powers.sum(axis=1, keepdims=True),
        "cry": 1 / (1 + np.exp(-detector)),
        "level_dbfs": np.full((N, 1), -30.0),
        "detector_logits": detector,
        "mfcc_dnn_logits": branch,
    }


THRESHOLDS = {"cry": 0.5, "cry_edges": 0.5, "cry_at": 0.6, "cry_near": 0.8}

REFERENCES = proof.References(N // 2, outputs(), outputs(), outputs(1.02))


def prove(found: dict[str, np.ndarray], precision: str = "fp32", **changes: Any) -> proof.Proof:
    settings: dict[str, Any] = {"tolerance": TOLERANCE, "thresholds": THRESHOLDS, "runtime": "test"}
    return proof.prove(
        GRAPH, REFERENCES, found, precision=precision, where="a.onnx", **{**settings, **changes}
    )


def f1(expected: np.ndarray, found: np.ndarray, threshold: float) -> Any:
    """F1 of the first half, the real windows; it is Dice's coefficient by another name.

    What the reference has next to the threshold stays as it is.
    """
    found = np.where(np.abs(expected - threshold) < proof.NEAR_TIE, expected, found)
    halves = [(scores[: N // 2] >= threshold).ravel() for scores in (expected, found)]
    return pytest.approx(f1_score(*halves))


def with_output(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return {**outputs(), name: values}


class TestRefusing:
    def test_a_true_copy_passes_and_its_control_fails(self) -> None:
        found = prove(outputs())
        assert max(found.max_difference.values()) == 0
        assert found.agreement == {"cry": 1.0, "probabilities": 1.0}
        assert found.labels_predicted == {"cry": 2, "probabilities": 3}
        assert (found.n_real, found.n_synthetic) == (N // 2, N // 2)
        assert set(found.control) == {"detector", "mfcc-dnn"}
        assert min(found.control.values()) > proof.LOGIT_TOLERANCE * TOLERANCE

    @pytest.mark.parametrize("tolerance", [1e-4, 1e-2, 1.0])
    def test_the_control_fails_whatever_the_tolerance(self, tolerance: float) -> None:
        with pytest.raises(CryvisionError, match="must agree with"):
            prove(outputs(1.02), tolerance=tolerance)

    @pytest.mark.parametrize("part", ["detector", "mfcc_dnn"])
    def test_weights_that_are_a_little_wrong_fail(self, part: str) -> None:
        wrong = outputs(1.02)[f"{part}_logits"]
        with pytest.raises(CryvisionError, match=rf"a.onnx: {part}_logits must agree"):
            prove(with_output(f"{part}_logits", wrong))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite_fail(self, value: float) -> None:
        found = outputs()
        found["cry"][3] = value
        with pytest.raises(CryvisionError, match="cry holds values that are not finite"):
            prove(found)

    def test_another_shape_and_a_missing_output_fail(self) -> None:
        with pytest.raises(CryvisionError, match=r"cry must have shape \(60, 1\)"):
            prove(with_output("cry", np.zeros((N, 2))))
        found = outputs()
        del found["level_dbfs"]
        with pytest.raises(CryvisionError, match="outputs must be"):
            prove(found)

    def test_a_label_that_changes_beyond_near_ties_fails(self) -> None:
        # Far within a tolerance of a half, but the first window's label is another.
        found = outputs()
        best = found["probabilities"][0].argmax()
        found["probabilities"][0] = np.roll(np.eye(3)[best] * 0.5 + 0.25, 1)
        with pytest.raises(CryvisionError, match="labels must be the same"):
            prove(found, tolerance=1.0)

    def test_a_near_tie_may_change_places(self) -> None:
        even = np.full((N, 3), 1 / 3)
        expected = with_output("probabilities", even + LEAN)
        references = proof.References(0, expected, expected, outputs(1.02))
        found = {**expected, "probabilities": even - LEAN}
        settings: dict[str, Any] = {"tolerance": 1e-2, "thresholds": THRESHOLDS, "runtime": "test"}
        passed = proof.prove(GRAPH, references, found, precision="fp16", where="a.onnx", **settings)
        assert passed.agreement["probabilities"] == 0

    def test_a_check_that_could_not_fail_is_refused(self) -> None:
        blind = proof.References(0, outputs(), outputs(), outputs())
        settings: dict[str, Any] = {
            "tolerance": TOLERANCE,
            "thresholds": THRESHOLDS,
            "runtime": "test",
        }
        with pytest.raises(CryvisionError, match="could not fail"):
            proof.prove(GRAPH, blind, outputs(), precision="fp32", where="a.onnx", **settings)

    def test_eight_bits_are_judged_by_their_labels_on_real_windows(self) -> None:
        found = outputs()
        found["cry"][:3] = 1 - found["cry"][:3]  # three of the thirty real windows
        found["cry"][-1] = 1 - found["cry"][-1]  # a synthetic one
        measured = prove(found, precision="int8")
        assert measured.agreement["cry"] == f1(outputs()["cry"], found["cry"], 0.5)
        assert measured.tolerance is None

    def test_eight_bits_of_edges_and_tagger_are_judged_by_steps_and_tags(self) -> None:
        edges = Part("edges", "detector", ("logmel",), None, toys.AGREEMENT, logmel=toys.EDGES)
        tagger = Part(
            *("tagger", "tagger", ("logmel",), None, toys.AGREEMENT),
            logmel=toys.CONTEXT,
            tags=toys.TAGS,
        )
        frames = FrameSpan.of(edges, tagger)
        parts: dict[str, Any] = {"parts": (edges, tagger), "detector": edges, "reason": None}
        graph = Graph(
            "detector", False, (), **parts, sounds={}, face=None, network=None,
            tagger=tagger, frames=frames,
        )  # fmt: skip
        rng = np.random.default_rng(0)
        logits = {"edges": rng.normal(size=(N, 5, 1)), "tagger": rng.normal(size=(N, 4))}
        right = {
            "cry_edges": 1 / (1 + np.exp(-logits["edges"])),
            "tags": 1 / (1 + np.exp(-logits["tagger"])),
            "level_dbfs": np.full((N, 5), -30.0),
            "tags_level_dbfs": np.full((N, 1), -30.0),
            **{f"{name}_logits": values for name, values in logits.items()},
        }
        found = {**right, "cry_edges": right["cry_edges"].copy(), "tags": right["tags"].copy()}
        found["cry_edges"][:3] = 1 - found["cry_edges"][:3]  # all steps of three real windows
        heard = found["tags"][:3, 0] >= HEARD
        found["tags"][:3, 0] = np.where(heard, 0.0, 1.0)  # one of the four tags of each
        references = proof.References(N // 2, right, right, right)
        settings: dict[str, Any] = {
            "tolerance": TOLERANCE,
            "thresholds": THRESHOLDS,
            "runtime": "test",
        }
        measured = proof.prove(
            graph, references, found, precision="int8", where="a.onnx", **settings
        )
        assert measured.tolerance is None
        cry = [scores["tags"][:, 0] for scores in (right, found)]
        assert measured.agreement == {
            "cry_edges": f1(right["cry_edges"], found["cry_edges"], 0.5),
            "tags": f1(right["tags"], found["tags"], HEARD),
            "cry_at": f1(*cry, 0.6),
            "cry_near": f1(*cry, 0.8),
        }
        assert measured.agreement["cry_at"] < 1

    def test_crying_that_eight_bits_lose_counts_however_seldom_it_is(self) -> None:
        right = with_output("cry", np.where(np.arange(N) == 0, 0.9, 0.1)[:, None])
        lost = {**right, "cry": np.full((N, 1), 0.1)}
        references = proof.References(0, right, right, right)
        settings: dict[str, Any] = {"tolerance": TOLERANCE, "thresholds": THRESHOLDS}
        measured = proof.prove(
            GRAPH, references, lost, precision="int8", runtime="test", where="a.onnx", **settings
        )
        assert measured.agreement["cry"] == 0

    def test_what_stands_next_to_a_threshold_may_cross_it_in_eight_bits(self) -> None:
        # Else a good file is refused for a recording in which little is clear crying.
        scores = np.full((N, 1), 0.1)
        scores[:2], scores[2:5], scores[5:8] = 0.9, 0.51, 0.49
        crossed = scores.copy()
        crossed[2:5], crossed[5:8] = 0.48, 0.52
        right = with_output("cry", scores)
        references = proof.References(0, right, right, right)
        settings: dict[str, Any] = {"tolerance": TOLERANCE, "thresholds": THRESHOLDS}
        settings |= {"precision": "int8", "runtime": "test", "where": "a.onnx"}
        found = {**right, "cry": crossed}
        assert proof.prove(GRAPH, references, found, **settings).agreement["cry"] == 1
        found["cry"] = np.where(scores == 0.9, 0.3, crossed)  # and clear crying is lost too
        measured = proof.prove(GRAPH, references, found, **settings)
        assert measured.agreement["cry"] == pytest.approx(f1_score(scores > 0.5, scores == 0.51))


class TestReporting:
    def test_off_a_mac_nothing_is_said_of_core_ml_itself(self) -> None:
        measured = (prove(outputs(), runtime="the program interpreted in numpy"),)
        assert report.proven("coreml", measured) == (
            "the saved program, interpreted, agrees with the Keras models within 0.0001",
        )
        assert "Core ML runs on a Mac only" in report.not_proven("coreml", measured)[0]
        on_a_mac = (*measured, prove(outputs(), runtime=proof.COREML))
        assert report.proven("coreml", on_a_mac)[1].startswith("Core ML on this Mac agrees")
        assert report.not_proven("coreml", on_a_mac) == ("other devices than this Mac",)

    def test_agreement_on_few_labels_is_called_that(self) -> None:
        one = with_output("probabilities", np.tile([0.9, 0.05, 0.05], (N, 1)))
        references = proof.References(0, one, one, outputs(1.02))
        settings: dict[str, Any] = {
            "tolerance": TOLERANCE,
            "thresholds": THRESHOLDS,
            "runtime": "test",
        }
        measured = proof.prove(GRAPH, references, one, precision="fp32", where="a.onnx", **settings)
        warnings = report.warn(measured, {"cry": 2, "probabilities": 3})
        assert warnings == (
            "reason: the reference gives 1 of 3 labels on these windows, so that agreement of "
            "labels says little",
        )
        assert "none were given" in report.not_proven("onnx", (measured,))[1]

    def test_eight_bits_below_97_percent_are_warned_of(self) -> None:
        found = outputs()
        found["cry"][:2] = 1 - found["cry"][:2]
        warnings = report.warn(prove(found, precision="int8"), {"cry": 2, "probabilities": 3})
        share = f1(outputs()["cry"], found["cry"], 0.5).expected
        assert warnings == (f"detector: labels agree to only {share:.1%} in 8 bits",)
