"""The engine with edges and tagger: events that stand, candidates that do not, the timeline."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from bundles import BUNDLE_V1, REASON_SOUNDS, glides
from hypothesis import given, settings
from hypothesis import strategies as st
from streamed import streamed, times
from tolerances import PIECES_TOLERANCE
from two_parts import (
    EDGES,
    FAINT,
    RATE_HZ,
    STEP_S,
    TAG_HOP_S,
    TAGS,
    TONES_HZ,
    reasons_behind_two_parts,
    tones,
    two_part_bundle,
)

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError
from cryvision.inference.classifier import StreamClassifier
from cryvision.inference.detector import CryDetector
from cryvision.result import Classification

REACH_S = 120 / RATE_HZ
"""The spectra of a frame reach this far beyond it."""

MAX_BYTES_A_FRAME = 128

LONGEST_ONSET_DELAY_S = 0.6
"""The shortest event, the look-ahead, a hop of the tagger, and what frames reach."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory).keeping_models()


@pytest.fixture(scope="module")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reasons_behind_two_parts(tmp_path_factory).keeping_models()


class TestEvents:
    def test_an_event_has_the_times_of_its_steps(self, bundle: Bundle) -> None:
        spans = [(0.0, 0.4), (0.8, 1.2), (1.28, 2.0)]
        result = streamed(bundle, tones(2.0, edges=spans, cry=[(0, 2)]))
        # Gaps are not bridged, and the last event ends with the sound.
        assert times(result.events) == spans
        assert result.detector.seconds == pytest.approx(1.52)
        assert all(event.confidence > 0.99 for event in result.events)

    def test_an_event_that_the_end_of_the_sound_cuts_ends_there(self, bundle: Bundle) -> None:
        result = streamed(bundle, tones(1.235, edges=[(1.0, 1.235)], cry=[(0.9, 1.235)]))
        assert times(result.events) == [(1.0, 1.235)]

    def test_what_is_shorter_than_the_shortest_event_is_none(self, bundle: Bundle) -> None:
        result = streamed(bundle, tones(2.0, edges=[(0.4, 0.48), (1.2, 1.32)], cry=[(0, 2)]))
        assert times(result.events) == [(1.2, 1.32)]

    def test_a_candidate_at_which_something_else_is_heard_is_rejected(self, bundle: Bundle) -> None:
        samples = tones(12.0, edges=[(1.0, 1.6), (9.0, 9.6)], cry=[(1, 1.6)], music=[(9, 9.6)])
        result = streamed(bundle, samples)
        assert times(result.events) == [(1.0, 1.6)]
        assert times(result.rejected) == [(9.0, 9.6)]
        assert [event.rejected for event in result.rejected] == ["music"]
        assert result.rejected[0].other_tag_score > 0.9
        assert result.rejected[0].confidence < 0.01
        assert result.detector.seconds == pytest.approx(0.6)
        assert result.heard_seconds["music"] == pytest.approx(2 * TAG_HOP_S)

    def test_a_clip_of_rejected_candidates_holds_no_crying(self, bundle: Bundle) -> None:
        result = streamed(bundle, tones(3.0, edges=[(1.0, 1.6)], baby_voice=[(1.0, 1.6)]))
        assert (result.label, result.detector.cry, result.detector.seconds) == ("no cry", False, 0)
        assert [event.rejected for event in result.rejected] == ["baby_voice"]
        unheard = streamed(bundle, tones(3.0, edges=[(1.0, 1.6)]))
        assert [event.rejected for event in unheard.rejected] == ["not crying"]

    def test_weak_crying_at_it_is_enough_where_there_is_more_near_it(self, bundle: Bundle) -> None:
        weak = tones(9.0, {"cry": 0.0042}, edges=[(1.0, 1.6)], cry=[(1.0, 1.6)])
        alone = streamed(bundle, weak)
        assert 0.3 < np.nanmax(alone.timeline["heard_cry"]) < 0.5
        assert not alone.events
        for onset_s, stands in ((5.0, True), (7.0, False)):
            more = streamed(bundle, weak + tones(9.0, cry=[(onset_s, onset_s + 0.6)]))
            assert bool(more.events) == stands

    def test_the_veto_may_be_off_or_strict(self, bundle: Bundle) -> None:
        samples = tones(
            20.0, {"cry": FAINT}, edges=[(1.0, 1.6), (9.0, 9.6)], cry=[(1, 1.6)], music=[(9, 9.6)]
        )
        found = {veto: streamed(bundle, samples, veto=veto) for veto in ("off", "normal", "strict")}
        counts = {veto: (len(r.events), len(r.rejected)) for veto, r in found.items()}
        assert counts == {"off": (2, 0), "normal": (1, 1), "strict": (0, 2)}
        assert {veto: result.veto for veto, result in found.items()} == {v: v for v in found}
        assert [event.other_tag for event in found["off"].events] == ["", "music"]
        scores = [found[veto].detector.probability for veto in ("strict", "normal", "off")]
        assert scores == sorted(scores)
        assert len(set(scores)) == 3
        assert found["off"].heard_seconds == found["strict"].heard_seconds

    def test_an_unknown_veto_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match="veto must be one of"):
            StreamClassifier(bundle, veto="loud")
        with pytest.raises(ConfigError, match="veto must be one of"):
            StreamClassifier(Bundle.load(BUNDLE_V1), veto="loud")

    def test_without_a_tagger_nothing_is_vetoed(self, bundle: Bundle) -> None:
        edges = replace(bundle, parts=bundle.parts[:1], veto=None)
        result = streamed(edges, tones(3.0, edges=[(1.0, 1.6)]))
        assert times(result.events) == [(1.0, 1.6)]
        assert (result.veto, result.rejected, result.heard_seconds) == ("off", (), {})

    def test_a_tagger_without_a_say_says_what_it_hears(self, bundle: Bundle) -> None:
        result = streamed(
            replace(bundle, veto=None), tones(3.0, edges=[(1, 1.6)], music=[(1, 1.6)])
        )
        assert [event.other_tag for event in result.events] == ["music"]
        assert result.veto == "off"
        assert result.heard_seconds["music"] > 0

    @pytest.mark.parametrize(("gap_s", "n_bouts"), [(None, 2), (0.5, 2), (0.55, 1), (0.1, 3)])
    def test_bouts_are_events_less_than_a_gap_apart(
        self, bundle: Bundle, gap_s: float | None, n_bouts: int
    ) -> None:
        samples = tones(3.0, edges=[(0.2, 0.8), (1.0, 1.4), (1.92, 2.4)], cry=[(0, 3)])
        options = {} if gap_s is None else {"bout_gap_s": gap_s}
        result = streamed(bundle, samples, **options)
        assert len(result.events) == 3
        assert len(result.bouts) == n_bouts

    @pytest.mark.parametrize("gap_s", [-0.1, float("inf"), float("nan")])
    def test_a_gap_that_is_none_is_refused(self, bundle: Bundle, gap_s: float) -> None:
        with pytest.raises(ConfigError, match="bout_gap_s must be finite and not negative"):
            StreamClassifier(bundle, bout_gap_s=gap_s)


class TestStreaming:
    def test_an_event_that_has_ended_comes_out_as_soon_as_it_is_certain(
        self, bundle: Bundle
    ) -> None:
        samples = tones(
            9.0, edges=[(1.0, 2.0), (3.0, 4.0)], cry=[(1.2, 1.8), (3.2, 3.8)], music=[(5, 6)]
        )
        stream, hop = StreamClassifier(bundle), RATE_HZ // 100
        known = {}
        for first in range(0, len(samples), hop):
            for event in stream.push(samples[first : first + hop]):
                if event.offset_s is not None:
                    known[event.onset_s] = (first + hop) / RATE_HZ
        # The first quiet step must be known: its end, the look-ahead, and what a frame reaches.
        delay_s = STEP_S + EDGES.lookahead_samples / RATE_HZ + REACH_S
        assert list(known) == [1.0, 3.0]
        for offset_s, said_s in zip((2.0, 4.0), known.values(), strict=True):
            assert said_s == pytest.approx(offset_s + delay_s, abs=0.011)

    def test_an_event_is_given_out_while_it_lasts(self, bundle: Bundle) -> None:
        samples = tones(9.0, edges=[(1.0, 8.0)], cry=[(1.0, 8.0)])
        stream, hop = StreamClassifier(bundle), RATE_HZ // 100
        known_s = None
        for first in range(0, len(samples), hop):
            events = stream.push(samples[first : first + hop])
            if events and known_s is None:
                known_s = (first + hop) / RATE_HZ
                assert [(event.onset_s, event.offset_s) for event in events] == [(1.0, None)]
        # The tagger must have heard it: a window of it ends each quarter of a second.
        assert known_s is not None
        assert 1.0 < known_s < 1.0 + LONGEST_ONSET_DELAY_S
        assert times(stream.finish().events) == [(1.0, 8.0)]

    def test_what_the_tagger_rejects_or_is_too_short_never_begins(self, bundle: Bundle) -> None:
        samples = tones(9.0, edges=[(1.0, 3.0), (5.0, 5.08)], music=[(1.0, 3.0)], cry=[(5.0, 6.0)])
        stream = StreamClassifier(bundle)
        assert [event for piece in np.split(samples, 90) for event in stream.push(piece)] == []

    def test_each_onset_is_followed_by_its_event_whatever_the_sizes_of_the_pieces(
        self, bundle: Bundle
    ) -> None:
        samples = tones(
            8.0,
            {"cry": FAINT},
            edges=[(0.0, 0.3), (0.7, 1.5), (2.0, 2.13), (3.0, 4.3), (5.1, 6.0), (6.3, 8.0)],
            cry=[(0.7, 1.5), (3.2, 3.7), (6.5, 7.5)],
            music=[(0.0, 0.4), (4.6, 6.0)],
        )

        def given_out(pieces: Sequence[np.ndarray]) -> list[tuple[float, float | None]]:
            stream = StreamClassifier(bundle)
            events = [event for piece in pieces for event in stream.push(piece)]
            seen = [(event.onset_s, event.offset_s) for event in events]
            ended = [event.span_s for event in stream.finish().events]
            began = [onset_s for onset_s, offset_s in seen if offset_s is None]
            assert began
            assert len(set(began)) == len(began)
            assert set(began) <= {onset_s for onset_s, _ in ended}
            return [*seen, *ended]

        whole = given_out(np.split(samples, 80))

        @settings(max_examples=25)
        @given(cuts=st.lists(st.integers(0, len(samples)), max_size=12))
        def holds(cuts: list[int]) -> None:
            assert given_out(np.split(samples, sorted(cuts))) == whole

        holds()

    def test_what_is_pushed_is_what_the_result_holds_in_order_of_onset(
        self, bundle: Bundle
    ) -> None:
        # The first is heard as crying only later, while the second is certain at once.
        samples = tones(9.0, {"cry": 0.0042}, edges=[(1.0, 1.6)], cry=[(1.0, 1.6)])
        samples += tones(9.0, edges=[(4.0, 4.6), (8.0, 8.4)], cry=[(4.0, 4.6)], music=[(8, 8.4)])
        stream = StreamClassifier(bundle)
        given = [event for piece in np.split(samples, 90) for event in stream.push(piece)]
        pushed = [event for event in given if event.offset_s is not None]
        result = stream.finish()
        assert times(pushed) == [(1.0, 1.6), (4.0, 4.6)]
        assert list(result.events) == pushed
        assert times(result.rejected) == [(8.0, 8.4)]

    def test_the_sizes_of_the_pieces_make_no_difference(self, bundle: Bundle) -> None:
        samples = tones(
            6.0,
            {"cry": FAINT},
            edges=[(0.0, 0.3), (0.7, 1.5), (2.0, 2.13), (3.0, 4.3), (5.1, 6.0)],
            cry=[(0.7, 1.5), (3.2, 3.7)],
            music=[(0.0, 0.4), (4.6, 6.0)],
            baby_voice=[(1.9, 2.2)],
        )
        whole = streamed(bundle, samples, veto="strict")
        both = streamed(bundle, samples)
        assert both.events
        assert both.rejected

        @settings(max_examples=25, deadline=None)
        @given(
            cuts=st.lists(st.integers(0, len(samples)), max_size=12),
            veto=st.sampled_from(["normal", "strict"]),
        )
        def holds(cuts: list[int], veto: str) -> None:
            pieces = streamed(bundle, *np.split(samples, sorted(cuts)), veto=veto)
            assert_same(pieces, both if veto == "normal" else whole)

        holds()


def assert_same(found: Classification, expected: Classification) -> None:
    """Two results of one sound."""
    assert list(found.timeline) == list(expected.timeline)
    for name, column in expected.timeline.items():
        np.testing.assert_allclose(found.timeline[name], column, atol=PIECES_TOLERANCE)
    for name in ("events", "rejected"):
        assert len(getattr(found, name)) == len(getattr(expected, name))
        for a, b in zip(getattr(found, name), getattr(expected, name), strict=True):
            assert (a.onset_s, a.offset_s, a.other_tag) == (b.onset_s, b.offset_s, b.other_tag)
            assert (a.label, a.rejected) == (b.label, b.rejected)
            assert a.confidence == pytest.approx(b.confidence, abs=PIECES_TOLERANCE)
            assert a.other_tag_score == pytest.approx(b.other_tag_score, abs=PIECES_TOLERANCE)
    assert found.heard_seconds == pytest.approx(expected.heard_seconds)
    assert found.detector.probability == pytest.approx(
        expected.detector.probability, abs=PIECES_TOLERANCE
    )
    assert found.probabilities == pytest.approx(expected.probabilities, abs=PIECES_TOLERANCE)


class TestTimeline:
    SAMPLES = tones(4.0, edges=[(0.4, 1.0), (2.0, 2.6)], cry=[(0.5, 0.9)], music=[(2, 2.5)])

    def test_a_frame_shows_the_step_that_it_lies_in(self, bundle: Bundle) -> None:
        timeline = streamed(bundle, self.SAMPLES).timeline
        detector = CryDetector(bundle)
        pieces = [detector.push(self.SAMPLES), detector.finish()]
        probabilities = np.concatenate([piece.probabilities for piece in pieces])
        step = np.floor(np.arange(120) / 30 / STEP_S + 1e-9).astype(int)
        np.testing.assert_allclose(timeline["cry"], probabilities[step], atol=PIECES_TOLERANCE)
        assert timeline["cry"].max() > 0.99

    def test_a_frame_shows_what_was_heard_in_the_newest_window_that_has_ended(
        self, bundle: Bundle
    ) -> None:
        timeline = streamed(bundle, self.SAMPLES).timeline
        n_ended = np.floor(np.arange(120) / 30 / TAG_HOP_S + 1e-9)
        for tag in TAGS:
            column = timeline[f"heard_{tag}"]
            np.testing.assert_array_equal(np.isnan(column), n_ended == 0)
            assert f"heard_{tag}_smooth" not in timeline
        # Windows 3 and 4 end at .72 and .96 s, the ninth and tenth at 2.16 and 2.40 s.
        np.testing.assert_array_equal(timeline["heard_cry"] > 0.5, np.isin(n_ended, [3, 4]))
        assert set(n_ended[timeline["heard_music"] > 0.5]) == {9, 10}

    def test_time_is_exact(self, bundle: Bundle) -> None:
        time_s = streamed(bundle, self.SAMPLES).timeline["time_s"]
        assert time_s.dtype == np.float64
        np.testing.assert_array_equal(time_s, [k / 30 for k in range(120)])

    def test_a_frame_costs_little_memory(self, reasons: Bundle) -> None:
        timeline = streamed(reasons, self.SAMPLES).timeline
        assert sum(column.itemsize for column in timeline.values()) <= MAX_BYTES_A_FRAME

    def test_a_frame_knows_nothing_beyond_its_step_and_the_look_ahead(
        self, reasons: Bundle
    ) -> None:
        changed = self.SAMPLES.copy()
        changed[2 * RATE_HZ :] = tones(2.0, edges=[(0.0, 1.0)], cry=[(0, 2)])
        before, after = (streamed(reasons, sound).timeline for sound in (self.SAMPLES, changed))
        ahead_s = STEP_S + EDGES.lookahead_samples / RATE_HZ + REACH_S
        n = int((2 - ahead_s) * 30)
        for name, column in before.items():
            np.testing.assert_array_equal(after[name][:n], column[:n])
        assert not np.array_equal(after["cry"][n:], before["cry"][n:])

    def test_the_clip_score_is_the_highest_half_second(self, bundle: Bundle) -> None:
        brief = tones(2.0, edges=[(0.4, 0.64)], cry=[(0, 2)])
        long = tones(2.0, edges=[(0.4, 1.2)], cry=[(0, 2)])
        scores = [streamed(bundle, samples).detector.probability for samples in (brief, long)]
        assert scores[0] == pytest.approx(6 / 12, abs=0.05)
        assert scores[1] == pytest.approx(1, abs=0.02)
        with_silence = np.concatenate([long, np.zeros(64_000, np.float32)])
        assert streamed(bundle, with_silence).detector.probability == pytest.approx(
            scores[1], abs=1e-6
        )

    def test_the_score_of_a_clip_shorter_than_that_is_its_mean(self, bundle: Bundle) -> None:
        samples = tones(0.4, edges=[(0.0, 0.2)], cry=[(0, 0.4)])
        detector = CryDetector(bundle)
        pieces = [detector.push(samples), detector.finish()]
        mean = np.concatenate([piece.probabilities for piece in pieces]).mean()
        assert 0.1 < mean < 0.9
        assert streamed(bundle, samples).detector.probability == pytest.approx(
            mean, abs=PIECES_TOLERANCE
        )

    def test_a_clip_without_an_event_scores_at_most_a_half(self, bundle: Bundle) -> None:
        samples = tones(2.0, edges=[(0.4, 1.2)], cry=[(0, 2)])
        result = streamed(bundle, samples, min_duration_s=5.0)
        assert not result.events
        assert result.detector.probability == 0.5

    def test_pictures_longer_than_the_sound_leave_the_rest_unknown(self, bundle: Bundle) -> None:
        stream = StreamClassifier(bundle)
        stream.push(self.SAMPLES[:RATE_HZ])
        stream.push(frame=np.zeros((4, 4, 3), np.uint8), frame_time_s=59 / 30)
        timeline = stream.finish().timeline
        for name in ("cry", "cry_smooth", "heard_cry"):
            assert np.isnan(timeline[name][30:]).all()
        assert np.isfinite(timeline["cry"][:30]).all()


class TestOddSounds:
    def test_silence_is_not_judged_and_says_that_nothing_was_scored(self, bundle: Bundle) -> None:
        result = streamed(bundle, np.zeros(3 * RATE_HZ, np.float32))
        assert (result.label, result.detector.cry) == ("not sure", None)
        assert not result.timeline["cry"].any()
        assert result.heard_seconds["silence"] == pytest.approx(3.0)
        assert any("nothing was scored" in warning for warning in result.warnings)

    @pytest.mark.parametrize("n_samples", [100, 639, 1000, 6300, 20_360])
    def test_short_clips_are_scored_and_not_called_short(
        self, bundle: Bundle, n_samples: int
    ) -> None:
        samples = tones(2.0, edges=[(0, 2)], cry=[(0, 2)])[:n_samples]
        result = streamed(bundle, samples)
        n_frames = round(n_samples / RATE_HZ * 30)
        assert {len(column) for column in result.timeline.values()} == {n_frames}
        assert np.isfinite(result.timeline["cry"]).all()
        assert not result.warnings
        duration_s = n_samples / RATE_HZ
        expected = [(0.0, round(duration_s, 6))] if duration_s >= 0.1 else []
        assert times(result.events) == expected
        assert result.heard_seconds["cry"] == pytest.approx(duration_s if expected else 0, abs=0.01)

    def test_in_a_clip_shorter_than_a_hop_of_the_tagger_its_last_frame_shows_the_tags(
        self, bundle: Bundle
    ) -> None:
        timeline = streamed(bundle, tones(0.2, edges=[(0, 0.2)], cry=[(0, 0.2)])).timeline
        assert np.isnan(timeline["heard_cry"][:-1]).all()
        assert timeline["heard_cry"][-1] > 0.5

    def test_samples_that_are_not_finite_are_said(self, bundle: Bundle) -> None:
        samples = tones(2.0, edges=[(0.4, 1.2)], cry=[(0, 2)])
        samples[100:110] = np.inf
        result = streamed(bundle, samples)
        assert times(result.events) == [(0.4, 1.2)]
        assert any("10 samples were not finite" in warning for warning in result.warnings)

    def test_a_single_sample(self, bundle: Bundle) -> None:
        result = streamed(bundle, np.zeros(1, np.float32))
        assert (result.label, result.detector.probability) == ("not sure", None)
        assert any("nothing was scored" in warning for warning in result.warnings)

    def test_an_empty_stream(self, bundle: Bundle) -> None:
        result = StreamClassifier(bundle).finish()
        assert (result.duration_s, result.events, result.rejected) == (0, (), ())
        assert result.detector.cry is None
        assert all(len(column) == 0 for column in result.timeline.values())


class TestEndlessStreams:
    CRYING = tuple((5.0 * k + 1, 5.0 * k + 3) for k in range(12))
    SAMPLES = tones(60.0, edges=CRYING, cry=CRYING)
    KEEP_S = 11.0

    def test_the_result_is_that_of_the_last_seconds(self, bundle: Bundle) -> None:
        whole = streamed(bundle, *np.split(self.SAMPLES, 600))
        stream = StreamClassifier(bundle, keep_seconds=self.KEEP_S)
        pushed = [event for piece in np.split(self.SAMPLES, 600) for event in stream.push(piece)]
        kept = stream.finish()
        n_kept = round(self.KEEP_S * 30)
        assert list(kept.timeline) == list(whole.timeline)
        for name, column in whole.timeline.items():
            np.testing.assert_array_equal(kept.timeline[name], column[-n_kept:])
        assert times(kept.events) == times(whole.events)[-2:]
        assert len([event for event in pushed if event.offset_s is not None]) == 12
        assert kept.detector.probability == pytest.approx(whole.detector.probability)

    def test_what_is_held_does_not_grow(self, bundle: Bundle) -> None:
        stream = StreamClassifier(bundle, keep_seconds=2.0)
        sizes = []
        for piece in np.split(np.tile(self.SAMPLES, 3), 180):
            stream.push(piece)
            sizes.append(len(pickle.dumps(stream._crying.__dict__["_cry"]._raw)))
            assert len(stream._crying.events) <= 2
        assert max(sizes[5:]) <= 2 * 2 * 30 * 4 + 500

    def test_endless_crying_is_known_at_once_and_holds_little(self, bundle: Bundle) -> None:
        samples = tones(40.0, edges=[(1, 40)], cry=[(1, 40)])
        stream = StreamClassifier(bundle, keep_seconds=2.0)
        for piece in np.split(samples, 400):
            stream.push(piece)
        assert stream.state.crying
        assert stream.state.since_s == 1.0
        assert len(stream._crying._following._filter._windows) < 40

    @pytest.mark.parametrize("seconds", [0.0, -1.0, np.nan, np.inf])
    def test_a_length_that_is_none_is_refused(self, bundle: Bundle, seconds: float) -> None:
        with pytest.raises(ConfigError, match="keep_seconds must be positive and finite"):
            StreamClassifier(bundle, keep_seconds=seconds)


class TestOtherSound:
    TIMES_S = 0.041
    """Resampling may move an edge by one step."""

    @pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
    def test_any_rate_in_whole_numbers_and_any_channels(self, bundle: Bundle, rate_hz: int) -> None:
        spans = [(1.0, 2.0), (4.0, 6.0)]
        time_s = np.arange(8 * rate_hz) / rate_hz
        samples = np.zeros(len(time_s))
        for name in ("edges", "cry"):
            for onset_s, offset_s in spans:
                inside = (time_s >= onset_s) & (time_s < offset_s)
                samples += 0.1 * inside * np.sin(2 * np.pi * TONES_HZ[name] * time_s)
        both = np.repeat(np.round(samples * 32767).astype(np.int16)[:, None], 2, axis=1)
        stream = StreamClassifier(bundle, sample_rate_hz=rate_hz)
        for piece in np.array_split(both, 33):
            stream.push(piece)
        result = stream.finish()
        assert result.duration_s == pytest.approx(8.0, abs=0.05)
        np.testing.assert_allclose(
            [event.span_s for event in result.events], spans, atol=self.TIMES_S
        )

    def test_a_rate_that_no_microphone_has_is_refused(self, bundle: Bundle) -> None:
        with pytest.raises(ConfigError, match="samples a second; got 10"):
            StreamClassifier(bundle, sample_rate_hz=10)


def test_without_a_bundle_the_one_that_ships_is_used() -> None:
    result = StreamClassifier().finish()
    assert result.bundle["name"] == Bundle.load().name


def test_bundles_of_version_1_still_classify_and_veto_nothing() -> None:
    result = streamed(Bundle.load(BUNDLE_V1), glides(3.0), veto="strict")
    assert (result.veto, result.rejected, result.heard_seconds) == ("off", (), {})
    assert list(result.timeline) == ["time_s", "cry", "cry_smooth"]
    assert np.isfinite(result.timeline["cry"][15:]).all()


class TestReasons:
    """They are given for windows of 1 s in which at least half of the steps are crying."""

    SAMPLES = tones(
        6.0,
        edges=[(0.5, 2.6), (3.5, 5.5)],
        cry=[(0.6, 2.0), (3.5, 4.0)],
        music=[(2.0, 3.0), (4.0, 4.5)],
    )

    def test_windows_are_gated_by_the_fused_scores_known_by_their_ends(
        self, reasons: Bundle
    ) -> None:
        detector = CryDetector(reasons)
        pieces = [detector.push(self.SAMPLES), detector.finish()]
        ends, score = (
            np.concatenate([getattr(piece, name) for piece in pieces])
            for name in ("end_samples", "fused")
        )
        config = REASON_SOUNDS["mfcc"]
        window_ends = np.arange(config.window_samples, 96_001, config.hop_samples)
        crying = []
        for end in window_ends:
            known = (ends > end - config.window_samples) & (ends <= end - EDGES.lookahead_samples)
            crying.append(np.mean(score[known] >= 0.5) >= 0.5)
        edges = np.concatenate([piece.scores for piece in pieces])
        assert 0 < sum(crying) < len(crying)
        assert np.mean(edges >= 0.5) > np.mean(score >= 0.5) + 0.1
        timeline = streamed(reasons, self.SAMPLES).timeline
        frames = -(-window_ends * 30 // RATE_HZ)
        inside = frames < len(timeline["hungry"])
        np.testing.assert_array_equal(
            np.isfinite(timeline["hungry"][frames[inside]]), np.array(crying)[inside]
        )

    def test_the_sizes_of_the_pieces_make_no_difference(self, reasons: Bundle) -> None:
        whole = streamed(reasons, self.SAMPLES)
        assert np.isfinite(whole.timeline["hungry"]).any()

        @settings(max_examples=12, deadline=None)
        @given(cuts=st.lists(st.integers(0, len(self.SAMPLES)), max_size=12))
        def holds(cuts: list[int]) -> None:
            assert_same(streamed(reasons, *np.split(self.SAMPLES, sorted(cuts))), whole)

        holds()

    def test_no_reason_is_given_for_what_is_rejected(self, reasons: Bundle) -> None:
        result = streamed(reasons, tones(4.0, edges=[(0.5, 3.5)], music=[(0, 4)]))
        assert result.label == "no cry"
        assert result.rejected
        assert np.isnan(result.timeline["hungry"]).all()
        off = streamed(reasons, tones(4.0, edges=[(0.5, 3.5)], music=[(0, 4)]), veto="off")
        assert np.isfinite(off.timeline["hungry"]).any()
        assert off.probabilities
