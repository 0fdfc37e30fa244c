"""What a user may choose when a clip is classified: the same for one clip, a stream and a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TypedDict

from cryvision.argument_types import check_types
from cryvision.bundle import Bundle
from cryvision.config import VETO_LEVELS, check_choice
from cryvision.errors import ConfigError
from cryvision.inference.label_policy import LABEL_POLICIES
from cryvision.inference.smoothing import adjusted_gate
from cryvision.result import BOUT_GAP_SECONDS


@dataclass(frozen=True)
class Options:
    """Options of classifying a clip.

    Attributes
    ----------
    runtime : {"onnx", "keras"}
        ``onnx`` needs no TensorFlow and starts at once; ``keras`` runs the original models.
    smooth_seconds : float, optional
        Length of the rolling prediction deque; the bundle's own by default.
    label_policy : {"skill", "always"}
        ``skill`` names a label only where the bundle has measured skill for it and gives
        ``not sure`` elsewhere; ``always`` names the most probable one.
    require_face : bool
        Whether it is an error that faces cannot be looked at on this machine; by default the
        face branch is dropped, with a warning.
    veto : {"normal", "strict", "off"}
        How much crying the bundle's tagger must detect for an event to stand; without a tagger
        every event does.
    bout_gap_s : float
        Events less than this far apart make one bout.
    threshold : float, optional
        Score of the detector at which an event opens, above 0 and below 1; how far it may fall
        before the event closes keeps its ratio to that. The veto stays as it is.
        The bundle's own by default.
    min_duration_s : float, optional
        Shorter events are dropped; the bundle's own by default.
    min_gap_s : float, optional
        Shorter gaps between events are bridged, before short ones are dropped and before the veto;
        the bundle's own by default.

    Raises
    ------
    ConfigError
        If one is of another type or out of range.
    """

    runtime: str = "onnx"
    smooth_seconds: float | None = None
    label_policy: str = "skill"
    require_face: bool = False
    veto: str = "normal"
    bout_gap_s: float = BOUT_GAP_SECONDS
    threshold: float | None = None
    min_duration_s: float | None = None
    min_gap_s: float | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check_choice("label policy", self.label_policy, LABEL_POLICIES)
        check_choice("veto", self.veto, VETO_LEVELS)
        if not 0 <= self.bout_gap_s < math.inf:
            raise ConfigError(
                f"bout_gap_s must be finite and not negative; got {self.bout_gap_s:g}"
            )

    def applied(self, bundle: Bundle) -> Bundle:
        """Put the options in the place of a bundle's own settings."""
        gate = adjusted_gate(bundle.gate, self.threshold, self.min_duration_s, self.min_gap_s)
        if self.smooth_seconds is None:
            return replace(bundle, gate=gate)
        return replace(bundle, gate=gate, smooth_seconds=self.smooth_seconds)


class OptionValues(TypedDict, total=False):
    """The fields of `Options` as keyword arguments, for type checkers."""

    runtime: str
    smooth_seconds: float | None
    label_policy: str
    require_face: bool
    veto: str
    bout_gap_s: float
    threshold: float | None
    min_duration_s: float | None
    min_gap_s: float | None
