"""A clip's sound and its pictures, each coming out of an ffmpeg of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.errors import MediaError
from cryvision.inputs import ffmpeg, mixing
from cryvision.inputs.ffmpeg import LONGEST_GAP_SECONDS, violent_end
from cryvision.inputs.streams import PIXEL_SHAPES

if TYPE_CHECKING:
    from typing_extensions import Self

    from cryvision.inputs.probing import MediaInfo

SAMPLE_RATES_HZ = (1000, 4_000_000)
"""Rates of sound that are read. Crying has nothing below 200 Hz; at 1 Hz, ffmpeg would need
gigabytes to make 16 kHz of it."""

MOST_CHANNELS = 256
"""Channels of sound that are read."""

ALONE_SHARE = 0.05
"""A warning says that one channel replaced the mix where it did for more than this share."""

# These containers state one start for all streams; the others (mpegts, ogg, ...) have
# timestamps that may jump, which ffmpeg mends from the streams in use alone.
_ONE_START = ("mov", "matroska", "avi")
# An unknown time (NaN) is not beyond the gap.
_LAST = "if(isnan(prev_selected_t),0,prev_selected_t)"
_BELIEVED = f"not(gt(t-{_LAST},{LONGEST_GAP_SECONDS}))"
_PPM_HEADER = re.compile(rb"(\d+) (\d+)\n")
_LAYOUT = re.compile(r"[\w.]+(\(\w+\))?")


class Decoder:
    """One stream of a clip coming out of its own ffmpeg. A context manager.

    So far, `taken` samples or frames were read.
    """

    name: str
    rate_hz: int

    def __init__(self, path: str, output: Any) -> None:
        self.taken = 0
        self._path = path
        self._process = ffmpeg.Process(ffmpeg.command_line(path, output))

    def trouble(self) -> str:
        """Wait for ffmpeg to end; return its last words, or nothing if all went well.

        A MediaError says that ffmpeg was killed, has crashed or was stuck: there may be more to
        read.
        """
        status = self._process.wait()
        end = violent_end(status)
        if self._process.stalled:
            end = f"it gave nothing for {ffmpeg.STALL_SECONDS:g} s"
        if end is not None:
            raise MediaError(
                f"{ffmpeg.shown(self._path)}: ffmpeg must read a clip to its end; after "
                f"{self.taken / self.rate_hz:.2f} s of {self.name}, {end}"
            )
        last_words = ffmpeg.last_words(self._process.log(), self._path)
        return last_words or (f"ended with status {status}" if status else "")

    def warnings(self) -> list[str]:
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.close()


class Sound(Decoder):
    """A clip's sound: 16 kHz, one channel, float32."""

    name = "sound"
    rate_hz = SAMPLE_RATE_HZ

    def __init__(self, path: str, info: MediaInfo, read_on: bool = False) -> None:
        _check_sound(info)
        # Without its length, all of the file behind the header is sound.
        source = ffmpeg.clip_input(threads=1, **({"ignore_length": 1} if read_on else {}))
        track = next(t for t in info.sound_tracks if t.stream == info.sound_stream)
        n_channels = track.channels or 1
        stream = source[str(info.sound_stream)]
        layout = {1: "mono", 2: "stereo"}.get(n_channels)
        low = None if layout else mixing.low_channel(track.codec, track.layout)
        if low is not None and _LAYOUT.fullmatch(track.layout or ""):
            layout = track.layout
        # Without a layout, the channels come as they are, whatever ffmpeg takes them for.
        formed = {"channel_layouts": layout} if layout else {}
        # Unbounded, ffmpeg would mix two equal channels of float sound to 1.41 of their level.
        # Gaps are filled last, where silence is smallest.
        stream = stream.filter("aresample", SAMPLE_RATE_HZ, rematrix_maxval=1)
        stream = stream.filter("aformat", "flt", sample_rates=SAMPLE_RATE_HZ, **formed)
        output = on_clock(stream).output("pipe:1", format="f32le")
        super().__init__(path, with_other_streams(output, source, info, info.sound_stream))
        self._mixer = mixing.Downmix(n_channels, low)
        self._n_channels = n_channels
        self._left = np.zeros(0, np.float32)
        self._ended = False

    def take(self, n: int) -> np.ndarray | None:
        """Read the next ``n`` samples, fewer at the end; None where there are none."""
        if n < 1:
            return None
        blocks, n_left = [self._left], len(self._left)
        while n_left < n and not self._ended:
            blocks.append(self._next_block())
            n_left += len(blocks[-1])
        samples = np.concatenate(blocks)
        samples, self._left = samples[:n], samples[n:]
        self.taken += len(samples)
        return samples if len(samples) else None

    def warnings(self) -> list[str]:
        mixer, texts = self._mixer, []
        if mixer.n_alone > ALONE_SHARE * mixer.n_blocks:
            seconds = mixer.n_alone * mixing.BLOCK_SAMPLES / SAMPLE_RATE_HZ
            texts.append(
                f"the mix of the {self._n_channels} channels is far below the loudest of them: "
                f"that one alone was used for {seconds:.1f} s"
            )
        if mixer.n_not_finite:
            texts.append("samples that were not finite numbers are read as zero")
        if mixer.n_too_large:
            texts.append(
                f"samples beyond {mixing.LARGEST_SAMPLE:g} times full scale are no sound, and "
                f"are read as zero: {mixer.n_too_large} of them"
            )
        if mixer.peak > mixing.OVER_SCALE:
            texts.append(
                f"the sound goes beyond full scale, up to {mixer.peak:.1f} times: levels are "
                "higher than they should be"
            )
        return texts

    def _next_block(self) -> np.ndarray:
        block = np.empty((mixing.BLOCK_SAMPLES, self._n_channels), np.dtype("<f4"))
        n_bytes = self._process.read_into(block.data.cast("B"))
        self._ended = n_bytes < block.nbytes
        whole = block[: n_bytes // (block.itemsize * self._n_channels)]
        if not len(whole):
            return np.zeros(0, np.float32)
        return self._mixer.mix(whole.astype(np.float32, copy=False))


class Frames(Decoder):
    """A clip's pictures: RGB, 30 a second."""

    name = "pictures"
    rate_hz = FRAME_RATE_HZ

    def __init__(self, path: str, info: MediaInfo) -> None:
        source = ffmpeg.clip_input(threads=2)
        shape = f"clip(sar,{PIXEL_SHAPES[0]},{PIXEL_SHAPES[1]})"
        output = (
            source[str(info.picture_stream)]
            .filter("select", _BELIEVED)
            .filter("fps", FRAME_RATE_HZ, start_time=0)
            .filter("scale", f"max(1,floor(iw*{shape}+0.5))", "ih")
            .output("pipe:1", format="image2pipe", vcodec="ppm", pix_fmt="rgb24", threads=1)
        )
        super().__init__(path, with_other_streams(output, source, info, info.picture_stream))

    def take(self) -> np.ndarray | None:
        """Read the next frame; None at the end."""
        frame = read_frame(self._process)
        self.taken += frame is not None
        return frame


def read_frame(process: ffmpeg.Process) -> np.ndarray | None:
    """Read a picture that ffmpeg writes as PPM: RGB, shape (height, width, 3); None at the end."""
    magic, size, _depth = (process.read_line(32) for _ in range(3))
    header = _PPM_HEADER.fullmatch(size)
    if magic != b"P6\n" or header is None:
        return None
    frame = np.empty((int(header[2]), int(header[1]), 3), np.uint8)
    return frame if process.read_into(frame.data.cast("B")) == frame.nbytes else None


def picture_seconds(path: str, info: MediaInfo) -> float:
    """Find out when a clip's pictures end, from their packets, which are not decoded."""
    source = ffmpeg.clip_input()
    packets = source[str(info.picture_stream)].output("pipe:1", format="framecrc", codec="copy")
    end, tick_s = 0, 0.0
    with ffmpeg.Process(ffmpeg.command_line(path, packets)) as process:
        while line := process.read_line(4096):
            if line.startswith(b"#tb 0:"):
                above, below = line[6:].split(b"/")
                tick_s = int(above) / int(below)
            fields = line.split(b",")
            if line[:1] != b"0" or len(fields) < 5:
                continue
            until = int(fields[2]) + max(0, int(fields[3]))
            if (until - end) * tick_s <= LONGEST_GAP_SECONDS:
                end = max(end, until)
        if (how := violent_end(process.wait())) is not None:
            raise MediaError(f"{ffmpeg.shown(path)}: ffmpeg must read a clip to its end; {how}")
    return end * tick_s


def _check_sound(info: MediaInfo) -> None:
    """Refuse sound that would cost ffmpeg all memory."""
    lowest, highest = SAMPLE_RATES_HZ
    if info.sound_rate_hz is not None and not lowest <= info.sound_rate_hz <= highest:
        raise MediaError(
            f"{ffmpeg.shown(info.path)}: sound must have {lowest} to {highest} samples a second; "
            f"this states {info.sound_rate_hz}"
        )
    if (info.sound_channels or 1) > MOST_CHANNELS:
        raise MediaError(
            f"{ffmpeg.shown(info.path)}: sound must have at most {MOST_CHANNELS} channels; this "
            f"states {info.sound_channels}"
        )


def on_clock(sound: Any) -> Any:
    """Fill the gaps of a stream of sound with silence, and the time from the clip's start to it.

    What comes behind a gap that is too long to be believed is left out.
    """
    return sound.filter("aselect", _BELIEVED).filter("aresample", **{"async": 1, "first_pts": 0})


def with_other_streams(output: Any, source: Any, info: MediaInfo, *used: int | None) -> Any:
    """Let ffmpeg see the clip's other streams too where its clock depends on the streams in use.

    Otherwise each ffmpeg would put the start of those that are ``used`` at zero, and their offset
    would be lost. The packets of the others are read and dropped, not decoded.
    """
    streams = [info.picture_stream, *(track.stream for track in info.sound_tracks)]
    others = [source[str(s)] for s in streams if s is not None and s not in used]
    if not others or info.container.split(",")[0] in _ONE_START:
        return output
    builder = ffmpeg.command_builder()
    packets = builder.output(*others, "-", format="null", codec="copy")
    return builder.merge_outputs(output, packets)
