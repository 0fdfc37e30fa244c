"""The range test finds rates that train, draws them, and says when there are none."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tones import LABELS, mean_network, rows_of, samples_of, small, sound_of

from cryvision.commands import lr_find
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import ConfigError, CryvisionError
from cryvision.models.picture_network import build_optimizer
from cryvision.training import lr_finder, systems
from cryvision.training.branches import Rows
from cryvision.training.lr_finder import RangeTest, draw, find_learning_rate
from cryvision.training.networks import Network


@pytest.fixture(scope="module")
def network() -> Network:
    return Network("mel", mean_network, width=8, batch_size=16)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return rows_of(samples_of(small("deepinfant-vggish")), "mel")


@pytest.fixture(scope="module")
def found(network: Network, rows: Rows) -> RangeTest:
    return find_learning_rate(network, rows, len(LABELS), seed=0, n_steps=60)


def test_the_rate_grows_and_the_suggestion_is_where_the_loss_falls(found: RangeTest) -> None:
    assert np.allclose(np.diff(np.log(found.rates)), np.log(found.rates[1] / found.rates[0]))
    assert len(found.rates) == len(found.losses) == len(found.smoothed)
    best = found.rates[found.smoothed.argmin()]
    assert 1e-4 < found.suggested <= best
    assert found.smoothed.min() < 0.9 * found.smoothed[0]


def test_the_seed_repeats_it(network: Network, rows: Rows, found: RangeTest) -> None:
    again = find_learning_rate(network, rows, len(LABELS), seed=0, n_steps=60)
    np.testing.assert_array_equal(again.losses, found.losses)


def test_it_ends_when_the_loss_has_gone_up() -> None:
    rates = np.geomspace(1e-6, 1, 40)
    smoothed = [1.0] * 20 + list(np.linspace(1, 0.2, 10)) + list(np.linspace(0.2, 0.7, 10))
    assert rates[19] < lr_finder._steepest(rates, smoothed) < rates[30]


def test_a_low_loss_of_the_first_batch_hides_no_fall_of_the_mean() -> None:
    # The first mean is one batch's loss, which chance may set below all that the mean comes to.
    rates = np.geomspace(1e-6, 1, 40)
    falls = [1.0] * 20 + list(np.linspace(1, 0.6, 10)) + list(np.linspace(0.6, 0.9, 10))
    assert rates[19] < lr_finder._steepest(rates, [0.5, *falls[1:]]) < rates[30]


def test_every_row_is_drawn_before_any_is_drawn_again() -> None:
    batches = lr_finder._batches(10, 4, np.random.default_rng(0))
    drawn = np.concatenate([next(batches) for _ in range(5)])
    for part in np.split(drawn, 2):
        assert sorted(part.tolist()) == list(range(10))


def test_a_test_without_range_is_refused(network: Network, rows: Rows) -> None:
    for bounds in ((0.0, 1.0), (1.0, 0.1), (1e-3, np.inf)):
        with pytest.raises(ConfigError, match="a range test needs"):
            find_learning_rate(network, rows, len(LABELS), 0, *bounds)
    with pytest.raises(ConfigError, match="10 steps or more"):
        find_learning_rate(network, rows, len(LABELS), 0, n_steps=5)


def test_a_loss_that_is_lost_at_once_is_said(network: Network, rows: Rows) -> None:
    lost = Rows(rows.inputs, rows.labels, np.full(len(rows.labels), np.nan), rows.subjects)
    with pytest.raises(CryvisionError, match="must stay finite for 10 steps"):
        find_learning_rate(network, lost, len(LABELS), 0)


def test_it_is_drawn(found: RangeTest, tmp_path: Path) -> None:
    path = draw(found, tmp_path / "rates.png", "deepinfant-vggish")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_cycle_goes_up_and_down() -> None:
    schedule = build_optimizer(1e-4, 1e-2, cycle_steps=8)._learning_rate
    rates = [float(schedule(step)) for step in range(17)]
    assert rates[0] == rates[8] == rates[16] == pytest.approx(1e-4)
    assert rates[4] == rates[12] == pytest.approx(1e-2)
    assert np.allclose(np.diff(rates[:5]), np.diff(rates[:5])[0])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of one second for each of three classes."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for label in LABELS:
        (folder / label).mkdir()
        for i in range(2):
            sound = sound_of(label, SAMPLE_RATE_HZ, rng)
            soundfile.write(folder / label / f"{i}.wav", sound, SAMPLE_RATE_HZ)
    return folder


class TestCommand:
    def run(self, *arguments: str) -> int:
        parser = argparse.ArgumentParser()
        lr_find.add(parser.add_subparsers())
        options = parser.parse_args(["lr-find", *arguments])
        status: int = options.run(options)
        return status

    def test_it_prints_and_draws(
        self,
        clips: Path,
        network: Network,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        folder = Path(shutil.copytree(clips, tmp_path / "clips"))
        (folder / LABELS[0] / "0.txt").write_text("0.1\t0.4\tcry\n")
        quick = replace(systems.system("deepinfant-vggish"), network=network)
        monkeypatch.setattr(systems, "SYSTEMS", {"deepinfant-vggish": quick})
        picture = tmp_path / "found.png"
        arguments = ["--arch", "deepinfant-vggish", "--width", "2", "--steps", "12", "--json"]
        assert self.run(str(folder), *arguments, "--out", str(picture)) == 0
        assert "0.txt: annotations beside clips (1 file) are not read" in caplog.text
        record = json.loads(capsys.readouterr().out)
        assert record["arch"] == "deepinfant-vggish"
        assert len(record["rates"]) == len(record["losses"]) <= 12
        assert picture.is_file()

    def test_a_system_without_a_network_is_refused(self, clips: Path) -> None:
        with pytest.raises(ConfigError, match="must name a system that is one network"):
            self.run(str(clips), "--arch", "svm-mfcc")
        with pytest.raises(ConfigError, match="a system must be one of cha-bae"):
            self.run(str(clips), "--arch", "whisper")

    def test_too_few_steps_are_refused_before_clips_are_read(self) -> None:
        with pytest.raises(ConfigError, match="--steps must be at least 10; got 1"):
            self.run("nowhere", "--steps", "1")
