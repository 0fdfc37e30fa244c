"""Faults that show in the pieces of a source themselves, whatever the source."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from cryvision.config import SAMPLE_RATE_HZ
from cryvision.monitor.sources.source import BREAKS, Piece, SourceFault

UNCHANGED_SECONDS = 60.0
"""Sound of one value, or pictures that are all the same, for so long: a real microphone or camera
has noise."""

STALL_SECONDS = 10.0
"""No sound for so long, where the source itself has not noticed."""

JUMP_SECONDS = 2.0
"""Difference between wall time and the number of samples that is a jump of the clock."""

LATE_SECONDS = 5.0
"""A network that was held up gives what has waited at once; a jump lasts for more sound than
this."""

SETTLE_SECONDS = 10.0
"""A stream begins with what its server has stored; afterwards wall time and sound keep step."""

DRIFT_SECONDS = 30.0
"""Over so long the difference is averaged: a device's rate may be off by 0.01 %, 9 s in a day."""


class Watch:
    """Finds silence, frozen pictures, jumps of the clock and stalls. Each is a fault once.

    From a source with a camera a picture must come; others may have none. ``clock`` returns
    monotonic seconds, for stalls alone. The rest goes by the number of samples.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, has_camera: bool = False
    ) -> None:
        self._clock = clock
        self._has_camera = has_camera
        self._active: set[str] = set()
        self._source_down = False
        self._n_samples = 0
        self._last_sound_s = clock()
        self._value: float | None = None
        self._value_since_s = 0.0
        self._picture: np.ndarray | None = None
        self._picture_since_s = self._newest_picture_s = 0.0
        self._clock_s = self._usual_s = 0.0
        self._off_s = self._steady_s = 0.0

    def watched(self, items: Iterable[Piece | SourceFault]) -> Iterator[Piece | SourceFault]:
        """Iterate over pieces and faults of a source, each followed by the faults it shows."""
        for item in items:
            yield item
            yield from self.see(item)

    def see(self, item: Piece | SourceFault) -> list[SourceFault]:
        """Take the next piece or fault of the source, and return the faults that it shows."""
        if isinstance(item, SourceFault):
            self._follow(item)
            return []
        if not len(item.samples):
            idle_s = self._clock() - self._last_sound_s
            if self._source_down or idle_s <= STALL_SECONDS:
                return []
            message = f"no sound has come for {STALL_SECONDS:g} s"
            return self._begin("stalled", message, item.time, restart=True)
        self._last_sound_s = self._clock()
        self._n_samples += len(item.samples)
        found = self._end("stalled", "sound is back", item.time, restart=True)
        if found:
            self._restart_clock()
        return [*found, *self._silence(item), *self._frozen(item), *self._jump(item)]

    @property
    def _position_s(self) -> float:
        return self._n_samples / SAMPLE_RATE_HZ

    def _follow(self, fault: SourceFault) -> None:
        if fault.kind in BREAKS:
            self._source_down = True
        elif fault.kind == "recovered" and fault.ended in BREAKS:
            self._source_down = False
            self._last_sound_s = self._clock()
            self._picture_since_s = self._position_s
            self._restart_clock()

    def _silence(self, piece: Piece) -> list[SourceFault]:
        low, high = float(piece.samples.min()), float(piece.samples.max())
        if low != high or low != self._value:
            self._value = low if low == high else None
            self._value_since_s = self._position_s - len(piece.samples) / SAMPLE_RATE_HZ
        if self._value is None:
            self._value_since_s = self._position_s
            return self._end("silent", "sound is back", piece.time)
        if self._position_s - self._value_since_s < UNCHANGED_SECONDS:
            return []
        message = (
            f"all samples have been {self._value:g} for {UNCHANGED_SECONDS:g} s: the microphone is "
            "muted, or a cable is unplugged"
        )
        return self._begin("silent", message, piece.time)

    def _frozen(self, piece: Piece) -> list[SourceFault]:
        if piece.frame is not None:
            self._newest_picture_s = self._position_s
            changed = self._picture is None or not np.array_equal(self._picture, piece.frame)
            self._picture = piece.frame
            if changed:
                self._picture_since_s = self._position_s
                return self._end("frozen", "the picture changes again", piece.time)
        if self._picture is None and not self._has_camera:
            return []
        if self._position_s - self._picture_since_s < UNCHANGED_SECONDS:
            return []
        none_came = self._newest_picture_s <= self._picture_since_s
        what = "no picture has come" if none_came else "the picture has not changed"
        message = f"{what} for {UNCHANGED_SECONDS:g} s"
        return self._begin("frozen", message, piece.time)

    def _jump(self, piece: Piece) -> list[SourceFault]:
        """Compare wall time with the sound since the last restart."""
        seconds = len(piece.samples) / SAMPLE_RATE_HZ
        self._clock_s += seconds
        ahead_s = piece.time - self._clock_s
        if self._clock_s <= SETTLE_SECONDS:
            self._usual_s = ahead_s
            return []
        jump_s = ahead_s - self._usual_s
        if abs(jump_s) <= JUMP_SECONDS:
            self._off_s = 0.0
            self._usual_s += jump_s * min(1.0, seconds / DRIFT_SECONDS)
            self._steady_s += seconds
            if self._steady_s < SETTLE_SECONDS:
                return []
            return self._end("clock", "wall time and sound agree again", piece.time)
        self._off_s += seconds
        self._steady_s = 0.0
        if self._off_s < LATE_SECONDS:
            return []
        self._usual_s, self._off_s = ahead_s, 0.0
        direction = "ahead of" if jump_s > 0 else "behind"
        message = (
            f"wall time jumped {abs(jump_s):.1f} s {direction} the sound: the computer slept, its "
            "clock was set, or sound was lost"
        )
        return self._begin("clock", message, piece.time, restart=jump_s > 0)

    def _restart_clock(self) -> None:
        self._clock_s = self._usual_s = 0.0
        self._off_s = self._steady_s = 0.0

    def _begin(
        self, kind: str, message: str, wall_time: float, restart: bool = False
    ) -> list[SourceFault]:
        if kind in self._active:
            return []
        self._active.add(kind)
        return [SourceFault(kind, message, wall_time, restart)]

    def _end(
        self, kind: str, message: str, wall_time: float, restart: bool = False
    ) -> list[SourceFault]:
        if kind not in self._active:
            return []
        self._active.remove(kind)
        return [SourceFault("recovered", message, wall_time, restart, kind)]
