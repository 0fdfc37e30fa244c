"""What an export did, what it proved, and what it did not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryvision.export.graph import CRY, CRY_EDGES, TAGS
from cryvision.export.proof import CONTROL_CHANGE, CRY_AT, CRY_NEAR, WARN_AGREEMENT, Proof

MANY_LABELS = 3
"""Agreement of labels is telling where the reference gives at least so many (or all there are)."""


@dataclass(frozen=True)
class ExportReport:
    """One exported file.

    Attributes
    ----------
    path, sidecar : Path
        The file and the JSON beside it.
    kind : str
        ``coreml``, ``onnx`` or ``litert``.
    precision : str
    part : str
    n_bytes : int
    proofs : tuple of Proof
        One for each runtime that ran the file.
    proven, not_proven, warnings : tuple of str
        Sentences.
    """

    path: Path
    sidecar: Path
    kind: str
    precision: str
    part: str
    n_bytes: int
    proofs: tuple[Proof, ...]
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    warnings: tuple[str, ...]

    def parity(self) -> dict[str, Any]:
        """Give the measured agreement as plain JSON data."""
        return {
            "checks": [asdict(proof) for proof in self.proofs],
            "proven": list(self.proven),
            "not_proven": list(self.not_proven),
        }

    def lines(self) -> list[str]:
        """Say it all in lines of text."""
        head = f"{self.path}: {self.kind}, {self.precision}, {self.n_bytes / 1e6:.2f} MB"
        lines = [head, f"{self.sidecar}: settings of a stream"]
        for proof in self.proofs:
            lines += _proof_lines(proof)
        lines += [f"proven: {sentence}" for sentence in self.proven]
        lines += [f"not proven: {sentence}" for sentence in self.not_proven]
        return lines + [f"warning: {sentence}" for sentence in self.warnings]


def proven(kind: str, proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    """What the checks that passed show."""
    sentences = []
    for proof in proofs:
        subject = f"the file, run by {proof.runtime},"
        if kind == "coreml":
            subject = (
                "Core ML on this Mac" if proof.by_coreml else "the saved program, interpreted,"
            )
        if proof.tolerance is None:
            share = min(proof.agreement.values())
            sentences.append(f"{subject} agrees with the Keras models on {share:.1%} of labels")
        else:
            sentences.append(f"{subject} agrees with the Keras models within {proof.tolerance:g}")
    return tuple(sentences)


def not_proven(kind: str, proofs: tuple[Proof, ...]) -> tuple[str, ...]:
    """What the checks cannot show."""
    sentences = []
    if kind == "coreml" and not any(proof.by_coreml for proof in proofs):
        sentences.append(
            "what Core ML's own kernels and the neural engine make of the program: Core ML runs on "
            "a Mac only, and this is none"
        )
    elif kind == "coreml":
        sentences.append("other devices than this Mac")
    else:
        sentences.append("other runtimes, and other hardware than this machine's processor")
    if not proofs[0].n_real:
        sentences.append("anything on real recordings: none were given to compare on")
    return tuple(sentences)


def warn(proof: Proof, n_labels: Mapping[str, int]) -> tuple[str, ...]:
    """Return warnings about the numbers.

    Given is how many labels each decision has, where that is not two: crying or not.
    """
    sentences = []
    for name, share in proof.agreement.items():
        if proof.tolerance is None and share < WARN_AGREEMENT:
            sentences.append(f"{decision(name)}: labels agree to only {share:.1%} in 8 bits")
        n = n_labels.get(name, 2)
        if proof.labels_predicted[name] < min(MANY_LABELS, n):
            what = "tags" if name == TAGS else "labels"
            sentences.append(
                f"{decision(name)}: the reference gives {proof.labels_predicted[name]} of "
                f"{n} {what} on these windows, so that agreement of {what} says little"
            )
    return tuple(sentences)


def decision(name: str) -> str:
    """Say what is decided, in words."""
    return {
        CRY: "detector",
        CRY_EDGES: "edges",
        TAGS: "tagger",
        CRY_AT: "crying at an event",
        CRY_NEAR: "crying near an event",
    }.get(name, "reason")


def _proof_lines(proof: Proof) -> list[str]:
    lines = [f"{proof.runtime}, {proof.n_real} real and {proof.n_synthetic} synthetic windows:"]
    for title, differences, allowed in proof.comparisons():
        limit = "" if allowed is None else f" (allowed {allowed:g})"
        values = ", ".join(f"{name} {value:.2g}" for name, value in differences.items())
        lines.append(f"  largest difference from the {title}{limit}: {values}")
    for name, share in proof.agreement.items():
        counted = "tags detected" if name == TAGS else "labels predicted"
        counted = f"{proof.labels_predicted[name]} {counted}"
        lines.append(f"  agreement of labels, {decision(name)}: {share:.1%} ({counted})")
    if proof.control:
        values = ", ".join(f"{name} {value:.2g}" for name, value in proof.control.items())
        lines.append(f"  control, weights x {CONTROL_CHANGE}: would fail, by logits: {values}")
    return lines
