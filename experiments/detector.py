"""Judges edges, tagger and their fusion on phones, speakers and recordings not trained on.

Three scripts come first; on two busy cores they took three hours::

    python experiments/pool.py POOL
    python experiments/parts.py POOL MODELS edges-0-{0,1,2}-3 tagger-0-{0,1,2}-3 \\
        {edges,tagger}-without-{donateacry,esc10,other-sounds} tagger-all-distilled edges-all-0
    python experiments/scores.py POOL MODELS SCORES
    python experiments/detector.py SCORES POOL MODELS

It writes ``results/detector.json``; `train_default.py` then saves what ships. With numbers of
divisions behind MODELS it judges those in place of division 0, from networks and scores of their
own, and writes ``results/detector_division_<numbers>.json``.
Calibration, thresholds and veto of each fold come from the scores of the other folds.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from parts import Pool
from pool import kept_out
from record import say, write_result
from rules import (
    STEP_S,
    Scored,
    best_threshold,
    decode,
    edge_scores,
    live_tag,
    logit,
    sigmoid,
)
from scipy.stats import spearmanr
from scores import N_FOLDS, NOISY_DB, QUIET_DB

from cryvision.config import VetoConfig
from cryvision.detector_training import tag_scores
from cryvision.detector_training.calibration import middle_of_best
from cryvision.detector_training.skill import window_means
from cryvision.detector_training.tagger_head import KEPT
from cryvision.evaluation import metrics as ev
from cryvision.evaluation.event_metrics import merged
from cryvision.inference.crying import MOST_WITHOUT_EVENT, PEAK_SECONDS
from cryvision.inference.veto import calibrated
from cryvision.inference.veto import fused as product_of
from cryvision.inputs.logmel import model_input
from cryvision.models.tagger import CONTEXT, TAGS
from cryvision.result import BOUT_GAP_SECONDS

ONSET_S, OFFSET_S = 0.25, 0.5
ENTERS = np.arange(0.2, 0.71, 0.025)
NEAR_LOGITS, LIVE_LOGITS = 1.5, 0.0
"""How much more (in logits) must be heard near an event than at it; the live score is full from
the score on that must be heard at an event. Set with a look at the false events of two folds of
division 0, among 0.5, 1, 1.5 and 2."""

CLASSES = {
    "adult speech": ("adult_speech", "talk_radio"),
    "child's speech": ("child_speech",),
    "talk over music": ("talk_over_music",),
    "music": ("music",),
    "household": ("household_noise",),
    "animals": ("animal", "cat"),
    "alarms, bells, toys": ("alarm_bell_toy",),
    "screams and coughs": ("human_vocal", "crowd", "laughter"),
    "ESC-10 without crying": ("esc10-other",),
    "spoken digits": ("digits",),
}


@dataclass(frozen=True)
class Rules:
    """What is chosen on the folds that are not judged."""

    temperature: float
    bias: float
    enter: float
    veto: VetoConfig
    window_enter: float
    fused_window_enter: float


def labels_of(clip: Scored) -> np.ndarray:
    """Whether each step is crying by its label."""
    cry = np.zeros(len(clip.edges), bool)
    for interval in clip.sound.cry:
        first, last = (round(t / STEP_S) for t in (interval.start_s, interval.end_s))
        cry[first:last] = True
    return cry


def intervals(clip: Scored) -> np.ndarray:
    return np.array([(i.start_s, i.end_s) for i in clip.sound.cry]).reshape(-1, 2)


def fused(clip: Scored, rules: Rules, edges: np.ndarray) -> np.ndarray:
    """Calibrated score of the timeline, with the veto ``normal``."""
    raw = product_of(edges, live_tag(clip, rules.veto), rules.veto, "normal")
    return calibrated(raw, rules.veto) * clip.loud


def standing(clip: Scored, events: np.ndarray, veto: VetoConfig, level: str) -> np.ndarray:
    """Tell which events, in steps, stand; bool."""
    return tag_scores.standing(events * STEP_S, clip.tag_scores, veto, level)


def event_counts(clips: Sequence[Scored], events: Sequence[np.ndarray], bouts: bool) -> np.ndarray:
    rows = []
    for clip, found in zip(clips, events, strict=True):
        true = intervals(clip)
        if bouts:
            true, found = (merged(own, BOUT_GAP_SECONDS) for own in (true, found))
        rows.append(ev.match_events(true, found, ONSET_S, OFFSET_S))
    return np.array(rows)


def calibrate(
    logits: Sequence[np.ndarray], loud: Sequence[np.ndarray], share: np.ndarray
) -> tuple[float, float]:
    """Find temperature and bias with the least log-loss of windows of 0.5 s.

    A window's score is the mean of its steps: how much of it is crying. It is held to the share of
    the window that is labelled so.
    """
    from scipy.optimize import minimize

    def loss(at: np.ndarray) -> float:
        scale, bias = np.exp(at[0]), at[1]
        means = [
            window_means(sigmoid(x / scale + bias) * on) for x, on in zip(logits, loud, strict=True)
        ]
        p = np.clip(np.concatenate(means), 1e-4, 1 - 1e-4)
        return float(-np.mean(share * np.log(p) + (1 - share) * np.log(1 - p)))

    found = minimize(loss, np.zeros(2), method="Nelder-Mead", options={"maxiter": 80})
    return float(np.exp(found.x[0])), float(found.x[1])


def choose(clips: Sequence[Scored]) -> Rules:
    """Choose everything on clips of phones."""
    phones = [c for c in clips if c.sound.source == "donateacry"]
    share = np.concatenate([window_means(labels_of(c).astype(float)) for c in phones])
    truth = share >= 0.5
    loud = [c.loud for c in phones]
    temperature, bias = calibrate([c.edges for c in phones], loud, share)
    edges = [edge_scores(c, temperature, bias) for c in phones]

    def f1(enter: float) -> float:
        found = [decode(e, enter) * STEP_S for e in edges]
        return ev.event_f1(event_counts(phones, found, False)).f1

    enter = middle_of_best(ENTERS, [f1(at) for at in ENTERS])
    veto = choose_veto(phones, [decode(e, enter) for e in edges])
    raw = [e * np.minimum(1.0, live_tag(c, veto) / veto.normal_live)
           for c, e in zip(phones, edges, strict=True)]  # fmt: skip
    scale, shift = calibrate([logit(r) for r in raw], [r > 0 for r in raw], share)
    veto = VetoConfig(**{**vars(veto), "temperature": scale, "bias": shift})
    rules = Rules(temperature, bias, enter, veto, 0.5, 0.5)
    plain = np.concatenate([window_means(e) for e in edges])
    both = np.concatenate([window_means(fused(c, rules, e))
                           for c, e in zip(phones, edges, strict=True)])  # fmt: skip
    return Rules(
        temperature, bias, enter, veto,
        best_threshold(truth, plain), best_threshold(truth, both),
    )  # fmt: skip


def choose_veto(phones: Sequence[Scored], events: Sequence[np.ndarray]) -> VetoConfig:
    """Find the strictest veto that keeps the wanted share of labelled event time."""
    base = VetoConfig()
    found, seconds = [], []
    for clip, own in zip(phones, events, strict=True):
        cry = np.concatenate([[0], np.cumsum(labels_of(clip))])
        found.append(tag_scores.evidence(own * STEP_S, clip.tag_scores, base))
        seconds.append(cry[own[:, 1]] - cry[own[:, 0]])
    largest, time_s = np.concatenate(found), np.concatenate(seconds).astype(float)

    def strictest(kept: float) -> float:
        best = -8.0
        for at in np.arange(-6.0, 4.01, 0.02):
            stands = (logit(largest[:, 0]) >= at) & (logit(largest[:, 1]) >= at + NEAR_LOGITS)
            if time_s[stands].sum() >= kept * time_s.sum():
                best = float(at)
        return best

    values: dict[str, float] = {}
    for level, kept in KEPT.items():
        at = strictest(kept)
        values[f"{level}_at"] = float(sigmoid(np.array(at)))
        values[f"{level}_near"] = float(sigmoid(np.array(at + NEAR_LOGITS)))
        values[f"{level}_live"] = float(sigmoid(np.array(at + LIVE_LOGITS)))
    return VetoConfig(**values)


def clip_score(fused_scores: np.ndarray, any_event: bool) -> float:
    """Score a clip as ``detector.probability`` does, by its highest half second."""
    n = max(1, min(int(PEAK_SECONDS / STEP_S), len(fused_scores)))
    peak = float(np.lib.stride_tricks.sliding_window_view(fused_scores, n).mean(axis=1).max())
    return peak if any_event else min(peak, MOST_WITHOUT_EVENT)


def judge_fold(clips: Sequence[Scored], rules: Rules) -> dict[str, list[Any]]:
    """Give one row for each clip of a fold, for the tables of a division."""
    rows: dict[str, list[Any]] = defaultdict(list)
    for clip in clips:
        edges = edge_scores(clip, rules.temperature, rules.bias)
        both = fused(clip, rules, edges)
        events = decode(edges, rules.enter)
        stands = standing(clip, events, rules.veto, "normal")
        strict = standing(clip, events, rules.veto, "strict")
        rows["clip"].append(clip)
        rows["edges"].append(edges)
        rows["fused"].append(both)
        rows["events"].append(events * STEP_S)
        rows["stands"].append(stands)
        rows["strict"].append(strict)
        rows["window_enter"].append(rules.window_enter)
        rows["fused_window_enter"].append(rules.fused_window_enter)
        rows["clip_score"].append(clip_score(both, bool(stands.any())))
        rows["rules"].append(rules)
    return rows


def on_phones(rows: dict[str, list[Any]]) -> dict[str, Any]:
    """Windows, events, bouts, calibration and delay on the phones of a division."""
    own = [i for i, c in enumerate(rows["clip"]) if c.sound.source == "donateacry"]
    clips = [rows["clip"][i] for i in own]
    subject = np.concatenate(
        [[c.sound.subject] * len(window_means(labels_of(c).astype(float))) for c in clips]
    )
    share = np.concatenate([window_means(labels_of(c).astype(float)) for c in clips])
    cry = (share >= 0.5).astype(int)
    figures: dict[str, Any] = {"n_windows": len(cry)}
    for name, enter in (("edges", "window_enter"), ("fused", "fused_window_enter")):
        scores = [window_means(rows[name][i]) for i in own]
        called = np.concatenate([s >= rows[enter][i] for s, i in zip(scores, own, strict=True)])
        decided, p = called.astype(int), np.concatenate(scores)
        measures = {
            "auc": lambda w, p=p: ev.auc(cry, p, w),
            "f1": lambda w, c=decided: ev.precision_recall_f1(cry, c, w).f1,
            "balanced_accuracy": lambda w, c=decided: ev.balanced_accuracy(cry, c, w),
            "log_loss": lambda w, p=p: ev.log_loss(cry, p, w),
            "ece": lambda w, p=p: ev.share_calibration_error(share, p, weights=w),
            "ece_of_majority": lambda w, p=p: ev.expected_calibration_error(cry, p, weights=w),
        }
        figures[name] = {measure: interval(subject, of) for measure, of in measures.items()}
    figures["cry_share"] = float(cry.mean())
    figures["prior_log_loss"] = ev.prior_log_loss(cry, cry)
    subjects = np.array([c.sound.subject for c in clips])
    candidates = [rows["events"][i] for i in own]
    for name, which in (("edges", None), ("fused", "stands"), ("strict", "strict")):
        found = [
            e if which is None else e[rows[which][i]] for e, i in zip(candidates, own, strict=True)
        ]
        for kind, bouts in (("events", False), ("bouts", True)):
            table = event_counts(clips, found, bouts)
            figures.setdefault(kind, {})[name] = {
                measure: interval(
                    subjects,
                    lambda w, t=table, m=measure: getattr(ev.event_f1(t, w), m),
                )
                for measure in ("f1", "precision", "recall")
            }
    for name, which in (("kept", "stands"), ("kept_strict", "strict")):
        figures[name] = kept_time(clips, candidates, [rows[which][i] for i in own])
    figures["delay_s"] = delays(rows, own)
    return figures


def interval(subjects: np.ndarray, statistic: Any) -> dict[str, float]:
    return ev.subject_bootstrap(subjects, statistic, n_draws=200)._asdict()


def kept_time(
    clips: Sequence[Scored], events: Sequence[np.ndarray], stands: Sequence[np.ndarray]
) -> float:
    """Share of the labelled crying inside events that the veto leaves."""
    before = after = 0.0
    for clip, own, keep in zip(clips, events, stands, strict=True):
        cry = np.concatenate([[0], np.cumsum(labels_of(clip))])
        steps = np.round(own / STEP_S).astype(int)
        seconds = cry[steps[:, 1]] - cry[steps[:, 0]]
        before, after = before + seconds.sum(), after + seconds[keep].sum()
    return float(after / before)


def delays(rows: dict[str, list[Any]], own: Sequence[int]) -> dict[str, dict[str, float]]:
    """Seconds from a labelled onset to the moment that the first step above threshold is known.

    Onsets after at least 0.5 s without crying, of events that are found within 2 s.
    """
    found: dict[str, list[float]] = {"edges": [], "live fused": []}
    for i in own:
        clip, rules = rows["clip"][i], rows["rules"][i]
        raw = rows["edges"][i]
        live = product_of(raw, live_tag(clip, rules.veto), rules.veto, "normal")
        true = intervals(clip)
        for number, (onset, _) in enumerate(true):
            if onset - (true[number - 1][1] if number else 0.0) < 0.5:
                continue
            for name, scores in (("edges", raw), ("live fused", live)):
                first = round(onset / STEP_S)
                ahead = np.flatnonzero(scores[first : first + 50] >= rules.enter)
                if len(ahead):
                    found[name].append((ahead[0] + 1) * STEP_S + 0.2)
    return {
        name: {
            "median": float(np.median(values)),
            "90 %": float(np.quantile(values, 0.9)),
            "n": len(values),
        }
        for name, values in found.items()
    }


def on_esc10(rows: dict[str, list[Any]]) -> dict[str, Any]:
    own = [i for i, c in enumerate(rows["clip"]) if c.sound.source.startswith("esc10")]
    cry = np.array([rows["clip"][i].sound.source == "esc10-cry" for i in own])
    score = np.array([rows["clip_score"][i] for i in own])
    called = np.array([rows["stands"][i].any() for i in own])
    subjects = np.array([rows["clip"][i].sound.subject for i in own])
    figures: dict[str, Any] = {
        "auc": interval(subjects, lambda w: ev.auc(cry, score, w)),
        "f1": interval(
            subjects, lambda w: ev.precision_recall_f1(cry.astype(int), called.astype(int), w).f1
        ),
    }
    for name, which in (("edges", None), ("fused", "stands"), ("strict", "strict")):
        any_event = np.array(
            [bool(len(rows["events"][i]) if which is None else rows[which][i].any()) for i in own]
        )
        figures[name] = {
            "crying clips with an event": float(any_event[cry].mean()),
            "other clips with an event": float(any_event[~cry].mean()),
            "f1 of clips with an event": ev.precision_recall_f1(
                cry.astype(int), any_event.astype(int)
            ).f1,
        }
    return figures


def false_events(rows: dict[str, list[Any]]) -> dict[str, Any]:
    """Events an hour, and clips with an event, by class of sound without crying."""
    figures: dict[str, Any] = {}
    for name, sources in CLASSES.items():
        own = [i for i, c in enumerate(rows["clip"]) if c.sound.source in sources]
        if not own:
            continue
        hours = sum(rows["clip"][i].seconds for i in own) / 3600
        figures[name] = {"hours": hours, "clips": len(own)}
        for kind, which in (("edges", None), ("fused", "stands"), ("strict", "strict")):
            n = [len(rows["events"][i]) if which is None else rows[which][i].sum() for i in own]
            figures[name][kind] = {
                "events_per_hour": float(sum(n) / hours),
                "clips_with_an_event": float(np.mean(np.array(n) > 0)),
            }
    return figures


def recall_under(rows: dict[str, list[Any]]) -> dict[str, Any]:
    """Share of labelled crying steps inside events, clean, under noise and quieter."""
    hits: dict[str, dict[str, list[np.ndarray]]] = {"edges": defaultdict(list),
                                                    "fused": defaultdict(list)}  # fmt: skip
    for clip, rules in zip(rows["clip"], rows["rules"], strict=True):
        if not clip.extra:
            continue
        cry = labels_of(clip)
        variants = {"clean": (clip.edges, clip.tags), **clip.extra}
        for kind, (edges, tags) in variants.items():
            gain = 0.0
            if kind.startswith("peak"):
                loudest = float(kind.split()[1])
                gain = loudest - clip.level.max() - 10.0
            level = clip.level + min(0.0, gain) if kind.startswith("peak") else clip.level
            copy = Scored(clip.sound, clip.seconds, edges, level, tags)
            scores = edge_scores(copy, rules.temperature, rules.bias)
            events = decode(scores, rules.enter)
            stands = standing(copy, events, rules.veto, "normal")
            for name, kept in (("edges", events), ("fused", events[stands])):
                inside = np.zeros(len(cry), bool)
                for a, b in kept:
                    inside[a:b] = True
                hits[name][kind].append(inside[cry])
    recall = {
        name: {kind: float(np.concatenate(v).mean()) for kind, v in kinds.items()}
        for name, kinds in hits.items()
    }
    lost = {
        name: 100 * (kinds["clean"] - kinds["household 10 dB"]) for name, kinds in recall.items()
    }
    return {"recall": recall, "points_lost_household_10_dB": lost}


def student_and_teacher(pool: Path, models: Path, numbers: Sequence[int]) -> dict[str, Any]:
    """Compare tags with the teacher's on mixtures of cells that were left out."""
    import keras

    data = Pool.read(pool)
    found: dict[str, list[float]] = defaultdict(list)
    by_tag: dict[str, list[float]] = defaultdict(list)
    for division in numbers:
        for fold in range(N_FOLDS):
            path = models / f"tagger-{division}-{fold}-{N_FOLDS}.keras"
            model = keras.saving.load_model(path, compile=False)
            rows = np.flatnonzero(kept_out(division, fold)[data.cells])[::3]
            frames = data.log_power[rows].reshape(-1, CONTEXT.window_frames, 64)
            student = np.concatenate([
                np.asarray(model(model_input(frames[i : i + 256], CONTEXT), training=False))
                for i in range(0, len(frames), 256)
            ])  # fmt: skip
            taught = data.tags[rows].reshape(-1, len(TAGS))
            for number, tag in enumerate(TAGS):
                by_tag[tag].append(float(spearmanr(student[:, number], taught[:, number])[0]))
            steps = data.labels[rows].reshape(len(frames), -1)
            hard = (steps == 1).sum(axis=1) * 0.04 >= 0.24
            known = ((steps != 255).all(axis=1)) & (hard | ~(steps == 1).any(axis=1))
            for name, scores in (("student", student), ("teacher", taught)):
                found[name].append(ev.auc(hard[known], scores[known, 0]))
    auc = {name: float(np.mean(values)) for name, values in found.items()}
    return {
        "auc_of_hard_labels": {**auc, "ratio": auc["student"] / auc["teacher"]},
        "rank_correlation": {tag: float(np.mean(values)) for tag, values in by_tag.items()},
    }


def ceiling(clips: Sequence[Scored]) -> dict[str, float]:
    """Event F1 of perfect scores of steps through the same rules."""
    found = [decode(labels_of(c).astype(float), 0.5) * STEP_S for c in clips]
    return {
        "events": ev.event_f1(event_counts(clips, found, False)).f1,
        "bouts": ev.event_f1(event_counts(clips, found, True)).f1,
    }


def without_corpora(scores: Path, rules: Rules) -> dict[str, Any]:
    """Judge each corpus by networks that never met it, with the rules that ship."""
    figures: dict[str, Any] = {}
    for corpus in ("donateacry", "esc10", "other-sounds"):
        if not (scores / f"without-{corpus}.pickle").exists():
            say(f"nothing was scored without {corpus}")
            continue
        clips = pickle.loads((scores / f"without-{corpus}.pickle").read_bytes())
        rows = judge_fold(clips, rules)
        if corpus == "donateacry":
            figures[corpus] = on_phones(rows)
        elif corpus == "esc10":
            figures[corpus] = on_esc10(rows)
        else:
            figures[corpus] = false_events(rows)
    return figures


def mean(values: Sequence[Any]) -> Any:
    """Mean of figures of the same shape."""
    if isinstance(values[0], dict):
        return {key: mean([v[key] for v in values]) for key in values[0]}
    return float(np.mean(values))


def main() -> None:
    started = time.time()
    scores, pool, models = map(Path, sys.argv[1:4])
    given = sys.argv[4:]
    numbers = [int(number) for number in given] or [0]
    divisions, chosen = [], []
    robustness: dict[str, Any] = {}
    top: dict[str, float] = {}
    for division in numbers:
        folds = [
            pickle.loads((scores / f"{division}-{fold}.pickle").read_bytes())
            for fold in range(N_FOLDS)
        ]
        rows: dict[str, list[Any]] = defaultdict(list)
        for fold, clips in enumerate(folds):
            rules = choose([c for other in folds if other is not clips for c in other])
            say(f"division {division}, fold {fold}: {rules}")
            for name, values in judge_fold(clips, rules).items():
                rows[name] += values
        divisions.append(
            {"phones": on_phones(rows), "esc10": on_esc10(rows), "false_events": false_events(rows)}
        )
        chosen.append(choose([c for clips in folds for c in clips]))
        if division == 0:
            robustness = recall_under(rows)
            top = ceiling([c for c in rows["clip"] if c.sound.source == "donateacry"])
    shipped = average(chosen)
    write_result(
        f"detector_division_{'_'.join(given)}" if given else "detector",
        numbers,
        {
            "protocol": f"{N_FOLDS} folds by phone, speaker or recording, "
            f"{len(numbers)} division{'s' if len(numbers) > 1 else ''}; "
            "calibration, thresholds and veto of a fold from the scores of the other folds; the "
            "margin and the kept share of the veto, the weight of loudness, the width of the "
            "edges and the ratio of the two thresholds were set with a look at these folds",
            "mean": mean(divisions),
            "divisions": divisions,
            "ceiling_of_the_rule": top,
            "robustness": robustness,
            "tagger": student_and_teacher(pool, models, numbers),
            "corpora_left_out": without_corpora(scores, shipped),
            "shipped": {**vars(shipped), "veto": vars(shipped.veto)},
            "noise_db": list(NOISY_DB),
            "peaks_dbfs": list(QUIET_DB),
            "minutes": (time.time() - started) / 60,
        },
    )


def average(rules: Sequence[Rules]) -> Rules:
    """What ships: the mean of what the divisions choose; thresholds of the tagger as logits."""
    numbers = {
        name: float(np.mean([getattr(r, name) for r in rules]))
        for name in Rules.__annotations__
        if name != "veto"
    }
    values = {}
    for name in vars(rules[0].veto):
        own = np.array([getattr(r.veto, name) for r in rules])
        mark = name.endswith(("_at", "_near", "_live"))
        values[name] = float(sigmoid(logit(own).mean())) if mark else float(own.mean())
    return Rules(veto=VetoConfig(**values), **numbers)


if __name__ == "__main__":
    main()
