"""Streams of the network come back after every failure, and give no secret away."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import leftovers
import numpy as np
import psutil
import pytest
from listening import amplitude, faults, kinds, pitch_hz, read_until, seconds, set_waits, sound
from servers import AMPLITUDE, TONE_HZ, RtspServer, Server
from waiting import comes_true

from cryvision.errors import ConfigError
from cryvision.monitor.sources.network import NetworkStream
from cryvision.monitor.sources.source import Piece, SourceFault

USER = "nursery:s3cr%40t/x@".replace("/", "%2F")
SECRETS = ("s3cr", "nursery", "token", "abc123")
LEVEL_TOLERANCE, HERTZ_TOLERANCE = 0.01, 0.1
STOP_SECONDS = 1.0
"""What the project promises."""


@pytest.fixture(params=[Server, RtspServer], ids=["http", "rtsp"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    running = request.param()
    yield running
    running.stop()


@pytest.fixture
def http() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waits(monkeypatch, stall=0.5, first_retry=0.05, longest_retry=0.2)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert comes_true(lambda: not (leftovers.threads() or leftovers.processes()), 5)


def open_stream(server: Server, **options: bool) -> NetworkStream:
    return NetworkStream(server.url(USER), **options)


def test_the_sound_of_a_stream_comes_with_its_pitch_and_level(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_waits(monkeypatch, stall=5.0)  # a busy machine is no fault of the stream
    items = read_until(open_stream(server), seconds(2.5))
    assert not faults(items)
    samples = sound(items)
    assert samples.dtype == np.float32
    assert pitch_hz(samples) == pytest.approx(TONE_HZ, abs=HERTZ_TOLERANCE)
    assert amplitude(samples) == pytest.approx(AMPLITUDE, rel=LEVEL_TOLERANCE)
    assert items[-1].time == pytest.approx(time.time(), abs=5)


def test_other_rates_and_channels_become_16_khz_mono(http: Server) -> None:
    http.rate_hz, http.n_channels = 44_100, 2
    samples = sound(read_until(open_stream(http), seconds(2)))
    assert pitch_hz(samples) == pytest.approx(TONE_HZ, abs=HERTZ_TOLERANCE)
    assert amplitude(samples) == pytest.approx(AMPLITUDE, rel=LEVEL_TOLERANCE)


@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("refuse", "lost", "401 Unauthorized"),
        ("rubbish", "lost", "the stream cannot be read"),
        ("drop", "lost", "the stream cannot be read"),
        ("stall", "stalled", "no data has come for 0.5 s"),
    ],
)
def test_what_a_server_does_wrong_is_one_fault_with_its_reason(
    http: Server, mode: str, kind: str, words: str
) -> None:
    http.mode = mode
    found = faults(read_until(open_stream(http), lambda items: bool(kinds(items))))
    assert [fault.kind for fault in found] == [kind]
    assert words in found[0].message
    assert found[0].restart


def test_rtsp_without_the_right_password_says_so() -> None:
    server = RtspServer("refuse")
    found = faults(read_until(open_stream(server), lambda items: bool(kinds(items))))
    assert "401 Unauthorized" in found[0].message
    server.stop()


def test_a_host_that_is_not_there_is_lost_and_looked_for_again(http: Server) -> None:
    http.stop()
    items: list[Piece | SourceFault] = []
    stop = threading.Event()
    for item in open_stream(http).pieces(stop):
        items.append(item)
        if kinds(items) == ["lost"] and len(items) == 4:
            http.start()
        if seconds(0.5)(items):
            stop.set()
    assert [(f.kind, f.restart) for f in faults(items)] == [("lost", True), ("recovered", True)]
    assert "Connection refused" in faults(items)[0].message
    first_sound = next(k for k, i in enumerate(items) if isinstance(i, Piece) and len(i.samples))
    assert items[first_sound - 1] is faults(items)[1]


def recoveries(server: Server, n: int, rng: random.Random) -> None:
    """Stop a server and start it again at random, n times."""
    items: list[Piece | SourceFault] = []
    stop, until = threading.Event(), time.monotonic() + 10 * n
    due, up = time.monotonic() + 0.3, True
    for item in open_stream(server).pieces(stop):
        items.append(item)
        assert time.monotonic() < until, faults(items)
        n_recovered = kinds(items).count("recovered")
        waits_for_sound = up and len(kinds(items)) % 2
        if n_recovered == n:
            stop.set()
        elif time.monotonic() > due and not waits_for_sound:
            if up:
                server.stop()
            else:
                server.start()
            up = not up
            due = time.monotonic() + rng.uniform(0.0, 0.4)
    ended = ["lost" if f.kind == "stalled" else f.kind for f in faults(items)]
    assert ended == ["lost", "recovered"] * n
    assert [f.ended for f in faults(items)[1::2]] == [f.kind for f in faults(items)[::2]]


def test_it_comes_back_when_the_server_is_killed_and_started_again(server: Server) -> None:
    recoveries(server, 2, random.Random(0))


@pytest.mark.slow
def test_it_comes_back_twenty_times(server: Server) -> None:
    recoveries(server, 20, random.Random(1))


def test_a_stream_that_stalls_comes_back(server: Server) -> None:
    server.mode = "stall"
    items = read_until(open_stream(server), lambda items: len(kinds(items)) >= 3)
    assert kinds(items) == ["stalled", "recovered", "stalled"]


@pytest.mark.parametrize(
    ("server", "mode"),
    [
        *((Server, mode) for mode in ("sound", "silent", "refuse", "stall")),
        *((RtspServer, mode) for mode in ("sound", "silent")),
    ],
    indirect=["server"],
)
def test_a_stop_ends_everything_within_a_second(
    server: Server, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While sound comes, while it connects, between tries, and while nothing comes."""
    server.mode = mode
    set_waits(monkeypatch, stall=60, first_retry=60)
    stop, begun = threading.Event(), time.monotonic()
    for _item in open_stream(server).pieces(stop):
        if time.monotonic() - begun > 0.4 and not stop.is_set():
            stop.set()
            stopped = time.monotonic()
    assert time.monotonic() - stopped < STOP_SECONDS
    assert comes_true(lambda: not leftovers.threads(), STOP_SECONDS)


def test_close_from_another_thread_ends_it(server: Server) -> None:
    source = open_stream(server)
    threading.Timer(0.3, source.close).start()
    begun = time.monotonic()
    list(source.pieces(threading.Event()))
    assert time.monotonic() - begun < 0.3 + STOP_SECONDS


def test_an_exception_of_the_reader_leaves_nothing_running(server: Server) -> None:
    def fail() -> None:
        for item in open_stream(server, pictures=True).pieces(threading.Event()):
            assert isinstance(item, SourceFault) or not len(item.samples), "as it should"

    with pytest.raises(AssertionError, match="as it should"):
        fail()
    assert comes_true(lambda: not leftovers.processes(), STOP_SECONDS)


READER = """
import sys, threading
from cryvision.monitor.sources import network
network.STALL_SECONDS = 2
for item in network.NetworkStream(sys.argv[1]).pieces(threading.Event()):
    if hasattr(item, "samples") and len(item.samples):
        print("sound", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a program's children otherwise")
@pytest.mark.parametrize(
    ("mode", "within_s"), [("sound", 10), pytest.param("stall", 40, marks=pytest.mark.slow)]
)
def test_ffmpeg_ends_when_the_program_is_killed(http: Server, mode: str, within_s: float) -> None:
    """Soon where it has sound to hand on; otherwise by its own limit, twice the longest wait."""
    http.mode = mode
    program = subprocess.Popen([sys.executable, "-c", READER, http.url()], stdout=subprocess.PIPE)
    assert program.stdout.readline() == b"sound\n"
    [started] = leftovers.processes(program.pid)
    program.kill()
    program.communicate()
    gone = comes_true(lambda: not psutil.pid_exists(started.pid), within_s)
    assert gone


def test_no_secret_is_shown_anywhere(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    source = NetworkStream(server.url(USER, "?token=abc123"))
    items: list[Piece | SourceFault] = []
    stop, shown = threading.Event(), [source.name, repr(source), str(vars(source))]
    for item in source.pieces(stop):
        items.append(item)
        if seconds(0.5)(items) and server.mode != "refuse":  # it may have stalled before
            shown += [leftovers.shown(process) for process in leftovers.processes()]
            server.mode = "refuse"
            server.stop()
            server.start()
        if "lost" in kinds(items) and len(server.requests) > 8:
            stop.set()
    if isinstance(server, RtspServer):
        assert any("Authorization: Basic" in request for request in server.requests)
    assert any("token=abc123" in request for request in server.requests)
    assert any("ffmpeg" in text for text in shown[3:])
    shown += [fault.message for fault in faults(items)] + [caplog.text]
    for secret in SECRETS:
        assert secret not in "\n".join(shown)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "concat:a|b",
        "rtsp://",
        "udp://nursery:s3cret@239.0.0.1:1",
        "rtsp://nursery:s3cret@host:notaport/x",
        "rtsp://nursery:s3cret@host/a\nfile '/etc/passwd'",
        "http://nursery:s3cret@[::1/x",
    ],
)
def test_what_is_no_address_of_a_stream_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        NetworkStream(url)
    assert "s3cret" not in str(caught.value)


def test_names_of_a_stream_are_free_of_secrets() -> None:
    assert NetworkStream("rtsp://u:p@[::1]:8554/a?x=1").name == "rtsp://[::1]:8554/a"
    assert NetworkStream("rtsp://u:p@Camera/a'b").name == "rtsp://camera/a'b"


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def test_no_other_host_is_asked(http: Server, elsewhere: Server) -> None:
    """Where a server redirects to another, or gives a list of other addresses."""
    elsewhere.path = "/live.ts"
    http.path = "/live.m3u8"
    http.text_type = "application/vnd.apple.mpegurl"
    target = "#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n"
    playlist = f"#EXTM3U\n{target}{elsewhere.url()}\n#EXT-X-ENDLIST\n"
    script = f"ffconcat version 1.0\nfile '{elsewhere.url()}'\n"
    for mode, text in (("redirect", ""), ("text", playlist), ("text", script)):
        http.mode, http.text, http.target = mode, text, elsewhere.url()
        found = read_until(open_stream(http), lambda items: bool(kinds(items)))
        assert kinds(found) == ["lost"]
        assert http.requests
    assert elsewhere.requests == []


def test_pictures_come_beside_the_sound_small_and_seldom(
    http: Server, make_media, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_waits(monkeypatch, stall=5.0)
    clip = make_media(
        "camera.ts",
        *("-f", "lavfi", "-i", "testsrc=s=1280x720:r=25:d=10"),
        *("-f", "lavfi", "-i", f"aevalsrc={AMPLITUDE}*sin(2*PI*{TONE_HZ}*t):s=48000:d=10"),
        *("-c:v", "mpeg2video", "-q:v", "8", "-c:a", "aac"),
    )
    http.mode, http.text = "text", clip.read_bytes()
    http.text_seconds = 5.0
    enough = lambda items: len(shown_in(items)) >= 5  # noqa: E731
    items = read_until(open_stream(http, pictures=True), enough)
    pieces = shown_in(items)
    assert {p.frame.shape for p in pieces} == {(360, 640, 3)}
    assert np.all(np.diff([p.frame_time_s for p in pieces]) > 0)
    assert pitch_hz(sound(items)) == pytest.approx(TONE_HZ, abs=HERTZ_TOLERANCE)
    ends = np.cumsum([len(i.samples) for i in items if isinstance(i, Piece)]) / 16_000
    times = [i.frame_time_s for i in items if isinstance(i, Piece)]
    assert all(
        t is None or 0 <= end - t < 1 / 30 + 1e-9 for end, t in zip(ends, times, strict=True)
    )


def shown_in(items: list[Piece | SourceFault]) -> list[Piece]:
    return [i for i in items if isinstance(i, Piece) and i.frame is not None]


def test_a_stream_without_pictures_is_heard_all_the_same(server: Server) -> None:
    items = read_until(open_stream(server, pictures=True), seconds(2.5))
    assert not faults(items)
    assert not shown_in(items)
