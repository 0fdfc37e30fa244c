"""The annotated video plays, shows the clip and what was found in it, and hides faces when told."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from programs import running

from cryvision import cli
from cryvision.errors import CryvisionError, MediaError, MissingDependencyError
from cryvision.inputs import ffmpeg
from cryvision.inputs.media import open_clip, probe, read_sound
from cryvision.inputs.pictures.faces import Face
from cryvision.inputs.pictures.yunet import Detection as Found
from cryvision.outputs import screen, video
from cryvision.outputs.screen import MIN_WIDTH_PX, Screen
from cryvision.outputs.video import write_video
from cryvision.result import Classification, Detection, Event

MakeMedia = Callable[..., Path]

RATE_HZ = 16_000
FRAME_RATE_HZ = 30
LOSSY = 12  # of 255, mean: what H.264 costs a small picture full of edges
ONSET_S = 0.03  # an AAC frame at 44.1 kHz lasts 23 ms, and an onset may smear over one
ORANGE, BLUE = (0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)


@pytest.fixture(autouse=True)
def no_face_detector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let no test depend on whether this machine has the model."""
    monkeypatch.setenv("CRYVISION_FACE_MODEL", str(tmp_path / "none.onnx"))


def found_in(make: Any, clip: Path, seconds: float, **changes: Any) -> Classification:
    """What was found in a clip: by default a cry in its second half."""
    events = (Event(seconds / 2, seconds, "cry", 0.9, -20.0, 20.0),)
    return make(**{"path": str(clip), "duration_s": seconds, "events": events, **changes})


def frames_of(path: Path) -> list[np.ndarray]:
    with open_clip(path, sound=False) as clip:
        return [piece.frame for piece in clip.pieces() if piece.frame is not None]


def differs(frame: np.ndarray, original: np.ndarray) -> float:
    """Mean difference of the picture in a frame of the video from the clip's own."""
    height, width = original.shape[:2]
    left = (frame.shape[1] - width) // 2
    shown = frame[:height, left : left + width].astype(int)
    return float(np.abs(shown - original).mean())


# --- it plays -------------------------------------------------------------------------------------


def test_the_video_plays_with_the_frames_and_the_sound_of_the_clip(
    make: Any, small_video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    write_video(found_in(make, small_video, 2.0), out)
    info = probe(out)
    assert (info.picture_codec, info.sound_codec) == ("h264", "aac")
    assert (info.fps, info.sound_rate_hz, info.width) == (FRAME_RATE_HZ, 44_100, MIN_WIDTH_PX)
    shown, original = frames_of(out), frames_of(small_video)
    assert abs(len(shown) - len(original)) <= 1
    for ours, theirs in zip(shown, original, strict=False):
        assert differs(ours, theirs) < LOSSY
    samples = read_sound(out)
    assert len(samples) == pytest.approx(2 * RATE_HZ, abs=ONSET_S * RATE_HZ)
    assert np.abs(np.fft.rfft(samples[:RATE_HZ])).argmax() == 440


@pytest.mark.parametrize("size", [(65, 49), (401, 33)])
def test_odd_sizes_become_even_and_nothing_of_the_picture_is_lost(
    make: Any, make_media: MakeMedia, tmp_path: Path, size: tuple[int, int]
) -> None:
    source = f"testsrc=s={size[0]}x{size[1]}:r=30:d=0.2"
    clip = make_media(f"odd-{size[0]}.mkv", "-f", "lavfi", "-i", source, "-c:v", "ffv1")
    write_video(found_in(make, clip, 0.2), tmp_path / "out.mp4")
    original, shown = frames_of(clip)[0], frames_of(tmp_path / "out.mp4")[0]
    assert original.shape == (size[1], size[0], 3)
    assert shown.shape[0] % 2 == shown.shape[1] % 2 == 0
    assert differs(shown, original) < LOSSY


def test_a_turned_phone_is_set_upright(make: Any, small_video: Path, tmp_path: Path) -> None:
    movie = bytearray(small_video.read_bytes())
    # Version 0 of the track header keeps its display matrix 44 bytes behind its name.
    at = movie.index(b"tkhd") + 44
    movie[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    (tmp_path / "turned.mp4").write_bytes(movie)
    write_video(found_in(make, tmp_path / "turned.mp4", 2.0), tmp_path / "out.mp4")
    upright, shown = np.rot90(frames_of(small_video)[0], -1), frames_of(tmp_path / "out.mp4")[0]
    assert differs(shown, upright) < LOSSY


@pytest.mark.parametrize("container", ["mp4", "ts"])
def test_sound_that_starts_late_starts_late_in_the_video_too(
    make: Any, make_media: MakeMedia, tmp_path: Path, container: str
) -> None:
    clip = make_media(
        f"late.{container}",
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=2"),
        *("-itsoffset", "0.7", "-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=44100:d=1"),
        *("-map", "0:v", "-map", "1:a", "-c:v", "mpeg4", "-c:a", "aac"),
    )
    write_video(found_in(make, clip, 2.0), tmp_path / "out.mp4")

    def onset_s(path: Path) -> float:
        return float(np.argmax(np.abs(read_sound(path)) > 0.1)) / RATE_HZ

    assert 0.6 < onset_s(clip) < 0.8
    assert onset_s(tmp_path / "out.mp4") == pytest.approx(onset_s(clip), abs=ONSET_S)


def test_the_video_has_the_sound_that_was_classified(
    make: Any, make_media: MakeMedia, tmp_path: Path
) -> None:
    clip = make_media(
        "two-tracks.mkv",
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=1"),
        *("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=1"),
        *("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*700*t):s=16000:d=1"),
        *("-map", "0", "-map", "1", "-map", "2", "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    )
    for track, hz in ((1, 440), (2, 700)):
        with open_clip(clip, audio_track=track) as opened:
            media = opened.info.to_json()
        write_video(found_in(make, clip, 1.0, media=media), tmp_path / "out.mp4")
        samples = read_sound(tmp_path / "out.mp4")[:RATE_HZ]
        assert np.abs(np.fft.rfft(samples, RATE_HZ)).argmax() == pytest.approx(hz, abs=1)


def test_where_the_sound_goes_on_alone_the_video_does_too(
    make: Any, make_media: MakeMedia, tmp_path: Path
) -> None:
    clip = make_media(
        "short-picture.mkv",
        *("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=0.5"),
        *("-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*440*t):s=16000:d=2"),
        *("-c:v", "mpeg4", "-c:a", "pcm_s16le"),
    )
    write_video(found_in(make, clip, 2.0), tmp_path / "out.mp4")
    shown = frames_of(tmp_path / "out.mp4")
    assert abs(len(shown) - 60) <= 1
    assert differs(shown[-1], frames_of(clip)[-1]) < LOSSY
    below = [frame[48:].astype(int) for frame in (shown[20], shown[55])]
    assert np.abs(below[0] - below[1]).max() > 100  # the mark of the time has moved


def test_a_clip_without_sound_makes_a_silent_video(
    make: Any, make_media: MakeMedia, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=30:d=0.5", "-c:v", "mpeg4")
    clip = make_media("no-sound.mp4", *picture)
    found = found_in(make, clip, 0.5, events=(), detector=Detection(None, None, 0.0))
    write_video(found, tmp_path / "out.mp4")
    assert not probe(tmp_path / "out.mp4").has_sound
    assert abs(len(frames_of(tmp_path / "out.mp4")) - 15) <= 1


def test_sound_that_cannot_be_decoded_does_not_cost_the_video(
    make: Any, make_media: MakeMedia, small_video: Path, tmp_path: Path
) -> None:
    clip = make_media("whole.mkv", "-i", str(small_video), "-c:v", "copy", "-c:a", "libopus")
    (tmp_path / "broken.mkv").write_bytes(clip.read_bytes().replace(b"OpusHead", b"OpusXXXX"))
    found = found_in(make, tmp_path / "broken.mkv", 2.0, events=())
    assert probe(found.path).has_sound
    write_video(found, tmp_path / "out.mp4")
    assert abs(len(frames_of(tmp_path / "out.mp4")) - 60) <= 1


def test_what_a_phone_notes_of_place_and_owner_is_left_behind(
    make: Any, make_media: MakeMedia, small_video: Path, tmp_path: Path
) -> None:
    tags = ("-metadata", "title=whose", "-metadata", "location=+52.5+013.4/")
    clip = make_media("tagged.mp4", "-i", str(small_video), "-c", "copy", *tags)
    write_video(found_in(make, clip, 2.0), tmp_path / "out.mp4")
    printed = {path: ffmpeg.printed(path) for path in (clip, tmp_path / "out.mp4")}
    for tag in (b"whose", b"+52.5"):
        assert [tag in text for text in printed.values()] == [True, False]


# --- what it shows --------------------------------------------------------------------------------

GREY_FRAME = np.full((48, 64, 3), 100, np.uint8)


def panel_at(found: Classification, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a frame; give what stands below the picture, and the strip of events at its bottom."""
    drawn = Screen(found, GREY_FRAME.shape)
    drawn.draw(k, GREY_FRAME, None)
    return drawn.canvas[48:-30], drawn.canvas[-30:]


def pixels(picture: np.ndarray, colour: tuple[int, ...]) -> int:
    return int((picture == colour).all(axis=2).sum())


def with_classes(make: Any, label: str, **changes: Any) -> Classification:
    """Two seconds, a cry in the second one, in the second half of which the reasons are told."""
    reason = label if label != "not sure" else "cry"
    events = (Event(1.0, 2.0, reason, 0.9, -20.0, 20.0),)
    found = make(**{"duration_s": 2.0, "events": events, "label": label, **changes})
    hungry = np.where(np.arange(60) >= 45, np.linspace(0, 1, 60), np.nan).astype(np.float32)
    found.timeline.update(hungry=hungry, tired=1 - hungry)
    found.timeline.update(hungry_smooth=hungry, tired_smooth=1 - hungry)
    return found


def test_the_bar_of_crying_is_as_long_as_its_smoothed_score(make: Any) -> None:
    found = found_in(make, Path("clip.mp4"), 2.0)
    values = found.timeline["cry_smooth"][[20, 45]]
    lengths = [pixels(panel_at(found, k)[0], ORANGE) for k in (20, 45)]
    assert lengths[1] / lengths[0] == pytest.approx(values[1] / values[0], rel=0.1)
    assert pixels(panel_at(found, 3)[0], ORANGE) == 0  # before the first window


def test_the_strip_shows_the_events_of_the_whole_clip_and_where_it_is(make: Any) -> None:
    found = found_in(make, Path("clip.mp4"), 2.0)
    first, late = panel_at(found, 0)[1], panel_at(found, 15)[1]
    columns = np.flatnonzero((first == ORANGE).all(axis=2).any(axis=0))
    assert columns[0] == pytest.approx(MIN_WIDTH_PX / 2, abs=1)
    assert len(columns) == pytest.approx((MIN_WIDTH_PX - 24) / 2, abs=1)
    moved = np.flatnonzero((first != late).any(axis=(0, 2)))
    assert moved[-1] - moved[0] == pytest.approx((MIN_WIDTH_PX - 24) / 4, abs=3)


def test_classes_have_bars_in_grey_where_the_bundle_is_not_known_to_tell_them(make: Any) -> None:
    sure, unsure = (panel_at(with_classes(make, label), 50)[0] for label in ("hungry", "not sure"))
    assert pixels(sure, BLUE) > 500
    assert pixels(unsure, BLUE) == 0
    assert pixels(unsure, ORANGE) == pixels(sure, ORANGE) > 0
    without = panel_at(found_in(make, Path("clip.mp4"), 2.0), 50)[0]
    assert sure.shape[0] > without.shape[0]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is lettered, from now on."""
    written: list[str] = []
    letters = screen.lettering
    monkeypatch.setattr(
        screen, "lettering", lambda text, px: written.append(text) or letters(text, px)
    )
    return written


@pytest.mark.parametrize(
    ("label", "captions"),
    [
        ("hungry", ["", "no cry", "cry", "hungry"]),
        ("not sure", ["", "no cry", "cry, reason not sure", "cry, reason not sure"]),
    ],
)
def test_a_reason_is_named_frame_by_frame_only_where_the_clip_has_one(
    make: Any, texts: list[str], label: str, captions: list[str]
) -> None:
    drawn = Screen(with_classes(make, label), GREY_FRAME.shape)
    for k, caption in zip((3, 20, 35, 55), captions, strict=True):
        texts.clear()
        drawn.draw(k, GREY_FRAME, None)
        assert caption in texts
        assert "hungry" not in texts or caption == "hungry"


def test_without_a_gate_the_likeliest_class_is_named_at_each_frame(
    make: Any, texts: list[str]
) -> None:
    found = with_classes(make, "tired", events=(), detector=Detection(None, None, 0.0))
    for name in ("cry", "cry_smooth"):
        del found.timeline[name]
    drawn = Screen(found, GREY_FRAME.shape)
    texts.clear()
    drawn.draw(50, GREY_FRAME, None)
    assert "hungry" in texts
    assert "no cry" not in texts


def test_frames_of_another_size_are_stretched_to_that_of_the_first(make: Any) -> None:
    drawn = Screen(found_in(make, Path("clip.mp4"), 2.0), GREY_FRAME.shape)
    left, right = np.zeros((96, 16, 3), np.uint8), np.full((96, 16, 3), 200, np.uint8)
    drawn.draw(0, np.concatenate([left, right], axis=1), None)
    shown = drawn.canvas[:48, (MIN_WIDTH_PX - 64) // 2 :][:, :64]
    assert (shown[:, :32] == 0).all()
    assert (shown[:, 32:] == 200).all()


@pytest.mark.parametrize("box", [(10.0, 10.0, 20.0, 20.0), (-9.0, 30.0, 30.0, 60.0)])
def test_the_face_is_framed_as_far_as_it_is_in_the_picture(
    make: Any, box: tuple[float, float, float, float]
) -> None:
    drawn = Screen(found_in(make, Path("clip.mp4"), 2.0), GREY_FRAME.shape)
    drawn.draw(0, GREY_FRAME, box)
    shown = drawn.canvas[:48, (MIN_WIDTH_PX - 64) // 2 :][:, :64]
    framed = np.argwhere((shown == BLUE).all(axis=2))
    x, y, width, height = box
    assert framed.min(axis=0).tolist() == [max(0, y), 0 if x < 0 else x]
    assert framed.max(axis=0).tolist() == [min(47, y + height - 1), min(63, x + width - 1)]
    assert pixels(drawn.canvas, BLUE) == len(framed)


@pytest.mark.parametrize(
    "name", ["$\\frac{$", "日本 \U0001f37c", "left\u202eright", "w" * 200, " "]
)
def test_any_label_can_be_drawn(make: Any, name: str) -> None:
    found = found_in(make, Path("clip.mp4"), 2.0, label=name)
    found.timeline[f"{name}_smooth"] = np.ones(60, np.float32)
    assert panel_at(found, 50)[0].any()


def test_of_very_many_classes_the_likeliest_have_bars(make: Any) -> None:
    found = found_in(make, Path("clip.mp4"), 2.0)
    for number in range(40):
        found.timeline[f"class {number}_smooth"] = np.full(60, number / 40, np.float32)
    assert panel_at(found, 50)[0].shape[0] < 400
    assert pixels(panel_at(found, 50)[0], BLUE) > 5000


# --- faces ----------------------------------------------------------------------------------------


class Told:
    """Stands in for YuNet: one upright face of 16 pixels in the middle, in some of its looks."""

    def __init__(self, looks: Iterable[int]) -> None:
        self.looks = set(looks)
        self.n_looks = 0

    def __call__(self, *settings: object) -> Told:
        return self

    def faces(self, frame: np.ndarray, turns_degrees: Iterable[int]) -> list[Found]:
        self.n_looks += 1
        seen = self.n_looks - 1 in self.looks
        return [Found(np.array([32.0, 24.0, 16.0, 16.0]), 0, 0.9)] if seen else []


@pytest.fixture
def grainy(make_media: MakeMedia) -> Path:
    """Three seconds of noise, of which a blur leaves nothing."""
    noise = "nullsrc=s=64x48:r=30:d=3,geq=random(1)*255:128:128"
    return make_media("grainy.mkv", "-f", "lavfi", "-i", noise, "-c:v", "ffv1")


def test_faces_are_blurred_around_the_time_they_are_seen_and_nothing_else_is(
    make: Any, grainy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two detectors look in turn, in every third frame: the face is seen in frame 45.
    monkeypatch.setattr(video, "YuNet", Told([2 * 45 // video.BLUR_EVERY_FRAMES]))
    write_video(found_in(make, grainy, 3.0, events=()), tmp_path / "out.mp4", blur_faces=True)
    left = (MIN_WIDTH_PX - 64) // 2
    shown = np.stack(frames_of(tmp_path / "out.mp4"))[:, :48, left : left + 64, 0].astype(float)
    inside = shown[:, 16:32, 24:40].std(axis=(1, 2))
    outside = shown[:, :6].std(axis=(1, 2))
    hidden = np.flatnonzero(inside < 0.3 * outside)
    reach = round(video.BLUR_SECONDS * FRAME_RATE_HZ)
    assert hidden.tolist() == list(range(45 - reach, 45 + reach + 1))


def test_where_no_face_is_found_to_blur_that_is_said(
    make: Any,
    grainy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(video, "YuNet", Told([]))
    write_video(found_in(make, grainy, 3.0, events=()), tmp_path / "out.mp4", blur_faces=True)
    assert f"{grainy}: no face was found" in caplog.text


def test_to_blur_without_a_face_detector_is_an_error(
    make: Any, small_video: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingDependencyError, match="cryvision fetch face-detector"):
        write_video(found_in(make, small_video, 2.0), tmp_path / "out.mp4", blur_faces=True)
    assert not (tmp_path / "out.mp4").exists()


def test_the_box_of_the_face_is_drawn_where_the_detector_is_there(
    make: Any, small_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def __init__(self, config: object) -> None:
            pass

        def find(self, frame: np.ndarray, time_s: float) -> Face | None:
            seen = time_s >= 1
            return Face((20.0, 10.0, 24.0, 24.0), 0, 0.9, 0.0, 34.0) if seen else None

    boxes: list[object] = []
    draw = Screen.draw
    monkeypatch.setattr(
        Screen, "draw", lambda self, k, frame, box: boxes.append(box) or draw(self, k, frame, box)
    )
    write_video(found_in(make, small_video, 2.0), tmp_path / "without.mp4")
    assert set(boxes) == {None}
    boxes.clear()
    monkeypatch.setattr(video, "FaceFinder", Finder)
    write_video(found_in(make, small_video, 2.0), tmp_path / "with.mp4")
    assert boxes == [None] * 30 + [(20.0, 10.0, 24.0, 24.0)] * 30


@pytest.mark.corpus
def test_a_real_face_cannot_be_found_any_more_once_it_is_blurred(
    make: Any, make_media: MakeMedia, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pytest.importorskip("skimage.data")
    imread = pytest.importorskip("matplotlib.image")
    model = corpus / "models" / "face_detection_yunet_2026may.onnx"
    if not model.exists():
        pytest.skip(f"{model} is not there")
    monkeypatch.setenv("CRYVISION_FACE_MODEL", str(model))
    imread.imsave(tmp_path / "portrait.png", data.astronaut()[:360, :480])
    still = ("-loop", "1", "-i", str(tmp_path / "portrait.png"), "-t", "0.3")
    clip = make_media("portrait.mp4", *still, "-c:v", "mpeg4", "-q:v", "2", "-r", "30")
    found = found_in(make, clip, 0.3, events=())
    write_video(found, tmp_path / "seen.mp4")
    write_video(found, tmp_path / "hidden.mp4", blur_faces=True)
    detectors = video.face_detectors()

    def n_found(path: Path) -> int:
        return sum(bool(d.faces(f[:360], (0,))) for f in frames_of(path)[::4] for d in detectors)

    assert n_found(tmp_path / "seen.mp4") > 0
    assert n_found(tmp_path / "hidden.mp4") == 0


# --- what cannot be done --------------------------------------------------------------------------


def test_sound_alone_is_refused_in_one_line(make: Any, tone_wav: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        write_video(found_in(make, tone_wav, 1.0), tmp_path / "out.mp4")
    assert str(caught.value) == (
        f"{tone_wav}: a video needs a clip with pictures; this has sound alone"
    )
    with pytest.raises(MediaError, match="live stream"):
        write_video(make(path=""), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_that_cannot_be_written_is_one_line_and_leaves_no_ffmpeg(
    make: Any, small_video: Path, tmp_path: Path, own_ffmpeg: Path
) -> None:
    with pytest.raises(CryvisionError) as caught:
        write_video(found_in(make, small_video, 2.0), tmp_path / "nowhere" / "out.mp4")
    message = str(caught.value)
    assert message.startswith(f"{small_video}: the video could not be written; ffmpeg: ")
    assert "No such file or directory" in message
    assert "\n" not in message
    assert not running(own_ffmpeg)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_full_disk_is_said_in_ffmpegs_words(make: Any, small_video: Path) -> None:
    with pytest.raises(CryvisionError, match="No space left on device"):
        write_video(found_in(make, small_video, 2.0), Path("/dev/full"))


def test_the_reason_is_found_in_what_an_older_ffmpeg_prints() -> None:
    log = (
        b"Could not write header for output file #0 (incorrect codec parameters ?): "
        b"No space left on device\nError initializing output stream 0:1 -- \n"
    )
    assert ffmpeg.last_words(log, "clip.mp4") == "No space left on device"
    log = (
        b"too large a picture\nCould not write header (incorrect parameters ?): Invalid argument\n"
    )
    assert ffmpeg.last_words(log, "clip.mp4") == "too large a picture"
    assert ffmpeg.last_words(b"Invalid argument: bad crop\n", "clip.mp4").endswith("bad crop")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_a_run_that_stops_or_fails_leaves_no_ffmpeg(
    make: Any,
    small_video: Path,
    tmp_path: Path,
    own_ffmpeg: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    def stop(self: Screen, k: int, *picture: object) -> None:
        if k == 3:
            assert len(running(own_ffmpeg)) in (0, 2)  # one reads, one writes, where they show
            raise kind

    monkeypatch.setattr(Screen, "draw", stop)
    with pytest.raises(kind):
        write_video(found_in(make, small_video, 2.0), tmp_path / "out.mp4")
    assert not running(own_ffmpeg)


def test_an_ffmpeg_without_h264_is_named_with_its_remedy(
    make: Any, small_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(video._ENCODING, "vcodec", "libnone")
    with pytest.raises(MissingDependencyError, match="imageio-ffmpeg"):
        write_video(found_in(make, small_video, 2.0), tmp_path / "out.mp4")


# --- on the command line --------------------------------------------------------------------------


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return ``run(*arguments) -> (exit status, stdout, stderr)`` of classify on a toy bundle."""
    from bundles import BUNDLE_V1

    def classify(*arguments: str | Path) -> tuple[int, str, str]:
        options = ["classify", "--bundle", BUNDLE_V1, *arguments]
        code = cli.main([str(option) for option in options])
        return (code, *capsys.readouterr())

    return classify


def test_classify_writes_the_video_beside_other_files(
    run: Any, small_video: Path, tmp_path: Path
) -> None:
    code, out, err = run("--formats", "mp4,csv", "--out", tmp_path / "out", small_video)
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "small.annotated.mp4",
        "small.csv",
        "small.events.csv",
        "small.bouts.csv",
    }
    assert probe(tmp_path / "out" / "small.annotated.mp4").has_sound
    assert "small.annotated.mp4" in err
    assert out.startswith(str(small_video))


def test_a_clip_of_sound_alone_fails_by_itself_and_leaves_no_file(
    run: Any, small_video: Path, tone_wav: Path, tmp_path: Path
) -> None:
    code, _, err = run("--formats", "mp4", "--out", tmp_path / "out", tone_wav, small_video)
    assert code == 3
    assert f"cryvision: {tone_wav}: a video needs a clip with pictures" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["small.annotated.mp4"]


def test_blurred_videos_tell_so_by_their_name(
    run: Any, small_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "YuNet", Told([0]))
    out = tmp_path / "out"
    assert run("--formats", "mp4", "--blur-faces", "--out", out, small_video)[0] == 0
    assert [path.name for path in out.iterdir()] == ["small.blurred.mp4"]
    every = tmp_path / "all"
    assert run("--formats", "all", "--blur-faces", "--out", every, small_video)[0] == 0
    assert [path.name for path in every.glob("*.mp4")] == ["small.blurred.mp4"]


def test_blurring_needs_a_video_and_a_face_detector_before_any_work(
    run: Any, small_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run("--blur-faces", "--formats", "csv", small_video)
    assert (code, out) == (2, "")
    assert "--blur-faces needs mp4 among --formats" in err
    code, out, err = run("--blur-faces", "--formats", "mp4", small_video)
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "cryvision fetch face-detector" in err
    assert not list(tmp_path.iterdir())


def test_a_bundle_without_a_face_branch_cannot_require_faces(run: Any, small_video: Path) -> None:
    code, out, err = run("--require-face", small_video)
    assert (code, out) == (1, "")
    assert "no face branch" in err
