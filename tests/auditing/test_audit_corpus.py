"""The audit on donateacry-corpus finds what is known to be wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryvision.auditing.audit import Audit, audit

pytestmark = [pytest.mark.corpus, pytest.mark.slow, pytest.mark.timeout(1800)]

LEAST_DEVICE_AUC = 0.93
"""What the sound is known to tell of the phone's platform, phones kept apart."""


@pytest.fixture(scope="module")
def cleaned(corpus: Path) -> Audit:
    return audit(corpus / "donateacry-corpus")


@pytest.fixture(scope="module")
def uploads(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    both = tmp_path_factory.mktemp("uploads")
    for bucket in (corpus / "donateacry-corpus").glob("donateacry-*-upload-bucket"):
        (both / bucket.name).symlink_to(bucket, target_is_directory=True)
    return audit(both)


def counts(found: Audit) -> dict[str, int]:
    return {one.kind: one.count for one in found.findings}


def test_the_cleaned_corpus(cleaned: Audit) -> None:
    assert cleaned.counts["clips"] == 457
    assert cleaned.counts["subjects"] == 221
    found = counts(cleaned)
    assert found["label_against_name"] == 7
    assert found["several_labels"] == 24
    assert found["label_changes"] == 20
    assert cleaned.label_changes["within a minute"]["pairs"] == 164
    assert found["silent"] == 6
    assert cleaned.copies == ()


def test_the_uploads(uploads: Audit) -> None:
    found = counts(uploads)
    assert found["stubs"] == 9
    assert found["malformed_names"] == 2
    assert uploads.counts["clips"] == 712 + 416 - 9


def test_the_sound_tells_the_device(cleaned: Audit) -> None:
    (ios,) = cleaned.device_from_sound["devices"].values()
    assert ios["auc"][0] >= LEAST_DEVICE_AUC
    assert ios["auc"][1] > 0.5
