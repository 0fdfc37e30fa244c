"""The words that ship with the trained bundles: sources and licences, notice, model card."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryvision.detector_training.tagger_head import KEPT

_TRAINED = "models were trained on it; no recording is part of this bundle"

SOURCES = [
    {
        "name": "donateacry-corpus, cleaned clips and uploads, commit 6baf5ac",
        "licence": "ODbL 1.0, contents DbCL 1.0",
        "url": "https://github.com/gveres/donateacry-corpus",
        "changes": _TRAINED,
    },
    {
        "name": "Infant-Cry-Detection-by-CRSTC, cry segments of donateacry-corpus, commit 0bc0d36",
        "licence": "MIT, as its README says",
        "url": "https://github.com/PeterIsDanning/Infant-Cry-Detection-by-CRSTC",
        "changes": "used as labels; no file is part of this bundle",
    },
    {
        "name": "ESC-10, commit 553c8f1 (K. J. Piczak, ESC: Dataset for Environmental Sound "
        "Classification, ACM Multimedia 2015)",
        "licence": "CC BY 3.0; credits for each clip in its README",
        "url": "https://github.com/karolpiczak/ESC-10",
        "changes": _TRAINED,
    },
    {
        "name": "Free Spoken Digit Dataset, five of six speakers",
        "licence": "CC BY-SA 4.0",
        "url": "https://github.com/Jakobovski/free-spoken-digit-dataset",
        "changes": _TRAINED,
    },
    {
        "name": "other sounds: speech, music, households, animals and alarms from public "
        "repositories",
        "licence": "CC0, public domain, CC BY, CC BY-SA, OGA BY, Apache-2.0, file by file",
        "url": "",
        "changes": f"{_TRAINED}; credits in NOTICE",
    },
    {
        "name": "EfficientAT mn04_as, release v0.0.1 (F. Schmid, K. Koutini, G. Widmer, Efficient "
        "large-scale audio tagging via transformer-to-CNN knowledge distillation, ICASSP 2023)",
        "licence": "MIT, (c) 2022 Florian Schmid",
        "url": "https://github.com/fschmid56/EfficientAT",
        "changes": "its scores were the soft labels of the tagger; no weight of it is part of "
        "this bundle",
    },
]

_FREE = "CC0 or public domain"

_LICENCES = (
    (r"free for commercial and non-commercial use", "free for any use, as its README says"),
    (r"cc0|cc 0|creative commons 0|public domain", _FREE),
    (r"cc[ -]by-sa", "CC BY-SA"),
    (r"cc[ -]by|creative commons attribution", "CC BY"),
    (r"oga by", "OGA BY"),
    (r"apache-2\.0", "Apache-2.0"),
)
"""How a licence is written in the table of sounds, and in the notice."""

_LICENCE_TEXTS = """CC BY: https://creativecommons.org/licenses/by/, CC BY-SA: https://creativecommons.org/licenses/by-sa/,
each followed by the version; a source that names no version has none here.
OGA BY 3.0: https://static.opengameart.org/OGA-BY-3.0.txt
Apache-2.0: https://www.apache.org/licenses/LICENSE-2.0
For training the recordings were cut, mixed, filtered, and made louder or quieter."""

_NO_NAME = re.compile(r"^\[|^Attribution \d")
"""What the table of sounds has in a few places where a name was not to be found."""


def notice(sounds_csv: Path, sources: Sequence[Mapping[str, str]] = SOURCES) -> str:
    """Write the notice, with the credits of the other sounds.

    Parameters
    ----------
    sounds_csv : Path
        One row for each sound: its ``source``, ``licence`` and ``attribution`` are used. Mixes of
        others (``derived``) and crying are no training material, and left out.
    sources : sequence of mappings
        What the models were trained with.

    Returns
    -------
    str
        Credits by source and licence; of what is in the public domain the count alone.
    """
    with open(sounds_csv, encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["derived"]]
    credits: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row["class"] != "infant_cry":
            credits[row["source"]][short_licence(row["licence"])].append(row["attribution"])
    blocks = [
        "cryvision: trained models",
        "These models were trained by the cryvision project with what is listed below. No\n"
        "recording is in this folder; the weights are numbers that were learned from them.",
        *(
            "{name}\n  {url}\n  licence: {licence}\n  {changes}".format(**source)
            for source in sources
        ),
        "Credits of the other sounds",
        *(_source_credits(source, credits[source]) for source in sorted(credits)),
        _LICENCE_TEXTS,
    ]
    return re.sub(r"\n +\n", "\n", "\n\n".join(blocks)) + "\n"


def short_licence(text: str) -> str:
    """Write a licence as the notice does, whatever the source calls it.

    Raises
    ------
    ValueError
        If it is none that is known: nothing may be trained on without knowing its licence.
    """
    for pattern, name in _LICENCES:
        # Of two licences that are offered the one that asks for credit is taken.
        if re.search(pattern, text, re.IGNORECASE) and not (name == _FREE and "/" in text):
            version = re.search(r"(?<=BY[ -])\d\.\d|(?<=SA[ -])\d\.\d", text)
            return f"{name} {version[0]}" if version and "BY" in name else name
    raise ValueError(f"a licence must be one of those that the notice knows; got {text!r}")


def _source_credits(source: str, by_licence: Mapping[str, list[str]]) -> str:
    place, _, commit = source.partition("@")
    address = f"https://github.com/{place}, commit {commit[:7]}" if commit else place
    lines = []
    for licence, attributions in sorted(by_licence.items()):
        if licence == _FREE:
            lines.append(f"  {licence}: {len(attributions)} recordings")
            continue
        names = {re.sub(r" (?:\(|@ )free ?sound.*$", "", a, flags=re.I) for a in attributions}
        named = sorted((n for n in names if not _NO_NAME.match(n)), key=str.lower)
        others = ["others named there"] if len(named) < len(names) else []
        lines.append(f"  {licence}: {'; '.join(named + others)}")
    return "\n".join([address, *lines])


_MODEL_CARD = """# The default bundle

**For:** finding when an infant cries in recordings of a room, a phone or a video: research on
crying, baby monitors under development. **Not for:** medical decisions, or leaving an infant
without supervision.

Every figure below is of subjects or recordings that neither training nor thresholds had met.
Protocol: {protocol}.

## Edges
A network of temporal convolutions on log-mel frames ({low} to {high} Hz) gives one score of
crying each 40 ms, from 2.7 s of sound of which 0.2 s lie ahead. On 0.5 s windows of
donateacry-corpus: AUC {edges_auc}, F1 {edges_f1}, calibration error {edges_ece}. Events, onset
within 0.25 s and offset within 0.5 s: F1 {edges_events}; perfect scores would reach
{ceiling_events} by the same rule. Alone it takes much for crying: {edges_music} events an hour
of music.

## Tagger
A small convolutional network hears 2 s of sound each 0.24 s and gives ten scores: cry, baby
voice, child's speech, adult speech, music, human noise, animal, household, alarm, silence. It was
taught by the scores of a public AudioSet tagger (EfficientAT mn04) on mixtures of the data in
NOTICE, and crying by the labels too. No weight of the teacher is in this bundle. On held-out
mixtures: AUC of labelled crying {student} (the teacher's: {teacher}); rank correlation with the
teacher {cry_correlation} for crying. **No tag but cry was measured against people's labels**: a
tag says what the teacher would most likely say.

## Veto
An event of the edges stands where the tagger hears crying at it (score {normal_at}, or
{strict_at} with `strict`) and, more clearly, within 5 s of it ({normal_near}; {strict_near}). The
level `normal` is the strictest that kept {normal_kept} % of the labelled event time on the phones
that it was chosen on, `strict` keeps {strict_kept} % there. On the others: {kept} and {kept_strict}
kept. Events: F1 {fused_events}, bouts {fused_bouts}. False events an hour with the veto:
{false_events}.
Clips of ESC-10 without crying that have an event: {esc10_false}. Calibration error of the fused
score: {fused_ece}.

## Known weaknesses
- Crying under noise is missed: with household noise 10 dB below the crying, {lost_fused} points
  of recall are lost with the veto, {lost_edges} without it. `--veto off` finds more, and takes
  more for crying.
- The labelled crying comes from phones near the baby (one corpus), and 40 sound effects. About
  half of these recordings is crying; where crying is rare, a score means less than it says.
- Laughter and babble have hardly any recordings of their own: what is known of them comes from the
  teacher. Cats, screams and coughs have few.
- Adult and child's speech are hard to tell apart, and both may be heard at once.
- Whose crying it is, is not told; a television cries too.

## Reasons: an experiment
Two autoencoder branches (MFCC, STFT; 50 to 3,400 Hz) and their ensemble, after Cha & Bae, for the
five classes that donateacry-corpus has. Measured by {reason_unit}, {reason_protocol}: balanced
accuracy {reason_balanced_accuracy} (chance {chance}), macro F1 {reason_macro_f1}, log-loss
{reason_log_loss} where the classes' shares alone give {prior_log_loss}, calibration error
{reason_ece}. {reason_verdict} The labels are the guesses of parents, and 84 % of the clips are
labelled hungry.

## Data
See NOTICE. Phones are known by the id of the app's installation, which is not always one baby.
"""


def model_card(detector: Mapping[str, Any], reasons: Mapping[str, Any]) -> str:
    """Write the model card of the default bundle.

    Parameters
    ----------
    detector : mapping
        What `detector.py` wrote.
    reasons : mapping
        Skill entry of the ensemble by clip: ``unit``, ``protocol``, ``figures``, ``chance``,
        ``prior``.
    """
    from cryvision.models.frame_network import EDGES

    figures, prior = reasons["figures"], reasons["prior"]["log_loss"]
    accuracy = figures["balanced_accuracy"]
    skilled = accuracy["interval"][0] > reasons["chance"] and figures["log_loss"]["value"] < prior
    verdict = 'That is no skill: the answer is "not sure" unless it is overridden.'
    return _MODEL_CARD.format(
        low=f"{EDGES.min_hz:,.0f}",
        high=f"{EDGES.max_hz:,.0f}",
        **_detector_words(detector),
        **{f"reason_{name}": f"{figure['value']:.3f}" for name, figure in figures.items()},
        reason_unit=reasons["unit"],
        reason_protocol=reasons["protocol"],
        reason_verdict="" if skilled else verdict,
        chance=f"{reasons['chance']:.3f}",
        prior_log_loss=f"{prior:.3f}",
    )


def _detector_words(detector: Mapping[str, Any]) -> dict[str, str]:
    """Give the figures of the detector as the model card shows them."""
    mean, veto, tagger = detector["mean"], detector["shipped"]["veto"], detector["tagger"]
    phones, false = mean["phones"], mean["false_events"]
    auc, lost = tagger["auc_of_hard_labels"], detector["robustness"]["points_lost_household_10_dB"]

    def three(value: float) -> str:
        return f"{value:.3f}"

    def share(value: float) -> str:
        return f"{100 * value:.1f} %"

    return {
        "protocol": detector["protocol"],
        "edges_auc": three(phones["edges"]["auc"]["value"]),
        "edges_f1": three(phones["edges"]["f1"]["value"]),
        "edges_ece": three(phones["edges"]["ece"]["value"]),
        "fused_ece": three(phones["fused"]["ece"]["value"]),
        "edges_events": three(phones["events"]["edges"]["f1"]["value"]),
        "fused_events": three(phones["events"]["fused"]["f1"]["value"]),
        "fused_bouts": three(phones["bouts"]["fused"]["f1"]["value"]),
        "ceiling_events": three(detector["ceiling_of_the_rule"]["events"]),
        "edges_music": f"{false['music']['edges']['events_per_hour']:.0f}",
        "false_events": "; ".join(
            f"{name} {figures['fused']['events_per_hour']:.1f}" for name, figures in false.items()
        ),
        "esc10_false": share(mean["esc10"]["fused"]["other clips with an event"]),
        "normal_kept": f"{100 * KEPT['normal']:.1f}",
        "strict_kept": f"{100 * KEPT['strict']:.0f}",
        "kept": share(phones["kept"]),
        "kept_strict": share(phones["kept_strict"]),
        "student": three(auc["student"]),
        "teacher": three(auc["teacher"]),
        "cry_correlation": three(tagger["rank_correlation"]["cry"]),
        "lost_edges": f"{lost['edges']:.1f}",
        "lost_fused": f"{lost['fused']:.1f}",
        **{name: f"{value:.2f}" for name, value in veto.items()},
    }
