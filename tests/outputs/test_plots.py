"""The figure shows each clip that can occur: with and without sound, events, length or a name."""

from __future__ import annotations

import subprocess
import sys
import warnings

import lab
import numpy as np
import pytest
from matplotlib.figure import Figure

from cryvision.errors import MediaError
from cryvision.outputs import write
from cryvision.outputs.panels import (
    BOUT_COLOUR,
    CLASS_COLOURS,
    DOTS_PER_INCH,
    EVENT_COLOUR,
    WIDTH_INCHES,
    centred_mean,
    draw_minutes,
    seconds_within,
)
from cryvision.outputs.shown import class_names
from cryvision.result import Detection, Event

EVENT_RGB = (0xE6, 0x9F, 0x00)
NEAR_RGB = 3  # of 255: rounding in the drawing


@pytest.fixture(autouse=True)
def _no_warning_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _pixels(path) -> np.ndarray:
    """The picture, shape (height, width, 3), 0 to 255."""
    from matplotlib.image import imread

    return np.round(imread(path)[..., :3] * 255)


def _strip(pixels: np.ndarray) -> np.ndarray:
    """Columns that hold the solid colour of the events' bars."""
    near = (np.abs(pixels - EVENT_RGB) <= NEAR_RGB).all(axis=2)
    return np.flatnonzero(near.sum(axis=0) >= 5)


@pytest.fixture
def noise(tmp_path):
    return lab.write_wav(
        tmp_path / "clip.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 2 * lab.RATE_HZ)
    )


def test_the_bars_stand_where_the_events_are(make, noise, tmp_path):
    def columns(onset_s, offset_s):
        clip = make(
            path=str(noise),
            duration_s=2.0,
            events=(Event(onset_s, offset_s, "cry", 0.9, -20, 20),),
        )
        return _strip(_pixels(write(clip, tmp_path / "out", ["png"])[0]))

    whole, second = columns(0, 2), columns(1, 1.5)
    middle = (whole[0] + whole[-1]) / 2
    assert second[0] == pytest.approx(middle, abs=3)
    assert len(second) == pytest.approx(len(whole) / 4, abs=5)


def test_the_figure_shows_the_track_that_was_classified(make, make_media, tmp_path):
    tracks = ("-f", "lavfi", "-i", "anoisesrc=d=2:r=16000", "-f", "lavfi", "-i", "anullsrc=d=2")
    clip = make_media("two.mka", *tracks, "-map", "0", "-map", "1", "-t", "2", "-c:a", "pcm_s16le")
    noisy, silent = (
        _pixels(write(make(path=str(clip), duration_s=2.0, media=media), tmp_path, ["png"])[0])
        for media in ({"sound_track": 1}, {"sound_track": 2})
    )
    assert np.abs(noisy - silent).mean() > 10


def test_no_events_leave_no_bars(make, noise, tmp_path):
    clip = make(path=str(noise), duration_s=2.0, events=(), label="no cry")
    pixels = _pixels(write(clip, tmp_path / "out", ["png"])[0])
    assert pixels.shape[1] == WIDTH_INCHES * DOTS_PER_INCH
    assert _strip(pixels).size == 0


def test_a_live_stream_gets_the_scores_without_a_spectrogram(make, noise, tmp_path):
    from_file = _pixels(write(make(path=str(noise), duration_s=2.0), tmp_path / "a", ["png"])[0])
    live = _pixels(write(make(path="", duration_s=2.0), tmp_path / "b", ["png"])[0])
    assert live.shape[0] < from_file.shape[0]


@pytest.mark.parametrize("duration_s", [0.0, 0.01, 59.9, 40_000.0])
def test_any_length_can_be_drawn(make, tmp_path, duration_s):
    timeline = {"time_s": np.zeros(1, "f4"), "cry": np.full(1, 0.3, "f4")}
    clip = make(path="", duration_s=duration_s, events=(), timeline=timeline)
    (path,) = write(clip, tmp_path, ["png"])
    assert _pixels(path).shape[1] == WIDTH_INCHES * DOTS_PER_INCH


def test_a_timeline_of_an_hour_can_be_drawn(make, tmp_path):
    events = tuple(Event(t, t + 4, "cry", 0.9, -20, 20) for t in range(10, 3500, 30))
    (path,) = write(make(path="", duration_s=3600.0, events=events), tmp_path, ["png"])
    assert _pixels(path).any()


@pytest.mark.parametrize(
    "name",
    ["$\\frac{$", "日本 \U0001f37c", "left\u202eright", "caf\udce9", "a\nb", "-rf", "w" * 200],
)
def test_any_name_and_label_can_be_drawn(make, tmp_path, name):
    timeline = {"time_s": np.zeros(1, "f4"), "cry": np.full(1, np.nan, "f4")}
    timeline[f"{name}_smooth"] = np.ones(1, "f4")
    clip = make(
        path=str(tmp_path / name),
        label=name,
        events=(Event(1, 11, name, 0.9, -20, 20),),
        modalities=("face",),
        timeline=timeline,
    )
    (path,) = write(clip, tmp_path, ["png"], stem="named")
    assert _pixels(path).shape[1] == WIDTH_INCHES * DOTS_PER_INCH


def test_class_scores_are_drawn_where_no_cry_score_is_known(make, tmp_path):
    nothing = np.full(60, np.nan, dtype=np.float32)
    timeline = {"time_s": np.arange(60, dtype=np.float32) / 30, "cry": nothing}
    common = {
        "path": "",
        "duration_s": 2.0,
        "events": (),
        "detector": Detection(None, None, 0.0),
        "modalities": ("face",),
    }
    unknown = make(timeline=timeline, **common)
    rising = np.linspace(0, 1, 60, dtype=np.float32)
    known = make(timeline={**timeline, "hungry_smooth": rising}, **common)
    (first,) = write(unknown, tmp_path, ["png"], stem="unknown")
    (second,) = write(known, tmp_path, ["png"], stem="known")
    blue = (np.abs(_pixels(second) - (0x00, 0x72, 0xB2)) <= NEAR_RGB).all(axis=2)
    assert blue.sum() > 500
    assert not (np.abs(_pixels(first) - (0x00, 0x72, 0xB2)) <= NEAR_RGB).all(axis=2).any()


def test_classes_have_a_panel_of_their_own_below_the_cry_score(make, tmp_path):
    plain = make(path="")
    result = make(path="")
    n_frames = len(result.timeline["time_s"])
    for number, value in enumerate((0.2, 0.5, 0.8)):
        values = np.full(n_frames, value, np.float32)
        values[: n_frames // 2] = np.nan  # as where nobody cries
        result.timeline[f"reason {number}_smooth"] = values
    before = _pixels(write(plain, tmp_path, ["png"], stem="plain")[0])
    after = _pixels(write(result, tmp_path, ["png"], stem="told")[0])
    assert len(after) > 1.5 * len(before)
    lines = {}
    for colour in (CLASS_COLOURS[1], CLASS_COLOURS[2]):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        rows, columns = np.nonzero((np.abs(after - rgb) <= NEAR_RGB).all(axis=2))
        drawn = rows[columns < 0.8 * after.shape[1]]  # without the legend
        assert len(drawn) > 200
        lines[colour] = drawn.mean()
    assert lines[CLASS_COLOURS[2]] < lines[CLASS_COLOURS[1]]  # 0.8 lies above 0.5
    assert min(lines.values()) > 0.9 * len(before)  # and both below what the plain figure shows


@pytest.mark.parametrize("n_classes", [1, 30])
def test_any_number_of_classes_can_be_drawn_when_asked_for(make, tmp_path, n_classes):
    clip = make(path="", label="not sure")
    plain = _pixels(write(clip, tmp_path, ["png"])[0])
    for number in range(n_classes):
        clip.timeline[f"{'w' * 60}{number}_smooth"] = np.full(360, 1 / n_classes, np.float32)
    hidden = _pixels(write(clip, tmp_path, ["png"])[0])
    np.testing.assert_array_equal(hidden, plain)
    shown = _pixels(write(clip, tmp_path, ["png"], show_experimental=True)[0])
    assert shown.shape[1] == WIDTH_INCHES * DOTS_PER_INCH
    assert shown.shape[0] > plain.shape[0]


def _where(pixels: np.ndarray, colour: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels of a colour, less those of the legend."""
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    rows, columns = np.nonzero((np.abs(pixels - rgb) <= NEAR_RGB).all(axis=2))
    inside = columns < 0.85 * pixels.shape[1]
    return rows[inside], columns[inside]


def test_a_bout_is_a_bar_from_its_first_event_to_its_last(make, tmp_path):
    events = (Event(2, 4, "cry", 0.9, -20, 20), Event(4.3, 6, "cry", 0.9, -20, 20))
    drawn = {
        gap_s: _pixels(write(make(path="", events=events, bout_gap_s=gap_s), tmp_path, ["png"])[0])
        for gap_s in (0.5, 0.1)
    }
    whole, parts = (np.unique(_where(drawn[gap_s], BOUT_COLOUR)[1]) for gap_s in (0.5, 0.1))
    assert len(whole) == whole[-1] - whole[0] + 1
    assert (parts[0], parts[-1]) == (whole[0], whole[-1])
    assert len(whole) - len(parts) == pytest.approx(0.3 / 4 * len(whole), abs=4)


def test_rejected_candidates_are_drawn_when_asked_for(make, tmp_path):
    rejected = (Event(9, 11, "cry", 0.2, -20, 20, other_tag="music", rejected="music"),)
    found = make(path="", rejected=rejected)
    plain, without, shown = (
        _pixels(write(clip, tmp_path, ["png"], show_rejected=asked)[0])
        for clip, asked in ((make(path=""), False), (found, False), (found, True))
    )
    np.testing.assert_array_equal(without, plain)
    _, columns = np.nonzero((shown != plain).any(axis=2))
    assert len(columns) > 1000
    # 9 to 11 of 12 s lie in the last third of the axes.
    assert columns.min() > 0.6 * shown.shape[1]


def test_tags_are_rows_dark_where_they_are_heard(make, tmp_path):
    plain = _pixels(write(make(path=""), tmp_path, ["png"])[0])
    late = (np.arange(360) >= 180).astype(np.float32)
    dark = []
    for speech in (late, 1 - late):
        found = make(path="")
        found.timeline.update(heard_cry=np.full(360, 0.2), heard_adult_speech=speech)
        drawn = _pixels(write(found, tmp_path, ["png"])[0])
        assert len(drawn) > len(plain)
        dark.append((drawn < 10).all(axis=2))
    (rows, after), (other_rows, before) = (
        np.nonzero(one & ~other) for one, other in (dark, reversed(dark))
    )
    assert len(after) == pytest.approx(len(before), rel=0.01)
    assert before.max() < after.min()
    # The second of two rows, below the probability axis.
    assert set(rows) == set(other_rows)
    assert rows.min() > len(plain) - 60


def test_a_timeline_without_any_tag_known_can_be_drawn(make, tmp_path):
    found = make(path="")
    found.timeline["heard_cry"] = np.full(360, np.nan, np.float32)
    empty = make(path="", duration_s=0.0, events=(), timeline={"heard_cry": np.zeros(0, "f4")})
    for clip in (found, empty):
        assert _pixels(write(clip, tmp_path, ["png"])[0]).any()


def test_the_drawn_curve_rises_and_falls_with_the_crying_and_not_after_it():
    time_s = np.arange(300) / 30
    smooth = centred_mean(np.where((time_s >= 3) & (time_s < 6), 1.0, 0.0))
    above = time_s[smooth >= 0.5]
    assert above[0] == pytest.approx(3, abs=0.05)
    assert above[-1] == pytest.approx(6, abs=0.05)
    assert np.isnan(centred_mean(np.full(3, np.nan))).all()
    np.testing.assert_allclose(centred_mean(np.array([np.nan, 0.5, 0.5])), [np.nan, 0.5, 0.5])


def test_of_three_hours_the_crying_of_each_minute_is_a_bar(make, tmp_path):
    hour_s = 3600.0
    # 12 s a minute in the first hour, 6 s in the last one.
    events = tuple(
        Event(60.0 * m + s, 60.0 * m + s + 3, "cry", 0.9, -20, 20)
        for m in range(180)
        for s in range(0, 48, 12)
        if m < 60 or (m >= 120 and s < 24)
    )
    found = make(path="", duration_s=3 * hour_s, events=events)
    pixels = _pixels(write(found, tmp_path, ["png"])[0])
    rows, columns = _where(pixels, EVENT_COLOUR)
    rows_of = {column: rows[columns == column] for column in np.unique(columns)}
    heights = np.array([len(rows_of.get(c, ())) for c in range(columns.min(), columns.max() + 1)])
    third = len(heights) // 3
    early, middle, late = (np.median(heights[i * third :][:third]) for i in range(3))
    assert early > 50
    assert middle == 0
    assert late == pytest.approx(early / 2, rel=0.1)


def test_the_last_part_of_a_minute_is_a_narrow_bar_of_its_own_length(make):
    length_s = 3 * 3600 + 20.0
    found = make(
        path="", duration_s=length_s, events=(Event(length_s - 10, length_s, "cry", 0.9, -20, 20),)
    )
    axes = Figure().subplots()
    draw_minutes(axes, found, length_s)
    last = axes.containers[0][-1]
    assert (last.get_width(), last.get_height()) == pytest.approx((20, 30))


def test_seconds_of_crying_are_counted_where_they_lie():
    events = [Event(50, 70, "cry", 0.9, -20, 20), Event(100, 110, "cry", 0.9, -20, 20)]
    assert seconds_within(events, np.array([0.0, 60.0, 120.0]), 60).tolist() == [10, 20, 0]
    assert seconds_within([], np.array([0.0, 60.0]), 60).tolist() == [0, 0]


def test_the_detectors_cry_is_no_class_but_a_class_may_be_called_cry(make):
    assert class_names(make()) == []
    free = make(events=(), detector=Detection(None, None, 0.0))
    free.timeline["calm_smooth"] = np.zeros(360, np.float32)
    free.timeline["unknown_smooth"] = np.full(360, np.nan, np.float32)
    assert class_names(free) == ["cry", "calm"]


def test_a_clip_that_is_gone_is_an_error_of_one_line(make, tmp_path):
    with pytest.raises(MediaError) as caught:
        write(make(path=str(tmp_path / "gone.wav")), tmp_path / "out", ["png"])
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_sound_that_cannot_be_decoded_does_not_cost_the_figure_of_the_pictures(make, tmp_path):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    (path,) = write(make(path=str(broken), modalities=("face",)), tmp_path / "out", ["png"])
    assert _pixels(path).any()


def test_drawing_leaves_no_figure_and_no_setting_behind(tmp_path):
    code = f"""
import sys, matplotlib
from cryvision.outputs import write
from cryvision.result import Classification, Detection
settings = lambda: [(k, matplotlib.rcParams[k]) for k in matplotlib.rcParams if k != "backend"]
before = settings()
nothing = Detection(False, 0.0, 0.0)
clip = Classification("", 1.0, "no cry", {{}}, nothing, {{}}, (), (), {{}}, [])
print(write(clip, {str(tmp_path)!r}, ["png"])[0].name)
print(settings() == before, "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["clip.png", "True", "False"]


def test_the_band_of_the_bundle_is_marked_where_it_leaves_something_out(make, noise, tmp_path):
    def drawn(name, **band):
        bundle = {"name": "default", "sha256": "1a2b", **band}
        clip = make(path=str(noise), duration_s=2.0, events=(), bundle=bundle)
        return _pixels(write(clip, tmp_path / name, ["png"])[0])

    plain, wide = drawn("plain"), drawn("wide", band_hz=(60.0, 7800.0))
    narrow, other = (drawn(f"{hz}", band_hz=(80.0, hz)) for hz in (2000.0, 3400.0))
    assert (plain == wide).all()
    assert (plain != narrow).any()
    assert (narrow != other).any()
