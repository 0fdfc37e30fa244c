"""What there is to score, cut into what a worker is given at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from cryvision.batch.sources import ListedClip

Shard = Sequence[ListedClip]

SHARD_CLIPS = 200
"""Most clips that a worker is given at once ..."""

SHARD_BYTES = 200_000_000
"""... unless they come to this size before."""

SHARDS_PER_WORKER = 8
"""Few clips make smaller shards: each worker has some, so that all end at about the same time."""

CLIPS_PER_WORKER, BYTES_PER_WORKER = 32, 64_000_000
"""What makes one worker more worth its start, which takes about a second."""


@dataclass(frozen=True)
class Work:
    """The clips that a run has to score, given anew at each call, and about how large they are."""

    clips: Callable[[], Iterator[ListedClip]]
    n_clips: int
    n_bytes: int

    def workers(self, room: int) -> int:
        """How many workers are worth their start, at most as many as there is room for."""
        useful = max(self.n_clips // CLIPS_PER_WORKER, self.n_bytes // BYTES_PER_WORKER)
        return max(1, min(useful, self.n_clips, room))

    def shards(self, workers: int) -> Iterator[Shard]:
        """Cut the clips into shards for a number of workers."""
        fair = self.n_clips // (SHARDS_PER_WORKER * workers)
        most = max(1, min(SHARD_CLIPS, fair))
        shard: list[ListedClip] = []
        n_bytes = 0
        for clip in self.clips():
            shard.append(clip)
            n_bytes += max(0, clip.size_bytes)
            if len(shard) >= most or n_bytes >= SHARD_BYTES:
                yield shard
                shard, n_bytes = [], 0
        if shard:
            yield shard
