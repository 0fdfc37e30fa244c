"""One label for a clip: what it is averaged from, and when it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bundles import glides, reasons_bundle

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.label_policy import has_skill, mean_probabilities
from cryvision.inference.options import Options
from cryvision.result import Classification

FLOAT32 = 1e-6
NAN = float("nan")

SKILLED: dict[str, Any] = {
    "part": "ensemble",
    "modalities": ["sound"],
    "unit": "clip",
    "protocol": "grouped 5-fold",
    "subjects": "pattern",
    "figures": {
        "balanced_accuracy": {"value": 0.6, "interval": [0.4, 0.8]},
        "log_loss": {"value": 0.9, "interval": [0.8, 1.0]},
    },
    "chance": 1 / 3,
    "prior": {"log_loss": 1.0},
}

CHANCE: dict[str, Any] = {
    **SKILLED,
    "figures": {
        "balanced_accuracy": {"value": 0.35, "interval": [0.3, 0.4]},
        "log_loss": {"value": 1.0},
    },
}

ALWAYS = "label policy 'always': the label is given whatever its measured skill"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reasons_bundle(tmp_path_factory)


def classify(
    bundle: Bundle, skill: list[dict[str, Any]], policy: str, samples: np.ndarray
) -> Classification:
    stream = StreamClassifier(replace(bundle, skill=skill), label_policy=policy)
    stream.push(samples)
    return stream.finish()


class TestPolicy:
    """Of a clip in which somebody cries."""

    @pytest.mark.parametrize(
        ("skill", "policy", "named", "warned"),
        [
            ([], "skill", False, False),
            ([CHANCE], "skill", False, False),
            ([SKILLED], "skill", True, False),
            ([CHANCE, SKILLED], "skill", True, False),
            ([], "always", True, True),
            ([CHANCE], "always", True, True),
            ([SKILLED], "always", True, True),
        ],
    )
    def test_a_reason_is_named_with_measured_skill_or_when_it_is_demanded(
        self, bundle: Bundle, skill: list[Any], policy: str, named: bool, warned: bool
    ) -> None:
        result = classify(bundle, skill, policy, glides(3.0))
        best = max(result.probabilities, key=result.probabilities.__getitem__)
        assert list(result.probabilities) == list(bundle.labels)
        assert result.label == (best if named else "not sure")
        assert (ALWAYS in result.warnings) == warned
        assert {event.label for event in result.events} == {best if named else "cry"}

    @pytest.mark.parametrize(
        "change",
        [
            {"part": "detector"},
            {"part": "branch_mfcc"},
            {"modalities": ["sound", "face"]},
            {"subjects": "file"},
            {"unit": "window"},
        ],
    )
    def test_skill_of_something_else_is_no_skill(
        self, bundle: Bundle, change: dict[str, Any]
    ) -> None:
        assert classify(bundle, [{**SKILLED, **change}], "skill", glides(3.0)).label == "not sure"

    @pytest.mark.parametrize("policy", ["skill", "always"])
    def test_where_nobody_cries_there_is_no_reason_to_name(
        self, bundle: Bundle, policy: str
    ) -> None:
        noise = 0.05 * np.random.default_rng(0).standard_normal(3 * 16_000).astype(np.float32)
        result = classify(bundle, [SKILLED], policy, noise)
        assert (result.label, result.probabilities, result.events) == ("no cry", {}, ())
        assert np.isnan(result.timeline["hungry"]).all()
        assert ALWAYS not in result.warnings

    @pytest.mark.parametrize("policy", ["skill", "always"])
    def test_without_sound_there_is_nothing_to_decide_from(
        self, bundle: Bundle, policy: str
    ) -> None:
        result = classify(bundle, [SKILLED], policy, np.zeros(0, np.float32))
        assert (result.label, result.probabilities, result.modalities) == ("not sure", {}, ())
        assert any("nothing to decide from" in note for note in result.warnings)
        assert ALWAYS not in result.warnings

    @pytest.mark.parametrize("policy", ["skill", "always"])
    def test_a_bout_that_fills_no_window_has_no_reason_and_the_result_says_so(
        self, bundle: Bundle, policy: str
    ) -> None:
        samples = np.zeros(4 * 16_000, np.float32)
        samples[16_000:19_200] = glides(1.0)[:3_200]
        result = classify(bundle, [SKILLED], policy, samples)
        assert (len(result.events), result.label, result.probabilities) == (1, "not sure", {})
        assert any("no bout is long enough" in note for note in result.warnings)
        assert ALWAYS not in result.warnings

    def test_the_label_is_that_of_the_frames_of_the_events(self, bundle: Bundle) -> None:
        result = classify(bundle, [SKILLED], "skill", glides(6.5))
        time_s = result.timeline["time_s"]
        crying = np.zeros(len(time_s), bool)
        for event in result.events:
            crying |= (time_s >= event.onset_s) & (time_s < event.offset_s)
        assert len(result.events) == 2
        for name, probability in result.probabilities.items():
            column = result.timeline[f"{name}_smooth"][crying]
            assert probability == pytest.approx(np.nanmean(column), abs=FLOAT32)
        assert result.probabilities != pytest.approx(
            {name: np.nanmean(result.timeline[f"{name}_smooth"]) for name in bundle.labels},
            abs=1e-3,
        )

    def test_an_unknown_policy_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="must be one of skill, always; got 'maybe'"):
            Options(label_policy="maybe")


class TestMean:
    """Ten frames of two classes: a is 0.9 in the first five, 0.2 after them."""

    def timeline(self, unknown: slice = slice(0, 0)) -> dict[str, np.ndarray]:
        a = np.array([0.9] * 5 + [0.2] * 5, np.float32)
        a[unknown] = NAN
        return {
            "time_s": (np.arange(10) / 30).astype(np.float32),
            "a": np.full(10, 0.5, np.float32),
            "b": np.full(10, 0.5, np.float32),
            "a_smooth": a,
            "b_smooth": 1 - a,
        }

    @pytest.mark.parametrize(
        ("spans", "a"),
        [
            (None, 0.55),
            ([(0.0, 0.15)], 0.9),
            ([(0.2, 1.0)], 0.2),
            ([(0.0, 0.05), (0.19, 0.21)], (0.9 + 0.9 + 0.2) / 3),
        ],
    )
    def test_it_is_taken_over_the_frames_of_the_events(
        self, spans: list[tuple[float, float]] | None, a: float
    ) -> None:
        found = mean_probabilities(self.timeline(), ["a", "b"], spans)
        assert found == pytest.approx({"a": a, "b": 1 - a}, abs=FLOAT32)

    def test_frames_of_which_nothing_is_known_are_passed_over(self) -> None:
        found = mean_probabilities(self.timeline(slice(0, 4)), ["a", "b"], [(0.0, 0.2)])
        assert found == pytest.approx({"a": (0.9 + 0.2) / 2, "b": (0.1 + 0.8) / 2}, abs=FLOAT32)

    def test_where_no_frame_of_an_event_is_known_all_known_frames_are_taken(self) -> None:
        found = mean_probabilities(self.timeline(slice(0, 5)), ["a", "b"], [(0.0, 0.1)])
        assert found == pytest.approx({"a": 0.2, "b": 0.8}, abs=FLOAT32)

    def test_where_nothing_is_known_there_is_no_mean(self) -> None:
        unknown = self.timeline(slice(0, 10))
        assert mean_probabilities(unknown, ["a", "b"], None) == {}
        assert mean_probabilities(unknown, ["a", "b"], [(0.0, 0.1)]) == {}


class TestSkill:
    @pytest.mark.parametrize(
        "change",
        [
            {"subjects": "file"},
            {"modalities": ["face"]},
            {"part": "branch_stft"},
            {"chance": 0.4},  # the interval's lower end must lie above it
            {"prior": {"log_loss": 0.9}},  # and the log-loss below the prior's
            {"prior": {"hungry": 0.5}},
            {"figures": {"log_loss": {"value": 0.3}}},
            {"figures": {"balanced_accuracy": {"value": 0.9}, "log_loss": {"value": 0.3}}},
            {"figures": {"balanced_accuracy": {"value": 0.9, "interval": [0.85, 0.95]}}},
        ],
    )
    def test_chance_and_the_prior_must_be_beaten_on_known_subjects(
        self, change: dict[str, Any]
    ) -> None:
        assert has_skill([SKILLED], "ensemble", ("sound",))
        assert not has_skill([{**SKILLED, **change}], "ensemble", ("sound",))

    def test_a_unit_can_be_asked_for(self) -> None:
        assert has_skill([SKILLED], "ensemble", ("sound",), "clip")
        assert not has_skill([SKILLED], "ensemble", ("sound",), "window")

    def test_modalities_have_no_order(self) -> None:
        both = {**SKILLED, "modalities": ["sound", "face"]}
        assert has_skill([both], "ensemble", ("face", "sound"))
        assert not has_skill([both], "ensemble", ("sound",))
