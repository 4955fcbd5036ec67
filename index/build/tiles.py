"""The plan of a graph that workers make tile by tile, and the files that they hand it on by.

::

    .NAME.building/SPACE-DIGEST.tiles/
        plan.json           k and the chunks: written once all chunks are there
        chunk-C             points of consecutive places, and what the filter knows of them
        tile-S-I-J          of stage S: the candidates of chunks I <= J among each other, of both sides
        nearest-S-C         of each place of chunk C the k nearest that all stages up to S have found

Chunk I meets itself at stage 0, the next one at stage 1, then two, four, eight at a time, until it has met all. A tile
knows how far the k-th nearest is that the stages before have found, and writes no candidate beyond; with twice the
chunks met at each stage, that is about k of each place at each stage, and not of each tile.

The digest is of all that decides what is in the files, so that a worker that nobody waits for any more can only write
what the plan would have it write, or nowhere. Each file is written once, as a whole, with a checksum. Which worker does
a tile, in which arithmetic and with how many threads, decides nothing.
"""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import Any

import numpy as np
from safetensors import SafetensorError

from index.build.finished import TILES
from index.build.records import is_intact, read_records, write_records
from index.errors import BundleError
from index.files import why
from index.search.filter import build_filter
from index.search.graph import core_count, one_torch_thread_each
from index.search.kernels import Floats, Ints
from index.search.scores import FLOAT32, Arithmetic, choose_arithmetic
from index.search.tile import Candidates, Chunk, cut, merge, near, reach

LEAST_CHUNK = 8192
"""Points of a chunk, unless there are fewer in all: below it, reading them takes longer than comparing them."""
MOST_CHUNKS = 64
PLAN = "plan.json"


@dataclass(frozen=True)
class Tile:
    """Two chunks that are compared, or one with itself."""

    stage: int
    left: int
    right: int  # left or more

    @property
    def name(self) -> str:
        """Its file."""
        return f"tile-{self.stage}-{self.left}-{self.right}"

    @property
    def chunks(self) -> tuple[int, ...]:
        """What it compares."""
        return (self.left,) if self.left == self.right else (self.left, self.right)


@dataclass(frozen=True)
class Merge:
    """What the tiles of a stage add to what was found of a chunk before."""

    stage: int
    chunk: int

    @property
    def name(self) -> str:
        """Its file."""
        return f"nearest-{self.stage}-{self.chunk}"


@dataclass(frozen=True)
class Plan:
    """The tiles of one graph, in a folder that all workers see."""

    folder: Path
    k: int
    edges: tuple[int, ...]  # chunk c holds the places from edges[c] to edges[c + 1]

    @property
    def stages(self) -> list[list[Tile]]:
        """The tiles in the order of their stages; those of one stage need only what the stages before have found."""
        return stages(len(self.edges) - 1)

    def merges(self, stage: int) -> list[Merge]:
        """Return what is to be merged once the tiles of a stage are there."""
        return [Merge(stage, chunk) for chunk in range(len(self.edges) - 1)]

    def has(self, step: Tile | Merge) -> bool:
        """Whether a step is done."""
        return (self.folder / step.name).exists()

    def finished(self) -> int:
        """Return how many stages are merged: what they were merged from may be gone."""
        count = len(self.stages)
        while count and not all(map(self.has, self.merges(count - 1))):
            count -= 1
        return count

    def compare(self, tile: Tile, device: str, pool: ThreadPoolExecutor) -> None:
        """Do a tile."""
        chunks = [read_records(self.folder / f"chunk-{chunk}", Chunk)[0] for chunk in tile.chunks]
        within = [
            self._reach(tile.stage, number, len(chunk.order)) for number, chunk in zip(tile.chunks, chunks, strict=True)
        ]
        arithmetic = _arithmetic(device, chunks[0].points.shape[1])
        write_records(self.folder / tile.name, near(chunks, within, self.k, arithmetic, device, pool))

    def _reach(self, stage: int, chunk: int, n: int) -> np.ndarray:
        """Return how far the k-th nearest of each place of a chunk is, of those found before a stage."""
        if stage == 0:
            return np.full(n, np.inf)
        return reach(self.nearest(stage - 1, chunk), self.k)

    def nearest(self, stage: int, chunk: int) -> Candidates:
        """Read the nearest of a chunk after a stage."""
        return read_records(self.folder / Merge(stage, chunk).name, Candidates)[0]

    def merge(self, step: Merge, pool: ThreadPoolExecutor) -> None:
        """Merge what the tiles of a stage found of a chunk."""
        parts = [self.nearest(step.stage - 1, step.chunk)] if step.stage else []
        tiles = [tile for tile in self.stages[step.stage] if step.chunk in tile.chunks]
        parts += [read_records(self.folder / tile.name, Candidates)[tile.chunks.index(step.chunk)] for tile in tiles]
        write_records(self.folder / step.name, [merge(parts, self.k, pool)])

    def clear(self, stage: int) -> None:
        """Remove what only the merges of a stage needed: they are done."""
        for step in (*self.stages[stage], *(self.merges(stage - 1) if stage else ())):
            (self.folder / step.name).unlink(missing_ok=True)


def stages(count: int) -> list[list[Tile]]:
    """Return the tiles of so many chunks by stage; every two chunks, and each with itself, meet once."""
    planned: list[list[Tile]] = []
    for apart in range(count // 2 + 1):
        stage = apart.bit_length()
        pairs = {tuple(sorted((chunk, (chunk + apart) % count))) for chunk in range(count)}
        if stage == len(planned):
            planned.append([])
        planned[stage] += [Tile(stage, *pair) for pair in sorted(pairs)]
    return planned


def chunk_edges(U: int) -> tuple[int, ...]:
    """Return where the chunks of U points begin, and where the last one ends: the same for any number of workers."""
    count = max(1, min(MOST_CHUNKS, U // LEAST_CHUNK))
    return tuple(np.linspace(0, U, count + 1).astype(int).tolist())


def lay_out(work: Path, space: str, inputs: Any, points: Floats, rows: Ints, k: int, pool: ThreadPoolExecutor) -> Plan:
    """Write the chunks of the points of some rows for workers, or take up those that are there, with what is done.

    `inputs` are all that decides the points, as JSON. Tiles of a space made from others are removed.
    """
    edges = chunk_edges(len(rows))
    digest = sha256(json.dumps([inputs, k, edges], sort_keys=True).encode())
    for first in range(0, len(points), LEAST_CHUNK):
        digest.update(points[first : first + LEAST_CHUNK].data)
    plan = Plan(work / f"{space}-{digest.hexdigest()[:16]}{TILES}", k, edges)
    for other in work.glob(f"{space}-*{TILES}"):
        if other != plan.folder:
            shutil.rmtree(other)
    if _taken_up(plan, pool):
        return plan
    shutil.rmtree(plan.folder, ignore_errors=True)
    plan.folder.mkdir()
    for number, chunk in enumerate(cut(build_filter(points, rows, FLOAT32, pool), edges)):
        write_records(plan.folder / f"chunk-{number}", [chunk])
    (plan.folder / PLAN).write_text(json.dumps({"k": k, "edges": edges}), encoding="utf-8")
    return plan


def _taken_up(plan: Plan, pool: ThreadPoolExecutor) -> bool:
    """Whether all chunks of a plan are there; of its other files those that are damaged are removed."""
    if not (plan.folder / PLAN).is_file():
        return False
    chunks = {f"chunk-{number}" for number in range(len(plan.edges) - 1)}
    others = [path for path in plan.folder.iterdir() if path.name not in {*chunks, PLAN}]
    for path, intact in zip(others, pool.map(is_intact, others), strict=True):
        if not intact:
            path.unlink()
    return all(pool.map(is_intact, [plan.folder / name for name in chunks]))


@dataclass(frozen=True)
class Step:
    """A tile or a merge, and how to do it."""

    plan: Plan
    step: Tile | Merge
    device: str
    threads: int | None  # None for all cores of the machine that does it


def do(step: Step) -> None:
    """Do a step on a worker, unless it is done.

    BundleError where the worker cannot read or write the plan's files.
    """
    plan = step.plan
    try:
        if plan.has(step.step):
            return
        with one_torch_thread_each(), ThreadPoolExecutor(step.threads or core_count()) as pool:
            if isinstance(step.step, Tile):
                plan.compare(step.step, step.device, pool)
            else:
                plan.merge(step.step, pool)
    except (OSError, SafetensorError, ValueError) as error:
        said = why(error) if isinstance(error, OSError) else str(error)
        seen = "" if plan.folder.is_dir() else ": workers must see the same files under the same paths"
        raise BundleError(f"a worker on {gethostname()} cannot use {plan.folder}{seen} ({said})") from error


@cache
def _arithmetic(device: str, D: int) -> Arithmetic:
    return choose_arithmetic(device, D)
