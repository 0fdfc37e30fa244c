"""Sound that a browser sends is classified as it comes."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import DEMO, Served

from cryvision.bundle import Bundle
from cryvision.inputs.media import read_sound
from cryvision.monitor.sources.source import Piece
from cryvision.web.live import STATE_SECONDS, Feed

connect = pytest.importorskip("websockets.sync.client").connect

RATE_HZ = 48_000

ANSWER_SECONDS = 20.0


def opened(served: Served, query: str = "kind=browser") -> Any:
    return connect(f"ws://127.0.0.1:{served.port}/api/live?{query}", origin=served.url)


@pytest.fixture(scope="module")
def sound() -> bytes:
    """The first nine seconds of the demo clip as a browser sends them."""
    import soxr

    samples = soxr.resample(read_sound(DEMO, 0, 9), 16_000, RATE_HZ)
    return (samples * 32767).astype("<i2").tobytes()


def test_crying_at_the_microphone_is_seen_and_ends(served: Served, sound: bytes) -> None:
    states, events = [], []
    with opened(served) as socket:
        socket.send(json.dumps({"sample_rate_hz": RATE_HZ}))
        for first in range(0, len(sound), 9_600):
            socket.send(sound[first : first + 9_600])
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            answer = json.loads(socket.recv(timeout=ANSWER_SECONDS))
            states.append(answer["state"]["crying"])
            events += answer["events"]
            if True in states and states[-1] is False and len(events) >= 6:
                break
    assert True in states
    assert states[-1] is False
    ended = [event for event in events if event["type"] == "event"]
    assert ended[0]["duration_s"] == pytest.approx(0.84, abs=0.2)


@pytest.mark.parametrize(
    "start",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"sample_rate_hz": 1}',
        '{"sample_rate_hz": NaN}',
        '{"sample_rate_hz": 1' + "0" * 400 + "}",
        pytest.param("[" * 100_000, id="deep"),
        b"{}",
    ],
)
def test_a_stream_that_does_not_begin_as_it_must_is_refused(
    served: Served, start: str | bytes
) -> None:
    with opened(served) as socket:
        socket.send(start)
        assert "sample_rate_hz" in json.loads(socket.recv(timeout=ANSWER_SECONDS))["error"]
        with pytest.raises(Exception, match="1008"):
            socket.recv(timeout=ANSWER_SECONDS)


@pytest.mark.parametrize("query", ["", "kind=other", "source=unknown"])
def test_what_is_no_source_is_refused(served: Served, query: str) -> None:
    with opened(served, query) as socket:
        assert json.loads(socket.recv(timeout=ANSWER_SECONDS))["error"]


def test_odd_bytes_and_pictures_end_nothing(served: Served) -> None:
    with opened(served) as socket:
        socket.send(json.dumps({"sample_rate_hz": RATE_HZ}))
        for data in (b"", b"\0", b"J\xff\xd8 no picture", b"J", np.zeros(480, "<i2").tobytes()):
            socket.send(data)
        answer = json.loads(socket.recv(timeout=ANSWER_SECONDS))
    assert "state" in answer


def test_a_message_that_is_too_large_ends_the_stream(served: Served) -> None:
    with opened(served) as socket:
        socket.send(json.dumps({"sample_rate_hz": RATE_HZ}))
        socket.send(bytes(3_000_000))
        with pytest.raises(Exception, match=r"1009|too"):
            _read_to_the_end(socket)


def _read_to_the_end(socket: Any) -> None:
    while True:
        socket.recv(timeout=ANSWER_SECONDS)


def test_a_source_of_this_machine_is_watched(serve: Any, clip_folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "live.toml"
    config.write_text(f'[[source]]\nname = "nursery"\nkind = "file"\nvalue = "{DEMO}"\n')
    served = serve(clip_folder, "--live", str(config))
    with served.client() as client:
        assert client.get("/api/session").json()["live_sources"] == ["nursery"]
    with opened(served, "source=nursery") as socket:
        answers = [json.loads(socket.recv(timeout=ANSWER_SECONDS)) for _ in range(3)]
    assert {answer["state"]["source"] for answer in answers} == {"nursery"}
    served.end()


class SetBackClock:
    """Two seconds of sound; the clock is set back by an hour in the middle."""

    name = "nursery"
    has_camera = False

    def pieces(self, stop: threading.Event) -> Iterator[Piece]:
        for i in range(1, 21):
            clock_s = 1_700_000_000.0 - 3600 * (i > 10)
            yield Piece(np.zeros(1600, np.float32), None, None, clock_s + i / 10)

    def close(self) -> None:
        pass


def test_the_state_is_shown_as_often_after_the_clock_was_set_back() -> None:
    feed = Feed(SetBackClock(), Bundle.load())
    messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
    feed.listeners.add(messages.put)
    feed.start()
    states = [one["state"]["time"] for one in iter(lambda: messages.get(timeout=60), None)]
    set_back = [one for one in states if one < "2023-11-14T22"]
    assert len(set_back) >= 1.0 / STATE_SECONDS
