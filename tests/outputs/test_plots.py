"""The figure shows each clip that can occur: with and without sound, events, length or a name."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from cryvision.errors import MediaError
from cryvision.outputs import write
from cryvision.outputs.plots import CLASS_COLOURS, DOTS_PER_INCH, WIDTH_INCHES, class_names
from cryvision.result import Detection, Event

EVENT_RGB = (0xE6, 0x9F, 0x00)
NEAR_RGB = 3  # of 255: rounding in the drawing
RATE_HZ = 16_000


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
def noise():
    return np.random.default_rng(0).uniform(-0.1, 0.1, 2 * RATE_HZ)


def test_the_bars_stand_where_the_events_are(make, make_wav, noise, tmp_path):
    def columns(onset_s, offset_s):
        clip = make(
            path=str(make_wav(noise)),
            duration_s=2.0,
            events=(Event(onset_s, offset_s, "cry", 0.9, -20, 20),),
        )
        return _strip(_pixels(write(clip, tmp_path / "out", ["png"])[0]))

    whole, second = columns(0, 2), columns(1, 1.5)
    middle = (whole[0] + whole[-1]) / 2
    assert second[0] == pytest.approx(middle, abs=3)
    assert len(second) == pytest.approx(len(whole) / 4, abs=5)


def test_no_events_leave_no_bars(make, make_wav, noise, tmp_path):
    clip = make(path=str(make_wav(noise)), duration_s=2.0, events=(), label="no cry")
    pixels = _pixels(write(clip, tmp_path / "out", ["png"])[0])
    assert pixels.shape[1] == WIDTH_INCHES * DOTS_PER_INCH
    assert _strip(pixels).size == 0


def test_a_live_stream_gets_the_scores_without_a_spectrogram(make, make_wav, noise, tmp_path):
    wav = make_wav(noise)
    heard = _pixels(write(make(path=str(wav), duration_s=2.0), tmp_path / "a", ["png"])[0])
    live = _pixels(write(make(path="", duration_s=2.0), tmp_path / "b", ["png"])[0])
    assert live.shape[0] < heard.shape[0]


@pytest.mark.parametrize("duration_s", [0.0, 0.01, 0.2, 59.9, 90.0, 40_000.0])
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
    told = make(path="")
    n_frames = len(told.timeline["time_s"])
    for number, value in enumerate((0.2, 0.5, 0.8)):
        values = np.full(n_frames, value, np.float32)
        values[: n_frames // 2] = np.nan  # as where nobody cries
        told.timeline[f"reason {number}_smooth"] = values
    before = _pixels(write(plain, tmp_path, ["png"], stem="plain")[0])
    after = _pixels(write(told, tmp_path, ["png"], stem="told")[0])
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


@pytest.mark.parametrize("n_classes", [1, 9, 30])
def test_any_number_of_classes_can_be_drawn(make, tmp_path, n_classes):
    clip = make(path="", label="not sure")
    for number in range(n_classes):
        clip.timeline[f"{'w' * 60}{number}_smooth"] = np.full(360, 1 / n_classes, np.float32)
    (path,) = write(clip, tmp_path, ["png"])
    assert _pixels(path).shape[1] == WIDTH_INCHES * DOTS_PER_INCH


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
