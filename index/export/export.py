"""Handing a bundle on to other tools, each in the form that its own reader wants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError
from index.export.atlas import MAP_NEIGHBORS, write_atlas
from index.export.distances import matrix_rows, write_distances
from index.export.graph import graph_of, write_edges, write_knn_csr, write_umap
from index.export.vectors import PROJECTOR_FILES, projector_rows, write_projector, write_word2vec
from index.files import placing
from index.geometry.blocks import Matrix
from index.geometry.maps import Geometry


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
class Selection:
    """Which part of a bundle to write; what a format does not take stays at its default.

    Attributes
    ----------
    geometry : Geometry or None
        Of the graph, by default causal. Of the vectors of `projector` and `word2vec`: its points, by default the
        model's own rows.
    top : int or None
        Neighbors per token in a graph; by default all that the bundle keeps, in `atlas` at most 14.
    limit : int or None
        Tokens for the projector: the first ones.
    sample : int or None
        Tokens in a distance matrix, drawn at random; by default all.
    seed : int
        Of the draw.
    force : bool
        Whether a distance matrix may be larger than makes sense.
    """

    geometry: Geometry | None = None
    top: int | None = None
    limit: int | None = None
    sample: int | None = None
    seed: int = 42
    force: bool = False

    def check(self, form: Format) -> None:
        """Raise ParameterError for what the format does not take."""
        given = [
            ("--geometry", self.geometry not in (None, Geometry.CAUSAL), frozenset(Format) - {Format.DISTANCES}),
            ("--top", self.top is not None, GRAPHS),
            ("--limit", self.limit is not None, frozenset({Format.PROJECTOR})),
            ("--sample", self.sample is not None, frozenset({Format.DISTANCES})),
            ("--force", self.force, frozenset({Format.DISTANCES})),
        ]
        for option, is_given, formats in given:
            if is_given and form not in formats:
                taking = ", ".join(each.value for each in Format if each in formats)
                raise ParameterError(f"{option} does not go with {form.value}; it goes with {taking}")


def format_named(name: str) -> Format:
    """Return the format that a command line names."""
    try:
        return Format(name)
    except ValueError:
        raise ParameterError(f"FORMAT must be one of {', '.join(Format)}; got: {name[:60]}") from None


def geometry_named(name: str) -> Geometry:
    """Return the geometry that a command line names."""
    known = {geometry.label: geometry for geometry in Geometry}
    found = known.get(name.strip().replace("_", "-"))
    if found is None:
        raise ParameterError(f"--geometry must be one of {', '.join(known)}; got: {name[:60]}")
    return found


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    form : Format
    content : str
        In words.
    tokens : int
    files : dict of Path to int
        Sizes in bytes.
    """

    form: Format
    content: str
    tokens: int
    files: dict[Path, int]


def export(
    bundle: Bundle, form: Format, out: Path, *, selection: Selection | None = None, overwrite: bool = False
) -> Exported:
    """Write a bundle in another tool's format, whole or not at all.

    Parameters
    ----------
    bundle : Bundle
    form : Format
    out : Path
        A file; for `projector` a folder; for `distances` two files, `.pt` and `.npy` in place of its suffix.
    selection : Selection, optional
    overwrite : bool
        Whether what is there may be replaced.

    Raises
    ------
    ParameterError
        When the selection is out of range, `out` cannot be written, or `atlas` lacks umap-learn.
    """
    selection = selection or Selection()
    selection.check(form)
    if form in GRAPHS:
        return _export_graph(bundle, form, out, selection, overwrite)
    if form is Format.DISTANCES:
        return _export_distances(bundle, out, selection, overwrite)
    return _export_vectors(bundle, form, out, selection, overwrite)


def _export_graph(bundle: Bundle, form: Format, out: Path, selection: Selection, overwrite: bool) -> Exported:
    space = bundle.spaces[selection.geometry or Geometry.CAUSAL]
    top = selection.top
    if form is Format.ATLAS and top is None:
        top = min(MAP_NEIGHBORS - 1, space.ids.shape[1])
    graph = graph_of(space, top)
    content = f"{graph.ids.shape[1]} nearest by {space.geometry.words}"
    with placing([out], overwrite=overwrite, manifest=MANIFEST) as (path,):
        match form:
            case Format.KNN_CSR:
                write_knn_csr(graph, path)
            case Format.UMAP:
                write_umap(graph, path)
            case Format.EDGES:
                write_edges(bundle, space, graph, path)
            case _:
                write_atlas(bundle, space, graph, path)
                content += ", and a map by UMAP"
    return _exported(form, content, len(bundle), [out])


def _export_vectors(bundle: Bundle, form: Format, out: Path, selection: Selection, overwrite: bool) -> Exported:
    vectors: Matrix
    if selection.geometry is None:
        vectors, content = bundle.gamma, "the model's own rows"
    else:
        vectors, content = bundle.spaces[selection.geometry].points, f"the points of {selection.geometry.words}"
    if form is Format.WORD2VEC:
        with placing([out], overwrite=overwrite, manifest=MANIFEST) as (path,):
            write_word2vec(bundle.vocabulary, vectors, path)
        return _exported(form, content, len(bundle), [out])
    N = projector_rows(bundle, selection.limit)
    with placing([out], overwrite=overwrite, manifest=MANIFEST, folder_of=PROJECTOR_FILES) as (path,):
        write_projector(bundle, vectors[:N], path)
    if len(bundle) > N:
        content += f" of the first {N:,} of {len(bundle):,} tokens"
    return _exported(form, content, N, [out / name for name in sorted(PROJECTOR_FILES)])


def _export_distances(bundle: Bundle, out: Path, selection: Selection, overwrite: bool) -> Exported:
    stem = out.with_suffix("") if out.suffix in (".pt", ".npy") else out
    targets = [stem.with_name(f"{stem.name}.pt"), stem.with_name(f"{stem.name}.npy")]
    rows = matrix_rows(bundle, sample=selection.sample, seed=selection.seed, force=selection.force, folder=out.parent)
    seed = None if selection.sample is None else selection.seed
    with placing(targets, overwrite=overwrite, manifest=MANIFEST) as (compressed, full):
        write_distances(bundle, rows, compressed, full, seed=seed)
    content = f"{len(rows):,} x {len(rows):,} causal distances"
    if seed is not None:
        content += f", a sample with seed {seed}"
    return _exported(Format.DISTANCES, content, len(rows), targets)


def _exported(form: Format, content: str, tokens: int, files: list[Path]) -> Exported:
    return Exported(form, content, tokens, {path: path.stat().st_size for path in files})
