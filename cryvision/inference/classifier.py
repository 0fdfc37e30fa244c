"""The push engine: sound and frames go in piece by piece, a timeline and events come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryvision.argument_types import typed
from cryvision.bundle import Bundle
from cryvision.config import FRAME_RATE_HZ, SAMPLE_RATE_HZ
from cryvision.errors import ConfigError
from cryvision.inference.branch_inputs import FACE
from cryvision.inference.class_stream import SOUND, ReasonStream, ReasonWindows
from cryvision.inference.crying import CryStream
from cryvision.inference.face_stream import face_stream
from cryvision.inference.kept_events import KeptEvents
from cryvision.inference.label_policy import CRY, NO_CRY, NOT_SURE, has_skill, mean_probabilities
from cryvision.inference.options import Options, OptionValues
from cryvision.inference.state import StreamState
from cryvision.inference.timeline import HeldPredictions
from cryvision.inputs.audio import as_array
from cryvision.inputs.frame_rows import FRAMES_IN_MEMORY, FrameRows, RowFiles
from cryvision.inputs.media import NO_SOUND
from cryvision.inputs.resampling import Resampler
from cryvision.result import Classification, Detection, Event

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from typing_extensions import Unpack

    from cryvision.inputs.media import MediaInfo


class StreamClassifier:
    """Classifies a stream of media; the sizes of the pieces make no difference.

    Parameters
    ----------
    bundle : Bundle, optional
        What to classify with; the bundle that ships with the package by default.
    path : str, optional
        Name of the clip in the result.
    sample_rate_hz : float
        Of the sound that is pushed.
    keep_seconds : float, optional
        Bounds the memory: the timeline and the events of the result are those of the last so many
        seconds. ``detector.probability`` and ``heard_seconds`` are of the whole stream all the
        same. By default everything is kept; what is older than ten minutes lies in a temporary
        file.
    row_files : RowFiles, optional
        Where such files are to lie instead.
    **options
        The fields of `cryvision.inference.options.Options`.

    Raises
    ------
    MissingDependencyError
        With ``require_face``, if the face detector or the backbone is not on this machine.
    BundleError
        If the bundle has neither a detector nor branches.
    ConfigError
        If an option, the rate or ``keep_seconds`` is out of range.

    Examples
    --------
    >>> stream = StreamClassifier()                            # doctest: +SKIP
    >>> for samples in microphone:                             # doctest: +SKIP
    ...     for event in stream.push(samples):
    ...         print("ended" if event.offset_s else "began", event.onset_s)
    ...     print(stream.state.crying, stream.state.level_dbfs)
    """

    @typed
    def __init__(
        self,
        bundle: Bundle | None = None,
        *,
        path: str = "",
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        keep_seconds: float | None = None,
        row_files: RowFiles | None = None,
        **options: Unpack[OptionValues],
    ) -> None:
        if keep_seconds is not None and not 0 < keep_seconds < math.inf:
            raise ConfigError(f"keep_seconds must be positive and finite; got {keep_seconds:g}")
        self._keep_frames = None if keep_seconds is None else round(keep_seconds * FRAME_RATE_HZ)
        self._first_frame = 0
        files = row_files or RowFiles() if keep_seconds is None else None
        self._files = files
        self._resampler = Resampler(sample_rate_hz)
        self._options = chosen = Options(**options)
        self._bundle = bundle = chosen.applied(bundle or Bundle.load())
        self._path = path
        face = next((part.face for part in bundle.parts if part.face), None)
        self._faces, self._warnings = face_stream(face, chosen.require_face, str(bundle.folder))
        self._reasons = ReasonStream.of(bundle, chosen.runtime, self._faces, files)
        self._crying: CryStream | None = None
        if bundle.detector is not None or self._reasons is None:
            self._crying = CryStream(bundle, chosen, files)
        self._classes: HeldPredictions | None = None
        if self._reasons is not None:
            self._classes = HeldPredictions(bundle.labels, bundle.smooth_seconds, files)
        self._face_shown = FrameRows(1, files)
        self._shows_face = False
        self._n_samples = 0
        self._picture_end_s = 0.0

    @property
    def takes_frames(self) -> bool:
        """Whether a branch uses the frames."""
        return self._faces is not None

    @property
    def reasons(self) -> ReasonStream | None:
        """The branches' outputs for the windows so far; None for a detector alone."""
        return self._reasons

    @property
    def state(self) -> StreamState:
        """The state at the newest sound and picture."""
        if self._crying is None:
            time_s = max(self._n_samples / SAMPLE_RATE_HZ, self._picture_end_s)
            state = StreamState.unknown(time_s, "the bundle does not detect crying")
        else:
            state = self._crying.state()
        if self._faces is not None and self._faces.looks and not self._shows_face:
            why = "no face in the picture" if self._faces.n_frames else "no picture yet"
            return replace(state, not_scored={**state.not_scored, FACE: why})
        return state

    def push(
        self,
        samples: ArrayLike | None = None,
        frame: ArrayLike | None = None,
        frame_time_s: float | None = None,
    ) -> list[Event]:
        """Take the next piece of the stream and return the events that began or ended.

        An event that stands is returned without an offset (``offset_s`` None) as soon as it is
        certain, and again when it has ended. With a veto it is certain once the tagger has found
        enough of crying near it. That may be some seconds after its end: then it is returned only
        once. Those that never are go to the result as rejected.

        Parameters
        ----------
        samples : array_like, shape (n,) or (n, n_channels), float or int16, optional
            Sound that follows what was pushed before, at ``sample_rate_hz``; full scale is 1 or
            32768. Channels are mixed to one. Beside a frame, the sound up to it.
        frame : array_like, shape (height, width, 3), uint8, optional
            One RGB frame, later than the one before it.
        frame_time_s : float, optional
            Time of the frame on the 30 Hz media clock, in seconds; needed with a frame.

        Returns
        -------
        list of Event
            Those that have ended come in the order of their onsets. Their label is ``cry``; reasons
            are given for the whole clip, by `finish`.
        """
        finished: list[Event] = []
        if samples is not None:
            finished = self._push_samples(self._resampler.push(samples))
        if frame is not None:
            self._see(as_array(frame, "a frame"), _finite(frame_time_s))
        self._forget(keep=2)
        return finished

    def finish(
        self, info: MediaInfo | None = None, warnings: tuple[str, ...] = ()
    ) -> Classification:
        """End the stream and return its classification.

        Parameters
        ----------
        info : MediaInfo, optional
            Metadata of the file: goes into the result, and stretches the timeline to the
            end of pictures that were not decoded.
        warnings : tuple of str
            More to warn of, from whoever read the media.
        """
        self._push_samples(self._resampler.finish())
        self._finish_windows()
        self._forget(keep=1)
        sound_end_s = self._n_samples / SAMPLE_RATE_HZ
        crying = self._crying
        events = self._events
        gate = None if crying is None else self._bundle.gate
        duration_s = max(sound_end_s, self._picture_end_s)
        if info is not None and info.has_picture and info.duration_s is not None:
            duration_s = max(duration_s, info.duration_s)
        timeline = self._timeline(duration_s)
        modalities = self._modalities()
        probabilities = self._probabilities(timeline)
        label = self._label(probabilities, modalities)
        detector = self._bundle.detector
        return Classification(
            path=self._path,
            duration_s=duration_s,
            label=label,
            probabilities=probabilities,
            detector=Detection(
                cry=bool(events) if self._gated else None,
                probability=crying.score if crying is not None and self._gated else None,
                seconds=sum((event.duration_s for event in events), 0.0),
            ),
            timeline=timeline,
            events=self._described(events, label),
            modalities=modalities,
            bundle={
                "name": self._bundle.name,
                "sha256": self._bundle.sha256,
                "band_hz": None if detector is None else detector.band_hz,
            },
            skill=list(self._bundle.skill),
            media=info.to_json() if info is not None else {},
            face_share=None if self._faces is None else self._faces.share,
            warnings=tuple(self._notes(warnings, info, probabilities, label)),
            rejected=() if crying is None else crying.rejected.ended_after(-math.inf),
            bout_gap_s=self._options.bout_gap_s,
            threshold=None if gate is None else gate.enter,
            min_duration_s=None if gate is None else gate.min_event_seconds,
            min_gap_s=None if gate is None else gate.min_gap_seconds,
            veto="off" if crying is None else crying.veto,
            heard_seconds={} if crying is None else crying.heard_seconds,
            quiet_seconds=() if crying is None else crying.quiet_seconds,
        )

    @property
    def _events(self) -> KeptEvents:
        """Those that ended within the timeline that is kept."""
        events = KeptEvents() if self._crying is None else self._crying.events
        return events.ended_after(self._first_frame / FRAME_RATE_HZ)

    @property
    def _gated(self) -> bool:
        """Whether any sound was loud enough to be scored."""
        return self._crying is not None and self._crying.n_scored > 0

    def _push_samples(self, samples: np.ndarray) -> list[Event]:
        if not len(samples):
            return []
        self._n_samples += len(samples)
        windows, events = (None, []) if self._crying is None else self._crying.push(samples)
        if self._reasons is not None:
            self._write_reasons(self._reasons.push(samples, windows))
        return events

    def _forget(self, keep: int) -> None:
        """Once there is more than so many times of what is to be kept, forget what is older."""
        if self._keep_frames is None:
            return
        end_s = max(self._n_samples / SAMPLE_RATE_HZ, self._picture_end_s)
        n_frames = round(end_s * FRAME_RATE_HZ)
        if n_frames - self._first_frame <= keep * self._keep_frames:
            return
        first = n_frames - self._keep_frames
        self._face_shown.forget(first - self._first_frame)
        self._first_frame = first
        if self._crying is not None:
            self._crying.forget(first)
        if self._classes is not None:
            self._classes.forget(first)
        if self._reasons is not None:
            self._reasons.forget(first / FRAME_RATE_HZ)

    def _see(self, frame: np.ndarray, frame_time_s: float) -> None:
        """Look for a face, and let time go on where there is no sound to do it."""
        self._picture_end_s = max(self._picture_end_s, frame_time_s + 1 / FRAME_RATE_HZ)
        if not self._n_samples and self._reasons is not None:
            n_samples = round(frame_time_s * SAMPLE_RATE_HZ)
            self._write_reasons(self._reasons.push_time(n_samples))
        if self._faces is not None:
            shown = self._faces.push(frame, frame_time_s) is not None
            n_shown = self._first_frame + len(self._face_shown)
            missed = max(0, round(frame_time_s * FRAME_RATE_HZ) - n_shown)
            newest = float(shown) if self._faces.looks else np.nan
            self._face_shown.append(np.array([[np.nan]] * missed + [[newest]]))
            self._shows_face = shown

    def _write_reasons(self, windows: ReasonWindows) -> None:
        if self._classes is not None:
            self._classes.write(windows.end_samples, windows.predictions, windows.settled_samples)

    def _finish_windows(self) -> None:
        windows = None if self._crying is None else self._crying.finish()
        if self._reasons is None or self._classes is None:
            return
        end = self._n_samples or round(self._picture_end_s * SAMPLE_RATE_HZ)
        last = self._reasons.finish(windows, end)
        self._write_reasons(last)
        seconds = self._reasons.window_seconds
        n_frames = round(end / SAMPLE_RATE_HZ * FRAME_RATE_HZ)
        if n_frames <= math.ceil(round(seconds * SAMPLE_RATE_HZ) * FRAME_RATE_HZ / SAMPLE_RATE_HZ):
            # No frame lies behind the end of a clip's only window, so the last one carries it.
            self._classes.fill_last(n_frames)
        if len(last.end_samples) and end < round(seconds * SAMPLE_RATE_HZ):
            self._warnings.append(
                f"shorter than a reason's window ({seconds:g} s): padded with silence"
            )

    def _timeline(self, duration_s: float) -> dict[str, np.ndarray]:
        n_frames, first = round(duration_s * FRAME_RATE_HZ), self._first_frame
        clock = FrameRows(1, self._files, "d")
        for block in range(first, n_frames, FRAMES_IN_MEMORY):
            frames = np.arange(block, min(block + FRAMES_IN_MEMORY, n_frames))
            clock.append(frames[:, None] / FRAME_RATE_HZ)
        timeline = {"time_s": clock.table(0, n_frames - first)[:, 0]}
        if self._crying is not None:
            timeline.update(self._crying.columns(n_frames, first))
        if self._classes is not None:
            timeline.update(self._classes.columns(n_frames, first))
        if self._faces is not None:
            timeline[FACE] = self._face_shown.table(0, n_frames - first)[:, 0]
        return timeline

    def _modalities(self) -> tuple[str, ...]:
        if self._reasons is not None and self._reasons.modalities:
            return tuple(m for m in (SOUND, FACE) if m in self._reasons.modalities)
        return (SOUND,) if self._gated else ()

    def _probabilities(self, timeline: dict[str, np.ndarray]) -> dict[str, float]:
        if self._reasons is None:
            p_cry = 0.0 if self._crying is None else self._crying.score
            return {NO_CRY: 1 - p_cry, CRY: p_cry} if self._gated else {}
        if self._gated and not self._events:
            return {}
        spans = [event.span_s for event in self._events] if self._gated else None
        return mean_probabilities(timeline, self._bundle.labels, spans)

    def _label(self, probabilities: dict[str, float], modalities: Sequence[str]) -> str:
        if self._gated and not self._events:
            return NO_CRY
        if not probabilities:
            return NOT_SURE
        decider = self._bundle.detector if self._reasons is None else self._reasons.decider
        # A reason is one for the clip, so predictions of single windows are not enough.
        unit = None if self._reasons is None else "clip"
        if self._options.label_policy != "always" and not (
            decider and has_skill(self._bundle.skill, decider.name, modalities, unit)
        ):
            return NOT_SURE
        return CRY if self._reasons is None else max(probabilities, key=probabilities.__getitem__)

    def _described(self, events: KeptEvents, label: str) -> KeptEvents:
        """Give events the clip's reason, where it has one, and the branches' outputs."""
        if self._reasons is None:
            return events
        described = KeptEvents(self._reasons.branches, self._bundle.labels)
        means = self._reasons.branch_means(event.span_s for event in events)
        for event, branches in zip(events, means, strict=True):
            named = label if label != NOT_SURE else event.label
            described.append(replace(event, label=named, branches=branches))
        return described

    def _notes(
        self,
        warnings: tuple[str, ...],
        info: MediaInfo | None,
        probabilities: dict[str, float],
        label: str,
    ) -> list[str]:
        # That there is no sound is said below, with what follows from it.
        notes = [*(text for text in warnings if text != NO_SOUND), *self._warnings]
        if not self._n_samples:
            missing = "nothing to decide from: " if not probabilities else ""
            notes.append(f"{missing}{NO_SOUND}")
        if self._crying is not None:
            notes += self._crying.notes()
        if self._reasons is not None and self._events and not probabilities:
            notes.append("no bout is long enough for a reason to be looked for")
        if self._options.label_policy == "always" and label not in (NO_CRY, NOT_SURE):
            notes.append("label policy 'always': the label is given whatever its measured skill")
        if info is not None and info.has_picture:
            if not any(part.face for part in self._bundle.parts):
                notes.append(f"faces are not used: bundle {self._bundle.name!r} is for sound alone")
            elif self._faces is not None and not self._faces.n_faces:
                notes.append("no frame shows a face")
        elif info is not None and self._faces is not None:
            notes.append("faces are not used: the clip has no pictures")
        return notes


def _finite(frame_time_s: float | None) -> float:
    try:
        time_s = math.nan if frame_time_s is None else float(frame_time_s)
    except (TypeError, ValueError):
        time_s = math.nan
    if not math.isfinite(time_s):
        raise ConfigError(f"a frame needs its frame_time_s; got {frame_time_s!r:.80}")
    return time_s
