"""Whole exports of a toy bundle: files, the JSON beside them, and what is refused."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys
from bundles import BUNDLE_V1
from toys import Exported

from cryvision.bundle import Bundle
from cryvision.errors import ConfigError, CryvisionError, MissingDependencyError
from cryvision.export import deploy, proof, windows
from cryvision.export.deploy import export
from cryvision.export.litert import model as litert
from cryvision.export.onnx import deploy as onnx_deploy
from cryvision.export.report import ExportReport

pytestmark = pytest.mark.usefixtures("few_windows")

EXPORTS = (
    ("onnx", "all"),
    ("litert", "detector"),
    ("coreml", "detector"),
    pytest.param("litert", "all", marks=pytest.mark.slow),
    pytest.param("coreml", "all", marks=pytest.mark.slow),
)
"""In the default run, one kind of file holds all parts; the others, which take long, hold one."""

OUTPUTS = {
    "detector": {"probabilities", "cry", "level_dbfs", "detector_logits"},
    "all": {
        *("probabilities", "cry", "level_dbfs"),
        *("detector_logits", "mfcc_dnn_logits", "stft_dnn_logits", "ensemble_logits"),
    },
}
LABELS_PREDICTED = {
    "detector": {"cry": 2},
    "all": {"cry": 2, "probabilities": len(toys.LABELS)},
}
PARTS = {"detector": {"detector"}, "all": {"detector", "mfcc-dnn", "stft-dnn", "ensemble"}}


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test when a bundle's models are loaded before the arguments were judged."""

    def refuse(*arguments: Any) -> None:
        raise AssertionError("work was begun")

    monkeypatch.setattr(deploy, "build_graph", refuse)


@pytest.fixture(scope="module")
def eight_bits(
    toy: Bundle, recordings: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportReport:
    """The toy's detector as ONNX in 8 bits."""
    # On all windows: eight bits change the labels of too many of a few.
    return export(
        toy,
        tmp_path_factory.mktemp("int8") / "toy.onnx",
        part="detector",
        precision="int8",
        representative=recordings,
    )


class TestFiles:
    @pytest.mark.parametrize(("kind", "part"), EXPORTS)
    def test_the_file_and_its_json_are_there_and_nothing_else(
        self, exported: Exported, kind: str, part: str
    ) -> None:
        report = exported(kind, part)
        assert report.path.exists()
        assert report.sidecar.name == f"{report.path.name}.json"
        assert not [name for name in listed(report.path.parent) if name.startswith(".")]

    @pytest.mark.parametrize(("kind", "part"), EXPORTS)
    def test_it_was_proven_on_every_output_and_label(
        self, exported: Exported, kind: str, part: str
    ) -> None:
        report = exported(kind, part)
        found = report.proofs[0]
        assert set(found.max_difference) == OUTPUTS[part]
        assert found.labels_predicted == LABELS_PREDICTED[part]
        assert set(found.control) == PARTS[part]
        assert not report.warnings

    @pytest.mark.parametrize(
        ("kind", "part"),
        [
            ("onnx", "all"),
            ("litert", "detector"),
            pytest.param("litert", "all", marks=pytest.mark.slow),
        ],
    )
    def test_float32_meets_the_promised_numbers(
        self, exported: Exported, kind: str, part: str
    ) -> None:
        found = exported(kind, part).proofs[0]
        assert found.tolerance == 1e-4
        assert max(found.max_difference[n] for n in ("probabilities", "cry")) <= 1e-4
        assert max(found.max_difference_from_package.values()) <= 1e-3

    def test_core_ml_is_float16_by_default(self, exported: Exported) -> None:
        report = exported("coreml", "detector")
        assert (report.precision, report.proofs[0].tolerance) == ("fp16", 1e-2)

    def test_the_json_has_all_that_a_stream_needs(self, exported: Exported, toy: Bundle) -> None:
        facts = json.loads(exported("onnx").sidecar.read_text())
        assert facts["bundle"] == {"name": toy.name, "sha256": toy.sha256}
        assert facts["labels"] == list(toys.LABELS)
        assert facts["inputs"]["waveform"]["shape"] == [1, toys.MFCC.span_samples]
        assert facts["detector"]["context_samples"] == toys.DETECTOR.context_samples
        assert facts["detector"]["gate"]["enter"] == 0.5
        assert facts["reason"] == {
            "part": "ensemble",
            "window_samples": toys.MFCC.window_samples,
            "context_samples": 0,
            "hop_samples": toys.MFCC.hop_samples,
            "min_cry_share": 0.5,
        }
        assert facts["smoothing"] == {"seconds": 1.0, "rate_hz": 30, "predictions": 30}
        assert facts["label_policy"]["says"] == "not sure"
        assert not facts["label_policy"]["has_skill"]
        assert facts["parity"]["checks"][0]["tolerance"] == 1e-4
        assert facts["parity"]["proven"]
        assert facts["parity"]["not_proven"]
        assert len(facts["file_sha256"]) == 64

    def test_an_onnx_file_takes_any_batch_and_uses_standard_operators(
        self, exported: Exported
    ) -> None:
        import onnx
        import onnxruntime

        path = exported("onnx").path
        onnx.checker.check_model(path, full_check=True)
        assert {node.domain for node in onnx.load(path).graph.node} == {""}
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        spans = windows.synthetic(toys.MFCC.span_samples, 5)
        for n in (1, 5):
            assert session.run(["cry"], {"waveform": spans[:n]})[0].shape == (n, 1)

    def test_a_litert_file_names_its_outputs_and_has_no_foreign_operators(
        self, exported: Exported
    ) -> None:
        from tensorflow import lite

        from cryvision.export.litert.file import operators

        path = exported("litert", "detector").path
        assert "CUSTOM" not in operators(path.read_bytes())
        signature = lite.Interpreter(model_path=str(path)).get_signature_list()["serving_default"]
        assert signature["inputs"] == ["waveform"]
        assert "level_dbfs" in signature["outputs"]

    def test_a_core_ml_package_is_a_described_classifier(self, exported: Exported) -> None:
        report = exported("coreml", "detector")
        import coremltools

        model = coremltools.models.MLModel(str(report.path), skip_model_load=True)
        description = model.get_spec().description
        assert model.get_spec().WhichOneof("Type") == "mlProgram"
        assert description.predictedFeatureName == "label"
        assert description.predictedProbabilitiesName == "probabilities"
        assert all(f.shortDescription for f in (*description.input, *description.output))
        assert "cryvision" in model.author
        assert "CC0-1.0" in model.license
        assert model.version
        assert "not sure" in model.short_description

    def test_a_core_ml_package_without_reasons_promises_none(self, tmp_path: Path) -> None:
        pytest.importorskip("coremltools", reason="coremltools has no wheel here")
        import coremltools

        with toys.few_cases():
            path = export(BUNDLE_V1, tmp_path / "v1.mlpackage").path
        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        assert model.short_description.startswith("cry detector of the bundle tiny.")

    def test_in_a_core_ml_package_decibels_stay_in_float32(self, exported: Exported) -> None:
        report = exported("coreml", "detector")
        from coremltools.converters.mil.mil import types

        from cryvision.export.coreml.mil_interpreter import SavedProgram
        from cryvision.export.frontend import FRONT_END

        kinds: dict[str, set[Any]] = {"before": set(), "conv": set()}
        for op in SavedProgram(report.path).operations:
            if FRONT_END in op.name and op.op_type in ("matmul", "log", "reduce_max", "sub"):
                kinds["before"].add(op.outputs[0].dtype)
            if op.op_type == "conv":
                kinds["conv"].add(op.outputs[0].dtype)
        assert kinds == {"before": {types.fp32}, "conv": {types.fp16}}


class TestForms:
    def test_a_file_that_takes_features(self, toy: Bundle, tmp_path: Path) -> None:
        report = export(toy, tmp_path / "toy.onnx", part="detector", features=True)
        facts = json.loads(report.sidecar.read_text())
        assert facts["inputs"]["mel"]["shape"] == [1, toys.DETECTOR.n_frames, 40]
        assert facts["inputs"]["mel"]["sound"]["n_fft"] == toys.DETECTOR.n_fft
        assert "level_dbfs" not in facts["outputs"]
        assert facts["labels"] == ["no cry", "cry"]

    def test_recordings_are_compared_on_too(self, eight_bits: ExportReport) -> None:
        found = eight_bits.proofs[0]
        assert found.n_real > 20
        assert found.agreement["cry"] >= proof.LEAST_AGREEMENT
        assert found.tolerance is None

    @pytest.mark.slow
    def test_eight_bits_for_litert_leave_the_front_end_alone(
        self, toy: Bundle, tmp_path: Path, recordings: Path
    ) -> None:
        target = tmp_path / "toy.tflite"
        report = export(toy, target, part="detector", precision="int8", representative=recordings)
        assert report.proofs[0].max_difference["level_dbfs"] < 1e-4

    def test_an_older_export_is_replaced_only_when_asked(self, toy: Bundle, tmp_path: Path) -> None:
        target = tmp_path / "toy.tflite"
        target.write_bytes(b"older")
        with pytest.raises(CryvisionError, match=r"toy\.tflite: exists already; --overwrite"):
            export(toy, target, part="detector")
        assert target.read_bytes() == b"older"
        report = export(toy, target, part="detector", precision="fp16", overwrite=True)
        assert target.stat().st_size == report.n_bytes > 1000


class TestRefusing:
    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"out": "toy.pt"}, r"end in .mlpackage, .onnx, .tflite; got 'toy.pt'"),
            ({"out": "toy.onnx", "to": "litert"}, r"end in .tflite"),
            ({"out": "toy.onnx", "to": "torch"}, "goes to coreml, onnx, litert"),
            ({"out": "toy.onnx", "precision": "fp8"}, "precision must be one of"),
            ({"out": "toy.onnx", "part": "ear"}, "part must be one of"),
            ({"out": "toy.onnx", "precision": "int8"}, "int8 needs recordings"),
            ({"out": "toy.onnx", "force": True}, "force is for the precision int8; got None"),
            (
                {"out": "toy.onnx", "force": True, "precision": "fp16"},
                "force is for the precision int8; got 'fp16'",
            ),
        ],
    )
    def test_arguments_that_make_no_sense(
        self, no_work: None, arguments: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(ConfigError, match=named):
            export("nowhere", **arguments)

    def test_what_is_no_export_is_never_replaced(self, no_work: None, tmp_path: Path) -> None:
        folder = tmp_path / "toy.mlpackage"
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
        with pytest.raises(CryvisionError, match="only an export is overwritten"):
            export("nowhere", folder, overwrite=True)
        assert listed(folder) == ["mine.txt"]

    def test_without_coremltools_the_platforms_are_named(
        self, no_work: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "coremltools", None)
        with pytest.raises(MissingDependencyError, match="on macOS and on Linux x86_64 only") as e:
            export("nowhere", tmp_path / "toy.mlpackage")
        assert "\n" not in str(e.value)

    def test_a_missing_part_leaves_nothing(self, toy: Bundle, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no face to export"):
            export(toy, tmp_path / "toy.onnx", part="face")
        assert listed(tmp_path) == []

    def test_recordings_without_sound(self, toy: Bundle, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        with pytest.raises(CryvisionError, match="none could be read"):
            export(toy, tmp_path / "toy.onnx", representative=tmp_path / "empty")

    def test_a_full_disk_leaves_nothing(
        self, toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import keras

        def full(*arguments: Any, **options: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(keras.Model, "export", full)
        target = tmp_path / "toy.onnx"
        with pytest.raises(CryvisionError) as caught:
            export(toy, target, part="detector")
        why = "cannot be written: No space left on device; nothing was left"
        assert str(caught.value) == f"{target}: {why}"
        assert listed(tmp_path) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="plays a crash with a shell script")
    def test_a_converter_that_crashes_is_outlived(
        self, toy: Bundle, tmp_path: Path, recordings: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        crashing = tmp_path / "python"
        crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
        crashing.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(crashing))
        folder = tmp_path / "out"
        target = folder / "toy.tflite"
        with pytest.raises(CryvisionError, match=r"LiteRT in int8.*\(signal 11\)") as error:
            export(toy, target, part="detector", precision="int8", representative=recordings)
        assert "\n" not in str(error.value)
        assert listed(folder) == []

    def test_a_file_that_does_not_agree_is_not_written(
        self, toy: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = litert.write

        def wrong(network: Any, *arguments: Any) -> None:
            weights = network.get_weights()
            network.set_weights([w * np.float32(proof.CONTROL_CHANGE) for w in weights])
            write(network, *arguments)
            network.set_weights(weights)

        monkeypatch.setattr(litert, "write", wrong)
        with pytest.raises(CryvisionError, match="detector_logits must agree"):
            export(toy, tmp_path / "toy.tflite", part="detector")
        assert listed(tmp_path) == []

    def test_eight_bits_that_change_the_labels_are_refused_unless_forced(
        self,
        toy: Bundle,
        tmp_path: Path,
        recordings: Path,
        eight_bits: ExportReport,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        run = deploy.runners.run_onnx

        def ready(network: Any, front_end: Any, path: Path, *rest: Any) -> None:
            shutil.copy(eight_bits.path, path)

        def exchanged(path: Path, inputs: Any, labels: Any) -> dict[str, np.ndarray]:
            found = run(path, inputs, labels)
            return {**found, "cry": 1 - found["cry"]}

        monkeypatch.setattr(onnx_deploy, "write", ready)
        monkeypatch.setattr(deploy.runners, "run_onnx", exchanged)
        arguments: dict[str, Any] = {
            "part": "detector",
            "precision": "int8",
            "representative": recordings,
        }
        with pytest.raises(CryvisionError, match=r"agree to at least 90%; got .*, of detector"):
            export(toy, tmp_path / "toy.onnx", **arguments)
        assert listed(tmp_path) == []
        report = export(toy, tmp_path / "toy.onnx", force=True, **arguments)
        assert "only" in report.warnings[0]


def test_the_package_itself_is_the_function(toy: Bundle, tmp_path: Path) -> None:
    import cryvision.export

    with pytest.raises(ConfigError, match="end in"):
        cryvision.export(toy, tmp_path / "toy.pt")
