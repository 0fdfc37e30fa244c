"""Streams of cameras in the network: RTSP, HTTP and RTMP, read by ffmpeg."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, MissingDependencyError
from cryvision.inputs import ffmpeg
from cryvision.inputs.decoding import read_frame
from cryvision.monitor.sources.pictures import Pictures
from cryvision.monitor.sources.source import (
    PIECE_SECONDS,
    STALL_SECONDS,
    DisconnectedError,
    LiveSource,
)

CONNECT_SECONDS = 15.0
"""A connection may take so long to give its first sound."""

ANALYSIS_MICROSECONDS = 2_000_000
"""So much of a stream is looked at before its sound comes."""

STREAM_RATE_HZ = 5
"""Pictures a second that are decoded to arrays."""

STREAM_WIDTH_PX = 640
"""Wider pictures are made smaller."""

_SCHEMES = {
    "rtsp": ("tcp", "rtsp"),
    "rtsps": ("tls,tcp", "rtsp"),
    "http": ("http,tcp", f"{ffmpeg.CONTAINERS},mpjpeg"),
    "https": ("https,tls,tcp", f"{ffmpeg.CONTAINERS},mpjpeg"),
    "rtmp": ("rtmp,tcp", "flv,live_flv"),
    "rtmps": ("rtmps,tls,tcp", "flv,live_flv"),
}
"""What ffmpeg may open for each scheme: protocols, and formats. Playlists, which name further
addresses, are not among them."""

_USER = re.compile(r"(?<=//)[^/@\s]*@")


@dataclass(frozen=True)
class Address:
    """Where a stream is: all of it, and what people are shown of it.

    What is shown is without user, password and query, which may hold secrets.
    """

    shown: str
    url: str = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Check an address: it must be one of RTSP, HTTP and RTMP, and name a host."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ConfigError("a stream must have an address like rtsp://host/path") from None
        if parts.scheme not in _SCHEMES or not host:
            raise ConfigError(
                f"a stream must be {', '.join(_SCHEMES)} and name a host, like rtsp://host/path; "
                f"got the scheme {parts.scheme!r} and the host {host!r}"
            )
        if not url.isprintable() or any(c.isspace() for c in url):
            raise ConfigError("the address of a stream must be without spaces and line breaks")
        host = f"[{host}]" if ":" in host else host
        return cls(f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}", url)

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    def without_secrets(self, text: str) -> str:
        """Take user, password and query out of a text."""
        parts = urlsplit(self.url)
        text = _USER.sub("", text.replace(self.url, self.shown))
        secrets = {s for s in (parts.password, parts.query, parts.username) if s}
        for secret in sorted(secrets | {unquote(s) for s in secrets}, key=len, reverse=True):
            text = text.replace(secret, "...")
        return text


class NetworkStream(LiveSource):
    """Sound of a stream, and its pictures where they are wanted, over a connection of their own.

    ffmpeg, version 5 or later, opens the address and nothing else but where the host of an RTSP or
    RTMP address may redirect it to; HTTP redirects are refused. It reads the address from a pipe,
    so that the list of processes shows no password. The address may hold a user and a password,
    which no message shows; without them it is the name by default.
    """

    def __init__(self, url: str, *, pictures: bool = False, name: str | None = None) -> None:
        self._address = Address.parse(url)
        ffmpeg.find_ffmpeg()
        seen = StreamPictures(self._address) if pictures else None
        super().__init__(name or self._address.shown, seen)

    def connect(self) -> _Sound:
        """Start ffmpeg; whether it can connect shows when it is read."""
        return _Sound(self._address)


class _Sound:
    # Their timestamps are left alone: one that jumps would ask for hours of silence.
    _OUTPUT = (
        *("-map", "0:a:0", "-vn", "-sn", "-dn", "-af"),
        f"asetpts=N/SR/TB,aresample={SAMPLE_RATE_HZ}:rematrix_maxval=1,"
        "aformat=flt:channel_layouts=mono",
        *("-f", "f32le", "-flush_packets", "1", "pipe:1"),
    )

    def __init__(self, address: Address) -> None:
        self._address = address
        self._process = _start(address, "audio", self._OUTPUT)

    def blocks(self) -> Iterator[tuple[np.ndarray, float]]:
        block = np.empty(round(SAMPLE_RATE_HZ * PIECE_SECONDS), np.dtype("<f4"))
        while True:
            n_bytes = self._process.read_into(block.data.cast("B"))
            samples = block[: n_bytes // block.itemsize].astype(np.float32)
            if len(samples):
                self._process.stall_seconds = STALL_SECONDS
                yield samples, time.time()
            if n_bytes < block.nbytes:
                raise _why_down(self._process, self._address)

    def end(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self._process.close()


class StreamPictures(Pictures):
    """Pictures of a stream: `STREAM_RATE_HZ` a second, at most `STREAM_WIDTH_PX` wide."""

    _OUTPUT = (
        *("-map", "0:v:0", "-an", "-sn", "-dn", "-vf"),
        f"fps={STREAM_RATE_HZ},scale='min({STREAM_WIDTH_PX},iw)':-2",
        *("-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-flush_packets", "1", "pipe:1"),
    )

    def __init__(self, address: Address) -> None:
        super().__init__(address.shown)
        self._address = address
        self._process: ffmpeg.Process | None = None

    def frames(self, over: threading.Event) -> Generator[np.ndarray, None, None]:
        with _start(self._address, "video", self._OUTPUT) as process:
            self._process = process
            while not over.is_set() and (frame := read_frame(process)) is not None:
                process.stall_seconds = STALL_SECONDS
                yield frame
            raise _why_down(process, self._address)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()


def _start(address: Address, media: str, output: tuple[str, ...]) -> ffmpeg.Process:
    """Start ffmpeg on one kind of media of a stream.

    The address and how to open it go through a pipe, as the script of a list of one "file".
    """
    protocols, formats = _SCHEMES[address.scheme]
    # ffmpeg's own limit is for when nobody is left to kill it.
    microseconds = round(2 * max(STALL_SECONDS, CONNECT_SECONDS) * 1e6)
    options: dict[str, object] = {"rw_timeout": microseconds}
    if address.scheme in ("rtsp", "rtsps"):
        options = {"timeout": microseconds, "rtsp_transport": "tcp", "allowed_media_types": media}
    elif address.scheme in ("http", "https"):
        options |= {"max_redirects": 0, "http_proxy": "none", "seekable": 0}
    options["analyzeduration"] = ANALYSIS_MICROSECONDS
    name = address.url.replace("'", r"'\''")
    lines = ["ffconcat version 1.0", f"file '{name}'"]
    lines += [f"option {key} {value}" for key, value in options.items()]
    command = [
        *(ffmpeg.find_ffmpeg(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"),
        *("-protocol_whitelist", f"pipe,{protocols}", "-format_whitelist", f"concat,{formats}"),
        *("-threads", "1", "-f", "concat", "-safe", "0", "-i", "pipe:0", *output),
    ]
    script = "\n".join([*lines, ""]).encode()
    try:
        return ffmpeg.Process(command, stall_seconds=CONNECT_SECONDS, script=script)
    except MissingDependencyError as error:
        raise DisconnectedError("lost", str(error)) from error


def _why_down(process: ffmpeg.Process, address: Address) -> DisconnectedError:
    status = process.wait()
    if process.stalled:
        return DisconnectedError("stalled", f"no data has come for {process.stall_seconds:g} s")
    log = address.without_secrets(process.log().decode("utf-8", "replace"))
    words = ffmpeg.last_words(log.encode(), "", address.shown)
    words = words.removeprefix("Impossible to open ''; ") or f"it ended with status {status}"
    return DisconnectedError("lost", f"the stream cannot be read: {words}")
