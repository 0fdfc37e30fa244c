"""Silence, frozen pictures, jumps of the clock and stalls are found once, and so is their end."""

from __future__ import annotations

import numpy as np
import pytest

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.monitor.sources.source import Piece, SourceFault
from cryvision.monitor.sources.watch import Watch

START = 1_700_000_000.0
PIECE_S = 0.1
NOISE = np.random.default_rng(0).normal(0, 1e-3, round(PIECE_S * SAMPLE_RATE_HZ)).astype(np.float32)
ZEROS = np.zeros_like(NOISE)
PICTURES = np.random.default_rng(1).integers(0, 255, (2, 4, 4, 3)).astype(np.uint8)


class Room:
    """A source of made-up sound on made-up clocks."""

    def __init__(self, has_camera: bool = False) -> None:
        self.wall, self.monotonic = START, 0.0
        self.watch = Watch(clock=lambda: self.monotonic, has_camera=has_camera)
        self.faults: list[SourceFault] = []

    def pass_time(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def sound(self, seconds: float, samples=NOISE, picture=lambda k: None, drift=0.0) -> None:
        for k in range(round(seconds / PIECE_S)):
            self.pass_time(PIECE_S * (1 + drift))
            self.give(Piece(samples, picture(k), None, self.wall))

    def ticks(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.25)):
            self.pass_time(0.25)
            self.give(Piece(ZEROS[:0], None, None, self.wall))

    def give(self, item: Piece | SourceFault) -> None:
        self.faults += self.watch.see(item)

    def kinds(self) -> list[tuple[str, str]]:
        found = [(fault.kind, fault.ended) for fault in self.faults]
        self.faults.clear()
        return found


@pytest.fixture
def room() -> Room:
    return Room()


def test_ordinary_sound_is_no_fault(room: Room) -> None:
    room.sound(300)
    assert room.kinds() == []


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_minute_of_one_value_is_silence_until_there_is_sound(room: Room, value: float) -> None:
    room.sound(20)
    room.sound(59, ZEROS + np.float32(value))
    assert room.kinds() == []
    room.sound(300, ZEROS + np.float32(value))
    [fault] = room.faults
    assert fault.kind == "silent"
    assert not fault.restart
    assert fault.time == pytest.approx(START + 20 + 60, abs=2 * PIECE_S)
    room.faults.clear()
    room.sound(5)
    assert room.kinds() == [("recovered", "silent")]


def test_short_silences_are_no_fault(room: Room) -> None:
    for _ in range(10):
        room.sound(50, ZEROS)
        room.sound(0.1)
    assert room.kinds() == []


def test_a_picture_that_stays_the_same_for_a_minute_is_frozen(room: Room) -> None:
    room.sound(30, picture=lambda k: PICTURES[k % 2])
    room.sound(59, picture=lambda k: PICTURES[1])
    assert room.kinds() == []
    room.sound(60, picture=lambda k: PICTURES[1].copy())
    assert room.kinds() == [("frozen", "")]
    room.sound(1, picture=lambda k: PICTURES[0])
    assert room.kinds() == [("recovered", "frozen")]


def test_a_camera_that_gives_no_picture_for_a_minute_is_a_fault() -> None:
    """Its driver hangs, or it is gone: at the start, and later."""
    room = Room(has_camera=True)
    room.sound(61)
    assert [fault.message for fault in room.faults] == ["no picture has come for 60 s"]
    room.sound(1, picture=lambda k: PICTURES[k % 2])
    room.sound(61)
    assert room.faults[-1].message == "no picture has come for 60 s"
    assert room.kinds() == [("frozen", ""), ("recovered", "frozen"), ("frozen", "")]


def test_a_source_without_pictures_is_not_frozen(room: Room) -> None:
    room.sound(200)
    assert room.kinds() == []


@pytest.mark.parametrize(("jump_s", "restart"), [(3600.0, True), (2.5, True), (-3600.0, False)])
def test_a_jump_of_the_clock_is_found_once(room: Room, jump_s: float, restart: bool) -> None:
    """A computer that slept, or a clock that was set."""
    room.sound(30)
    room.wall += jump_s
    room.sound(8)
    [fault] = room.faults
    assert (fault.kind, fault.restart) == ("clock", restart)
    assert f"{abs(jump_s):.1f} s" in fault.message
    room.faults.clear()
    room.sound(60)
    assert room.kinds() == [("recovered", "clock")]


def test_a_small_step_of_the_clock_is_no_fault(room: Room) -> None:
    room.sound(30)
    room.wall += 1.5
    room.sound(60)
    assert room.kinds() == []


def test_a_network_that_was_held_up_is_no_jump(room: Room) -> None:
    """What has waited comes at once."""
    for _ in range(5):
        room.sound(20)
        room.pass_time(4.5)
        for _ in range(45):
            room.give(Piece(NOISE, None, None, room.wall))
    assert room.kinds() == []


def test_what_a_server_has_stored_is_no_jump(room: Room) -> None:
    for _ in range(80):
        room.give(Piece(NOISE, None, None, room.wall))
    room.sound(60)
    assert room.kinds() == []


def test_a_device_whose_rate_is_a_little_off_is_no_jump(room: Room) -> None:
    """0.01 % are 4.3 s after half a day; here ten times as much in an hour."""
    room.sound(3600, drift=1e-3)
    assert room.kinds() == []


def test_a_stall_ends_with_the_next_sound(room: Room) -> None:
    room.sound(20)
    room.ticks(9.5)
    assert room.kinds() == []
    room.ticks(60)
    [fault] = room.faults
    assert fault.kind == "stalled"
    room.sound(30)
    assert room.kinds() == [("stalled", ""), ("recovered", "stalled")]


def test_a_source_that_says_it_is_lost_is_not_stalled_too(room: Room) -> None:
    room.sound(20)
    room.give(SourceFault("lost", "", room.wall, True))
    room.ticks(600)
    room.give(SourceFault("recovered", "", room.wall, True, "lost"))
    room.sound(30)
    assert room.kinds() == []


def test_silence_that_outlasts_a_lost_connection_is_one_fault(room: Room) -> None:
    room.sound(70, ZEROS)
    room.give(SourceFault("lost", "", room.wall, True))
    room.ticks(20)
    room.give(SourceFault("recovered", "", room.wall, True, "lost"))
    room.sound(70, ZEROS)
    room.sound(10)
    assert room.kinds() == [("silent", ""), ("recovered", "silent")]


def test_faults_come_behind_the_piece_that_shows_them() -> None:
    pieces = [Piece(ZEROS, None, None, START + k * PIECE_S) for k in range(700)]
    items = list(Watch().watched(pieces))
    assert [i for i in items if isinstance(i, Piece)] == pieces
    assert [k for k, i in enumerate(items) if isinstance(i, SourceFault)] == [600]
