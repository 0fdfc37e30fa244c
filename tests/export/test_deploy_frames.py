"""Exports of edges and a tagger: every kind of file, and the JSON beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from toys import Exported

from cryvision.bundle import Bundle
from cryvision.errors import CryvisionError
from cryvision.export import deploy, graph, proof
from cryvision.export.coreml import package as coreml
from cryvision.export.deploy import export
from cryvision.export.onnx import deploy as onnx_deploy
from cryvision.export.options import ExportOptions

pytestmark = pytest.mark.usefixtures("few_windows")

KINDS = ("onnx", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("litert", "coreml")))
"""LiteRT and Core ML take long; in the default run, a window detector is proven for both."""

DETECTOR_OUTPUTS = {
    *("cry_edges", "tags", "level_dbfs", "tags_level_dbfs"),
    *("edges_logits", "tagger_logits"),
}


def check_frames(found: proof.Proof) -> None:
    """Both parts were compared on steps and tags of all kinds, and agreed."""
    assert {"edges", "tagger"} <= set(found.control)
    assert found.labels_predicted["cry_edges"] == 2
    assert found.labels_predicted["tags"] >= 8
    assert min(found.agreement.values()) >= 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_proven_on_every_output(frame_exported: Exported, kind: str) -> None:
    report = frame_exported(kind)
    found = report.proofs[0]
    assert set(found.max_difference) == DETECTOR_OUTPUTS | {"probabilities", "mfcc_dnn_logits"}
    assert set(found.control) == {"edges", "tagger", "mfcc-dnn"}
    check_frames(found)
    assert not report.warnings
    if kind != "coreml":
        assert max(found.max_difference[n] for n in ("cry_edges", "tags")) <= 1e-4
        assert max(found.max_difference_from_package.values()) <= 1e-3


def test_the_json_says_when_to_call_and_what_a_call_gives(
    frame_exported: Exported, frame_toy: Bundle
) -> None:
    facts = json.loads(frame_exported("onnx").sidecar.read_text())
    assert list(facts["inputs"]) == ["waveform", "silent_frames"]
    assert facts["inputs"]["waveform"]["shape"] == [1, 143 * 320 + 240]
    detector = {n: v for n, v in facts["detector"].items() if n not in ("gate", "calls")}
    assert detector == {
        "part": "edges",
        "frame_samples": 320,
        "span_frames": 143,
        "call_samples": 3840,
        "reach_samples": 120,
        "n_steps": 6,
        "step_samples": 640,
        "lookahead_samples": 3200,
        "delay_samples": 3200,
    }
    assert facts["detector"]["gate"]["min_event_seconds"] == toys.FRAME_GATE.min_event_seconds
    assert facts["tagger"]["tags"] == list(toys.TAGS)
    assert facts["tagger"]["window_samples"] == 32_000
    assert facts["tagger"]["hop_samples"] == 3840
    assert facts["veto"]["levels"]["strict"] == {"at": 0.7, "near": 0.85, "live": 0.7}
    assert facts["veto"]["near_seconds"] == toys.VETO.near_seconds
    assert facts["veto"]["temperature"] == toys.VETO.temperature
    assert facts["veto"]["bias"] == toys.VETO.bias
    assert facts["bouts"]["gap_seconds"] == 0.5
    assert set(facts["outputs"]) == {*frame_exported("onnx").proofs[0].max_difference}
    assert facts["bundle"]["sha256"] == frame_toy.sha256


def test_a_core_ml_package_without_probabilities_is_no_classifier(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools", reason="coremltools has no wheel here")
    import keras

    frames = keras.Input((6, 4), name="frames")
    model = keras.Model({"frames": frames}, {"cry_edges": keras.layers.Dense(1)(frames)})
    texts = {"input_description": {"frames": "In."}, "output_description": {"cry_edges": "Out."}}
    coreml.write(model, tmp_path / "toy.mlpackage", "fp16", ["cry_edges"], (), texts)
    package = coremltools.models.MLModel(str(tmp_path / "toy.mlpackage"), skip_model_load=True)
    description = package.get_spec().description
    assert description.predictedFeatureName == ""
    described = {f.name: f.shortDescription for f in (*description.input, *description.output)}
    assert described == {"frames": "In.", "cry_edges": "Out."}


@pytest.mark.slow
def test_edges_and_tagger_alone_are_no_classifier(frame_exported: Exported) -> None:
    coremltools = pytest.importorskip("coremltools", reason="coremltools has no wheel here")
    report = frame_exported("coreml", "detector")
    assert set(report.proofs[0].max_difference) == DETECTOR_OUTPUTS
    check_frames(report.proofs[0])
    package = coremltools.models.MLModel(str(report.path), skip_model_load=True)
    description = package.get_spec().description
    assert description.predictedFeatureName == ""
    assert {f.name for f in description.output} >= {"cry_edges", "tags", "level_dbfs"}
    assert {f.name for f in description.input} == {"waveform", "silent_frames"}
    assert all(f.shortDescription for f in (*description.input, *description.output))
    assert json.loads(report.sidecar.read_text())["labels"] == []


@pytest.fixture
def faithful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in no time and without any error: the file is run as the Keras model it came from."""
    models = []
    build = deploy.build_whole

    def build_and_keep(made: graph.Graph) -> Any:
        models.append(build(made))
        return models[-1]

    def run(path: Path, inputs: Any, labels: Any) -> dict[str, np.ndarray]:
        return {name: np.asarray(values) for name, values in models[-1](inputs).items()}

    monkeypatch.setattr(deploy, "build_whole", build_and_keep)
    monkeypatch.setattr(onnx_deploy, "write", lambda network, front, path, *rest: path.touch())
    monkeypatch.setattr(deploy.runners, "run_onnx", run)


@pytest.mark.usefixtures("faithful")
def test_a_file_in_which_weights_were_changed_is_not_written(
    frame_toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = deploy._prepared(frame_toy, "onnx", ExportOptions(part="detector"))
    monkeypatch.setattr(deploy, "_prepared", lambda *given: work)
    report = export(frame_toy, tmp_path / "right" / "cry.onnx", part="detector")
    assert set(report.proofs[0].max_difference) == DETECTOR_OUTPUTS
    assert json.loads(report.sidecar.read_text())["labels"] == []
    for part in ("edges", "tagger"):
        right = work.graph.network.get_weights()

        def wrong(network: Any, front: Any, path: Path, *rest: Any, part: str = part) -> None:
            layer = network.get_layer(part)
            layer.set_weights([w * np.float32(proof.CONTROL_CHANGE) for w in layer.get_weights()])
            path.touch()

        monkeypatch.setattr(onnx_deploy, "write", wrong)
        with pytest.raises(CryvisionError, match=f"{part}_logits must agree"):
            export(frame_toy, tmp_path / "cry.onnx", part="detector")
        assert [path.name for path in tmp_path.iterdir()] == ["right"]
        work.graph.network.set_weights(right)


@pytest.mark.usefixtures("faithful")
def test_a_front_end_that_is_not_the_packages_is_not_written(
    frame_toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled = graph.scaled_frames
    monkeypatch.setattr(graph, "scaled_frames", lambda *given: 1.01 * scaled(*given))
    with pytest.raises(CryvisionError, match="must agree with the package's own features"):
        export(frame_toy, tmp_path / "cry.onnx", part="detector")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("faithful")
def test_a_file_that_takes_frames(frame_toy: Bundle, tmp_path: Path) -> None:
    report = export(frame_toy, tmp_path / "cry.onnx", part="detector", features=True)
    inputs = json.loads(report.sidecar.read_text())["inputs"]
    assert inputs["edges_logmel"]["shape"] == [1, 143, 64]
    assert inputs["tagger_logmel"]["shape"] == [1, 100, 64]
    assert inputs["tagger_logmel"]["logmel"]["relative"]
    assert "level_dbfs" not in report.proofs[0].max_difference


@pytest.mark.slow
def test_eight_bits_are_judged_by_steps_and_tags_on_recordings(
    frame_toy: Bundle, frame_exported: Exported, tmp_path: Path, recordings: Path
) -> None:
    report = export(
        frame_toy,
        tmp_path / "cry.onnx",
        precision="int8",
        representative=recordings,
        force=True,  # untrained scores lie close to their thresholds
    )
    found = report.proofs[0]
    assert found.tolerance is None
    decisions = {"cry_edges", "tags", "cry_at", "cry_near", "probabilities"}
    assert set(found.agreement) == decisions
    assert min(found.agreement[name] for name in decisions - {"probabilities"}) >= 0.8
    assert report.n_bytes < 0.6 * frame_exported("onnx").n_bytes
