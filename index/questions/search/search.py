"""`search`: the tokens nearest to any vectors, or that hidden states and directions read out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Annotated, ClassVar

import numpy as np

from index.answers.answer import Answer, Answers
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError, parameter
from index.geometry.maps import Geometry, resolution
from index.geometry.readout import NormKind, dual_directions, normed
from index.progress import Progress, Share, silent
from index.questions.asking.among import AmongSome, Subset, kept
from index.questions.asking.parameters import TOKENS, Among, Without
from index.questions.asking.question import Doc
from index.questions.asking.vectors import Vectors
from index.questions.lists.lists import Neighbor, neighbor_list
from index.questions.lists.marks import marks_of
from index.questions.search.found_vectors import COLUMNS, Logit, NearVector, ReadOut
from index.search.batch import FEW, Listed, Places, nearest_tokens
from index.search.logits import Logits, highest_logits

USUAL_LENGTH = 10
TOGETHER = 1 << 14
"""Vectors mapped, and searched, at once."""


class Role(StrEnum):
    """What a vector is."""

    UNEMBEDDING = "unembedding"  # like a row of gamma
    READOUT = "readout"  # what logits are read off by: a hidden state, or a direction among them


@dataclass(frozen=True, eq=False)
class Found:
    """The lists of all vectors in one space, with one place more than is shown: it tells whether the last is tied."""

    lists: Sequence[Listed]
    lengths: np.ndarray  # (Q,) of the vectors in that space; 0 where one has no direction


@dataclass(frozen=True, eq=False)
class Searched(Answers, AmongSome):
    """What was found of each vector, a `NearVector` or a `ReadOut`: made when it is looked at."""

    bundle: Bundle = field(repr=False)
    role: Role
    top: int
    found: Mapping[Geometry, Found] = field(repr=False)  # of what is read out, causal cosine alone
    logits: Sequence[Logits] = field(repr=False, default=())
    norm: NormKind | None = None  # the final norm that was applied
    among: Subset | None = None

    columns: ClassVar = COLUMNS

    @property
    def note(self) -> str | None:
        """Say what logits leave out, and which words of a list were no token."""
        if self.role is Role.UNEMBEDDING:
            return super().note
        left_out = "a bias and a softcap" if self.norm is not None else "the final norm, a bias and a softcap"
        said = f"logits are gamma h alone: {left_out} are left out; a softcap changes no order"
        return "; ".join(filter(None, (said, super().note)))

    def __len__(self) -> int:
        return len(next(iter(self.found.values())).lists)

    def __iter__(self) -> Iterator[Answer]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> NearVector | ReadOut:
        """Return what was found of one vector, by its number from 0."""
        found = self._of(range(len(self))[number])
        found.about(self.bundle.manifest.control)
        return found

    def _of(self, number: int) -> NearVector | ReadOut:
        lists = {geometry: self._places(geometry, number) for geometry in self.found}
        if self.role is Role.READOUT:
            has_direction = bool(self.found[Geometry.CAUSAL_COSINE].lengths[number])
            dual = lists[Geometry.CAUSAL_COSINE]
            return ReadOut(number, self._highest(self.logits[number]), dual, has_direction, self.among)
        undefined = tuple(each for each in lists if each.angular and self.found[each].lengths[number] == 0)
        return NearVector(number, lists, undefined, self.among)

    def _highest(self, found: Logits) -> tuple[Logit, ...]:
        places = zip(found.rows, found.values.tolist(), found.rounded.tolist(), found.alike.tolist(), strict=True)
        return tuple(
            Logit(
                rank,
                self.bundle.vocabulary.token(row),
                value,
                rounded,
                alike,
                float(self.bundle.hubness[row]),
                marks_of(self.bundle, row, tied=alike > 1),
            )
            for rank, (row, value, rounded, alike) in enumerate(places, 1)
        )

    def _places(self, geometry: Geometry, number: int) -> tuple[Neighbor, ...]:
        found, space = self.found[geometry], self.bundle.spaces[geometry]
        ids, distances = found.lists[number]
        own = resolution(float(found.lengths[number]))
        return neighbor_list(self.bundle, space, ids, distances.astype(np.float32), self.top, resolution=own)


def search(
    bundle: Bundle,
    vectors: Annotated[
        Vectors,
        Doc(
            "A .npy, .pt, .safetensors or .gguf file of one vector, (D,), or of several, (Q, D).",
            metavar="FILE",
            option="--vectors",
        ),
    ],
    *,
    role: Annotated[
        Role, Doc("What the vectors are: like rows of gamma, or hidden states and directions.", option="--as")
    ] = Role.UNEMBEDDING,
    tensor: Annotated[str | None, Doc("The array's name, where the file holds several.", metavar="NAME")] = None,
    norm: Annotated[
        Vectors | None,
        Doc("A file with the weight of the final norm, which is applied to what is read out.", metavar="FILE"),
    ] = None,
    norm_kind: Annotated[
        NormKind, Doc("The final norm: h / rms(h) w, the same with 1 + w, or LayerNorm without its bias.")
    ] = NormKind.RMS,
    top: Annotated[int | None, Doc("Tokens listed for each vector.", default="10, or all"), TOKENS] = None,
    among: Among = None,
    without: Without = None,
    progress: Progress = silent,
) -> Searched:
    """The tokens nearest to any vectors, in every geometry; or those that hidden states and directions read out.

    JSON has a line for each vector.

    Example: uv run query.py search --vectors probes.npy --top 5 --json

    >>> vocabulary = index.open("data/indexes/smollm2-135m")
    >>> middle = (vocabulary.vector("planet") + vocabulary.vector("star")) / 2
    >>> vocabulary.search(middle, top=3).to_pandas().query("list == 'cosine'")["text"].tolist()
    ['planet', 'star', 'stars']
    """
    rows = vectors.rows(bundle.manifest.D, tensor)
    weight = None
    if norm is not None:
        weight = norm.norm_weight(bundle.manifest.D)
    if role is Role.UNEMBEDDING and norm is not None:
        raise ParameterError(
            f"{parameter('norm')} goes with {parameter('role', 'readout')}: rows of gamma have no norm"
        )
    if norm is None and norm_kind is not NormKind.RMS:
        raise ParameterError(f"{parameter('norm_kind')} goes with {parameter('norm')}, which is not given")
    some = kept(bundle, among, without)
    length = min(USUAL_LENGTH, len(bundle)) if top is None else top
    if role is Role.READOUT:
        return _read_out(bundle, rows, weight, norm_kind, length, some, progress)
    found = {
        geometry: _search(space, space.map, rows, length, some, _step(progress, geometry.words))
        for geometry, space in bundle.spaces.items()
    }
    return Searched(bundle, role, length, found, among=some)


def _read_out(
    bundle: Bundle,
    rows: np.ndarray,
    weight: np.ndarray | None,
    kind: NormKind,
    length: int,
    some: Subset | None,
    progress: Progress,
) -> Searched:
    def states(block: np.ndarray) -> np.ndarray:
        block = block.astype(np.float64)
        return block if weight is None else normed(block, weight, kind)

    logits: list[Logits] = []
    within = None if some is None else some.rows
    for start in range(0, len(rows), TOGETHER):
        block = states(rows[start : start + TOGETHER])
        report = _share(_step(progress, "logits"), start, len(block), len(rows))
        logits += highest_logits(bundle.gamma, block, length, rows=within, progress=report)
    space = bundle.causal_cosine
    found = _search(
        space,
        lambda block: dual_directions(states(block), bundle.metric),
        rows,
        length,
        some,
        _step(progress, "the dual"),
    )
    applied = None if weight is None else kind
    return Searched(bundle, Role.READOUT, length, {space.geometry: found}, logits, applied, some)


def _search(
    space: Space,
    mapped: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    length: int,
    some: Subset | None,
    progress: Share,
) -> Found:
    """Return the lists around vectors, (Q, D), `mapped` into a space; of those that have no direction empty ones."""
    points = space.points[:] if len(rows) > FEW else space.points
    places = Places(points, space.groups, space.finder, space.excluded, None if some is None else some.rows)
    nothing = np.empty(0, np.int32), np.empty(0)
    lists: list[Listed] = []
    lengths = np.empty(len(rows))
    for start in range(0, len(rows), TOGETHER):
        queries = mapped(rows[start : start + TOGETHER].astype(np.float64))
        lengths[start : start + len(queries)] = np.linalg.norm(queries, axis=1)
        defined = [bool(each.any()) or not space.geometry.angular for each in queries]
        report = _share(progress, start, len(queries), len(rows))
        found = iter(nearest_tokens(places, queries[defined], length + 1, report) if len(places.allowed) else ())
        lists += [next(found, nothing) if each else nothing for each in defined]
    progress(1.0)
    return Found(lists, lengths)


def _step(progress: Progress, step: str) -> Share:
    return partial(progress, step)


def _share(progress: Share, start: int, count: int, total: int) -> Share:
    return lambda share: progress((start + share * count) / total)
