"""What is measured of a tagger and its veto on recordings is what the engine makes of them."""

from __future__ import annotations

from pathlib import Path

import lab
import numpy as np
import pytest
from bundles import BUNDLE_V1
from toy_recordings import toy_recording
from two_parts import EDGES, GATE, tones, two_part_bundle

from cryvision.bundle import Bundle
from cryvision.detector_training import calibration
from cryvision.detector_training.calibration import Decided, fused_scores
from cryvision.detector_training.tag_scores import Tagger, TagScores, evidence, standing
from cryvision.errors import ConfigError
from cryvision.inference.clip import classify
from cryvision.inference.detector import CryDetector
from cryvision.inputs.logmel import log_mel

SAME = 1e-5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory)


def sound(seconds: float = 20.3) -> np.ndarray:
    """Candidates at which crying is heard at once, soon after, only nearby, and not at all."""
    return tones(
        seconds,
        edges=[(0.5, 1.5), (2.0, 2.4), (3.0, 4.0), (15.0, 16.0), (19.0, 20.1)],
        cry=[(1.0, 2.0), (3.5, 4.5), (19.8, 20.2)],
        amplitudes={"cry": 0.05},
    )


def tags_in(bundle: Bundle, samples: np.ndarray) -> TagScores:
    tagger = Tagger(bundle, GATE.min_level_dbfs)
    return tagger.score(samples, log_mel(samples, tagger.config))


def test_the_windows_are_those_of_the_engine(bundle: Bundle) -> None:
    samples = np.concatenate([sound(), np.zeros(32_000, np.float32)])
    detector = CryDetector(bundle)
    pieces = [detector.push(samples[i : i + 5000]) for i in range(0, len(samples), 5000)]
    windows = [piece.tags for piece in (*pieces, detector.finish())]
    found = tags_in(bundle, samples)
    ends = np.concatenate([w.end_samples for w in windows])
    assert np.array_equal(found.end_samples, ends)
    cry = np.concatenate([w.scores[:, 0] for w in windows if len(w)])
    assert found.cry == pytest.approx(cry, abs=SAME)
    quiet = (ends > 6.0 * 16_000) & (ends < 14.0 * 16_000)
    assert not found.scored[quiet].any()
    assert found.scored[(ends > 16_000) & (ends < 4.0 * 16_000)].all()
    assert found.embedding.shape == (len(ends), 0)


def test_the_events_that_stand_are_those_of_the_engine(bundle: Bundle, tmp_path: Path) -> None:
    samples = sound()
    result = classify(lab.write_wav(tmp_path / "clip.wav", samples), bundle)
    candidates = sorted([*result.events, *result.rejected], key=lambda event: event.onset_s)
    events = np.array([(event.onset_s, event.offset_s) for event in candidates])
    assert bundle.veto is not None
    stands = standing(events, tags_in(bundle, samples), bundle.veto)
    assert stands.tolist() == [event in result.events for event in candidates]
    assert 0 < stands.sum() < len(stands)


def test_the_fused_scores_are_those_of_the_engine(bundle: Bundle) -> None:
    samples = sound()
    windows = CryDetector(bundle)
    found = [windows.push(samples), windows.finish()]
    scores, product = (np.concatenate([getattr(w, n) for w in found]) for n in ("scores", "fused"))
    recording = toy_recording(
        np.zeros(len(scores)), tags=tags_in(bundle, samples), seconds=len(samples) / 16_000
    )
    decided = Decided(recording, scores.astype(np.float64), np.empty((0, 2)))
    assert bundle.veto is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "EDGES", EDGES)  # whose look-ahead is shorter
        assert fused_scores(decided, bundle.veto) == pytest.approx(product, abs=SAME)
    assert 0 < np.mean(product < 0.9 * scores) < 1


def test_evidence_is_zero_where_no_window_ends(bundle: Bundle) -> None:
    nothing = TagScores(np.empty(0, np.int64), np.empty(0), np.empty(0, bool), np.empty((0, 0)))
    assert bundle.veto is not None
    assert evidence(np.array([(1.0, 2.0)]), nothing, bundle.veto).tolist() == [[0.0, 0.0]]
    assert evidence(np.empty((0, 2)), nothing, bundle.veto).shape == (0, 2)


def test_a_tagger_without_an_embedding_is_heard_all_the_same(bundle: Bundle) -> None:
    tagger = Tagger(bundle, GATE.min_level_dbfs, embedding=True)
    samples = sound(2.0)
    assert tagger.model is None
    assert tagger.score(samples, log_mel(samples, tagger.config)).cry.max() > 0.5


def test_a_bundle_without_a_tagger_is_refused() -> None:
    with pytest.raises(ConfigError, match="must have a tagger; 'tiny' has none"):
        Tagger(Bundle.load(BUNDLE_V1), -60.0)
