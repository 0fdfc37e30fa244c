"""Rows of features through branches and ensemble: what is missing is silent, never guessed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundles import BUNDLE_V1, REASON_SOUNDS, glides, reasons_bundle

from cryvision.bundle import Bundle
from cryvision.bundle.ensemble import StackModels, has_output
from cryvision.errors import BundleError
from cryvision.inputs.features import sound_windows

FLOAT32 = 1e-6


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return reasons_bundle(tmp_path_factory)


@pytest.fixture
def features() -> dict[str, np.ndarray]:
    """Windows of sound, of which the second lacks MFCC, the third STFT, and the fourth both."""
    found = {
        feature: sound_windows(glides(3.0), config).inputs[:6].copy()
        for feature, config in REASON_SOUNDS.items()
    }
    found["mfcc"][[1, 3]] = np.nan
    found["stft"][[2, 3]] = np.nan
    return found


def test_a_branch_says_nothing_of_rows_that_lack_its_feature(
    bundle: Bundle, features: dict[str, np.ndarray]
) -> None:
    outputs = StackModels(bundle).outputs(features, 6)
    assert {name: has_output(values).tolist() for name, values in outputs.items()} == {
        "branch_mfcc": [True, False, True, False, True, True],
        "branch_stft": [True, True, False, False, True, True],
    }
    for values in outputs.values():
        assert values[has_output(values)].sum(axis=1) == pytest.approx(1, abs=FLOAT32)


def test_the_other_rows_are_as_if_nothing_was_missing(
    bundle: Bundle, features: dict[str, np.ndarray]
) -> None:
    models = StackModels(bundle)
    whole = [0, 4, 5]
    fused = models.fuse(models.outputs(features, 6))
    alone = {name: values[whole] for name, values in features.items()}
    expected = models.fuse(models.outputs(alone, 3))
    np.testing.assert_allclose(fused[whole], expected, atol=FLOAT32)


def test_a_row_without_any_feature_has_no_prediction(
    bundle: Bundle, features: dict[str, np.ndarray]
) -> None:
    models = StackModels(bundle)
    fused = models.fuse(models.outputs(features, 6))
    np.testing.assert_array_equal(np.isnan(fused).all(axis=1), [False] * 3 + [True] + [False] * 2)
    np.testing.assert_array_equal(np.isnan(fused).any(axis=1), np.isnan(fused).all(axis=1))


def test_a_feature_that_is_left_out_is_missing_in_all_rows(
    bundle: Bundle, features: dict[str, np.ndarray]
) -> None:
    models = StackModels(bundle)
    outputs = models.outputs({"stft": features["stft"]}, 6)
    assert not outputs["branch_mfcc"].any()
    np.testing.assert_array_equal(
        np.isnan(models.fuse(outputs)).all(axis=1), np.isnan(features["stft"]).all(axis=(1, 2))
    )
    assert np.isnan(models.fuse(models.outputs({}, 2))).all()


def test_no_rows_give_no_predictions(bundle: Bundle, features: dict[str, np.ndarray]) -> None:
    models = StackModels(bundle)
    outputs = models.outputs({name: values[:0] for name, values in features.items()}, 0)
    assert models.fuse(outputs).shape == (0, len(bundle.labels))


def test_the_only_branch_decides(bundle: Bundle, features: dict[str, np.ndarray]) -> None:
    parts = tuple(part for part in bundle.parts if part.name == "branch_mfcc")
    models = StackModels(replace(bundle, parts=parts))
    outputs = models.outputs(features, 6)
    fused = models.fuse(outputs)
    assert models.decider.name == "branch_mfcc"
    present = has_output(outputs["branch_mfcc"])
    np.testing.assert_array_equal(fused[present], outputs["branch_mfcc"][present])
    assert np.isnan(fused[~present]).all()


def test_a_detector_alone_is_refused() -> None:
    with pytest.raises(BundleError, match="the bundle must have branches; it has none"):
        StackModels(Bundle.load(BUNDLE_V1))
