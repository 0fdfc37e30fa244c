"""What is wrong with the labels of a corpus, its subjects, and what goes with them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryvision.auditing.findings import ERROR, INFO, WARNING, Finding, interval, present
from cryvision.datasets.labelled import Dataset, LabelledClip

FEW_SUBJECTS = 10
"""A label that fewer subjects have cannot be measured: a fold would hold one or two of them."""

HEARD_AUC = 0.6
"""AUC of the device from which on the sound predicts it, if its interval is above 0.5."""


def about_labels(
    counts: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    labels = counts["labels"]
    common = max(labels, key=lambda name: labels[name]["clips"])
    share = labels[common]["clips"] / counts["clips"]
    few = [name for name in labels if labels[name]["subjects"] < FEW_SUBJECTS]
    minute = changes["within a minute"]
    hasty = [
        f"{change['first']} ({change['labels'][0]}), {change['gap_s']:.0f} s later "
        f"{change['second']} ({change['labels'][1]})"
        for change in minute["changed"]
    ]
    later = len(changes["1 to 5 minutes"]["changed"])
    return present(
        Finding(
            "label_changes", WARNING, len(hasty),
            f"The label changes within a minute of one subject: {len(hasty)} times of "
            f"{minute['pairs']} (and {later} more within five)",
            "Such labels are likely to be guesses, and no model is better than its test labels "
            "by. Have a part labelled twice to learn how far the labels can be trusted.",
            tuple(hasty),
        ),
        Finding(
            "few_subjects", WARNING, len(few),
            f"Labels of fewer than {FEW_SUBJECTS} subjects: {len(few)} of {len(labels)}: "
            + ", ".join(
                f"{name} ({labels[name]['clips']} clips of {labels[name]['subjects']})"
                for name in few
            ),
            "Nothing can be claimed of these labels. Collect more subjects, or leave them out.",
            tuple(few),
        ),
        Finding(
            "majority", WARNING if share > 0.6 else INFO, labels[common]["clips"],
            f"{share:.1%} of the clips are {common}: always predicting it is right as often",
            "Never compare by accuracy. Use balanced accuracy or macro F1, beside chance "
            f"({1 / len(labels):.2f} for {len(labels)} labels).",
        ),
    )  # fmt: skip


def about_subjects(data: Dataset, nearest: Mapping[str, Any]) -> list[Finding]:
    guessed = len({clip.subject for clip in data.clips if clip.subject_source == "file"})
    several = _several(data.clips, lambda clip: clip.label)
    n_clips = sum(clip.subject in several for clip in data.clips)
    n_subjects = len({clip.subject for clip in data.clips})
    gender = _several(data.clips, lambda clip: clip.columns.get("gender", ""))
    age = _several(data.clips, lambda clip: clip.columns.get("age", ""))
    mixed = {**age, **gender}
    predictable = nearest["share"] is not None and nearest["share"] > 2 * nearest["chance"]
    return present(
        Finding(
            "subjects_unknown", ERROR, guessed,
            f"Files whose subject is not known, each of which counts as one: {guessed}",
            "Give subjects: a manifest with the column subject, or --subject-pattern. Without them "
            "nothing that is measured here or elsewhere holds for new babies.",
        ),
        Finding(
            "subject_from_sound", WARNING, nearest["n"] if predictable else 0,
            f"For {nearest['share'] or 0:.0%} of the clips the one most alike is of the same "
            f"subject (by chance {nearest['chance'] or 0:.1%}): the sound gives away who it is",
            "Never split at random: a model would learn the subject, and so the label. Keep "
            "subjects apart.",
        ),
        Finding(
            "several_labels", WARNING, len(several),
            f"Subjects with more than one label: {len(several)} of {n_subjects} ({n_clips} clips)",
            "That is as it should be, but look at them: only in these can a model be tested on "
            "the reason and not on the subject.",
            tuple(f"{subject}: {', '.join(several[subject])}" for subject in sorted(several)),
        ),
        Finding(
            "subject_is_not_one_baby", INFO, len(mixed),
            f"Subjects that change their gender: {len(gender)}; their age group: {len(age)}",
            "Subjects are devices or families, not babies. Keep them apart all the same, and "
            "report no number of babies.",
            tuple(
                f"{subject}: {', '.join([*gender.get(subject, []), *age.get(subject, [])])}"
                for subject in sorted(mixed)
            ),
        ),
    )  # fmt: skip


def about_shortcuts(label: Mapping[str, Any], device: Mapping[str, Any]) -> list[Finding]:
    facts = label["facts"]
    telling = [name for name, figures in facts.items() if figures["tells"]]
    best = max(telling, key=lambda name: facts[name]["balanced_accuracy"][0], default=None)
    figure_text = ""
    if best is not None:
        figures = facts[best]
        figure_text = (
            f": {best} alone gives accuracy {figures['accuracy'][0]:.1%} (majority "
            f"{label['majority']:.1%}) and balanced accuracy {figures['balanced_accuracy'][0]:.1%} "
            f"(chance {label['chance']:.1%})"
        )
    predictable = {
        name: figures["auc"]
        for name, figures in device["devices"].items()
        if figures["auc"][1] > 0.5 and figures["auc"][0] > HEARD_AUC
    }
    top = max(predictable.values(), key=lambda estimate: estimate[0], default=None)
    return present(
        Finding(
            "label_without_sound", ERROR, len(telling),
            f"The label is predictable without the sound{figure_text}",
            "Bring all clips to one sample rate, codec and length before anything is learned, and "
            "see to it that each label comes from each kind of device. Report this figure beside "
            "any result.",
            tuple(
                f"{name}: balanced accuracy {interval(facts[name]['balanced_accuracy'])}, "
                f"accuracy {interval(facts[name]['accuracy'])}"
                for name in telling
            ),
        ),
        Finding(
            "device_from_sound", WARNING, len(predictable),
            f"The sound predicts the {device['of']}: AUC {'' if top is None else interval(top)} on "
            "held-out subjects",
            f"Compare labels within one {device['of']}, or balance them over it. Where labels and "
            f"{device['of']} go together, a model may learn the one from the other.",
            tuple(f"{name}: AUC {interval(estimate)}" for name, estimate in predictable.items()),
        ),
    )  # fmt: skip


def _several(
    clips: Iterable[LabelledClip], of: Callable[[LabelledClip], str]
) -> dict[str, list[str]]:
    """Subjects with more than one value of something, and the values."""
    values: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        if of(clip):
            values[clip.subject][of(clip)] += 1
    return {
        subject: [f"{value} ({n})" for value, n in counted.most_common()]
        for subject, counted in values.items()
        if len(counted) > 1
    }
