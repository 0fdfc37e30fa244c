"""What a run does to each clip: plain data that every worker is given."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from cryvision.inference.options import Options

CLIP_SCORER = "cryvision.batch.scoring:ClipScorer"


@dataclass(frozen=True)
class Job:
    """How the clips of a run are scored.

    `bundle` is its path, the same on every machine, None the one that ships; its name and hash say
    what must be found there, and `version` is that of cryvision, as another one may score
    otherwise. `folder` is what relative paths are relative to. `formats` are written beside the
    table, for each clip, into `formats_dir`; the state of long recordings is kept in
    `unfinished_dir` until they are scored, empty for nowhere. `acoustics`, `timezone` and
    `timeline_hop_s` are those of `BatchOptions`. `scorer` is the ``module:class`` that is made once
    in each worker, with the job, and then called with each clip for its row; only measurements of
    the scheduling itself replace it.
    """

    bundle: str | None
    bundle_name: str
    bundle_sha256: str
    version: str
    folder: str
    options: Options = field(default_factory=Options)
    formats: tuple[str, ...] = ()
    formats_dir: str = ""
    acoustics: bool = False
    timezone: str = ""
    timeline_hop_s: float | None = None
    unfinished_dir: str = ""
    scorer: str = CLIP_SCORER

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what a row holds."""
        settings = dataclasses.asdict(self)
        # The bundle is what it holds, and a clip what its path leads to, wherever that is written.
        for place in ("bundle", "folder", "formats_dir", "unfinished_dir"):
            del settings[place]
        return {**settings, **settings.pop("options")}

    @property
    def settings_sha256(self) -> str:
        """Of the settings: a row of other ones is not a row of this run."""
        text = json.dumps(self.settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Job:
        plain = {"formats": tuple(data["formats"]), "options": Options(**data["options"])}
        return cls(**{**data, **plain})
