"""What live sound costs, and how soon and how rightly a monitor reports crying.

All sound goes through `LiveSession` as a live source would give it. The bundle that ships was
trained on the recordings that are used here: delays, alerts and false alerts are not those of
unknown homes. Recordings are found through ``CRYVISION_DATA``.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from report import ROOT, SEED, Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.datasets.annotated import cry_intervals
from cryvision.inference.clip import classify
from cryvision.inputs.resampling import Resampler
from cryvision.monitor.alerting.alerts import AlertMonitor
from cryvision.monitor.alerting.crying_rules import SustainedCrying
from cryvision.monitor.session import LiveSession, Observation
from cryvision.monitor.sources.clip_file import ClipFile
from cryvision.monitor.sources.source import Piece

# The folders of scripts are no packages; they share what finds the recordings.
sys.path.insert(0, str(ROOT / "experiments"))
import recordings

TRAINING_MATERIAL = "the bundle that ships was trained on these recordings"
START = 1_700_000_000.0
LIVE_PIECE_S, COARSE_PIECE_S = 0.1, 1.0
RULE = SustainedCrying()

MEDIAN_LATENCY_S, LATENCY_99_S, CPU_SHARE = 0.050, 0.150, 0.04
MEMORY_GROWTH = 1.05
"""Of resident memory, after all hours over after the first."""

ONSET_CLEAR_S = 1.0
"""Onsets are counted that have so much labelled pause before them in their clip."""

ONSET_WITHIN_S = 0.5
"""A reported onset is that of a labelled segment when it is so near to it, or within it."""

LOOPS, LOOP_LEAD_S, LOOP_S, LOOP_PIECE_S, SNR_DB = 24, 20.0, 60.0, 0.2, 10.0
IN_TIME_S = RULE.after_s + 3.0
MIXED_SECONDS = 1200
COMPARED_CLIPS = 20
SAME_TIMES_S = 1e-4
"""Wall times of today have steps of 0.2 microseconds; a piece of sound ends within 0.06 ms."""


@dataclass
class Sound:
    """Samples as a live source; its wall time is `START` and the sound so far."""

    samples: np.ndarray
    piece_s: float = LIVE_PIECE_S
    name: str = "benchmark"
    has_camera: bool = False

    def pieces(self, stop: threading.Event) -> Iterator[Piece]:
        step = round(self.piece_s * SAMPLE_RATE_HZ)
        for first in range(0, len(self.samples), step):
            piece = np.asarray(self.samples[first : first + step], np.float32)
            yield Piece(piece, None, None, START + (first + len(piece)) / SAMPLE_RATE_HZ)

    def close(self) -> None:
        """Nothing is open."""


def main() -> int:
    options = parser(__doc__, repeats=1)
    options.add_argument("--hours", type=int, default=24, help="of sound for memory; default: 24")
    options.add_argument(
        "--share", type=float, default=1.0, help="of the recordings that are used; default: 1"
    )
    chosen = options.parse_args()
    bundle = Bundle.load(chosen.bundle).keeping_models()
    clips = cry_clips(chosen.share)
    others = other_sounds(chosen.share)
    live = pushed_live(bundle, clips)
    loops = summed_loops(loop_delays(bundle, clips, others["household_noise"], LOOPS))
    false = summed_classes(false_alerts(bundle, others))
    same = compared_with_classify(bundle)
    memory = memory_of_hours(str(bundle.folder), mixed(clips, others), chosen.hours)
    result = {
        "share_of_recordings": chosen.share,
        "latency_and_cpu": live["cost"],
        "onset_reports": summed_onsets(live["labelled_onsets"], live["delays"]),
        "looped_crying": loops,
        "false_alerts": false,
        "material": f"donateacry-corpus and cry-segments, esc-10, spoken-digits, other-sounds; "
        f"{TRAINING_MATERIAL}",
        "events_against_classify": same,
        "memory": memory,
    }
    cost = live["cost"]
    demands = [
        Demand("median seconds in a push", cost["wall_s"]["median"], MEDIAN_LATENCY_S),
        Demand("99 % of seconds in a push", cost["wall_s"]["percentile_99"], LATENCY_99_S),
        Demand("share of a core", cost["cpu_share_of_a_core"], CPU_SHARE),
        *(
            Demand(f"median seconds to an alert, noise: {kind}", found["median_s"], IN_TIME_S)
            for kind, found in loops["noise"].items()
        ),
        Demand("clips with other events than classify", same["differing_clips"], 0),
        Demand("memory at the end over that after an hour", memory["growth"], MEMORY_GROWTH),
        Demand("file descriptors more than after an hour", memory["more_descriptors"], 0),
        Demand("threads more than after an hour", memory["more_threads"], 0),
    ]
    return finish("live", bundle, result, demands)


def observations(
    bundle: Bundle, samples: np.ndarray, piece_s: float = LIVE_PIECE_S
) -> Iterator[Observation]:
    """Observe sound as a session does."""
    return LiveSession(Sound(samples, piece_s), bundle).observations(threading.Event())


def read(path: Path) -> np.ndarray:
    """Read a file without starting a decoder for each of thousands; float32, 16 kHz."""
    import soundfile

    samples, rate_hz = soundfile.read(path, dtype="float32")
    resampler = Resampler(rate_hz)
    return np.concatenate([resampler.push(samples), resampler.finish()])


def cry_clips(share: float) -> list[tuple[np.ndarray, list[tuple[float, float]]]]:
    """Read donateacry's clips, and when they cry."""
    root = recordings.data_folder()
    clips = recordings.donateacry_segments(
        root / "donateacry-corpus" / "donateacry_corpus_cleaned_and_updated_data",
        root / "cry-segments",
    )
    return [
        (read(clip.path), [(i.start_s, i.end_s) for i in cry_intervals(clip.intervals)])
        for clip in some(clips, share)
    ]


def other_sounds(share: float) -> dict[str, list[np.ndarray]]:
    """Read all sounds that are not crying, by class; those of a class stay in their order."""
    root = recordings.data_folder()
    sounds: dict[str, list[np.ndarray]] = defaultdict(list)
    paths = {
        **{p: f"esc-10 {p.parent.name}" for p in sorted((root / "esc-10").glob("*/*.ogg"))},
        **dict.fromkeys(sorted((root / "spoken-digits").rglob("*.wav")), "spoken digits"),
        **{p: p.parent.name for p in sorted((root / "other-sounds").rglob("*.ogg"))},
    }
    crying = (f"esc-10 {recordings.ESC10_CRY}", "infant_cry")
    for path in some([p for p, kind in paths.items() if kind not in crying], share):
        sounds[paths[path]].append(read(path))
    return sounds


def some(items: Sequence[Any], share: float) -> Sequence[Any]:
    """Choose a share of a sequence, spread over it."""
    return items[:: max(1, round(1 / share))]


def pushed_live(
    bundle: Bundle, clips: Sequence[tuple[np.ndarray, list[tuple[float, float]]]]
) -> dict[str, Any]:
    """Push clips after each other in live pieces: cost of each piece, and delays of onsets."""
    lengths = np.array([len(samples) for samples, _ in clips]) / SAMPLE_RATE_HZ
    begins = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    clear = []
    for begin, (_, segments) in zip(begins, clips, strict=True):
        ends = [0.0, *(end for _, end in segments)]
        clear += [
            (begin + a, begin + b)
            for (a, b), before in zip(segments, ends, strict=False)
            if a - before >= ONSET_CLEAR_S
        ]
    wall, cpu, reports = [], [], []
    begun = time.process_time()
    walked, computed = time.perf_counter(), time.thread_time()
    for seen in observations(bundle, np.concatenate([samples for samples, _ in clips])):
        now = time.perf_counter(), time.thread_time()
        wall.append(now[0] - walked)
        cpu.append(now[1] - computed)
        reports += [(seen.time - START, timed.onset_time - START) for timed in seen.events]
        walked, computed = time.perf_counter(), time.thread_time()
    seconds = float(lengths.sum())
    return {
        "cost": {
            "piece_s": LIVE_PIECE_S,
            "seconds_of_sound": seconds,
            "wall_s": percentiles(wall),
            "cpu_s": percentiles(cpu),
            "cpu_share_of_a_core": (time.process_time() - begun) / seconds,
        },
        "labelled_onsets": len(clear),
        "delays": onset_delays(clear, reports),
    }


def onset_delays(
    segments: Sequence[tuple[float, float]], reports: Sequence[tuple[float, float]]
) -> list[float]:
    """Measure the time from each labelled onset to its first report, where there is one."""
    delays = []
    for start, end in segments:
        near = [at for at, onset in reports if start - ONSET_WITHIN_S <= onset < end]
        if near:
            delays.append(min(near) - start)
    return delays


def summed_onsets(n_labelled: int, delays: Sequence[float]) -> dict[str, Any]:
    return {
        "labelled_onsets": n_labelled,
        "reported": len(delays),
        "delay_s": percentiles(delays),
    }


def loop_delays(
    bundle: Bundle,
    clips: Sequence[tuple[np.ndarray, list[tuple[float, float]]]],
    household: Sequence[np.ndarray],
    n_loops: int,
) -> dict[str, list[float]]:
    """Loop the crying of clips for a minute in noise: when is there an alert, if ever."""
    rng = np.random.default_rng(SEED)
    n_lead, n_loop = (round(seconds * SAMPLE_RATE_HZ) for seconds in (LOOP_LEAD_S, LOOP_S))
    recorded = np.concatenate(household)
    delays: dict[str, list[float]] = {"none": [], "household": [], "white": []}
    for samples, segments in some(clips, min(1.0, n_loops / len(clips))):
        cut = [samples[slice(*(round(t * SAMPLE_RATE_HZ) for t in span))] for span in segments]
        crying = np.concatenate([*cut, np.zeros(0, np.float32)])
        if len(crying) < SAMPLE_RATE_HZ:
            continue
        looped = np.concatenate([np.zeros(n_lead), np.resize(crying, n_loop)])
        noises = {
            "none": np.zeros(len(looped)),
            "household": np.resize(np.roll(recorded, -rng.integers(len(recorded))), len(looped)),
            "white": rng.normal(0, 1, len(looped)),
        }
        wanted = np.mean(np.square(looped[n_lead:])) * 10 ** (-SNR_DB / 10)
        for kind, noise in noises.items():
            power = np.mean(np.square(noise, dtype=np.float64))
            sound = looped + noise * np.sqrt(wanted / max(power, 1e-12))
            delays[kind].append(alert_delay(bundle, sound.astype(np.float32)))
    return delays


def summed_loops(delays: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "snr_db": SNR_DB,
        "after_s": RULE.after_s,
        "loops": len(delays["none"]),
        "noise": {
            kind: {
                "share_in_time": float(np.mean([0 <= one <= IN_TIME_S for one in found])),
                "share_ever": float(np.mean(np.isfinite(found))),
                "median_s": float(np.median(found)),
            }
            for kind, found in delays.items()
        },
    }


def alert_delay(bundle: Bundle, sound: np.ndarray) -> float:
    """Find the time from the onset of crying to its alert; infinite where there is none."""
    alerts = AlertMonitor("benchmark", [RULE])
    for seen in observations(bundle, sound, LOOP_PIECE_S):
        if alerts.update(seen.time, seen.crying, seen.likely):
            return seen.time - START - LOOP_LEAD_S
    return float("inf")


def false_alerts(bundle: Bundle, others: dict[str, list[np.ndarray]]) -> dict[str, dict[str, Any]]:
    """Count the alerts in sound that is not crying, the clips of a class after each other."""
    classes = {}
    for kind, sounds in others.items():
        samples = np.concatenate(sounds)
        alerts = AlertMonitor("benchmark", [RULE])
        n_alerts = n_events = 0
        for seen in observations(bundle, samples, LOOP_PIECE_S):
            raised = alerts.update(seen.time, seen.crying, seen.likely)
            n_alerts += sum(alert.state == "raised" for alert in raised)
            n_events += sum(timed.offset_time is not None for timed in seen.events)
        hours = len(samples) / SAMPLE_RATE_HZ / 3600
        classes[kind] = {"hours": hours, "alerts": n_alerts, "events": n_events}
    return classes


def summed_classes(classes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    hours = sum(one["hours"] for one in classes.values())
    n_alerts = sum(one["alerts"] for one in classes.values())
    return {
        "rule": f"crying for {RULE.after_s:g} s, pauses below {RULE.hold_s:g} s",
        "hours": hours,
        "alerts": n_alerts,
        "alerts_an_hour": n_alerts / hours,
        "events_an_hour": sum(one["events"] for one in classes.values()) / hours,
        "classes": classes,
    }


def compared_with_classify(bundle: Bundle) -> dict[str, Any]:
    """Compare the events of files as live sources with those of `classify`."""
    root = recordings.data_folder()
    wavs = sorted((root / "donateacry-corpus").rglob("*.wav"))
    oggs = sorted((root / "esc-10" / recordings.ESC10_CRY).glob("*.ogg"))
    paths = [ROOT / "examples" / "demo.mp4", *some(oggs, 4 / len(oggs))]
    paths += some(wavs, COMPARED_CLIPS / len(wavs))
    differing, n_events, largest = 0, 0, 0.0
    for path in paths:
        expected = [event.span_s for event in classify(path, bundle).events]
        session = LiveSession(ClipFile(path, realtime=False), bundle)
        first: float | None = None
        found = []
        for seen in session.observations(threading.Event()):
            if first is None:
                first = seen.time - seen.state.time_s
            for timed in seen.events:
                if timed.offset_time is not None:
                    found.append((timed.onset_time - first, timed.offset_time - first))
        n_events += len(expected)
        if len(found) != len(expected):
            differing += 1
            continue
        off = np.abs(np.array(found) - np.array(expected)).max(initial=0.0)
        largest = max(largest, float(off))
        differing += off > SAME_TIMES_S
    return {
        "clips": len(paths),
        "events": n_events,
        "differing_clips": int(differing),
        "largest_difference_s": largest,
    }


def mixed(
    clips: Sequence[tuple[np.ndarray, list[tuple[float, float]]]],
    others: dict[str, list[np.ndarray]],
) -> np.ndarray:
    """Shuffle crying, other sounds and near silence; int16, some minutes."""
    rng = np.random.default_rng(SEED)
    pool = [samples for samples, _ in clips] + [one for kind in others.values() for one in kind]
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < MIXED_SECONDS * SAMPLE_RATE_HZ:
        pieces.append(pool[rng.integers(len(pool))])
        if not rng.integers(8):
            pieces.append(rng.normal(0, 1e-4, 20 * SAMPLE_RATE_HZ))
    return np.rint(np.clip(np.concatenate(pieces), -1, 1) * 32767).astype(np.int16)


def memory_of_hours(folder: str, sound: np.ndarray, hours: int) -> dict[str, Any]:
    """Observe hours of sound in a fresh process; return what it holds after each."""
    with tempfile.TemporaryDirectory() as place:
        path = str(Path(place, "sound.npy"))
        np.save(path, sound)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows = pool.apply(held_after_hours, (folder, path, hours))
    first, last = rows[0], rows[-1]
    return {
        "hours": hours,
        "piece_s": COARSE_PIECE_S,
        "after_each_hour": rows,
        "growth": last["resident_mib"] / first["resident_mib"],
        "more_descriptors": last["descriptors"] - first["descriptors"],
        "more_threads": last["threads"] - first["threads"],
    }


def held_after_hours(folder: str, path: str, hours: int) -> list[dict[str, Any]]:
    """Observe sound over and over; give memory, open files and threads after each hour."""
    sound = np.load(path)
    step = round(COARSE_PIECE_S * SAMPLE_RATE_HZ)

    class Endless(Sound):
        def pieces(self, stop: threading.Event) -> Iterator[Piece]:
            for k in range(round(hours * 3600 / COARSE_PIECE_S)):
                at = k * step % (len(sound) - step)
                samples = sound[at : at + step].astype(np.float32) / np.float32(32768)
                yield Piece(samples, None, None, START + (k + 1) * COARSE_PIECE_S)

    rows: list[dict[str, Any]] = []
    alerts = AlertMonitor("benchmark", [RULE])
    session = LiveSession(Endless(sound), Bundle.load(folder))
    n_events = n_alerts = 0
    for seen in session.observations(threading.Event()):
        n_alerts += len(alerts.update(seen.time, seen.crying, seen.likely))
        n_events += len(seen.events)
        if seen.piece is not None and (seen.time - START) >= (len(rows) + 1) * 3600:
            status = Path("/proc/self/status").read_text()
            (line,) = (one for one in status.splitlines() if one.startswith("VmRSS:"))
            rows.append(
                {
                    "resident_mib": int(line.split()[1]) / 1024,
                    "descriptors": len(list(Path("/proc/self/fd").iterdir())),
                    "threads": len(list(Path("/proc/self/task").iterdir())),
                    "events": n_events,
                    "alerts": n_alerts,
                }
            )
    return rows


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Give the median and the values that 90 and 99 % do not pass."""
    if not len(values):
        return {}
    median, upper, top = np.percentile(values, [50, 90, 99]).tolist()
    return {"median": median, "percentile_90": upper, "percentile_99": top}


if __name__ == "__main__":
    sys.exit(main())
