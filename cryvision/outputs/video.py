"""The clip with what was found in it: a video to watch, and with faces blurred to show."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from cryvision.config import FRAME_RATE_HZ, FaceConfig
from cryvision.errors import CryvisionError, MediaError, MissingDependencyError
from cryvision.inputs import ffmpeg
from cryvision.inputs.decoding import on_clock, with_other_streams
from cryvision.inputs.media import MediaInfo, Piece, open_clip
from cryvision.inputs.pictures.faces import FaceFinder
from cryvision.inputs.pictures.yunet import TURNS_DEGREES, YuNet, load_cv2
from cryvision.outputs.screen import Box, Frame, Screen
from cryvision.outputs.shown import as_shown
from cryvision.result import Classification

log = logging.getLogger(__name__)

BLUR_WIDTHS_PX = (320, 640)
"""Widths of the copies on which faces to blur are looked for: YuNet misses faces that fill a wide
one, and in a narrow one those in the background."""

BLUR_EVERY_FRAMES = 3
"""Faces to blur are looked for in one of so many frames."""

BLUR_SCORE = 0.4
"""Faces that score this are blurred: rather too much than too little."""

BLUR_SECONDS = 0.5
"""A face counts as there for so long before and after it is seen: detectors miss some frames."""

BLUR_MARGIN = 0.3
"""Share of a face's box that is blurred around it too, on each side."""

BLUR_CELLS = 5
"""What is left of a blurred region: the means of so many cells along each side."""

KNOWN_LAYOUT_CHANNELS = 8
"""More channels than this have no agreed places."""

_ENCODING: dict[str, Any] = {
    **{"format": "mp4", "movflags": "+faststart", "vcodec": "libx264", "acodec": "aac"},
    **{"preset": "veryfast", "crf": 21, "pix_fmt": "yuv420p"},
    **{"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"},
    # A phone notes there when and where it recorded.
    **{"map_metadata": -1, "map_chapters": -1},
}

_Region = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""


def write_video(
    classification: Classification,
    path: Path,
    *,
    blur_faces: bool = False,
    show_experimental: bool = False,
) -> None:
    """Write the clip as H.264 video with its sound, and below the picture what was found.

    Shown are the label, the smoothed probability of crying and of each class, and the events of the
    whole clip; in the picture the box of the face, where the face detector's model is on this
    machine. Where the sound goes on alone, the last picture stays. Frames are read, drawn and
    encoded one by one, so memory does not grow with the clip.

    With ``blur_faces`` every face that can be found is blurred, not only the one that was
    classified: the clip is read twice, and the face detector must be there. A face that is missed
    for longer than a second stays visible.
    """
    name = classification.path
    if not name:
        raise MediaError("a video needs a clip with pictures; this is a live stream")
    with open_clip(name, sound=False) as clip:
        if not clip.info.has_picture:
            raise MediaError(
                f"{ffmpeg.shown(name)}: a video needs a clip with pictures; this has sound alone"
            )
        regions = _face_regions(name) if blur_faces else None
        pictures = _pictures(clip.pieces(), regions, _face_finder())
        first = next(pictures)
        shown = as_shown(classification, show_experimental=show_experimental)
        screen = Screen(shown, first[0].shape)
        command = _command(classification, screen.canvas.shape, path)
        n_frames = round(classification.duration_s * FRAME_RATE_HZ)
        with ffmpeg.Process(command, fed=True) as encoder:
            for k, (frame, face) in enumerate(_held(chain([first], pictures), n_frames)):
                screen.draw(k, frame, face)
                try:
                    encoder.stdin.write(screen.canvas.data.cast("B"))
                except OSError as error:
                    raise _failure(encoder, command[0], name, path) from error
            try:
                encoder.stdin.close()
            except OSError as error:
                raise _failure(encoder, command[0], name, path) from error
            if encoder.wait():
                raise _failure(encoder, command[0], name, path)


def face_detectors() -> list[YuNet]:
    """Load what finds the faces to blur: one detector for each width of `BLUR_WIDTHS_PX`."""
    return [YuNet(width_px, BLUR_SCORE) for width_px in BLUR_WIDTHS_PX]


def _pictures(
    pieces: Iterable[Piece], regions: Sequence[Sequence[_Region]] | None, finder: FaceFinder | None
) -> Iterator[tuple[Frame, Box | None]]:
    """Give each frame, blurred where it is to be, and the box of the face in it."""
    reach = round(BLUR_SECONDS * FRAME_RATE_HZ)
    for k, piece in enumerate(pieces):
        frame = cast(Frame, piece.frame)
        face = finder.find(frame, k / FRAME_RATE_HZ) if finder else None
        if regions is not None:
            near = regions[max(0, k - reach) : k + reach + 1]
            _blur(frame, _merged(chain.from_iterable(near)))
        yield frame, None if face is None else face.box


def _held(
    pictures: Iterable[tuple[Frame, Box | None]], n_frames: int
) -> Iterator[tuple[Frame, Box | None]]:
    """Give the pictures, and after the last one that one again, up to so many."""
    n_given = 0
    for picture in pictures:
        yield picture
        n_given += 1
    for _ in range(n_given, n_frames):
        yield picture[0], None


def _face_finder() -> FaceFinder | None:
    try:
        return FaceFinder(FaceConfig())
    except MissingDependencyError:
        return None  # the video goes without the box


def _face_regions(path: str) -> list[list[_Region]]:
    detectors = face_detectors()
    regions: list[list[_Region]] = []
    with open_clip(path, sound=False) as clip:
        for k, piece in enumerate(clip.pieces()):
            frame = cast(Frame, piece.frame)
            looking = detectors if k % BLUR_EVERY_FRAMES == 0 else []
            faces = chain.from_iterable(d.faces(frame, TURNS_DEGREES) for d in looking)
            regions.append(_merged(_region(face.box, frame.shape) for face in faces))
    if not any(regions):
        log.warning("%s: no face was found that could be blurred", ffmpeg.shown(path))
    return regions


def _region(box: NDArray[np.float64], shape: tuple[int, ...]) -> _Region:
    """The pixels of a face, given by its centre and size, and of the margin around it."""
    reach = (0.5 + BLUR_MARGIN) * box[2:]
    left, top = np.clip(box[:2] - reach, 0, shape[1::-1]).astype(int).tolist()
    right, bottom = np.clip(box[:2] + reach + 1, 0, shape[1::-1]).astype(int).tolist()
    return left, top, right, bottom


def _merged(regions: Iterable[_Region]) -> list[_Region]:
    merged: list[_Region] = []
    for left, top, right, bottom in regions:
        separate = []
        for other in merged:
            if other[0] < right and left < other[2] and other[1] < bottom and top < other[3]:
                left, top = min(left, other[0]), min(top, other[1])
                right, bottom = max(right, other[2]), max(bottom, other[3])
            else:
                separate.append(other)
        merged = [*separate, (left, top, right, bottom)]
    return merged


def _blur(frame: Frame, regions: Iterable[_Region]) -> None:
    cv2 = load_cv2()
    for left, top, right, bottom in regions:
        region = frame[top:bottom, left:right]
        if region.size:
            cells = cv2.resize(region, (BLUR_CELLS, BLUR_CELLS), interpolation=cv2.INTER_AREA)
            size = region.shape[1::-1]
            region[:] = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)


def _command(classification: Classification, shape: tuple[int, ...], path: Path) -> list[str]:
    """Arguments of ffmpeg: frames come by its standard input, the sound from the clip."""
    builder = ffmpeg.command_builder()
    size = shape[1], shape[0]
    frames = builder.input(
        "pipe:0", format="rawvideo", pix_fmt="rgb24", video_size=size, framerate=FRAME_RATE_HZ
    ).filter("scale", out_color_matrix="bt709", out_range="tv")
    info = _sound(classification)
    if info is None:
        output = builder.output(frames, ffmpeg.file_url(path), **_ENCODING)
        return ffmpeg.command_line(classification.path, output.overwrite_output())
    clip = ffmpeg.clip_input()
    sound = clip[str(info.sound_stream)]
    if (info.sound_channels or 0) > KNOWN_LAYOUT_CHANNELS:
        mean = "+".join(f"c{i}" for i in range(info.sound_channels or 0))
        sound = sound.filter("pan", f"mono|c0<{mean}")
    # On the clock of the frames; a damaged timestamp must not ask for days of silence.
    sound = on_clock(sound.filter("aselect", f"not(gte(t,{classification.duration_s:.3f}))"))
    sound = sound.filter("aformat", channel_layouts="mono|stereo")
    output = builder.output(frames, sound, ffmpeg.file_url(path), **_ENCODING).overwrite_output()
    return ffmpeg.command_line(info.path, with_other_streams(output, clip, info, info.sound_stream))


def _sound(classification: Classification) -> MediaInfo | None:
    """Find the sound that was classified; None without any: ffmpeg would wait for it in vain."""
    track = classification.media.get("sound_track")
    try:
        with open_clip(classification.path, frames=False, audio_track=track) as clip:
            return clip.info if next(iter(clip.pieces()), None) is not None else None
    except MediaError:
        return None


def _failure(encoder: ffmpeg.Process, binary: str, clip: str, path: Path) -> CryvisionError:
    status = encoder.wait()
    # The video still has its temporary name, which means nothing to a user.
    log = ffmpeg.without_name(encoder.log(), path)
    words = ffmpeg.last_words(log, clip) or f"ended with status {status}"
    if b"Unknown encoder" in log:
        return MissingDependencyError(
            f"the format mp4 needs an ffmpeg with libx264; {binary} has none, that of the package "
            "imageio-ffmpeg does"
        )
    return CryvisionError(f"{ffmpeg.shown(clip)}: the video could not be written; ffmpeg: {words}")
