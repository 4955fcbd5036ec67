"""What a build needs of memory and of the disk, against what there is: said before the work, not after half of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from index.build.settings import Settings
from index.build.tiles import chunk_edges
from index.errors import BundleError, ParameterError, parameter
from index.geometry.maps import Geometry
from index.search.graph import NEAREST_BYTES, PANEL_BYTES, SPARE, TILE_ROWS, core_count

_BASE_BYTES = 150_000_000
"""What compiled kernels, and the buffers of BLAS, FAISS and threads, take beyond the imports."""
_POINT_BYTES = 160
"""Per distinct point: its bounds toward the groups, its norm, its place."""
_TEXT_BYTES = 3_000
"""Per token: its texts, and what the tokenizer makes of them while it is tried which tokens it reaches."""
_WORKER_BYTES = 600_000_000
"""What the imports and the kernels of a worker take."""
_LISTS = 6
"""How many lists of K candidates are on the disk of each token at a time: of two merges, and of a stage's tiles."""

_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class BuildSize:
    """What a build needs, in bytes; an estimate."""

    V: int
    D: int
    K: int
    private: int  # memory of its own, beyond what the process holds when it begins
    points: int  # of one space, mapped: every pair of them is looked at, so they should fit, too
    gamma: int  # mapped from a file, and read from one end to the other
    disk: int  # of the whole bundle but for tables and approximate indexes
    nearest: int  # of its own for what is near the points of one space: a second one searched at once needs it again

    @classmethod
    def of(
        cls,
        V: int,
        D: int,
        itemsize: int,
        settings: Settings,
        *,
        workers: int | None = None,
        tiled: bool = False,
    ) -> BuildSize:
        """Estimate a build of (V, D) rows whose entries have `itemsize` bytes.

        `tiled` says that its graphs are made tile by tile, by so many workers on this machine, or elsewhere.
        """
        K = settings.neighbors
        points, graph, gamma, square = 4 * V * D, 4 * 4 * V * K, itemsize * V * D, 8 * D * D
        nearest = V * (NEAREST_BYTES * (K + SPARE) + _POINT_BYTES)
        search = nearest + graph + 2 * PANEL_BYTES
        search += 2 * 4 * TILE_ROWS**2 * (settings.threads or core_count())
        approximate = points if settings.index_factories else 0
        private = _BASE_BYTES + 2 * square + max(search, 6 * square, _TEXT_BYTES * V, approximate)
        private += (workers or 0) * (_WORKER_BYTES + tile_bytes(V, D, K))
        disk = gamma + 3 * square + len(Geometry) * (points + graph) + 2 * V * D  # the last of its steps needs most
        disk += points + _LISTS * NEAREST_BYTES * V * K if tiled else 0
        return cls(V, D, K, private, points, gamma, disk, nearest)

    def __str__(self) -> str:
        return f"a build of {self.V:,} tokens x {self.D:,} with {self.K} neighbors"


def tile_bytes(V: int, D: int, K: int) -> int:
    """Return what a tile of V points (V, D) with K neighbors needs of memory; an estimate."""
    points = 2 * -(-V // (len(chunk_edges(V)) - 1))
    return points * (2 * 4 * D + 2 * D + NEAREST_BYTES * (2 * K + SPARE) + _POINT_BYTES)


@dataclass(frozen=True)
class Room:
    """A bound on memory."""

    name: str  # of what sets it
    left: int  # bytes
    address_space: bool = False  # whether files that are mapped count in whole, used or not
    private: bool = False  # whether they do not count at all

    def needed(self, size: BuildSize, *, spaces: int = 1) -> int:
        """Return what a build that searches so many spaces at once needs of it, in bytes."""
        private = size.private + (spaces - 1) * size.nearest
        if self.private:
            return private
        return private + spaces * size.points + (size.gamma if self.address_space else 0)


def check_memory(size: BuildSize) -> None:
    """Refuse a build for which there is too little memory.

    ParameterError, saying how much it needs and how much there is, by which bound.
    """
    for room in memory_left():
        if room.left < room.needed(size):
            raise ParameterError(
                f"{size} needs about {room.needed(size) / 1e9:.2f} GB more memory, but {room.name} leaves "
                f"{max(0, room.left) / 1e9:.2f} GB; free some, or pass {parameter('sample')}, or fewer "
                f"{parameter('neighbors')} or {parameter('threads')}"
            )


def holds_two(size: BuildSize) -> bool:
    """Return whether there is memory for two spaces that are searched at once."""
    return all(room.left >= room.needed(size, spaces=2) for room in memory_left())


def check_disk(size: BuildSize, folder: Path) -> None:
    """Refuse, with BundleError, a build for whose bundle the disk has too little room beside what is in `folder`."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    needed, free = size.disk - there, shutil.disk_usage(folder).free
    if free < needed:
        raise BundleError(
            f"{size} needs about {needed / 1e9:.3f} GB on the disk of {folder.parent}, which has {free / 1e9:.3f} GB "
            f"left; make room, or pass another {parameter('out')}"
        )


def memory_left() -> Iterator[Room]:
    """Yield every bound on this process's memory that this system tells of."""
    memory = psutil.virtual_memory()
    yield Room("this machine", memory.available + psutil.swap_memory().free)
    if sys.platform == "linux":
        yield from _limits()
        yield from _cgroups(Path("/proc/self/cgroup"), _CGROUPS)


def _limits() -> Iterator[Room]:
    """Yield the process's own limits, as `ulimit -v` and `ulimit -d` set them."""
    import resource

    used = psutil.Process().memory_info()
    for name, kind, taken, address_space in (
        ("the limit on address space (ulimit -v)", resource.RLIMIT_AS, used.vms, True),
        ("the limit on private memory (ulimit -d)", resource.RLIMIT_DATA, used.data, False),
    ):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield Room(name, limit - taken, address_space=address_space, private=not address_space)


def _cgroups(membership: Path, root: Path) -> Iterator[Room]:
    """Yield the limits of the control groups the process is in, and of those around them: versions 1 and 2."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            base, limit_file, usage_file = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        elif controllers == "":
            base, limit_file, usage_file = root, "memory.max", "memory.current"
        else:
            continue
        group = base / path.lstrip("/")
        for folder in (group, *group.parents[: len(group.relative_to(base).parts)]):
            limit, usage = _number(folder / limit_file), _number(folder / usage_file)
            if limit is not None and usage is not None:
                name = "/" if folder == base else folder.name
                yield Room(f"the control group {name}", limit - usage + _reclaimable(folder / "memory.stat"))


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is none, or no limit ("max")."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _reclaimable(path: Path) -> int:
    """Return how much of a control group's usage is pages of files, which it gives up when it needs others."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    counts = {name: int(value) for name, _, value in (line.partition(" ") for line in lines) if value.isdigit()}
    prefix = "total_" if "total_inactive_file" in counts else ""
    return counts.get(f"{prefix}inactive_file", 0) + counts.get(f"{prefix}active_file", 0)
