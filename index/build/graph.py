"""A space's graph by workers: they do the tiles of a plan, and this process ranks what they found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from index.build.cluster import Cluster
from index.build.place import UnfinishedError
from index.build.tiles import Merge, Plan, Step, Tile, do, lay_out
from index.errors import LogoscopeError
from index.progress import Progress, Share
from index.search.kernels import Floats, Ints, Nearest
from index.search.tile import Find


def find_together(cluster: Cluster, work: Path, space: str, inputs: Any, device: str, progress: Progress) -> Find:
    """Return a function that finds the nearest points of a space by workers, with files in the folder of the build.

    `inputs` are all that decides the points of the space, as JSON. The function raises UnfinishedError where workers
    fail: what they have done is kept.
    """

    def hand_out(plan: Plan, steps: Iterable[Tile | Merge]) -> Iterator[Tile | Merge]:
        """Yield the steps as workers have done them."""
        wanted = [Step(plan, step, device, cluster.threads) for step in steps]
        for step, failed in cluster.spread(do, wanted, progress):
            if isinstance(failed, LogoscopeError):
                raise UnfinishedError(f"{step.step.name} of the {space} space failed: {failed}; what is done is kept")
            yield step.step

    def find(points: Floats, rows: Ints, k: int, pool: ThreadPoolExecutor, report: Share) -> Nearest:
        plan = lay_out(work, space, inputs, points, rows, k, pool)
        planned = plan.stages
        finished = plan.finished()
        done, total = sum(map(len, planned[:finished])), sum(map(len, planned))
        report(done / total)
        for stage, tiles in enumerate(planned[finished:], finished):
            merges = [step for step in plan.merges(stage) if not plan.has(step)]
            chunks = {step.chunk for step in merges}
            needed = [tile for tile in tiles if chunks.intersection(tile.chunks) and not plan.has(tile)]
            done += len(tiles) - len(needed)
            for _ in hand_out(plan, needed):
                done += 1
                report(done / total)
            for _ in hand_out(plan, merges):
                report(done / total)
            plan.clear(stage)
        return _found(plan)

    return find


def _found(plan: Plan) -> Nearest:
    """Read the nearest of all places, after the last stage."""
    U, last = plan.edges[-1], len(plan.stages) - 1
    nearest = Nearest(
        ids=np.empty((U, plan.k), np.int32),
        squared=np.empty((U, plan.k)),
        filled=np.full(U, plan.k, np.int32),
        limit=np.zeros(U, np.float32),
    )
    for chunk, (first, stop) in enumerate(zip(plan.edges[:-1], plan.edges[1:], strict=True)):
        found = plan.nearest(last, chunk)
        nearest.ids[first:stop] = found.ids.reshape(-1, plan.k)
        nearest.squared[first:stop] = found.squared.reshape(-1, plan.k)
    return nearest
