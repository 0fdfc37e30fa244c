"""Crying in a stream of sound with an exported file: what stream_onnx and stream_litert share.

It needs numpy and a runtime, and nothing of cryvision: copy it to the device. All numbers come from
the JSON beside the exported file. Sound comes in on stdin, as raw float32 at 16 kHz, mono.
"""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Found = Iterator[dict[str, Any]]
Run = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""From the inputs of the file, float32 with a first axis of 1, to its outputs, by name."""


class CryStream:
    """Follows a stream; gives the events, what was rejected, and the reasons if there are any.

    Parameters
    ----------
    run : callable
        Runs the exported file once.
    facts : dict
        The JSON beside the file.
    veto : {"normal", "strict", "off"}
        How much the tagger must hear of crying for an event to stand.
    """

    def __init__(self, run: Run, facts: dict[str, Any], veto: str = "normal") -> None:
        self._run = run
        self._rate = facts["sample_rate_hz"]
        self._detector = facts["detector"]
        if self._detector is None or "call_samples" not in self._detector:
            kind = "no detector" if self._detector is None else "a window detector"
            raise ValueError(f"this file has {kind}, not edges; export another part or bundle")
        self._tagger = facts["tagger"]
        self._min_level = self._detector["gate"]["min_level_dbfs"]
        # Silence stands before the start of the stream.
        self._span = np.zeros(facts["inputs"]["waveform"]["shape"][1], np.float32)
        self._n_samples = self._n_calls = 0
        self._events = Events(facts, veto)
        self._reasons = None if facts["reason"] is None else Reasons(facts)

    def push(self, samples: np.ndarray) -> Found:
        """Take samples, float32 of shape (n,); give what they complete."""
        samples = np.where(np.isfinite(samples), samples, np.float32(0))
        while len(samples):
            # Up to where the next call is due, and no further: the span must end there too.
            due = self._next_call
            if self._reasons is not None:
                due = min(due, self._reasons.next_end)
            n = min(len(samples), due - self._n_samples)
            self._append(samples[:n])
            samples = samples[n:]
            if self._reasons is not None and self._n_samples == self._reasons.next_end:
                self._reasons.add(self._outputs(0, 0)["probabilities"][0])
            if self._n_samples == self._next_call:
                tag, steps = self._call()
                yield from self._follow(tag, steps)

    def finish(self) -> Found:
        """End the stream: silence behind it completes the last steps."""
        detector, n_samples = self._detector, self._n_samples
        n_frames = -(-n_samples // detector["frame_samples"])
        n_last = -(-n_samples // detector["step_samples"]) * detector["step_samples"]
        steps: list[tuple[int, float, float]] = []
        tags: list[tuple[int, np.ndarray]] = []
        known = self._n_calls * detector["call_samples"] - detector["delay_samples"]
        while known < n_last:
            end_frame = (self._n_calls + 1) * detector["call_samples"] // detector["frame_samples"]
            if self._tagger is not None and self._n_frames < n_frames < end_frame:
                # One more window of the tagger ends with the sound.
                self._append_until(n_frames * detector["frame_samples"] + detector["reach_samples"])
                tags += self._heard(self._outputs(n_frames, 0), n_samples)
            self._append_until(self._next_call)
            heard, more = self._call(behind=max(0, end_frame - n_frames))
            if end_frame <= n_frames:
                tags += [(min(end, n_samples), scores) for end, scores in heard]
            steps += [step for step in more if step[0] <= n_last]
            known = self._n_calls * detector["call_samples"] - detector["delay_samples"]
        yield from self._follow(tags, [(min(end, n_samples), *step) for end, *step in steps])
        yield from self._events.finish(n_samples)
        if self._reasons is not None:
            yield from self._reasons.decided(None)

    @property
    def _next_call(self) -> int:
        """Samples at which the next call is due."""
        detector = self._detector
        return (self._n_calls + 1) * detector["call_samples"] + detector["reach_samples"]

    @property
    def _n_frames(self) -> int:
        """Frames that the calls so far reached."""
        return self._n_calls * self._detector["call_samples"] // self._detector["frame_samples"]

    def _append(self, samples: np.ndarray) -> None:
        self._span = np.concatenate([self._span, samples])[-len(self._span) :]
        self._n_samples += len(samples)

    def _append_until(self, n_samples: int) -> None:
        self._append(np.zeros(n_samples - self._n_samples, np.float32))

    def _outputs(self, end_frame: int, behind: int) -> dict[str, np.ndarray]:
        """Run the file on a span that ends with a frame; so many of its frames lie behind."""
        before = max(0, self._detector["span_frames"] - end_frame)
        silent = np.array([[before, behind]], np.float32)
        return self._run({"waveform": self._span[None], "silent_frames": silent})

    def _call(self, behind: int = 0) -> tuple[list[Any], list[tuple[int, float, float]]]:
        """Run the file on the newest samples; give a window of tags, and steps."""
        detector = self._detector
        self._n_calls += 1
        end = self._n_calls * detector["call_samples"]
        outputs = self._outputs(self._n_frames, behind)
        steps = []
        for i, (score, level) in enumerate(
            zip(outputs["cry_edges"].ravel(), outputs["level_dbfs"].ravel(), strict=True)
        ):
            ago = (detector["n_steps"] - 1 - i) * detector["step_samples"]
            step_end = end - detector["delay_samples"] - ago
            if step_end > 0:
                loud = level >= self._min_level
                steps.append((step_end, float(score) if loud else 0.0, float(level)))
        return self._heard(outputs, end), steps

    def _heard(self, outputs: dict[str, np.ndarray], end: int) -> list[tuple[int, np.ndarray]]:
        if self._tagger is None:
            return []
        if outputs["tags_level_dbfs"].item() < self._min_level:
            return [(end, np.array([tag == "silence" for tag in self._tagger["tags"]], float))]
        return [(end, outputs["tags"][0])]

    def _follow(self, tags: list[Any], steps: list[tuple[int, float, float]]) -> Found:
        self._events.tagged.extend(tags)
        for end, score, level in steps:
            yield from self._events.step(end, score, level)
            if self._reasons is not None:
                self._reasons.step(end, self._events.fused)
        if self._reasons is not None and steps:
            yield from self._reasons.decided(steps[-1][0])


class Events:
    """From steps to events, and which of them stand.

    Attributes
    ----------
    tagged : deque
        Windows of the tagger, end and scores, that no step was late enough for yet.
    fused : float
        Score of the newest step times what was heard of crying.
    """

    def __init__(self, facts: dict[str, Any], veto: str) -> None:
        self._rate, self._detector = facts["sample_rate_hz"], facts["detector"]
        self._gate = self._detector["gate"]
        self._veto = facts["veto"]
        self._on = self._veto is not None and veto != "off"
        self._levels = self._veto["levels"][veto] if self._on else {}
        self._after, self._near, self._live = (
            0 if self._veto is None else round(self._veto[f"{name}_seconds"] * self._rate)
            for name in ("after", "near", "live")
        )
        self._tagger = facts["tagger"] or {"tags": []}
        self.tagged: deque[tuple[int, np.ndarray]] = deque()
        self._heard: deque[tuple[int, np.ndarray]] = deque()
        self._open: dict[str, Any] | None = None
        self._waiting: deque[dict[str, Any]] = deque()
        self._n_steps = 0
        self.fused = 0.0

    def step(self, end: int, score: float, level: float) -> Found:
        """Follow one more step, which ends at a sample."""
        ahead = end + self._detector["lookahead_samples"]
        while self.tagged and self.tagged[0][0] <= ahead:
            yield from self._hear(*self.tagged.popleft())
        self.fused = score
        if self._on:
            lately = [scores[0] for e, scores in self._heard if end - self._live < e <= ahead]
            self.fused = score * min(1.0, max(lately, default=0.0) / self._levels["live"])
        self._n_steps += 1
        step_samples = self._detector["step_samples"]
        yield from self._edge(self._n_steps * step_samples / self._rate, score, level)
        onset = end - step_samples if self._open is None else self._open["onset"]
        while self._heard and self._heard[0][0] < onset - max(self._near, self._live):
            self._heard.popleft()

    def finish(self, n_samples: int) -> Found:
        """End the stream; what is not certain yet does not stand."""
        while self.tagged:
            yield from self._hear(*self.tagged.popleft())
        if self._open is not None:
            end = self._open["silent_since"]
            yield from self._close(n_samples / self._rate if end is None else end)
        for candidate in self._waiting:
            candidate["stands"] = bool(candidate["stands"])
        yield from self._decided()

    def _edge(self, end_s: float, score: float, level: float) -> Found:
        """Open a candidate at `enter`, close it below `leave`, bridge short gaps."""
        gate = self._gate
        time_s = end_s - gate["latency_seconds"]
        yield from self._close_after_gap(time_s)
        found = self._open
        inside = found is not None and found["silent_since"] is None
        if score >= gate["leave" if inside else "enter"]:
            if found is None:
                # The first step starts with the stream, whatever the latency.
                onset_s = max(0.0, time_s) if self._n_steps > 1 else 0.0
                found = {"onset_s": onset_s, "scores": [], "powers": []}
                self._open = {**found, "onset": round(onset_s * self._rate)}
            self._open["silent_since"] = None
            self._open["scores"].append(score)
            self._open["powers"].append(10 ** (level / 10))
        elif found is not None:
            if found["silent_since"] is None:
                found["silent_since"] = max(time_s, found["onset_s"])
            yield from self._close_after_gap(time_s)

    def _close_after_gap(self, time_s: float) -> Found:
        since = None if self._open is None else self._open["silent_since"]
        if since is not None and not _shorter(time_s - since, self._gate["min_gap_seconds"]):
            yield from self._close(since)

    def _close(self, offset_s: float) -> Found:
        found, self._open = self._open, None
        if _shorter(offset_s - found["onset_s"], self._gate["min_event_seconds"]):
            return
        candidate = {
            "event": {
                "onset_s": found["onset_s"],
                "offset_s": offset_s,
                "confidence": float(np.mean(found["scores"])),
                "intensity_db": float(10 * np.log10(max(np.mean(found["powers"]), 1e-12))),
            },
            "onset": found["onset"],
            "offset": round(offset_s * self._rate),
            "at": np.zeros(max(1, len(self._tagger["tags"]))),
            "near": 0.0,
            "stands": None if self._on else True,
        }
        for end, scores in self._heard:
            self._compare(candidate, end, scores)
        self._decide(candidate, self._heard[-1][0] if self._heard else 0)
        self._waiting.append(candidate)
        yield from self._decided()

    def _hear(self, end: int, scores: np.ndarray) -> Found:
        self._heard.append((end, scores))
        for candidate in self._waiting:
            if candidate["stands"] is None:
                self._compare(candidate, end, scores)
                self._decide(candidate, end)
        yield from self._decided()

    def _compare(self, candidate: dict[str, Any], end: int, scores: np.ndarray) -> None:
        """Take note of a window of the tagger that lies at a candidate, or near it."""
        if candidate["onset"] <= end <= candidate["offset"] + self._after:
            candidate["at"] = np.maximum(candidate["at"], scores)
        if candidate["onset"] - self._near <= end <= candidate["offset"] + self._near:
            candidate["near"] = max(candidate["near"], float(scores[0]))

    def _decide(self, candidate: dict[str, Any], now: int) -> None:
        if not self._on:
            return
        heard_at = candidate["at"][0] >= self._levels["at"]
        if heard_at and candidate["near"] >= self._levels["near"]:
            candidate["stands"] = True
        elif now > candidate["offset"] + (self._near if heard_at else min(self._near, self._after)):
            candidate["stands"] = False

    def _decided(self) -> Found:
        """Give the candidates that need not wait for an earlier one."""
        while self._waiting and self._waiting[0]["stands"] is not None:
            yield self._described(self._waiting.popleft())

    def _described(self, candidate: dict[str, Any]) -> dict[str, Any]:
        event, stands = candidate["event"], candidate["stands"]
        if self._on:
            heard = min(1.0, candidate["at"][0] / self._levels["live"])
            event["confidence"] = self._calibrated(event["confidence"] * heard)
        loudness = zip(candidate["at"].tolist(), self._tagger["tags"], strict=False)
        others = [(score, tag) for score, tag in loudness if tag not in ("cry", "silence")]
        score, tag = max(others, default=(0.0, ""), key=lambda pair: pair[0])
        known = others and score >= (self._tagger["heard"] if stands else self._veto["named_from"])
        event["other_tag"] = tag if known else ""
        return event if stands else {**event, "rejected": event["other_tag"] or "not crying"}

    def _calibrated(self, product: float) -> float:
        certain = self._veto["certain"]
        inside = min(max(product, certain), 1 - certain)
        logit = np.log(inside / (1 - inside)) / self._veto["temperature"] + self._veto["bias"]
        return float(1 / (1 + np.exp(-logit)))


class Reasons:
    """Means of the newest predictions, of windows that lie in crying.

    Attributes
    ----------
    next_end : int
        Sample at which the next window ends.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts, self._reason = facts, facts["reason"]
        self._ahead = facts["detector"]["lookahead_samples"]
        self._enter = facts["detector"]["gate"]["enter"]
        hops = facts["smoothing"]["seconds"] * facts["sample_rate_hz"] / self._reason["hop_samples"]
        self._predictions: deque[np.ndarray] = deque(maxlen=max(1, round(hops)))
        self._waiting: deque[tuple[int, np.ndarray]] = deque()
        self._crying: deque[tuple[int, bool]] = deque()
        self.next_end = self._reason["window_samples"]

    def add(self, prediction: np.ndarray) -> None:
        """Take what was said of the window that ends now; it waits for the detector's steps."""
        self._waiting.append((self.next_end, prediction))
        self.next_end += self._reason["hop_samples"]

    def step(self, end: int, fused: float) -> None:
        """Take one more step of the detector."""
        self._crying.append((end, fused >= self._enter))

    def decided(self, known: int | None) -> Found:
        """Give what the steps that end by a sample decide; all of it at the end of the stream."""
        step = self._facts["detector"]["step_samples"]
        while self._waiting:
            end, prediction = self._waiting[0]
            if known is not None and end - self._ahead >= known + step:
                return
            self._waiting.popleft()
            start = end - self._reason["window_samples"]
            while self._crying and self._crying[0][0] <= start:
                self._crying.popleft()
            inside = [crying for e, crying in self._crying if e <= end - self._ahead]
            if not inside or sum(inside) < self._reason["min_cry_share"] * len(inside):
                self._predictions.clear()
                continue
            self._predictions.append(prediction)
            mean = np.mean(self._predictions, axis=0).tolist()
            by_label = dict(zip(self._facts["labels"], mean, strict=True))
            yield {"time_s": end / self._facts["sample_rate_hz"], "probabilities": by_label}


def follow(run: Run, model: str, sound: BinaryIO) -> int:
    """Print what is found, a JSON object on each line, until the sound ends or nobody reads."""
    facts = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))
    print(f"label policy: {facts['label_policy']['says']}", file=sys.stderr)
    stream = CryStream(run, facts)
    try:
        while piece := sound.read(4 * facts["detector"]["call_samples"]):
            for found in stream.push(np.frombuffer(piece[: len(piece) // 4 * 4], np.float32)):
                print(json.dumps(found), flush=True)
        for found in stream.finish():
            print(json.dumps(found), flush=True)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone, as `| head` does. Python flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _shorter(length_s: float, limit_s: float) -> bool:
    """Compare to the microsecond, for 2.28 - 2.08 is below 0.2."""
    return round(length_s, 6) < round(limit_s, 6)
