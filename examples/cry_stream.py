"""Crying in a stream of sound with an exported file: what stream_onnx and stream_litert share.

It needs numpy and a runtime, and nothing of cryvision: copy it to the device. All numbers come from
the JSON beside the exported file. Sound comes in on stdin, as raw float32 at 16 kHz, mono.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""From waveform, float32 of shape (1, n), to the outputs of the file by name."""


class CryStream:
    """Follows a stream; gives the events, and the reasons if the file has them.

    Parameters
    ----------
    run : callable
        Runs the exported file once.
    facts : dict
        The JSON beside the file.
    """

    def __init__(self, run: Run, facts: dict[str, Any]) -> None:
        self._run = run
        self._rate = facts["sample_rate_hz"]
        self._detector, self._reason = facts["detector"], facts["reason"]
        self._gate = self._detector["gate"]
        self._labels = facts["labels"]
        # Silence stands before the start of the stream.
        self._span = np.zeros(facts["inputs"]["waveform"]["shape"][1], np.float32)
        self._n_samples = 0
        self._next = {"detector": self._detector["window_samples"]}
        self._crying: deque[tuple[int, bool]] = deque()
        self._event: dict[str, Any] | None = None
        self._n_windows = 0
        if self._reason is not None:
            self._next["reason"] = self._reason["window_samples"]
            n = round(facts["smoothing"]["seconds"] * self._rate / self._reason["hop_samples"])
            self._predictions: deque[np.ndarray] = deque(maxlen=max(1, n))

    def push(self, samples: np.ndarray) -> Iterator[dict[str, Any]]:
        """Take samples, float32 of shape (n,); give what they complete."""
        samples = np.where(np.isfinite(samples), samples, np.float32(0))
        while len(samples):
            # Up to where the next window ends, and no further: the span must end there too.
            n = min(len(samples), min(self._next.values()) - self._n_samples)
            self._span = np.concatenate([self._span, samples[:n]])[-len(self._span) :]
            self._n_samples += n
            samples = samples[n:]
            due = [name for name, end in self._next.items() if end == self._n_samples]
            if due:
                yield from self._window(due)

    def finish(self) -> Iterator[dict[str, Any]]:
        """End the stream."""
        if not self._n_windows and self._n_samples:
            yield from self._window(["detector"])  # shorter than a window: silence before it
        if self._event is not None:
            end = self._event["silent_since"]
            yield from self._closed(self._n_samples / self._rate if end is None else end)

    def _window(self, due: list[str]) -> Iterator[dict[str, Any]]:
        outputs = self._run(self._span[None])
        if "detector" in due:
            self._next["detector"] += self._detector["hop_samples"]
            level = float(outputs["level_dbfs"].item())
            loud = level >= self._gate["min_level_dbfs"]
            yield from self._follow(float(outputs["cry"].item()) if loud else 0.0, level)
        if "reason" in due and self._reason is not None:
            self._next["reason"] += self._reason["hop_samples"]
            if self._is_crying(self._reason["window_samples"]):
                self._predictions.append(outputs["probabilities"][0])
                mean = np.mean(self._predictions, axis=0)
                by_label = dict(zip(self._labels, mean.tolist(), strict=True))
                yield {"time_s": self._n_samples / self._rate, "probabilities": by_label}
            else:
                self._predictions.clear()

    def _is_crying(self, n_samples: int) -> bool:
        """Whether enough of the detector's windows that end in the newest samples are crying."""
        start = self._n_samples - n_samples
        while self._crying and self._crying[0][0] <= start:
            self._crying.popleft()
        inside = [crying for _, crying in self._crying]
        return bool(inside) and sum(inside) >= self._reason["min_cry_share"] * len(inside)

    def _follow(self, score: float, level: float) -> Iterator[dict[str, Any]]:
        """One more score: an event opens at `enter`, closes below `leave`, and bridges gaps."""
        gate, event, end_s = self._gate, self._event, self._n_samples / self._rate
        time_s = end_s - gate["latency_seconds"]
        self._crying.append((self._n_samples, score >= gate["enter"]))
        inside = event is not None and event["silent_since"] is None
        if score >= gate["leave" if inside else "enter"]:
            if event is None:
                # Of what came before the first window nothing is known: it starts with that.
                window_s = self._detector["window_samples"] / self._rate
                onset = time_s if self._n_windows else end_s - window_s
                event = {"onset_s": max(0.0, onset), "scores": [], "powers": []}
                self._event = event
            event["silent_since"] = None
            event["scores"].append(score)
            event["powers"].append(10 ** (level / 10))
        elif event is not None:
            if event["silent_since"] is None:
                event["silent_since"] = max(time_s, event["onset_s"])
            if time_s - event["silent_since"] >= gate["min_gap_seconds"]:
                yield from self._closed(event["silent_since"])
        self._n_windows += 1

    def _closed(self, offset_s: float) -> Iterator[dict[str, Any]]:
        event, self._event = self._event, None
        if event is not None and offset_s - event["onset_s"] >= self._gate["min_event_seconds"]:
            yield {
                "onset_s": event["onset_s"],
                "offset_s": offset_s,
                "confidence": float(np.mean(event["scores"])),
                "intensity_db": float(10 * np.log10(np.mean(event["powers"]))),
            }


def follow(run: Run, model: str, sound: BinaryIO) -> int:
    """Print what is found, a JSON object on each line, until the sound ends."""
    facts = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    print(f"label policy: {facts['label_policy']['says']}", file=sys.stderr)
    stream = CryStream(run, facts)
    while piece := sound.read(4 * facts["detector"]["hop_samples"]):
        for found in stream.push(np.frombuffer(piece[: len(piece) // 4 * 4], np.float32)):
            print(json.dumps(found), flush=True)
    for found in stream.finish():
        print(json.dumps(found), flush=True)
    return 0
