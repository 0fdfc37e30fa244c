"""The events of a stream, in little memory: a day can have ten thousand."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from cryvision.result import Event

_NUMBERS = (
    *("onset_s", "offset_s", "confidence", "intensity_db", "above_background_db"),
    "other_tag_score",
)
_OFFSET = _NUMBERS.index("offset_s")
_TEXTS = ("label", "other_tag", "rejected")


class KeptEvents(Sequence[Event]):
    """Events that have ended, as rows of numbers; an `Event` is made anew at each access.

    Of each event the outputs of ``branches`` for the classes ``labels`` are kept.
    """

    def __init__(self, branches: Sequence[str] = (), labels: Sequence[str] = ()) -> None:
        self._branches, self._labels = tuple(branches), tuple(labels)
        self._texts: list[str] = []
        self._width = len(_NUMBERS) + len(_TEXTS) + len(self._branches) * len(self._labels)
        self._values = array("d")

    def __len__(self) -> int:
        return len(self._values) // self._width

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Event, ...]: ...

    def __getitem__(self, index: int | slice) -> Event | tuple[Event, ...]:
        rows = range(len(self))[index]
        if isinstance(rows, range):
            return tuple(self._event(row) for row in rows)
        return self._event(rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeptEvents | tuple | list) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(tuple(self))

    def append(self, event: Event) -> None:
        numbers = [getattr(event, name) for name in _NUMBERS]
        texts = [self._number(getattr(event, name)) for name in _TEXTS]
        unknown = dict.fromkeys(self._labels, np.nan)
        means = [event.branches.get(branch, unknown) for branch in self._branches]
        outputs = [of_branch[label] for of_branch in means for label in self._labels]
        self._values.extend([*numbers, *texts, *outputs])

    def ended_after(self, time_s: float) -> KeptEvents:
        kept = KeptEvents(self._branches, self._labels)
        kept._texts = list(self._texts)
        table = self._table()
        kept._values.frombytes(table[table[:, _OFFSET] > time_s].tobytes())
        return kept

    def forget(self, time_s: float) -> None:
        """Drop the first ones, as many as had ended before a time; the newest one stays."""
        n_past = int(np.sum(self._table()[:-1, _OFFSET] < time_s))
        del self._values[: n_past * self._width]

    def _number(self, text: str) -> int:
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text)

    def _table(self) -> np.ndarray:
        return np.frombuffer(self._values).reshape(-1, self._width)

    def _event(self, row: int) -> Event:
        values = self._values[row * self._width : (row + 1) * self._width].tolist()
        n_before = len(_NUMBERS) + len(_TEXTS)
        texts = [self._texts[int(number)] for number in values[len(_NUMBERS) : n_before]]
        fields: dict[str, Any] = dict(zip(_NUMBERS, values, strict=False))
        fields |= zip(_TEXTS, texts, strict=True)
        outputs = np.reshape(values[n_before:], (len(self._branches), len(self._labels)))
        means = zip(self._branches, outputs.tolist(), strict=True)
        fields["branches"] = {
            name: dict(zip(self._labels, of_branch, strict=True))
            for name, of_branch in means
            if not np.isnan(of_branch).any()
        }
        return Event(**fields)
