"""The audit of a corpus: what is wrong in it, and what makes a model look better than it is."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cryvision import __version__
from cryvision.argument_types import typed
from cryvision.auditing import clip_findings, confounds, label_findings
from cryvision.auditing.findings import SEVERITIES, Finding
from cryvision.datasets.clip_stats import ClipFacts, read_facts
from cryvision.datasets.labelled import Dataset, find_labelled_clips
from cryvision.datasets.near_duplicates import CopyPair, copies_of
from cryvision.errors import ConfigError, MediaError
from cryvision.layers import require
from cryvision.outputs.tables import plain
from cryvision.outputs.wording import counted

log = logging.getLogger(__name__)

PROGRESS_EVERY = 200

FACTS = ("device", "age", "gender", "sample rate", "codec", "channels")
"""What clips are counted by, beside label and subject; see `confounds.header_facts`."""

_DURATION_BINS = 30
_LEVEL_EDGES_DBFS = tuple(range(-120, 1, 4))


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes
    ----------
    source : str
        As it was given.
    findings : tuple of Finding
        What matters most first.
    counts : mapping
        ``clips``, ``subjects``, ``subjects_known_from``, ``seconds``, ``unreadable`` and
        ``left_out``; by label in ``labels`` its ``clips``, ``subjects`` and ``seconds``; and in
        ``facts``, by name and value, the clips of each label.
    sound : mapping
        Histograms, ``edges`` and ``clips``, of ``duration_s`` and ``level_dbfs``.
    copies : tuple of CopyPair
        Sounds that are there more than once.
    label_changes, label_without_sound, device_from_sound, subject_from_sound : mapping
        See the functions of these names in `cryvision.auditing.confounds`.
    problems : tuple of str
        Messages of the reader of the source: files left out, odd names.
    """

    source: str
    findings: tuple[Finding, ...]
    counts: Mapping[str, Any]
    sound: Mapping[str, Any]
    copies: tuple[CopyPair, ...]
    label_changes: Mapping[str, Any]
    label_without_sound: Mapping[str, Any]
    device_from_sound: Mapping[str, Any]
    subject_from_sound: Mapping[str, Any]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain JSON data; what is not finite is None."""
        return dict(plain({"cryvision": __version__, **asdict(self)}))


@typed
def audit(
    source: str | os.PathLike[str], *, subject_pattern: str | None = None, seed: int = 0
) -> Audit:
    """Look for what is wrong in a labelled corpus before anything is learned from it.

    Every clip is read once. Nothing is changed, and nothing leaves the machine.

    Parameters
    ----------
    source : path
        A folder per class, a manifest or donateacry-corpus; see
        `cryvision.datasets.labelled.find_labelled_clips`.
    subject_pattern : str, optional
        Regular expression whose first group, on a clip's path below the source, is its subject.
    seed : int
        Of the folds with which is measured what gives the label or the device away.

    Raises
    ------
    AnnotationError
        If the source holds no labelled clips, or its manifest cannot be understood.
    ConfigError
        If the pattern is no regular expression with a group, or the seed is out of range.
    MediaError
        If no clip could be read.
    MissingDependencyError
        When there is no ffmpeg.
    """
    require("evaluate", "an audit")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"the seed must be from 0 to 2**32 - 1; got {seed}")
    data = find_labelled_clips(source, subject_pattern)
    log.info("%s to read, %d left out", counted(len(data.clips), "clip"), len(data.left_out))
    return audit_facts(source, data, read_facts(data.clips, _progress), seed)


def _progress(done: int, total: int) -> None:
    if done % PROGRESS_EVERY == 0:
        log.info("%d of %d clips read", done, total)


def audit_facts(
    source: str | os.PathLike[str], data: Dataset, facts: Sequence[ClipFacts], seed: int = 0
) -> Audit:
    """Audit clips that were read already; the facts are of all clips of the data, in order.

    That none of them could be read is a MediaError.
    """
    readable = [one for one in facts if one.problem is None]
    if not readable:
        raise MediaError(
            f"{os.fspath(source)}: nothing could be audited, none of {len(facts)} clips can be "
            f"read; the first: {facts[0].problem}"
        )
    log.info("looking for copies")
    copies = copies_of(readable)
    log.info("measuring the label without the sound, and the device with it")
    counts = _counts(data, facts, readable)
    # What was made from another clip would be its nearest neighbour.
    made = {pair.second for pair in copies}
    originals = [one for one in readable if one.name not in made]
    measured = {
        "label_changes": confounds.label_changes(facts),
        "label_without_sound": confounds.label_without_sound(readable, seed),
        "device_from_sound": confounds.device_from_sound(readable, seed),
        "subject_from_sound": confounds.subject_from_sound(originals),
    }
    return Audit(
        source=os.fspath(source),
        findings=_findings(data, facts, copies, counts, measured),
        counts=counts,
        sound=_sound(readable),
        copies=tuple(copies),
        problems=data.problems,
        **measured,
    )


def _findings(
    data: Dataset,
    facts: Sequence[ClipFacts],
    copies: Sequence[CopyPair],
    counts: Mapping[str, Any],
    measured: Mapping[str, Mapping[str, Any]],
) -> tuple[Finding, ...]:
    findings = [
        *clip_findings.about_files(data, facts),
        *clip_findings.about_copies(facts, copies),
        *clip_findings.about_names(data),
        *label_findings.about_labels(counts, measured["label_changes"]),
        *label_findings.about_subjects(data, measured["subject_from_sound"]),
        *label_findings.about_shortcuts(
            measured["label_without_sound"], measured["device_from_sound"]
        ),
    ]
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def _counts(
    data: Dataset, facts: Sequence[ClipFacts], readable: Sequence[ClipFacts]
) -> dict[str, Any]:
    seconds: defaultdict[str, float] = defaultdict(float)
    for one in readable:
        seconds[one.clip.label] += one.duration_s
    subjects = defaultdict(set)
    for clip in data.clips:
        subjects[clip.label].add(clip.subject)
    clips = Counter(clip.label for clip in data.clips)
    return {
        "clips": len(facts),
        "subjects": len({clip.subject for clip in data.clips}),
        "subjects_known_from": sorted({clip.subject_source for clip in data.clips}),
        "seconds": sum(seconds.values()),
        "unreadable": len(facts) - len(readable),
        "left_out": len(data.left_out),
        "labels": {
            label: {
                "clips": clips[label],
                "subjects": len(subjects[label]),
                "seconds": seconds[label],
            }
            for label in sorted(clips)
        },
        "facts": {name: _by_value(facts, name) for name in FACTS},
    }


def _by_value(facts: Sequence[ClipFacts], name: str) -> dict[str, dict[str, int]]:
    """Clips of each label, by the value of a fact; empty where it is known of no clip."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in facts:
        counts[confounds.header_facts(one)[name] or "not known"][one.clip.label] += 1
    if set(counts) == {"not known"}:
        return {}
    return {value: dict(sorted(counts[value].items())) for value in sorted(counts)}


def _sound(facts: Sequence[ClipFacts]) -> dict[str, Any]:
    durations = np.array([one.duration_s for one in facts])
    levels = np.array([one.level_dbfs for one in facts])
    by_duration = np.histogram(durations, _DURATION_BINS, (0.0, max(1.0, float(durations.max()))))
    by_level = np.histogram(np.minimum(levels, 0.0), _LEVEL_EDGES_DBFS)
    return {
        name: {"edges": edges.astype(float).tolist(), "clips": clips.tolist()}
        for name, (clips, edges) in (("duration_s", by_duration), ("level_dbfs", by_level))
    }
