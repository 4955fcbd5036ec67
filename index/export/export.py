"""`export`: handing a bundle on to other tools, each in the form that its own reader wants, loaded when chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from index.answers.answer import Answer, Row
from index.answers.page import Block, counted, facts
from index.bundle.bundle import Bundle, Space
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, parameter
from index.files import placing
from index.geometry.blocks import Matrix
from index.geometry.maps import Geometry
from index.questions.asking.parameters import KEPT, Overwrite
from index.questions.asking.question import Doc, Limit
from index.questions.lattice import LONGEST, lattice
from index.sources.sample import drawn_rows


class Format(StrEnum):
    """What can be written, and for whom."""

    KNN_CSR = "knn-csr"
    UMAP = "umap"
    EDGES = "edges"
    ATLAS = "atlas"
    PROJECTOR = "projector"
    WORD2VEC = "word2vec"
    DISTANCES = "distances"
    GRAPHML = "graphml"
    FAISS = "faiss"


GRAPHS = frozenset({Format.KNN_CSR, Format.UMAP, Format.EDGES, Format.ATLAS})
"""The formats that hold neighbor lists."""


@dataclass(frozen=True)
class Exported(Answer):
    """What was written."""

    form: Format
    content: str  # in words
    tokens: int
    files: dict[Path, int]  # sizes in bytes

    columns: ClassVar = {"format": str, "path": str, "bytes": int}

    def rows(self) -> list[Row]:
        """Return one record for each file."""
        return [{"format": self.form.value, "path": str(path), "bytes": size} for path, size in self.files.items()]

    def json(self) -> dict[str, Any]:
        """Return the files with their sizes."""
        files = [{"path": str(path), "bytes": size} for path, size in self.files.items()]
        return {"format": self.form.value, "content": self.content, "tokens": self.tokens, "files": files}

    def page(self) -> list[Block]:
        """Return what was written, and where."""
        return [
            facts(
                [
                    ("format", self.form.value),
                    ("content", self.content),
                    ("tokens", f"{self.tokens:,}"),
                    *(("file", f"{path}  ({size / 1e6:,.1f} MB)") for path, size in self.files.items()),
                ]
            )
        ]


PROJECTOR_POINTS = 100_000
"""How many points the projector shows."""

_TAKEN_BY = {
    "geometry": frozenset(Format) - {Format.DISTANCES, Format.GRAPHML},
    "top": GRAPHS,
    "limit": frozenset({Format.PROJECTOR}),
    "sample": frozenset({Format.DISTANCES}),
    "force": frozenset({Format.DISTANCES}),
    "steps": frozenset({Format.GRAPHML}),
}
"""The formats that a parameter goes with, where it does not go with all."""

Place = Callable[..., AbstractContextManager[list[Path]]]
"""`placing` that knows whether to overwrite."""


def _projected_at_most(bundle: Bundle) -> int:
    return min(len(bundle), PROJECTOR_POINTS)


def export(
    bundle: Bundle,
    form: Annotated[
        Format,
        Doc(
            "knn-csr (scikit-learn), umap, edges (igraph, NetworkX), atlas (embedding-atlas), "
            "projector (TensorBoard), word2vec (gensim), distances (crosscheck --distances), "
            "graphml (of lattice), faiss (a flat index, of causal cosines too).",
            metavar="FORMAT",
        ),
    ],
    *,
    out: Annotated[Path, Doc("The file; projector: the folder; distances: a .pt and a .npy.", metavar="PATH")],
    geometry: Annotated[
        Geometry | None,
        Doc(
            "causal, cosine or causal-cosine, for neighbors and vectors.",
            metavar="G",
            default="causal; projector, word2vec: the model's own rows",
        ),
    ] = None,
    top: Annotated[
        int | None, Doc("Neighbors per token, in graphs.", default="all that are kept; atlas: 14"), KEPT
    ] = None,
    limit: Annotated[
        int | None,
        Doc("projector: the first N tokens. It shows at most 100,000.", default="all"),
        Limit(1, _projected_at_most),
    ] = None,
    sample: Annotated[
        int | None,
        Doc("distances: of N tokens drawn at random; more than 40,000 need force.", default="all"),
        Limit(2, len, "the tokens here"),
    ] = None,
    seed: Annotated[int, Doc("Of the sample, drawn as a build draws.")] = 42,
    steps: Annotated[
        int | None, Doc("graphml: link tokens within N steps.", metavar="N", default="1"), Limit(0, LONGEST)
    ] = None,
    force: Annotated[bool, Doc("distances: of any number of tokens.")] = False,
    overwrite: Overwrite = False,
) -> Exported:
    """Write the exact graph, the vectors or the distances for another tool. atlas needs the extra `map`.

    Example: uv run query.py export umap --out knn.npz --geometry cosine

    Files are written whole or not at all.
    """
    given = {
        "geometry": None if geometry is Geometry.CAUSAL else geometry,
        "top": top,
        "limit": limit,
        "sample": sample,
        "force": force or None,
        "steps": steps,
    }
    _check_taken(form, given)
    place: Place = partial(placing, overwrite=overwrite, manifest=MANIFEST)
    if form in GRAPHS:
        return _export_graph(bundle, form, out, place, geometry or Geometry.CAUSAL, top)
    if form is Format.GRAPHML:
        return _export_lattice(bundle, out, place, 1 if steps is None else steps)
    if form is Format.DISTANCES:
        return _export_distances(bundle, out, place, sample, seed, force=force)
    if form is Format.FAISS:
        return _export_index(bundle, out, place, geometry or Geometry.CAUSAL)
    return _export_vectors(bundle, form, out, place, geometry, limit)


def _check_taken(form: Format, given: Mapping[str, object]) -> None:
    """Raise ParameterError for a parameter that is not None and does not go with a format."""
    for name, formats in _TAKEN_BY.items():
        if given[name] is not None and form not in formats:
            taking = ", ".join(each.value for each in Format if each in formats)
            raise ParameterError(f"{parameter(name)} does not go with {form.value}; it goes with {taking}")


def _export_graph(
    bundle: Bundle, form: Format, out: Path, place: Place, geometry: Geometry, top: int | None
) -> Exported:
    from index.export.atlas import MAP_NEIGHBORS, write_atlas
    from index.export.graph import graph_of, write_edges, write_knn_csr, write_umap
    from index.export.layout import LAYOUT

    space, kept = bundle.spaces[geometry], bundle.manifest.K
    if top is None:
        top = min(MAP_NEIGHBORS - 1, kept) if form is Format.ATLAS else kept
    graph = graph_of(space, top)
    content = f"{graph.ids.shape[1]} nearest by {geometry.words}{_pointless(space)}"
    with place([out]) as (path,):
        match form:
            case Format.KNN_CSR:
                write_knn_csr(graph, path)
            case Format.UMAP:
                write_umap(graph, path)
            case Format.EDGES:
                write_edges(bundle, space, graph, path)
            case _:
                write_atlas(bundle, space, graph, path)
                content += f", and a map by {LAYOUT}"
    return _exported(form, content, len(bundle), [out])


def _pointless(space: Space) -> str:
    """Say how many tokens have no point."""
    return f", without {counted(len(space.excluded), 'zero row')}" if space.excluded else ""


def _export_vectors(
    bundle: Bundle, form: Format, out: Path, place: Place, geometry: Geometry | None, limit: int | None
) -> Exported:
    from index.export.vectors import PROJECTOR_FILES, write_projector, write_word2vec

    V = len(bundle)
    vectors: Matrix
    if geometry is None:
        vectors, content = bundle.gamma, "the model's own rows"
    else:
        vectors, content = (
            bundle.spaces[geometry].points,
            f"the points of {geometry.words}{_pointless(bundle.spaces[geometry])}",
        )
    if form is Format.WORD2VEC:
        with place([out]) as (path,):
            write_word2vec(bundle.vocabulary, vectors, path)
        return _exported(form, content, V, [out])
    if limit is None and V > PROJECTOR_POINTS:
        raise ParameterError(
            f"the projector shows at most {PROJECTOR_POINTS:,} points, but {bundle.name} holds {V:,} tokens; "
            f"pass {parameter('limit', PROJECTOR_POINTS)} for the first ones"
        )
    N = V if limit is None else limit
    with place([out], folder_of=PROJECTOR_FILES) as (path,):
        write_projector(bundle, vectors[:N], path)
    if N < V:
        content += f" of the first {N:,} of {V:,} tokens"
    return _exported(form, content, N, [out / name for name in sorted(PROJECTOR_FILES)])


def _export_index(bundle: Bundle, out: Path, place: Place, geometry: Geometry) -> Exported:
    from index.bundle.write import save_points
    from index.geometry.blocks import row_slices

    space = bundle.spaces[geometry]
    with place([out]) as (path,):
        blocks = (space.points[where] for where in row_slices(space.points.shape))
        save_points(path, (len(bundle), bundle.manifest.D), blocks, inner_product=geometry.angular)
    return _exported(Format.FAISS, f"the points of {geometry.words}, for {space.facts.search}", len(bundle), [out])


def _export_distances(
    bundle: Bundle, out: Path, place: Place, sample: int | None, seed: int, *, force: bool
) -> Exported:
    from index.export.distances import check_size, write_distances

    stem = out.with_suffix("") if out.suffix in (".pt", ".npy") else out
    targets = [stem.with_name(f"{stem.name}.pt"), stem.with_name(f"{stem.name}.npy")]
    rows = np.arange(len(bundle)) if sample is None else drawn_rows(sample, seed, len(bundle))
    check_size(len(rows), out.parent, force=force)
    with place(targets) as (compressed, full):
        write_distances(bundle, rows, compressed, full, seed=None if sample is None else seed)
    content = f"{len(rows):,} x {len(rows):,} causal distances"
    if sample is not None:
        content += f", a sample with seed {seed}"
    return _exported(Format.DISTANCES, content, len(rows), targets)


def _export_lattice(bundle: Bundle, out: Path, place: Place, steps: int) -> Exported:
    from index.export.graphml import write_graphml

    found = lattice(bundle, steps=steps)
    with place([out]) as (path,):
        write_graphml(found, path)
    content = f"{counted(len(found.groups), 'group')} of the lattice, linked within {counted(steps, 'step')}"
    return _exported(Format.GRAPHML, content, found.tokens, [out])


def _exported(form: Format, content: str, tokens: int, files: list[Path]) -> Exported:
    return Exported(form, content, tokens, {path: path.stat().st_size for path in files})
