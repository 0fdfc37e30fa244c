"""Settings of a bundle as the pages name them: ``{{ step }}`` and the like."""

from __future__ import annotations

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ, LogMelConfig, SoundConfig
from cryvision.detector_training.tagger_head import KEPT
from cryvision.errors import BundleError


def substitutions(bundle: Bundle) -> dict[str, str]:
    """Give the settings of a bundle of edges, tagger and veto, each with its unit.

    Raises
    ------
    BundleError
        If the bundle is another kind of detector: the pages would not be true of it.
    """
    edges = None if bundle.detector is None else bundle.detector.logmel
    tagger, gate, veto = bundle.tagger, bundle.gate, bundle.veto
    if edges is None or gate is None:
        raise BundleError(f"the pages describe edges on logmel; bundle {bundle.name!r} has none")
    if tagger is None or tagger.logmel is None or veto is None:
        raise BundleError(
            f"the pages describe a tagger and its veto; bundle {bundle.name!r} has none"
        )
    marks = ("at", "near", "live")
    return {
        "step": f"{1000 * edges.hop_seconds:g} ms",
        "lookahead": f"{edges.lookahead_samples / SAMPLE_RATE_HZ:g} s",
        "edges_span": f"{_span_seconds(edges):.1f} s",
        "band": _band(edges),
        "enter": f"{gate.enter:.2f}",
        "leave": f"{gate.leave:.2f}",
        "leave_share": f"{gate.leave / gate.enter:g}",
        "shortest_event": f"{gate.min_event_seconds:g} s",
        "energy_gate": f"{gate.min_level_dbfs:g} dBFS",
        "tagger_window": f"{_span_seconds(tagger.logmel):g} s",
        "tagger_hop": f"{tagger.logmel.hop_seconds:g} s",
        "tags": ", ".join(f"`{tag}`" for tag in tagger.tags),
        "after": f"{veto.after_seconds:g} s",
        "near": f"{veto.near_seconds:g} s",
        "live": f"{veto.live_seconds:g} s",
        **{f"normal_{m}": f"{getattr(veto, f'normal_{m}'):.2f}" for m in marks},
        **{f"strict_{m}": f"{getattr(veto, f'strict_{m}'):.2f}" for m in marks},
        **{f"{level}_kept": f"{100 * share:g} %" for level, share in KEPT.items()},
        "reasons_band": _band(_reasons_sound(bundle)),
    }


def _reasons_sound(bundle: Bundle) -> SoundConfig:
    """How the first branch hears; as branches do by default where there is none."""
    sounds = (part.sound for part in bundle.parts if part.kind == "branch")
    return next(filter(None, sounds), SoundConfig())


def _band(config: LogMelConfig | SoundConfig) -> str:
    return f"{config.min_hz:,.0f} to {config.max_hz:,.0f} Hz"


def _span_seconds(config: LogMelConfig) -> float:
    return config.window_frames * config.frame_samples / SAMPLE_RATE_HZ
