"""What cannot be measured is refused before anything is fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryvision.datasets.labelled import Dataset, LabelledClip
from cryvision.errors import ConfigError
from cryvision.training.options import SystemOptions
from cryvision.training.stacking import Samples
from cryvision.training.training_set import divide_clips


def clips(*of: tuple[str, str]) -> Dataset:
    """Clips by label and subject."""
    return Dataset(
        tuple(
            LabelledClip(Path(f"{number}.wav"), label, subject, "manifest")
            for number, (label, subject) in enumerate(of)
        ),
        (),
    )


@pytest.mark.parametrize("n_subjects", [2, 3])
def test_one_subject_to_train_on_is_too_few(n_subjects: int) -> None:
    subjects = ["ada", "ben", "cal"][:n_subjects]
    data = clips(*((label, subject) for subject in subjects for label in ("calm", "pain")))
    with pytest.raises(ConfigError, match=f"two subjects or more .*got {n_subjects} subjects"):
        divide_clips("lab", data, SystemOptions(n_folds=2))


@pytest.mark.parametrize(
    ("unreadable", "got"), [((0,), "'pain' has one: ben"), ((0, 1), "'pain' has none")]
)
def test_a_class_of_which_one_subject_can_be_read_is_refused(
    unreadable: tuple[int, ...], got: str
) -> None:
    data = clips(("pain", "ada"), ("pain", "ben"), *(("calm", name) for name in "abcdef"))
    divided = divide_clips("lab", data, SystemOptions(n_folds=2))
    read = [number for number in range(len(data.clips)) if number not in unreadable]
    labels = np.array([divided.labels.index(data.clips[number].label) for number in read])
    subjects = np.array([data.clips[number].subject for number in read])
    samples = Samples({"mfcc": np.zeros((len(read), 3))}, labels, subjects, np.array(read, str))
    with pytest.raises(ConfigError, match=got):
        divided.with_samples(samples, dict.fromkeys(unreadable, "broken"), None)
