"""A microphone of any kind gives 16 kHz mono; one that vanishes is waited for."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from types import ModuleType

import leftovers
import numpy as np
import pytest
from listening import amplitude, faults, kinds, pitch_hz, read_until, seconds, set_waits, sound
from waiting import comes_true

from cryvision.errors import ConfigError, MediaError, MissingDependencyError
from cryvision.monitor.sources import camera
from cryvision.monitor.sources.microphone import Microphone, list_devices

TONE_HZ, AMPLITUDE = 440.0, 0.25


class Cards(ModuleType):
    """Stands in for sounddevice: devices that play a tone, five times as fast as time goes."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *devices: tuple[str, int, float]) -> None:
        super().__init__("sounddevice")
        self.connected = list(devices)
        self.listed = list(devices)
        self.streams: list[Stream] = []
        self.silent = False

    def _terminate(self) -> None:
        assert not any(stream.active for stream in self.streams)

    def _initialize(self) -> None:
        self.listed = list(self.connected)

    def query_devices(self, device=None, kind=None):
        everything = [
            {"index": i, "name": n, "max_input_channels": c, "default_samplerate": r}
            for i, (n, c, r) in enumerate(self.listed)
        ]
        if kind is None:
            return everything
        fitting = [
            d
            for d in everything
            if d["max_input_channels"] and device in (None, d["index"], d["name"])
        ]
        if not fitting:
            raise ValueError(f"No input device matching {device!r}")
        return fitting[0]

    def InputStream(self, **options):  # noqa: N802
        return Stream(self, **options)


class Stream:
    def __init__(self, cards, device, samplerate, channels, dtype, blocksize, latency, callback):
        self.name, most, _ = cards.listed[device or 0]
        if cards.listed[device or 0] not in cards.connected:
            raise cards.PortAudioError("Error opening device")
        assert channels <= most
        self.cards, self.callback, self.options = cards, callback, (samplerate, channels, dtype)
        self.n = blocksize
        self.active = False
        cards.streams.append(self)

    def start(self) -> None:
        self.active = True
        self.thread = threading.Thread(target=self._play, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.active = False
        self.thread.join(1)

    def _play(self) -> None:
        rate_hz, n_channels, dtype = self.options
        k = 0
        while self.active:
            at = np.arange(k * self.n, (k + 1) * self.n) / rate_hz
            tone = AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * at)
            block = np.repeat(tone.astype(dtype)[:, None], n_channels, 1)
            if not self.cards.silent:
                self.callback(block, self.n, None, None)
            block[:] = 9  # PortAudio uses the memory again
            k += 1
            time.sleep(self.n / rate_hz / 5)
            self.active &= any(name == self.name for name, _, _ in self.cards.connected)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    set_waits(monkeypatch, stall=0.6, first_retry=0.02, longest_retry=0.05)


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch):
    def connect(*devices: tuple[str, int, float]) -> Cards:
        cards = Cards(*devices)
        monkeypatch.setitem(sys.modules, "sounddevice", cards)
        return cards

    yield connect
    assert comes_true(lambda: not leftovers.threads(), 2)


@pytest.mark.parametrize(
    ("rate_hz", "n_channels"),
    [(8000.0, 1), (16_000.0, 1), (16_000.0, 6), (44_100.0, 2), (44_100.0, 32), (48_000.0, 1)],
)
def test_any_rate_and_number_of_channels_becomes_16_khz_mono(plug, rate_hz, n_channels) -> None:
    cards = plug(("USB", n_channels, rate_hz))
    items = read_until(Microphone(), seconds(1.2))
    assert not faults(items)
    middle = sound(items)[3200:]
    assert pitch_hz(middle) == pytest.approx(TONE_HZ, abs=0.2)
    assert amplitude(middle) == pytest.approx(AMPLITUDE, rel=0.01)
    assert cards.streams[0].options[1] == (2 if n_channels == 32 else n_channels)
    assert not cards.streams[0].active


def test_a_device_that_vanishes_is_found_again_by_its_name(plug) -> None:
    """It may come back under another index."""
    cards = plug(("Built-in", 2, 44_100.0), ("USB", 1, 48_000.0))
    source = Microphone(1)
    assert source.name == "USB"
    items, stop = [], threading.Event()
    for item in source.pieces(stop):
        items.append(item)
        if seconds(0.5)(items) and not kinds(items):
            cards.connected = [("Built-in", 2, 44_100.0)]
        if kinds(items) == ["lost"] and len(items) > 10:
            cards.connected = [("USB", 1, 48_000.0), ("Built-in", 2, 44_100.0)]
        if "recovered" in kinds(items):
            stop.set()
    assert [(f.kind, f.restart) for f in faults(items)] == [("lost", True), ("recovered", True)]
    assert faults(items)[0].message == "the microphone has stopped"
    assert cards.streams[-1].name == "USB"


def test_a_device_that_gives_nothing_is_stalled(plug) -> None:
    cards = plug(("USB", 1, 48_000.0))
    items, stop = [], threading.Event()
    for item in Microphone("USB").pieces(stop):
        items.append(item)
        cards.silent = seconds(0.3)(items) and not kinds(items)
        if "recovered" in kinds(items):
            stop.set()
    assert kinds(items) == ["stalled", "recovered"]
    assert "given no sound for 0.6 s" in faults(items)[0].message


def test_a_stop_ends_it_within_a_second_also_while_the_device_is_silent(plug, monkeypatch) -> None:
    set_waits(monkeypatch, stall=5.0)
    plug(("USB", 1, 48_000.0)).silent = True
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.monotonic()
    list(Microphone().pieces(stop))
    assert time.monotonic() - begun < 1.3


def test_what_is_not_there_is_one_line(plug) -> None:
    plug(("Speaker", 0, 48_000.0))
    with pytest.raises(MediaError, match="a microphone must be connected"):
        Microphone()
    plug(("USB", 1, 48_000.0))
    for device in (7, "Studio"):
        with pytest.raises(ConfigError, match=f"--list-devices shows; got {device!r}"):
            Microphone(device)


def test_missing_libraries_are_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(error: Exception) -> None:
        def load(name, *rest):
            if name == "sounddevice":
                raise error
            return real(name, *rest)

        monkeypatch.setattr(builtins, "__import__", load)

    refuse(ImportError("No module named 'sounddevice'"))
    with pytest.raises(MissingDependencyError, match=r"'cryvision\[live\]'$"):
        Microphone()
    refuse(OSError("PortAudio library not found"))
    with pytest.raises(MissingDependencyError, match=r"apt install libportaudio2$"):
        list_devices()


def test_the_table_of_devices(plug, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(camera, "_LINUX_CAMERAS", tmp_path)
    for number, name, index in (("0", "Webcam", "0"), ("1", "Webcam", "1")):
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(name + "\n")
        (tmp_path / f"video{number}" / "index").write_text(index + "\n")
    plug(("Speaker", 0, 48_000.0), ("USB", 1, 48_000.0), ("Array", 6, 16_000.0))
    assert list_devices().splitlines() == [
        "index  channels       rate  microphone",
        "    1         1   48000 Hz  USB (default)",
        "    2         6   16000 Hz  Array",
        "",
        "index  camera",
        "    0  Webcam",
    ]
    plug()
    assert list_devices().splitlines()[1].split() == ["-", "-", "-", "none"]


def test_a_camera_beside_a_microphone_gives_its_newest_picture(plug, monkeypatch) -> None:
    import cv2

    plug(("USB", 1, 48_000.0))
    opened = []

    class Webcam:
        """Thirty red pictures a second, in the order of colours that OpenCV has."""

        def __init__(self, index: int) -> None:
            self.index, self.n = index, 0
            opened.append(self)

        def isOpened(self):  # noqa: N802
            return self.index == 2

        def set(self, *setting):
            return True

        def grab(self):
            time.sleep(1 / 30)
            self.n += 1
            return self.n < 40

        def retrieve(self):
            return True, np.full((48, 64, 3), (0, 0, 200 + self.n), np.uint8)

        def release(self):
            self.index = None

    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    source = Microphone(pictures=camera.Camera(2))
    items = read_until(source, lambda items: len(shown_in(items)) >= 15)
    assert not faults(items)
    assert {tuple(p.frame[0, 0, 1:]) for p in shown_in(items)} == {(0, 0)}
    red = [int(p.frame[0, 0, 0]) for p in shown_in(items)]
    assert red[0] > 200
    assert len(opened) >= 2, "a camera that has ended is opened again"
    assert opened[0].index is None
    assert comes_true(lambda: all(c.index is None for c in opened), 1)


def shown_in(items: list) -> list:
    return [i for i in items if getattr(i, "frame", None) is not None]


def test_a_camera_that_is_not_there_is_one_line(capfd, caplog) -> None:
    absent = camera.Camera(97)
    absent.start()
    assert comes_true(lambda: bool(caplog.records), 5)
    absent.close()
    assert [r.getMessage() for r in caplog.records] == [
        "camera 97: there are no pictures: it cannot be opened"
    ]
    assert capfd.readouterr().err == ""
