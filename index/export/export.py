"""`export`: handing a bundle on to other tools, each in the form that its own reader wants, loaded when chosen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import Block, facts
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, parameter
from index.files import placing
from index.geometry.blocks import Matrix
from index.geometry.maps import Geometry
from index.questions.parameters import KEPT, Overwrite
from index.questions.question import Doc


class Format(StrEnum):
    """What can be written, and for whom."""

    KNN_CSR = "knn-csr"
    UMAP = "umap"
    EDGES = "edges"
    ATLAS = "atlas"
    PROJECTOR = "projector"
    WORD2VEC = "word2vec"
    DISTANCES = "distances"


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


@dataclass(frozen=True)
class _Job:
    """What to write where, and which part of the bundle; what a format does not take stays at its default."""

    form: Format
    out: Path
    overwrite: bool
    geometry: Geometry | None
    top: int | None
    limit: int | None
    sample: int | None
    seed: int
    force: bool

    def check(self) -> None:
        """Raise ParameterError for what the format does not take."""
        given = [
            ("geometry", self.geometry not in (None, Geometry.CAUSAL), frozenset(Format) - {Format.DISTANCES}),
            ("top", self.top is not None, GRAPHS),
            ("limit", self.limit is not None, frozenset({Format.PROJECTOR})),
            ("sample", self.sample is not None, frozenset({Format.DISTANCES})),
            ("force", self.force, frozenset({Format.DISTANCES})),
        ]
        for name, is_given, formats in given:
            if is_given and self.form not in formats:
                taking = ", ".join(each.value for each in Format if each in formats)
                raise ParameterError(f"{parameter(name)} does not go with {self.form.value}; it goes with {taking}")


def export(
    bundle: Bundle,
    form: Annotated[
        Format,
        Doc(
            "knn-csr (scikit-learn), umap, edges (igraph, NetworkX), atlas (embedding-atlas), "
            "projector (TensorBoard), word2vec (gensim), distances (crosscheck --distances).",
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
    limit: Annotated[int | None, Doc("projector: the first N tokens. It shows at most 100,000.", default="all")] = None,
    sample: Annotated[
        int | None,
        Doc("distances: of N tokens drawn at random; more than 40,000 need force.", default="all"),
    ] = None,
    seed: Annotated[int, Doc("Of the sample, drawn as a build draws.")] = 42,
    force: Annotated[bool, Doc("distances: of any number of tokens.")] = False,
    overwrite: Overwrite = False,
) -> Exported:
    """Write the exact graph, the vectors or the distances for another tool. atlas needs the extra `map`.

    Example: uv run query.py export umap --out knn.npz --geometry cosine

    Files are written whole or not at all.
    """
    job = _Job(form, out, overwrite, geometry, top, limit, sample, seed, force)
    job.check()
    if form in GRAPHS:
        return _export_graph(bundle, job)
    return _export_distances(bundle, job) if form is Format.DISTANCES else _export_vectors(bundle, job)


def _export_graph(bundle: Bundle, job: _Job) -> Exported:
    from index.export.atlas import MAP_NEIGHBORS, write_atlas
    from index.export.graph import graph_of, write_edges, write_knn_csr, write_umap

    space = bundle.spaces[job.geometry or Geometry.CAUSAL]
    top = job.top
    if job.form is Format.ATLAS and top is None:
        top = min(MAP_NEIGHBORS - 1, space.ids.shape[1])
    graph = graph_of(space, top)
    content = f"{graph.ids.shape[1]} nearest by {space.geometry.words}"
    with placing([job.out], overwrite=job.overwrite, manifest=MANIFEST) as (path,):
        match job.form:
            case Format.KNN_CSR:
                write_knn_csr(graph, path)
            case Format.UMAP:
                write_umap(graph, path)
            case Format.EDGES:
                write_edges(bundle, space, graph, path)
            case _:
                write_atlas(bundle, space, graph, path)
                content += ", and a map by UMAP"
    return _exported(job.form, content, len(bundle), [job.out])


def _export_vectors(bundle: Bundle, job: _Job) -> Exported:
    from index.export.vectors import PROJECTOR_FILES, projector_rows, write_projector, write_word2vec

    vectors: Matrix
    if job.geometry is None:
        vectors, content = bundle.gamma, "the model's own rows"
    else:
        vectors, content = bundle.spaces[job.geometry].points, f"the points of {job.geometry.words}"
    if job.form is Format.WORD2VEC:
        with placing([job.out], overwrite=job.overwrite, manifest=MANIFEST) as (path,):
            write_word2vec(bundle.vocabulary, vectors, path)
        return _exported(job.form, content, len(bundle), [job.out])
    N = projector_rows(bundle, job.limit)
    with placing([job.out], overwrite=job.overwrite, manifest=MANIFEST, folder_of=PROJECTOR_FILES) as (path,):
        write_projector(bundle, vectors[:N], path)
    if len(bundle) > N:
        content += f" of the first {N:,} of {len(bundle):,} tokens"
    return _exported(job.form, content, N, [job.out / name for name in sorted(PROJECTOR_FILES)])


def _export_distances(bundle: Bundle, job: _Job) -> Exported:
    from index.export.distances import matrix_rows, write_distances

    stem = job.out.with_suffix("") if job.out.suffix in (".pt", ".npy") else job.out
    targets = [stem.with_name(f"{stem.name}.pt"), stem.with_name(f"{stem.name}.npy")]
    rows = matrix_rows(bundle, sample=job.sample, seed=job.seed, force=job.force, folder=job.out.parent)
    seed = None if job.sample is None else job.seed
    with placing(targets, overwrite=job.overwrite, manifest=MANIFEST) as (compressed, full):
        write_distances(bundle, rows, compressed, full, seed=seed)
    content = f"{len(rows):,} x {len(rows):,} causal distances"
    if seed is not None:
        content += f", a sample with seed {seed}"
    return _exported(Format.DISTANCES, content, len(rows), targets)


def _exported(form: Format, content: str, tokens: int, files: list[Path]) -> Exported:
    return Exported(form, content, tokens, {path: path.stat().st_size for path in files})
