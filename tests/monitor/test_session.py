"""A session: what it says of a source, what a break does, and that it equals a file's result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import probes
import pytest
from two_parts import RATE_HZ, tones, two_part_bundle

from cryvision.bundle import Bundle
from cryvision.inference.classifier import StreamClassifier
from cryvision.monitor.alerting.alerts import AlertMonitor
from cryvision.monitor.alerting.crying_rules import SustainedCrying
from cryvision.monitor.session import LIKELY, LiveSession, Observation
from cryvision.monitor.sources.source import Piece, SourceFault

START = 1_700_000_000.0

TIMES_TOLERANCE_S = 1e-6
"""Wall times of today in float64 have steps of 0.2 microseconds."""


class Script:
    """A source that gives what it is told to."""

    name = "nursery"
    has_camera = False

    def __init__(self, items: Sequence[Piece | SourceFault]) -> None:
        self._items = items
        self.closed = False

    def pieces(self, stop: threading.Event) -> Iterator[Piece | SourceFault]:
        for item in self._items:
            if stop.is_set():
                return
            yield item

    def close(self) -> None:
        self.closed = True


def pieces(samples: np.ndarray, start: float = START) -> list[Piece | SourceFault]:
    cut = np.split(samples, range(1600, len(samples), 1600))
    ends = np.cumsum([len(one) for one in cut]) / RATE_HZ
    return [Piece(one, None, None, start + float(end)) for one, end in zip(cut, ends, strict=True)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return two_part_bundle(tmp_path_factory).keeping_models()


def observe(
    bundle: Bundle, items: Sequence[Piece | SourceFault], threshold: float | None = None
) -> list[Observation]:
    session = LiveSession(Script(items), bundle, threshold=threshold)
    return list(session.observations(threading.Event()))


def ended(observations: Sequence[Observation]) -> list[tuple[float, float]]:
    return [
        (timed.onset_time - START, timed.offset_time - START)
        for observation in observations
        for timed in observation.events
        if timed.offset_time is not None
    ]


CRYING = [(1.0, 2.0), (4.0, 8.0)]
SOUND = tones(10.0, edges=[*CRYING, (8.5, 9.0)], cry=CRYING, music=[(8.5, 9.0)])


def test_events_are_those_of_the_whole_clip_in_wall_time(bundle: Bundle) -> None:
    stream = StreamClassifier(bundle)
    stream.push(SOUND)
    expected = [event.span_s for event in stream.finish().events]
    found = ended(observe(bundle, pieces(SOUND)))
    assert len(expected) == 2
    np.testing.assert_allclose(found, expected, atol=TIMES_TOLERANCE_S)


def test_crying_is_known_while_it_lasts(bundle: Bundle) -> None:
    observations = observe(bundle, pieces(SOUND))
    at_7_s = next(one for one in observations if one.time >= START + 7)
    assert at_7_s.crying
    assert at_7_s.since == pytest.approx(START + 4.0, abs=TIMES_TOLERANCE_S)
    at_3_s = next(one for one in observations if one.time >= START + 3)
    assert (at_3_s.crying, at_3_s.since) == (False, None)
    onsets = [
        timed.onset_time - START
        for one in observations
        for timed in one.events
        if timed.offset_time is None
    ]
    assert onsets == pytest.approx([1.0, 4.0], abs=TIMES_TOLERANCE_S)


def late(delay: Callable[[float], float]) -> list[Piece | SourceFault]:
    """Pieces of `SOUND` that come so many seconds after their end, by seconds of the stream."""
    return [
        replace(piece, time=piece.time + delay(piece.time - START))
        for piece in pieces(SOUND)
        if isinstance(piece, Piece)
    ]


@pytest.mark.parametrize("crying_s", [4.5, 7.5])
def test_events_are_when_they_were_heard_though_a_network_holds_sound_back(
    bundle: Bundle, crying_s: float
) -> None:
    """Over an onset, or an offset, all that was held back for four seconds comes at once."""
    held = late(lambda end_s: max(0.0, crying_s + 2 - end_s) if end_s > crying_s - 2 else 0.0)
    expected = ended(observe(bundle, pieces(SOUND)))
    np.testing.assert_allclose(ended(observe(bundle, held)), expected, atol=TIMES_TOLERANCE_S)


def test_an_event_has_the_onset_that_was_announced_though_pieces_come_unevenly(
    bundle: Bundle,
) -> None:
    random = np.random.default_rng(0)
    observations = observe(bundle, late(lambda _: random.uniform(0.001, 0.05)))
    timed = [one for observation in observations for one in observation.events]
    announced = [one.onset_time for one in timed if one.offset_time is None]
    assert len(announced) == 2
    assert [one.onset_time for one in timed if one.offset_time is not None] == announced


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_an_event_is_as_long_as_it_was_heard_though_the_clock_is_set(
    bundle: Bundle, jump_s: float
) -> None:
    lengths = [
        offset - onset
        for onset, offset in ended(observe(bundle, late(lambda s: jump_s if s > 6 else 0.0)))
    ]
    assert lengths == pytest.approx([1.0, 4.0], abs=0.1)


def test_an_event_that_a_stalled_source_ends_has_ended_with_its_sound(bundle: Bundle) -> None:
    waiting = [Piece(np.zeros(0, np.float32), None, None, START + 6 + i / 4) for i in range(20)]
    stalled = SourceFault("stalled", "no data has come for 5 s", START + 11, restart=True)
    observations = observe(bundle, [*pieces(SOUND)[:60], *waiting, stalled])
    assert ended(observations)[-1] == pytest.approx((4.0, 6.0), abs=0.1)
    assert {one.since for one in observations if one.crying and one.time > START + 6} == {
        next(one.since for one in observations if one.time >= START + 6)
    }


def test_sound_that_is_not_crying_is_named(bundle: Bundle) -> None:
    samples = tones(6.0, music=[(1.0, 6.0)])
    state = observe(bundle, pieces(samples))[-2].state
    assert list(state.tags) == ["music"]
    assert state.crying is False


def test_a_quiet_room_is_no_crying_and_its_state_says_that_it_is_not_scored(
    bundle: Bundle,
) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-5, 3 * RATE_HZ).astype(np.float32)
    last = observe(bundle, pieces(noise))[-2]
    assert last.crying is False
    assert last.state.crying is None
    assert "quieter than -60 dBFS" in last.state.not_scored["sound"]


def test_before_the_first_sound_nothing_is_known(bundle: Bundle) -> None:
    (first, *_) = observe(bundle, [Piece(np.zeros(0, np.float32), None, None, START)])
    assert first.crying is None


@pytest.mark.parametrize("kind", ["lost", "stalled"])
def test_a_break_ends_the_event_and_nothing_is_known_until_it_is_over(
    bundle: Bundle, kind: str
) -> None:
    before = tones(5.0, edges=[(1.0, 5.0)], cry=[(1.0, 5.0)])
    after = tones(5.0, edges=[(0.0, 2.0)], cry=[(0.0, 2.0)])
    observations = observe(
        bundle,
        [
            *pieces(before),
            SourceFault(kind, "the cable is off", START + 6),
            Piece(np.zeros(0, np.float32), None, None, START + 20),
            SourceFault("recovered", "sound again", START + 30, restart=True, ended=kind),
            *pieces(after, START + 30),
        ],
    )
    np.testing.assert_allclose(
        ended(observations), [(1.0, 5.0), (30.0, 32.0)], atol=TIMES_TOLERANCE_S
    )
    faults = [one.fault.kind for one in observations if one.fault is not None]
    assert faults == [kind, "recovered"]
    assert next(one for one in observations if one.time >= START + 20).crying is None


def test_digital_silence_is_not_a_quiet_room(bundle: Bundle) -> None:
    samples = np.zeros(62 * RATE_HZ, np.float32)
    observations = observe(bundle, pieces(samples))
    assert [one.fault.kind for one in observations if one.fault is not None] == ["silent"]
    assert observations[-1].crying is None
    assert next(one for one in observations if one.time >= START + 30).crying is False


def test_reasons_are_not_computed(bundle: Bundle) -> None:
    default = LiveSession(Script(pieces(tones(1.0))))
    (*_, last) = default.observations(threading.Event())
    assert last.state.time_s == pytest.approx(1.0)
    assert {part.kind for part in default.bundle.parts} == {"detector", "tagger"}


def test_the_source_is_closed_whatever_happens(bundle: Bundle) -> None:
    source = Script(pieces(SOUND))
    running = LiveSession(source, bundle).observations(threading.Event())
    next(running)
    running.close()
    assert source.closed


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20, 1e38, 17.0])
def test_a_stream_of_numbers_that_are_no_sound_does_not_end_the_watch(
    bundle: Bundle, value: float
) -> None:
    rubbish = np.full(2 * RATE_HZ, value, np.float32)
    sound = tones(5.0, edges=[(1.0, 3.0)], cry=[(1.0, 3.0)])
    plain = observe(bundle, pieces(np.concatenate([np.zeros_like(rubbish), sound])))
    found = observe(bundle, pieces(np.concatenate([rubbish, sound])))
    assert ended(found) == ended(plain)
    assert ended(found)


def test_crying_is_likely_where_its_score_is_high_though_no_event_stands(bundle: Bundle) -> None:
    assert bundle.veto is not None
    vetoed = replace(bundle, veto=replace(bundle.veto, normal_near=1.0)).keeping_models()
    seen = observe(vetoed, pieces(SOUND))
    assert ended(seen) == []
    assert not any(one.crying for one in seen)
    likely = [one.state.time_s for one in seen if one.likely]
    # Half a second of the past one must be crying, and what is said lags by the look-ahead.
    assert likely[0] == pytest.approx(CRYING[0][0] + 0.5, abs=0.4)
    assert all(one.likely for one in seen if 5.0 < one.state.time_s < 8.0)
    assert not any(2.9 < time_s < 4.4 for time_s in likely)
    assert not any(one.likely for one in observe(vetoed, pieces(SOUND), threshold=0.9999))


def test_crying_is_not_likely_where_it_may_be_music(bundle: Bundle) -> None:
    assert bundle.veto is not None
    vetoed = replace(bundle, veto=replace(bundle.veto, normal_near=1.0)).keeping_models()
    both = tones(10.0, edges=CRYING, cry=CRYING, music=[(6.0, 8.0)])
    seen = observe(vetoed, pieces(both))
    assert [one.likely for one in seen if 5.0 < one.state.time_s < 6.0] == [True] * 9
    assert not any(one.likely for one in seen if 7.0 < one.state.time_s < 8.0)
    heard = observe(bundle, pieces(both))  # an event that stands is crying, whatever else is heard
    assert all(one.likely for one in heard if 5.0 < one.state.time_s < 7.9)


def test_nothing_is_likely_while_the_source_is_lost(bundle: Bundle) -> None:
    fault = SourceFault("lost", "the cable is off", START + 6.0)
    seen = observe(bundle, [*pieces(SOUND[: 6 * RATE_HZ]), fault])
    assert seen[-2].fault is fault
    assert seen[-2].likely is None
    assert seen[-3].likely


@pytest.mark.parametrize("sing", [probes.vibrato, probes.melody])
def test_singing_and_tunes_raise_no_alert(sing: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(7)
    sound = np.concatenate([sing(rng, 10 * RATE_HZ) for _ in range(12)]).astype(np.float32)
    monitor = AlertMonitor("nursery", [SustainedCrying()])
    seen = observe(Bundle.load(), pieces(sound))
    assert [a for one in seen for a in monitor.update(one.time, one.crying, one.likely)] == []
    by_score = [one.state.recent_probability >= LIKELY for one in seen]
    assert any(by_score)  # the score alone would say so
