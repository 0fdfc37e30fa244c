"""The proof that an exported file gives what the bundle gives, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cryvision.config import SoundConfig
from cryvision.errors import CryvisionError
from cryvision.export.frame_span import package_frames
from cryvision.export.graph import (
    CRY,
    CRY_EDGES,
    LEVEL,
    PROBABILITIES,
    SILENT_FRAMES,
    TAGS,
    TAGS_LEVEL,
    WAVEFORM,
    Graph,
    logits_name,
)
from cryvision.export.parity import check_outputs, scaled_differences
from cryvision.inference.tags import HEARD
from cryvision.inputs import audio, logmel

Outputs = Mapping[str, np.ndarray]

TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2}
"""Largest difference from the Keras graph: float32 in another order; the 11 bits of float16. Of
values larger than one, in proportion to them."""

LOGIT_TOLERANCE = 4.0
"""Logits may differ by so many times more: a sigmoid is nowhere steeper than a quarter."""

INTERPRETED_TOLERANCE = 1e-3
"""The same in float32 for a Core ML program."""

PACKAGE_TOLERANCE = 1e-3
"""Largest difference in float32 from the package's own features, which it computes in float64."""

NEAR_TIE = 0.02
"""Two labels closer than this, or a score and its threshold, may change places when weights are
rounded."""

CONTROL_CHANGE = 1.02
"""The control multiplies all weights by this: a check that would pass it proves nothing."""

CONTROL_SHARE = 0.5
"""A part's logits may be at most so much as far from the original as those of the control are."""

WARN_AGREEMENT, LEAST_AGREEMENT = 0.97, 0.90
"""Agreement of labels below which 8 bits are warned of, and refused."""

CRY_AT, CRY_NEAR = "cry_at", "cry_near"
"""Names of the decisions whether the tagger hears as much crying as the veto asks for."""

COREML = "Core ML"
"""Names Core ML itself among the runtimes."""

BATCH = 16


@dataclass(frozen=True)
class References:
    """What the file is compared with, on the same windows; outputs have shape (n, k).

    ``graph`` are those of the Keras models behind the front end in float32, ``package`` those of
    the Keras models on the package's own features, and ``wrong`` is the control: as ``package``,
    with all weights a little wrong. The first ``n_real`` windows were cut from recordings; the
    others are synthetic.
    """

    n_real: int
    graph: dict[str, np.ndarray]
    package: dict[str, np.ndarray]
    wrong: dict[str, np.ndarray]


@dataclass(frozen=True)
class Proof:
    """What was measured of a file, read back from the disk and run by ``runtime``.

    The tolerances are the largest differences allowed; of logits ``LOGIT_TOLERANCE`` times as much,
    but at most ``CONTROL_SHARE`` of the control's. They are None in 8 bits, where labels alone are
    compared. The largest differences of each output are those from the Keras models behind the
    front end, and on the package's features. ``agreement`` is that of labels, on the real windows
    where there are any: of ``probabilities`` the share of windows with the same one; of the others
    Dice's coefficient, in which near-ties count as equal. These are windows with crying (``cry``),
    steps with crying (``cry_edges``), tags that are heard (``tags``), and windows in which the
    tagger hears as much crying as the veto asks for (``cry_at``, ``cry_near``).
    ``labels_predicted`` counts the labels that the reference gives on these windows, or the tags it
    detects. ``control`` tells by how much the logits of each part differ in the control: at least
    twice what is allowed, so that a file with those weights would not have passed.
    """

    runtime: str
    n_real: int
    n_synthetic: int
    tolerance: float | None
    package_tolerance: float | None
    max_difference: dict[str, float]
    max_difference_from_package: dict[str, float]
    agreement: dict[str, float]
    labels_predicted: dict[str, int]
    control: dict[str, float]

    @property
    def by_coreml(self) -> bool:
        """Whether Core ML itself ran the file, and not an interpreter of ours."""
        return self.runtime == COREML

    def comparisons(self) -> tuple[tuple[str, dict[str, float], float | None], ...]:
        """Give what the file was compared with, the differences, and the largest allowed."""
        return (
            ("Keras models", self.max_difference, self.tolerance),
            ("package's own features", self.max_difference_from_package, self.package_tolerance),
        )


@dataclass(frozen=True)
class Cases:
    """What to compare on; the first ``n_real`` were cut from recordings, the others are synthetic.

    ``spans`` are sound, float32, shape (n, graph.span_samples); ``others`` inputs of the network
    that are not computed from sound, shape (n, ...), always synthetic, and ``silent_frames``, shape
    (n, 2), where there are log-mel frames.
    """

    n_real: int
    spans: np.ndarray
    others: dict[str, np.ndarray]

    def network_inputs(self, graph: Graph) -> dict[str, np.ndarray]:
        """Compute what the network takes, with the package's own features; float32."""
        inputs = {name: values for name, values in self.others.items() if name != SILENT_FRAMES}
        for name, config in graph.sounds.items():
            inputs[name] = np.stack(
                [audio.sound_feature(span, config) for span in self._newest(config.span_samples)]
            )
        if graph.frames is not None:
            log_power = self._frames(graph).log_power
            for name, settings in graph.logmels.items():
                taken = log_power[:, graph.frames.frames_of(settings)]
                inputs[name] = logmel.model_input(taken, settings)
        return inputs

    def levels(self, graph: Graph) -> dict[str, np.ndarray]:
        """Compute the levels that the file gives, with the package's own arithmetic."""
        if graph.frames is not None:
            frames, mean_square = graph.frames, self._frames(graph).mean_square
            by_step = (-1, frames.n_steps, frames.edges.hop_frames)
            steps = mean_square[:, frames.step_frames].reshape(by_step)
            levels = {LEVEL: audio.mean_square_dbfs(steps.mean(axis=2))}
            if frames.tagger is not None:
                of_tagger = mean_square[:, frames.frames_of(frames.tagger)]
                levels[TAGS_LEVEL] = audio.mean_square_dbfs(of_tagger.mean(axis=1, keepdims=True))
            return levels
        if graph.detector is not None and graph.detector.sound is not None:
            return {LEVEL: _levels(graph.detector.sound, self.spans)}
        return {}

    def file_inputs(self, graph: Graph) -> dict[str, np.ndarray]:
        """Give what the file takes."""
        if not graph.takes_waveform:
            return self.network_inputs(graph)
        return {WAVEFORM: self.spans, **self.others}

    def _newest(self, n_samples: int) -> np.ndarray:
        return self.spans[:, self.spans.shape[1] - n_samples :]

    def _frames(self, graph: Graph) -> logmel.Frames:
        if graph.frames is None:
            raise CryvisionError("only frame networks and taggers take log-mel frames")
        newest = self._newest(graph.frames.n_samples)
        return package_frames(newest, self.others[SILENT_FRAMES], graph.frames)


def references(graph: Graph, whole: Any, cases: Cases) -> References:
    """Run the Keras models; ``whole`` goes from what the file takes to what it gives."""
    inputs = cases.network_inputs(graph)
    package = _run(graph.network, inputs)
    weights = graph.network.get_weights()
    try:
        graph.network.set_weights([value * np.float32(CONTROL_CHANGE) for value in weights])
        wrong = _run(graph.network, inputs)
    finally:
        graph.network.set_weights(weights)
    if whole is graph.network:
        return References(cases.n_real, package, package, wrong)
    package.update(cases.levels(graph))
    return References(cases.n_real, _run(whole, cases.file_inputs(graph)), package, wrong)


def prove(
    graph: Graph,
    expected: References,
    outputs: Outputs,
    *,
    precision: str,
    tolerance: float,
    thresholds: Mapping[str, float],
    runtime: str,
    where: str,
) -> Proof:
    """Compare what a file gave on the windows of the references with these.

    ``tolerance`` is the largest difference allowed from the Keras graph; it is not used for
    ``int8``, whose measure is the agreement. From the ``thresholds`` of ``cry`` and ``cry_edges``
    on, a window or a step counts as crying, and from those of ``cry_at`` and ``cry_near`` on, which
    may be absent, the tagger's score of it. ``runtime`` ran the file, and ``where`` is its path.

    Raises
    ------
    CryvisionError
        If outputs are missing, of another shape or not finite; and but for ``int8`` if they differ
        by more, a label differs that is no near-tie, or the control passes.
    """
    check_outputs(expected.graph, outputs, where)
    differences = scaled_differences(expected.graph, outputs)
    from_package = scaled_differences(expected.package, outputs)
    control = _control_differences(graph, expected)
    labels = _decisions(graph, expected.graph, outputs, thresholds)
    measured = Proof(
        runtime=runtime,
        n_real=expected.n_real,
        n_synthetic=len(next(iter(outputs.values()))) - expected.n_real,
        tolerance=tolerance,
        package_tolerance=max(tolerance, PACKAGE_TOLERANCE),
        max_difference=differences,
        max_difference_from_package=from_package,
        agreement={name: compared.agreement(expected.n_real) for name, compared in labels.items()},
        labels_predicted={
            name: compared.n_expected(expected.n_real) for name, compared in labels.items()
        },
        control=control,
    )
    if precision == "int8":
        return replace(measured, tolerance=None, package_tolerance=None, control={})
    _refuse_differences(graph, measured, where)
    for name, compared in labels.items():
        compared.refuse_changes(f"{where}: {name}")
    return measured


def _control_differences(graph: Graph, expected: References) -> dict[str, float]:
    """By how much the logits of each part differ in the control."""
    logits = {part.name: logits_name(part) for part in graph.parts}
    right = {name: expected.package[name] for name in logits.values()}
    differences = scaled_differences(right, expected.wrong)
    return {part: differences[name] for part, name in logits.items()}


@dataclass(frozen=True)
class _Labels:
    """Labels of the reference and of the file, and how clear the reference is; (n, ...)."""

    expected: np.ndarray
    predicted: np.ndarray
    margin: np.ndarray
    tags: bool = False

    @classmethod
    def above(
        cls, expected: np.ndarray, predicted: np.ndarray, threshold: float, tags: bool = False
    ) -> _Labels:
        """Take scores that reach a threshold, or do not."""
        margin = np.abs(expected - threshold)
        return cls(expected >= threshold, predicted >= threshold, margin, tags)

    @classmethod
    def best(cls, expected: np.ndarray, predicted: np.ndarray) -> _Labels:
        """Take the label of the largest probability."""
        ordered = np.sort(expected, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
        return cls(expected.argmax(axis=1), predicted.argmax(axis=1), margin)

    def agreement(self, n_real: int) -> float:
        """Return the share of equal labels; of what is true or not, Dice's coefficient.

        What is seldom true would vanish in a share. Where nothing is, the coefficient is 1.
        Near-ties count in it as the reference has them: few others may be true beside them.
        """
        expected, predicted = self.expected[: n_real or None], self.predicted[: n_real or None]
        if expected.dtype != bool:
            return float(np.mean(expected == predicted))
        predicted = np.where(self.margin[: n_real or None] < NEAR_TIE, expected, predicted)
        n_each = np.count_nonzero(expected) + np.count_nonzero(predicted)
        n_both = np.count_nonzero(expected & predicted)
        return float(2 * n_both / n_each) if n_each else 1.0

    def n_expected(self, n_real: int) -> int:
        """Count the labels that the reference gives, or the tags that it detects."""
        expected = self.expected[: n_real or None]
        if self.tags:
            return int(expected.any(axis=0).sum())
        return int(np.unique(expected).size)

    def refuse_changes(self, where: str) -> None:
        changed = (self.expected != self.predicted) & (self.margin >= NEAR_TIE)
        if changed.any():
            raise CryvisionError(
                f"{where}: labels must be the same but for near-ties (margin {NEAR_TIE:g}); "
                f"{np.count_nonzero(changed)} of {changed.size} differ"
            )


def _decisions(
    graph: Graph, expected: Outputs, outputs: Outputs, thresholds: Mapping[str, float]
) -> dict[str, _Labels]:
    """Find what is decided from the outputs; whether something is crying is a bool array."""
    found = {
        name: _Labels.above(expected[name], outputs[name], thresholds[name])
        for name in (CRY, CRY_EDGES)
        if name in graph.output_names
    }
    if TAGS in graph.output_names:
        found[TAGS] = _Labels.above(expected[TAGS], outputs[TAGS], HEARD, tags=True)
        for name in (CRY_AT, CRY_NEAR):
            if name in thresholds:
                crying = expected[TAGS][:, :1], outputs[TAGS][:, :1]
                found[name] = _Labels.above(*crying, thresholds[name])
    if PROBABILITIES in graph.output_names and graph.reason is not None:
        found[PROBABILITIES] = _Labels.best(expected[PROBABILITIES], outputs[PROBABILITIES])
    return found


def _refuse_differences(graph: Graph, measured: Proof, where: str) -> None:
    for part, difference in measured.control.items():
        if difference == 0:
            raise CryvisionError(
                f"{where}: on these windows the check could not fail: with all weights x "
                f"{CONTROL_CHANGE} the part {part!r} gives the same; give recordings on which it "
                "has an output"
            )
    for reference, differences, limit in measured.comparisons():
        allowed = _allowed(graph, differences, limit or 0.0, measured.control)
        for name, difference in differences.items():
            if difference > allowed[name]:
                raise CryvisionError(
                    f"{where}: {name} must agree with the {reference} within {allowed[name]:.3g}; "
                    f"differs by {difference:.3g}"
                )


def _allowed(
    graph: Graph, names: Iterable[str], tolerance: float, control: Mapping[str, float]
) -> dict[str, float]:
    """Largest difference allowed of each output: of logits more, but less than the control's."""
    allowed = dict.fromkeys(names, tolerance)
    for part in graph.parts:
        by_control = CONTROL_SHARE * control[part.name]
        allowed[logits_name(part)] = min(LOGIT_TOLERANCE * tolerance, by_control)
    return allowed


def _levels(config: SoundConfig, spans: np.ndarray) -> np.ndarray:
    """Level of each window with the package's own arithmetic, shape (n, 1)."""
    first = -(-config.context_samples // config.frame_hop_samples)
    newest = spans[:, spans.shape[1] - config.span_samples :]
    powers = [audio.spectrum_power(span, config) for span in newest]
    squares = np.stack([audio.band_mean_square(power, config)[first:] for power in powers])
    return audio.level_dbfs(squares)[:, None]


def _run(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every output of a model from named inputs to a dict."""
    import keras

    n = len(next(iter(inputs.values())))
    batches = []
    for start in range(0, n, BATCH):
        batch = {name: values[start : start + BATCH] for name, values in inputs.items()}
        outputs = model(batch, training=False)
        batches.append({name: keras.ops.convert_to_numpy(v) for name, v in outputs.items()})
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
