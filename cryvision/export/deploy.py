"""One bundle as a Core ML, ONNX or LiteRT file that gives the same answers."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryvision import __version__
from cryvision.argument_types import typed
from cryvision.atomic import check_place, staged
from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError
from cryvision.export import proof, report, runners, sidecar, windows
from cryvision.export.coreml import package as coreml
from cryvision.export.graph import (
    CRY,
    CRY_EDGES,
    FACE_SEEN,
    PROBABILITIES,
    SILENT_FRAMES,
    TAGS,
    Graph,
    build_graph,
    build_waveform_front_end,
    build_whole,
)
from cryvision.export.litert import model as litert
from cryvision.export.onnx import deploy
from cryvision.export.options import SUFFIXES, ExportOptions
from cryvision.export.report import ExportReport
from cryvision.layers import require
from cryvision.os_errors import reason

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cryvision.export.options import ExportValues

log = logging.getLogger(__name__)

DEFAULT_PRECISIONS = {"coreml": "fp16", "onnx": "fp32", "litert": "fp32"}

N_REAL, N_SYNTHETIC = 256, 54
"""Windows to compare on; the synthetic ones are six of each kind, and silence."""

N_WITH_CROPS = (8, 18)
"""The same where the backbone of faces runs on each."""

UNGATED_ENTER = 0.5
"""Cry score that counts as crying in a bundle without a gate."""


@typed
def export(
    bundle: Bundle | str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    **options: Unpack[ExportValues],
) -> ExportReport:
    """Write a bundle's models as one file for another runtime, once their outputs agree.

    The file takes a span of 16 kHz waveform and computes everything inside. Of a frame network and
    a tagger, a call gives the newest steps and the tags. Beside it, ``<file>.json`` holds what
    a stream needs to behave as `cryvision.classify` does.

    Parameters
    ----------
    bundle : Bundle or path or None
        None is the one that ships with the package.
    out : path
        Ends in ``.mlpackage``, ``.onnx`` or ``.tflite``.
    **options
        The fields of `cryvision.export.options.ExportOptions`, such as ``precision``.

    Returns
    -------
    ExportReport
        What was written, measured and proven.

    Raises
    ------
    ConfigError
        If the arguments do not go together or the bundle lacks the part.
    CryvisionError
        If the model cannot be converted, or the file does not agree; nothing is written then.
    MissingDependencyError
        If the converter is not installed; coremltools exists for macOS and Linux x86_64 only.

    Examples
    --------
    >>> import cryvision
    >>> report = cryvision.export(None, "cry.tflite", part="detector")      # doctest: +SKIP
    >>> print("\\n".join(report.lines()))                                   # doctest: +SKIP
    """
    require("export", "an export")
    chosen = ExportOptions(**options)
    target, kind = _target(out, chosen.to)
    _refuse_existing(target, chosen.overwrite)
    if kind == "coreml":
        coreml.require()
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    work = _prepared(loaded, kind, chosen)
    try:
        return _written(work, target, chosen.overwrite, chosen.force)
    except FileExistsError as error:
        raise _exists_error(target) from error
    except OSError as error:
        raise CryvisionError(
            f"{target}: cannot be written: {reason(error)}; nothing was left"
        ) from error


@dataclass(frozen=True)
class _Work:
    bundle: Bundle
    graph: Graph
    kind: str
    precision: str
    whole: Any
    cases: proof.Cases
    expected: proof.References

    def representative(self) -> dict[str, np.ndarray]:
        """What the network takes in the real cases."""
        inputs = self.cases.network_inputs(self.graph)
        return {name: values[: self.cases.n_real] for name, values in inputs.items()}


def _target(out: str | os.PathLike[str], to: str | None) -> tuple[Path, str]:
    """The place to write and the kind of file, which must fit."""
    target = Path(os.path.realpath(out))
    kinds = {suffix: kind for kind, suffix in SUFFIXES.items()}
    kind = kinds.get(target.suffix.lower())
    endings = ", ".join(SUFFIXES.values()) if to is None else SUFFIXES[to]
    if kind is None or to not in (None, kind):
        raise ConfigError(f"the name of the file must end in {endings}; got {os.fspath(out)!r}")
    return target, kind


def _sidecar_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _refuse_existing(target: Path, overwrite: bool) -> None:
    """Refuse before any work to replace anything, or anything but an export."""
    check_place(target)
    for path in (target, _sidecar_path(target)):
        if os.path.lexists(path) and not overwrite:
            raise _exists_error(path)
    a_package = target.is_dir() and (target / "Manifest.json").is_file()
    if target.is_dir() and not (a_package and target.suffix.lower() == SUFFIXES["coreml"]):
        raise CryvisionError(f"{target}: only an export is overwritten; this is a folder")


def _exists_error(path: Path) -> CryvisionError:
    return CryvisionError(
        f"{path}: exists already; --overwrite (in Python overwrite=True) replaces it"
    )


def _prepared(bundle: Bundle, kind: str, options: ExportOptions) -> _Work:
    """Build the graph, find what to compare on, and run the references."""
    precision = options.precision or DEFAULT_PRECISIONS[kind]
    graph = build_graph(bundle, options.part, options.features)
    if precision == "int8" and not graph.takes_sound:
        raise ConfigError(f"int8 needs sound to measure ranges on; the {options.part} takes none")
    log.info("converting, and comparing the file with the models it is made of")
    whole = build_whole(graph)
    cases = _cases(graph, options.representative)
    expected = proof.references(graph, whole, cases)
    return _Work(bundle, graph, kind, precision, whole, cases, expected)


def _cases(graph: Graph, representative: str | os.PathLike[str] | None) -> proof.Cases:
    n_real, n_synthetic, n_samples = N_REAL, N_SYNTHETIC, graph.span_samples
    if graph.face is not None and not graph.features:
        n_real, n_synthetic = N_WITH_CROPS  # a backbone takes a second for each
    spans = np.zeros((n_synthetic, 0), np.float32)
    if graph.takes_sound:
        spans = windows.synthetic(n_samples, n_synthetic)
    n_recorded = 0
    if representative is not None and graph.takes_sound:
        real = windows.real(representative, n_samples, n_real)
        spans, n_recorded = np.concatenate([real, spans]), len(real)
    others = {
        tensor.name: _drawn(tensor, len(spans))
        for tensor in graph.network.inputs
        if tensor.name not in {**graph.sounds, **graph.logmels}
    }
    if graph.frames is not None:
        silent = windows.silent_frames(graph.frames.n_frames, len(spans) - n_recorded)
        others[SILENT_FRAMES] = np.concatenate([np.zeros((n_recorded, 2), np.float32), silent])
    return proof.Cases(n_recorded, spans, others)


def _drawn(tensor: Any, n: int) -> np.ndarray:
    """Values for an input that is not computed from sound, shape (n, ...)."""
    if tensor.name == FACE_SEEN:
        return (np.arange(n) % 3 > 0).astype(np.float32)[:, None]
    if len(tensor.shape) == 4:
        return windows.pictures(tensor.shape[1], n)
    # As pooled activations are: none negative.
    return np.abs(np.random.default_rng(0).normal(size=(n, *tensor.shape[1:]))).astype(np.float32)


def _written(work: _Work, target: Path, overwrite: bool, force: bool) -> ExportReport:
    """Convert, read back, compare, and only then put both files into their places."""
    target.parent.mkdir(parents=True, exist_ok=True)
    facts = sidecar.describe(work.bundle, work.graph, kind=work.kind, precision=work.precision)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        file = Path(folder, f"model{SUFFIXES[work.kind]}")
        _convert(work, file, facts)
        proofs = _proofs(work, file, target)
        _refuse_low_agreement(proofs, target, force)
        report = _report(work, file, target, proofs)
        facts = {
            **facts,
            "file": target.name,
            "file_sha256": sidecar.file_sha256(file),
            "parity": report.parity(),
            "cryvision": __version__,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with staged(target, overwrite) as path, staged(report.sidecar, overwrite) as beside:
            beside.write_text(text, encoding="utf-8")
            shutil.move(file, path)
    return report


def _convert(work: _Work, file: Path, values: Mapping[str, Any]) -> None:
    graph, names = work.graph, work.graph.output_names
    if work.kind == "coreml":
        description = _description(work, values)
        coreml.write(work.whole, file, work.precision, names, graph.labels, description)
        return
    write = deploy.write if work.kind == "onnx" else litert.write
    front_end = build_waveform_front_end(graph)
    write(graph.network, front_end, file, work.precision, names, work.representative())


def _description(work: _Work, values: Mapping[str, Any]) -> dict[str, str | dict[str, str]]:
    bundle, graph = work.bundle, work.graph
    held = [("cry detector", graph.detector), ("reasons", graph.reason)]
    what = " and ".join(words for words, part in held if part is not None)
    label = {coreml.LABEL: "The most probable label."} if graph.labels else {}
    sources = "; ".join(f"{s['name']}: {s['licence']}" for s in bundle.sources)
    inputs = {name: value["what"] for name, value in values["inputs"].items()}
    return {
        "short_description": f"{what} of the bundle {bundle.name}. Label policy: "
        f"{values['label_policy']['says']}, because {values['label_policy']['why']}. The JSON "
        "beside this package has the rest.",
        "author": f"cryvision {__version__}, bundle {bundle.name}",
        "license": f"Training data: {sources}" if sources else "Training data: not stated",
        "version": f"{bundle.created} {bundle.sha256[:12]}",
        "input_description": inputs,
        "output_description": {**label, **values["outputs"]},
        "user_defined_metadata": {
            "bundle_sha256": bundle.sha256,
            "labels": json.dumps(values["labels"]),
        },
    }


def _proofs(work: _Work, file: Path, target: Path) -> tuple[proof.Proof, ...]:
    """Run the file with each runtime there is for it, and compare."""
    runs: dict[str, Callable[..., Any]] = {
        "onnx": {"onnxruntime": runners.run_onnx},
        "litert": {"the LiteRT interpreter": runners.run_litert},
        "coreml": {
            "the program interpreted in numpy": runners.run_program,
            **({proof.COREML: runners.run_coreml} if runners.on_a_mac() else {}),
        },
    }[work.kind]
    float32 = proof.INTERPRETED_TOLERANCE if work.kind == "coreml" else proof.TOLERANCES["fp32"]
    return tuple(
        proof.prove(
            work.graph,
            work.expected,
            run(file, work.cases.file_inputs(work.graph), work.graph.labels),
            precision=work.precision,
            tolerance=float32 if work.precision == "fp32" else proof.TOLERANCES["fp16"],
            thresholds=_thresholds(work.bundle, work.precision),
            runtime=runtime,
            where=str(target),
        )
        for runtime, run in runs.items()
    )


def _thresholds(bundle: Bundle, precision: str) -> dict[str, float]:
    """Give the scores from which on something counts as crying, by the name of the decision.

    Those of the veto are for 8 bits: elsewhere the tagger's scores themselves are compared.
    """
    enter = UNGATED_ENTER if bundle.gate is None else bundle.gate.enter
    thresholds = {CRY: enter, CRY_EDGES: enter}
    if precision == "int8" and (veto := bundle.veto) is not None:
        thresholds |= {proof.CRY_AT: veto.at("normal"), proof.CRY_NEAR: veto.near("normal")}
    return thresholds


def _refuse_low_agreement(proofs: tuple[proof.Proof, ...], target: Path, force: bool) -> None:
    for result in proofs:
        name, share = min(result.agreement.items(), key=lambda one: one[1])
        if result.tolerance is None and share < proof.LEAST_AGREEMENT and not force:
            raise CryvisionError(
                f"{target}: in 8 bits labels must agree to at least "
                f"{proof.LEAST_AGREEMENT:.0%}; got {share:.1%}, of "
                f"{report.decision(name)}; more recordings, with crying among them, may help; "
                "force writes it all the same"
            )


def _report(work: _Work, file: Path, target: Path, proofs: tuple[proof.Proof, ...]) -> ExportReport:
    files = [file] if file.is_file() else [p for p in file.rglob("*") if p.is_file()]
    tags = () if work.graph.tagger is None else work.graph.tagger.tags
    n_labels = {TAGS: len(tags), PROBABILITIES: len(work.graph.labels)}
    return ExportReport(
        path=target,
        sidecar=_sidecar_path(target),
        kind=work.kind,
        precision=work.precision,
        part=work.graph.choice,
        n_bytes=sum(p.stat().st_size for p in files),
        proofs=proofs,
        proven=report.proven(work.kind, proofs),
        not_proven=report.not_proven(work.kind, proofs),
        warnings=report.warn(proofs[0], n_labels),
    )
