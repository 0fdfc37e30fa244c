"""Steps and pieces carry the label, the level and the origin of the sound they were cut from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from labelled_tones import labelled, tone

from cryvision.detector_training.labelled_sound import LabelledSound
from cryvision.detector_training.recordings import (
    MIN_LEVEL_DBFS,
    Cuttings,
    Recording,
)
from cryvision.errors import CryvisionError
from cryvision.inputs.logmel import SILENCE, log_mel
from cryvision.models.frame_network import EDGES

STEP_S = 0.04
HALF_PRECISION = 0.01
"""Rounding of logarithms up to 16 in half precision."""


def recording(sound: LabelledSound) -> Recording:
    return Recording.of(sound, log_mel(sound.samples, EDGES))


def cut(sound: LabelledSound, hop_seconds: float = 2.0) -> Cuttings:
    return Cuttings.of(sound, log_mel(sound.samples, EDGES), hop_seconds)


def test_a_step_is_crying_where_most_of_it_is() -> None:
    found = recording(labelled(tone(1), (0.39, 0.62), (0.81, 0.9)))
    crying = np.flatnonzero(found.labels) * STEP_S
    # 0.39 to 0.40 is a quarter of its step, 0.60 to 0.62 a half; 0.88 to 0.90 as well.
    assert crying == pytest.approx([0.40, 0.44, 0.48, 0.52, 0.56, 0.60, 0.80, 0.84, 0.88])
    assert len(found.labels) == 25


def test_steps_below_the_energy_gate_are_not_scored() -> None:
    samples = np.concatenate([tone(1, MIN_LEVEL_DBFS + 3), tone(1, MIN_LEVEL_DBFS - 3)])
    scored = recording(labelled(samples)).scored
    assert scored[:24].all()
    assert not scored[26:].any()


def test_events_end_with_the_recording() -> None:
    found = recording(labelled(tone(1.01), (0.2, 0.4), (0.9, 1.5), (1.6, 1.7)))
    assert found.seconds == pytest.approx(1.01)
    assert found.events == pytest.approx(np.array([(0.2, 0.4), (0.9, 1.01)]))
    assert len(found.labels) == 26
    assert recording(labelled(tone(1))).events.shape == (0, 2)


def test_pieces_cover_a_recording_and_carry_its_labels() -> None:
    sound = labelled(tone(9.31), (0.5, 1.3), (8.8, 9.2))
    whole, frames = recording(sound), log_mel(sound.samples, EDGES)
    pieces = cut(sound)
    first_steps = [0, 50, 100, 133]  # each 2 s, and one that ends with the recording
    assert len(pieces) == len(first_steps)
    for row, first in enumerate(first_steps):
        assert np.array_equal(pieces.labels[row], whole.labels[first : first + 100])
        expected = frames.log_power[2 * first : 2 * first + 200]
        held = pieces.log_power[row, : len(expected)]
        assert np.abs(held.astype(np.float32) - expected).max() < HALF_PRECISION
    assert len(cut(sound, 4.0)) == 3


@pytest.mark.parametrize("seconds", [0.01, 0.3, 3.98, 4.0])
def test_a_short_recording_is_one_piece_followed_by_silence(seconds: float) -> None:
    sound = labelled(tone(seconds), (0, seconds))
    (labels,), (log_power,) = cut(sound).labels, cut(sound).log_power
    n_steps = round(-(-seconds // STEP_S))
    assert labels.shape == (100,)
    assert labels[: n_steps - 1].all()
    assert not labels[n_steps:].any()
    assert np.allclose(log_power[2 * n_steps :], SILENCE, atol=HALF_PRECISION)


def test_each_source_has_its_share_however_many_pieces_it_has() -> None:
    sounds = [
        labelled(tone(12), subject="ada", source="own"),
        labelled(tone(4), subject="ben", source="own"),
        labelled(tone(4), subject="nobody", source="noise"),
        labelled(tone(4), subject="nobody", source="of no share"),
    ]
    cuttings = Cuttings.joined([cut(sound) for sound in sounds])
    assert Counter(cuttings.source) == {"own": 6, "noise": 1, "of no share": 1}
    pieces = cuttings.pieces({"own": 3.0, "noise": 1.0, "absent": 9.0})
    assert pieces.weight == pytest.approx([0.5] * 6 + [1.0])
    without = cuttings.pieces({"own": 3.0, "noise": 1.0}, {"ada"})
    assert without.weight == pytest.approx([3.0, 1.0])
    assert np.array_equal(without.log_power[0], cuttings.log_power[5])


def test_nothing_to_train_on_is_an_error() -> None:
    cuttings = cut(labelled(tone(4)))
    for shares, left_out in (({"own": 1.0}, ["ada"]), ({"elsewhere": 1.0}, [])):
        with pytest.raises(CryvisionError, match="no piece is left to train on"):
            cuttings.pieces(shares, left_out)
