"""The published systems by name: their inputs, their models, and whether a gate selects windows.

Each is measured, calibrated, saved, streamed and exported on the one path that all stacks take;
here are only its differences from the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cryvision.argument_types import typed
from cryvision.config import SoundConfig, check_choice, to_json
from cryvision.errors import ConfigError
from cryvision.models import cnn_lstm, hybrid_attention, mel_resnet
from cryvision.models.baselines import CLASSIFIERS
from cryvision.training.branches import DNN, Branch, autoencoder_branch, baseline_branch
from cryvision.training.networks import Network

CRY, NONE = "cry", "none"
"""Gates: windows that a detector calls crying, or all of them."""

CHA_BAE_SOUNDS = {
    feature: SoundConfig(feature=feature, window_seconds=2.0, hop_seconds=0.5)
    for feature in ("mfcc", "stft")
}
"""Windows of the sound branches of Cha & Bae: 2 s every 0.5 s."""

V2_SOUND = SoundConfig(
    feature="mel",
    window_seconds=7.0,
    hop_seconds=1.024,
    n_fft=1024,
    frame_hop_samples=256,
    min_hz=20.0,
    max_hz=8000.0,
    n_mels=80,
)
"""DeepInfant V2: ``train.py`` of its repository."""

V1_SOUND = dataclasses.replace(V2_SOUND, n_fft=2048, frame_hop_samples=512, n_mels=128)
"""DeepInfant V1: README of its repository, "Building a model"."""

VGGISH_SOUND = SoundConfig(
    feature="mel",
    window_seconds=0.975,
    hop_seconds=0.48,
    n_fft=400,
    frame_hop_samples=160,
    min_hz=125.0,
    max_hz=7500.0,
    n_mels=64,
)
"""96 frames of 25 ms every 10 ms, 64 bands: Hershey et al. 2017, section 3.1; DeepInfant's README
has the 0.975 s."""

TINYTOES_SOUND = SoundConfig(
    feature="hybrid", window_seconds=7.0, hop_seconds=1.024, n_fft=512, frame_hop_samples=512
)
"""Sizes chosen here, as the article states none: 218 frames of 107 bins, 40 bands, 20 cepstra."""


@dataclass(frozen=True)
class System:
    """A published system.

    Attributes
    ----------
    name : str
    summary : str
        What it is, in a line.
    settings : mapping of str to SoundConfig
        Feature to how it is computed; one window and hop for all.
    recipe : tuple of Branch
        What is fitted; an ensemble and its calibration follow, of one branch too.
    gate : {"cry", "none"}
        Whether a detector selects its windows of training and test. The systems on whole
        clips of 7 s had none.
    network : Network or None
        The network of a system with one, whose learning rate can be looked for.
    """

    name: str
    summary: str
    settings: Mapping[str, SoundConfig]
    recipe: tuple[Branch, ...]
    gate: str = CRY
    network: Network | None = None

    @typed
    def with_window(self, window_seconds: float, hop_seconds: float | None = None) -> System:
        """Give the same system on windows of another length: DeepInfant's "flexible" windows.

        Parameters
        ----------
        window_seconds : float
        hop_seconds : float, optional
            By default as it is or, where that would leave gaps between windows, as long as whole
            frames within a window are.

        Raises
        ------
        ConfigError
            If the window holds no frame.
        """
        if hop_seconds is None:
            sounds = self.settings.values()
            frame_s = max(c.frame_hop_samples / c.sample_rate_hz for c in sounds)
            # numpy floors what is not finite too, which SoundConfig refuses.
            longest = float(np.floor(window_seconds / frame_s)) * frame_s
            hop_seconds = min(longest, *(config.hop_seconds for config in sounds))
        settings = {
            feature: dataclasses.replace(
                config, window_seconds=window_seconds, hop_seconds=hop_seconds
            )
            for feature, config in self.settings.items()
        }
        return dataclasses.replace(self, settings=settings)

    def with_network(self, **changes: Any) -> System:
        """Give the same system with other settings of its network, such as ``width``.

        Raises
        ------
        ConfigError
            If the system is no single network.
        """
        if self.network is None:
            raise ConfigError(f"{self.name} is no single network whose settings could be changed")
        network = dataclasses.replace(self.network, **changes)
        return dataclasses.replace(self, network=network, recipe=(network.branch(),))

    @typed
    def with_rate(self, rate: float) -> System:
        """Give the same system with another learning rate, such as `cryvision lr-find` suggests.

        Of a cycle it is the highest, and the ends keep their ratio to it.

        Raises
        ------
        ConfigError
            If the system is no single network, or the rate is not positive.
        """
        network = self.network
        if network is None or network.highest_rate is None:
            return self.with_network(rate=rate)
        return self.with_network(rate=rate * network.rate / network.highest_rate, highest_rate=rate)

    def facts(self) -> dict[str, Any]:
        """Describe this system as plain JSON data that no other, or changed, one has."""
        return {
            "name": self.name,
            "settings": {feature: to_json(config) for feature, config in self.settings.items()},
            "gate": self.gate,
            "network": None if self.network is None else self.network.facts(),
        }


def _cha_bae() -> System:
    return System(
        "cha-bae",
        "Cha & Bae: denoising autoencoders with dense layers on MFCC and STFT, and their ensemble",
        CHA_BAE_SOUNDS,
        tuple(autoencoder_branch(feature) for feature in CHA_BAE_SOUNDS),
    )


def _baselines() -> list[System]:
    return [
        System(
            f"{classifier}-{feature}",
            f"Cha & Bae, Table 2: {classifier.replace('-', ' ')} on {feature}",
            {feature: config},
            (baseline_branch(classifier, feature),),
        )
        for classifier in (*CLASSIFIERS, DNN)
        for feature, config in CHA_BAE_SOUNDS.items()
    ]


def _of_network(name: str, summary: str, sound: SoundConfig, network: Network) -> System:
    settings = {sound.feature: sound}
    return System(name, summary, settings, (network.branch(),), NONE, network)


def _networks() -> list[System]:
    resnet50 = partial(mel_resnet.build_mel_resnet, n_layers=50)
    return [
        _of_network(
            "deepinfant-v2",
            "DeepInfant V2: squeeze-and-excitation CNN and bidirectional LSTM on log-mel, 7 s",
            V2_SOUND,
            Network("mel", cnn_lstm.build_cnn_lstm, cnn_lstm.WIDTH),
        ),
        _of_network(
            "deepinfant-v1",
            "DeepInfant V1: ResNet-34 on mel pictures, 7 s, cyclical learning rate",
            V1_SOUND,
            Network(
                "mel",
                mel_resnet.build_mel_resnet,
                mel_resnet.WIDTH,
                epochs=24,
                batch_size=64,
                rate=1e-4,
                highest_rate=3e-3,
            ),
        ),
        _of_network(
            "deepinfant-vggish",
            "DeepInfant VGGish: VGG-like convolutions on log-mel 96 x 64, windows of 0.975 s",
            VGGISH_SOUND,
            Network("mel", mel_resnet.build_vggish, mel_resnet.WIDTH, batch_size=64),
        ),
        _of_network(
            "tinytoes",
            "TinyToes: convolution blocks, multi-head attention and LSTM on a hybrid picture, 7 s",
            TINYTOES_SOUND,
            Network(
                "hybrid", hybrid_attention.build_hybrid_attention, hybrid_attention.WIDTH, rate=2e-3
            ),
        ),
        _of_network(
            "tinytoes-resnet50",
            "TinyToes with the ResNet-50 that its text also names",
            TINYTOES_SOUND,
            Network("hybrid", resnet50, mel_resnet.WIDTH),
        ),
    ]


SYSTEMS: Mapping[str, System] = {
    system.name: system for system in (_cha_bae(), *_baselines(), *_networks())
}
"""Every published system by name."""


def system(name: str | System) -> System:
    """Give a published system by its name; a system, such as a changed copy of one, is itself.

    Raises
    ------
    ConfigError
        If there is none of that name.
    """
    if isinstance(name, System):
        return name
    return SYSTEMS[check_choice("a system", name, SYSTEMS)]
