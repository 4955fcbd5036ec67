"""What is handed on, read back by the tool that it is for."""

import csv
import json
import re
import shlex
import subprocess
import sys
import warnings
from io import StringIO
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import oracles
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT, Built, Outcome, build, invoke, query
from models import byte_level_tokenizer, save_tokenizer
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, load_npz
from sklearn.cluster import DBSCAN
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

import index
from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.export import distances as export_distances
from index.export import export as export_question
from index.export import vectors as export_vectors
from index.export.export import Exported, Format, export
from index.export.layout import NEIGHBORS, _neighbors, laid_out
from index.files import placing
from index.geometry.maps import Geometry
from index.tokens.display import display
from index.tokens.vocabulary import Vocabulary

V, D, K = 345, 12, 100
TWINS, ZERO, ORPHANS = (40, 90), 7, range(340, 345)
IGNORED = r"precomputed_knn\[2\] \(knn_search_index\)"
"""UMAP says so for every pair: new points could not be placed later. It is not about the neighbors."""


@pytest.fixture(scope="module")
def gamma() -> NDArray[np.float32]:
    rows = np.random.default_rng(11).normal(size=(V, D)).astype(np.float32)
    rows[TWINS[0]] = rows[TWINS[1]]
    rows[ZERO] = 0
    return rows


@pytest.fixture(scope="module")
def bundle(gamma: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Twins, a zero row and orphans, with the texts of a byte-level tokenizer."""
    folder = tmp_path_factory.mktemp("export")
    save_tokenizer(folder / "tokenizer", byte_level_tokenizer())
    np.save(folder / "gamma.npy", gamma)
    build(folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--out", folder / "bundle")
    return index.open(folder / "bundle")


@pytest.fixture(scope="module")
def points(gamma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Causal points by the oracle, (V, D)."""
    _, cov = oracles.covariance(gamma)
    return oracles.causal_points(gamma, oracles.metric(cov, 1e-6))


@pytest.fixture(scope="module")
def distances(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return oracles.all_distances(points)


@pytest.fixture(scope="module")
def tolerance(points: NDArray[np.float64]) -> float:
    return oracles.rounding_tolerance(points)


def run(bundle: Bundle, *arguments: object) -> Any:
    """One export by the command line, and its JSON."""
    return query("export", *arguments, "--index", bundle.folder)


def refused(bundle: Bundle, *arguments: object) -> str:
    outcome: Outcome = invoke("query.py", "export", *arguments, "--index", bundle.folder)
    assert outcome.code == 2, outcome.out
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    return outcome.err


# --- scikit-learn -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def csr(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> csr_matrix:
    path = tmp_path_factory.mktemp("csr") / "graph"  # no suffix: the name is the user's
    said = run(bundle, "knn-csr", "--out", path)
    assert said == {
        "format": "knn-csr",
        "content": "100 nearest by the causal metric",
        "tokens": V,
        "files": [{"path": str(path), "bytes": path.stat().st_size}],
    }
    return load_npz(path)


def test_csr_rows_are_sorted_and_keep_their_zeros(csr: csr_matrix) -> None:
    assert csr.shape == (V, V)
    assert csr.dtype == np.float32
    assert (np.diff(csr.indptr) == K + 1).all()
    assert (np.diff(csr.data.reshape(V, K + 1), axis=1) >= 0).all()
    assert (csr.data == 0).sum() == V + 2, "every token to itself, and two twins to each other"
    assert csr.indices.reshape(V, K + 1)[:, 0].tolist() == list(range(V))


def test_csr_is_the_exact_graph(csr: csr_matrix, distances: NDArray[np.float64], tolerance: float) -> None:
    for row in range(V):
        of_row = slice(csr.indptr[row] + 1, csr.indptr[row + 1])
        oracles.assert_nearest_up_to_ties(csr.indices[of_row], csr.data[of_row], distances[row], row, tolerance)


def test_sklearn_takes_the_graph_as_its_own(
    csr: csr_matrix, bundle: Bundle, points: NDArray[np.float64], distances: NDArray[np.float64], tolerance: float
) -> None:
    kinds = np.arange(V) % 7
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn warns of rows that it has to sort
        found, ids = NearestNeighbors(n_neighbors=K, metric="precomputed").fit(csr).kneighbors()
        nearest_three = KNeighborsClassifier(3, metric="precomputed").fit(csr, kinds).predict(csr)
        radius = float(csr.data.reshape(V, K + 1)[:, -1].min()) - tolerance  # all of these are in every list
        clusters = DBSCAN(eps=radius, min_samples=20, metric="precomputed").fit_predict(csr)
    assert np.array_equal(ids, bundle.causal.ids), "without the token itself, which scikit-learn takes out"
    assert np.array_equal(found, bundle.causal.distances)
    by_rows = KNeighborsClassifier(3, algorithm="brute").fit(points, kinds).predict(points)
    assert np.array_equal(nearest_three, by_rows)
    assert np.array_equal(clusters, DBSCAN(eps=radius, min_samples=20, metric="precomputed").fit_predict(distances))
    assert len(set(clusters)) > 1, "noise and a cluster: the comparison says something"


def test_a_zero_row_has_only_itself_in_an_angular_graph(bundle: Bundle, tmp_path: Path) -> None:
    run(bundle, "knn-csr", "--out", tmp_path / "graph.npz", "--geometry", "cosine", "--top", 5)
    graph = load_npz(tmp_path / "graph.npz")
    assert np.diff(graph.indptr).tolist() == [1 if row == ZERO else 6 for row in range(V)]
    assert graph[ZERO].indices.tolist() == [ZERO]
    assert (graph.indices == ZERO).sum() == 1


# --- umap-learn -------------------------------------------------------------------------------------------------------


@pytest.mark.slow("umap-learn compiles its loops")
def test_umap_uses_the_pair(bundle: Bundle, points: NDArray[np.float64], tmp_path: Path) -> None:
    import umap

    run(bundle, "umap", "--out", tmp_path / "knn.npz", "--top", 14)
    pair = np.load(tmp_path / "knn.npz")
    indices, distances = pair["indices"], pair["distances"]
    assert (indices.dtype, distances.dtype) == (np.int32, np.float32)
    assert indices[:, 0].tolist() == list(range(V))
    assert not distances[:, 0].any()
    assert np.array_equal(indices[:, 1:], bundle.causal.ids[:, :14])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it warns of neighbors that it ignores
        warnings.filterwarnings("ignore", message=IGNORED)
        # Random points in X: what comes out can only be from the pair.
        noise = np.random.default_rng(0).normal(size=(V, 3))
        reducer = umap.UMAP(precomputed_knn=(indices, distances), n_epochs=2, random_state=1, n_jobs=1).fit(noise)
    linked = {tuple(sorted(pair)) for pair in zip(*reducer.graph_.nonzero(), strict=True)}
    listed = {tuple(sorted((row, other))) for row in range(V) for other in indices[row, 1:]}
    # UMAP drops edges too weak to be drawn in its epochs; it invents none.
    assert linked <= listed
    assert len(linked) > 0.9 * len(listed)


@pytest.mark.slow("umap-learn compiles its loops")
@pytest.mark.filterwarnings(f"ignore:{IGNORED}")
def test_umap_would_ignore_a_pair_that_is_too_short(bundle: Bundle, tmp_path: Path) -> None:
    import umap

    run(bundle, "umap", "--out", tmp_path / "knn.npz", "--top", 5)
    pair = np.load(tmp_path / "knn.npz")
    reducer = umap.UMAP(
        precomputed_knn=(pair["indices"], pair["distances"]), n_epochs=2, init="random", random_state=1, n_jobs=1
    )
    with pytest.warns(UserWarning, match="will be ignored"):
        reducer.fit(np.random.default_rng(0).normal(size=(V, 3)))


def test_a_row_without_a_point_is_marked_as_umap_marks_it(bundle: Bundle, tmp_path: Path) -> None:
    run(bundle, "umap", "--out", tmp_path / "knn.npz", "--geometry", "causal-cosine")
    pair = np.load(tmp_path / "knn.npz")
    assert pair["indices"][ZERO].tolist() == [ZERO] + [-1] * K
    assert np.isinf(pair["distances"][ZERO, 1:]).all()
    others = np.delete(np.arange(V), ZERO)
    assert (pair["indices"][others] >= 0).all()


# --- igraph, NetworkX -------------------------------------------------------------------------------------------------


def test_edges_in_igraph_and_networkx(
    bundle: Bundle, distances: NDArray[np.float64], tolerance: float, tmp_path: Path
) -> None:
    import igraph
    import networkx

    run(bundle, "edges", "--out", tmp_path / "edges.parquet", "--top", 10)
    frame = pq.read_table(tmp_path / "edges.parquet").to_pandas()
    assert list(frame) == ["source", "target", "source_id", "target_id", "distance"]
    graph = igraph.Graph.DataFrame(frame, directed=True, use_vids=True)
    assert (graph.vcount(), graph.ecount()) == (V, 10 * V)
    assert set(graph.outdegree()) == {10}
    assert graph.indegree() == np.bincount(bundle.causal.ids[:, :10].ravel(), minlength=V).tolist()
    for row in (0, ZERO, TWINS[0]):
        edges = graph.es.select(_source=row)
        oracles.assert_nearest_up_to_ties(
            [edge.target for edge in edges], edges["distance"], distances[row], row, tolerance
        )
    other = networkx.from_pandas_edgelist(frame, "source", "target", "distance", create_using=networkx.DiGraph)
    assert other[TWINS[0]][TWINS[1]]["distance"] == 0
    assert networkx.shortest_path_length(other, 0, 200, "distance") == pytest.approx(
        graph.distances(0, 200, weights="distance")[0][0],
        rel=1e-6,  # sums of up to ten float32
    )


def test_edges_name_ids_and_carry_similarities(gamma: NDArray[np.float32], tmp_path: Path) -> None:
    """In a sample a row is not an id; in an angular geometry a zero row has no edges."""
    np.save(tmp_path / "gamma.npy", gamma)
    build(tmp_path / "gamma.npy", "--sample", 150, "--out", tmp_path / "sample", "--neighbors", 20)
    sample = index.open(tmp_path / "sample")
    run(sample, "edges", "--out", tmp_path / "edges.parquet", "--geometry", "cosine")
    edges = pq.read_table(tmp_path / "edges.parquet").to_pandas()
    ids = torch.randperm(V, generator=torch.Generator().manual_seed(42))[:150].numpy()
    assert np.array_equal(edges["source_id"], ids[edges["source"]])
    assert np.array_equal(edges["target_id"], ids[edges["target"]])
    units = oracles.unit_rows(np.where(gamma == 0, 1, gamma))
    similarities = np.einsum("ij,ij->i", units[edges["source_id"]], units[edges["target_id"]])
    # Distances are float32 of unit points: 2^-22 of chords up to 2, which moves 1 - d^2 / 2 by twice that.
    oracles.assert_close(edges["similarity"], similarities, absolute=2.0**-21)
    assert ZERO not in set(edges["source_id"]) | set(edges["target_id"])


# --- embedding-atlas --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def atlas(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("atlas") / "atlas.parquet"
    said = run(bundle, "atlas", "--out", path)
    assert said["content"] == "14 nearest by the causal metric, and a map by t-SNE"
    return path


@pytest.mark.slow("imports all that embedding-atlas needs")
def test_embedding_atlas_reads_it(atlas: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own command line makes an application of the file, graph metrics and all, without embedding anything."""
    from click.testing import CliRunner
    from embedding_atlas.cli import main

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "static").mkdir()
    columns = ["--text", "text", "--x", "projection_x", "--y", "projection_y", "--neighbors", "neighbors", "--degree"]
    places = ["--static", tmp_path / "static", "--export-application", tmp_path / "app"]
    done = CliRunner().invoke(main, list(map(str, [atlas, *columns, *places])), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    props = json.loads((tmp_path / "app/data/metadata.json").read_text())["props"]["data"]
    assert props["projection"] == {"x": "projection_x", "y": "projection_y"}
    assert (props["text"], props["neighbors"]) == ("text", "neighbors")
    shown = pq.read_table(tmp_path / "app/data/dataset.parquet").to_pandas()
    assert shown[props["id"]].tolist() == list(range(V)), "what `ids` count from is what the application counts from"
    assert shown["in_degree"].tolist() == np.bincount(bundle.causal.ids[:, :14].ravel(), minlength=V).tolist()
    for row in (0, TWINS[0], ZERO):
        assert shown["neighbors"][row]["ids"].tolist() == bundle.causal.ids[row, :14].tolist()
        assert shown["neighbors"][row]["distances"].tolist() == bundle.causal.distances[row, :14].tolist()


def test_the_atlas_holds_every_column_and_a_map(atlas: Path, bundle: Bundle) -> None:
    table = pq.read_table(atlas)
    own = bundle.tokens
    assert table.column_names == [*own.column_names, "projection_x", "projection_y", "neighbors"]
    assert table["text"].to_pylist() == [text or "" for text in own["text"].to_pylist()]
    for name in ("token_id", "kind", "density_notebook"):
        assert table[name].equals(own[name])
    places = np.column_stack([table["projection_x"].to_numpy(), table["projection_y"].to_numpy()])
    assert np.isfinite(places).all()
    assert np.array_equal(places[TWINS[0]], places[TWINS[1]]), "twins share their place"
    assert len(np.unique(places, axis=0)) == V - 1


def test_the_map_keeps_neighborhoods_and_is_the_same_again(atlas: Path, bundle: Bundle, tmp_path: Path) -> None:
    run(bundle, "atlas", "--out", tmp_path / "again.parquet")
    first, again = pq.read_table(atlas), pq.read_table(tmp_path / "again.parquet")
    assert first.equals(again)
    places = np.column_stack([first["projection_x"].to_numpy(), first["projection_y"].to_numpy()])
    near = NearestNeighbors(n_neighbors=14).fit(places).kneighbors(return_distance=False)
    kept = np.mean([len(np.intersect1d(a, b)) for a, b in zip(near, bundle.causal.ids[:, :14], strict=True)]) / 14
    # 14 of 344 would be 4 % by chance; Gaussian noise in 12 dimensions leaves about a third of its neighbors in two.
    assert kept > 0.2


def test_a_zero_row_has_no_place_in_an_angular_map(bundle: Bundle, tmp_path: Path) -> None:
    run(bundle, "atlas", "--out", tmp_path / "atlas.parquet", "--geometry", "cosine", "--top", 5)
    table = pq.read_table(tmp_path / "atlas.parquet")
    x = table["projection_x"].to_pylist()
    assert [row for row in range(V) if x[row] is None] == [ZERO]
    assert table["neighbors"][ZERO].as_py() == {"ids": [ZERO] * 5, "distances": [0.0] * 5}


def oracle_points(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    _, cov = oracles.covariance(rows)
    return oracles.causal_points(rows, oracles.metric(cov, 1e-6))


def assert_neighbors_of_the_map(bundle: Bundle, space: Space, *, points: NDArray[np.float64]) -> None:
    """What is drawn to each point are its nearest, of those that are laid out."""
    rows = laid_out(bundle, space)
    points = points[rows]
    found, distances = _neighbors(space, rows), oracles.all_distances(points)
    assert found.shape == (len(rows), NEIGHBORS)
    for place, near in enumerate(found):
        apart = distances[place][near]
        oracles.assert_nearest_up_to_ties(near, apart, distances[place], place, oracles.rounding_tolerance(points))


def test_twins_that_fill_the_lists_do_not_break_the_map(tmp_path: Path) -> None:
    """Sixty copies of the mean row are near everyone: with 20 neighbors kept, most lists hold nothing else."""
    rows = np.random.default_rng(3).normal(size=(V, D)).astype(np.float32)
    rows[:60] = rows.mean(axis=0)
    np.save(tmp_path / "gamma.npy", rows)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 20)
    crowded = index.open(tmp_path / "bundle")
    assert laid_out(crowded, crowded.causal).tolist() == [*range(60, V)]  # the copies are untrained
    assert_neighbors_of_the_map(crowded, crowded.causal, points=oracle_points(rows))
    run(crowded, "atlas", "--out", tmp_path / "atlas.parquet")
    x = pq.read_table(tmp_path / "atlas.parquet")["projection_x"].to_numpy()
    assert np.isfinite(x).all()
    assert len(set(x[:60])) == 1


def test_different_rows_of_one_direction_are_one_point_of_an_angular_map(tmp_path: Path) -> None:
    """Eighteen multiples of one row, by powers of two: no twins, and in cosine each would see only the others."""
    rows = np.random.default_rng(5).normal(size=(120, D)).astype(np.float32)
    rows[:18] = rows[0] * 2.0 ** np.arange(-9, 9)[:, None]
    rows[18] = 0
    np.save(tmp_path / "gamma.npy", rows)
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 20)
    bundle = index.open(tmp_path / "bundle")
    assert laid_out(bundle, bundle.cosine).tolist() == [0, *range(19, 120)]
    with np.errstate(invalid="ignore"):
        directions = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert_neighbors_of_the_map(bundle, bundle.cosine, points=directions)
    run(bundle, "atlas", "--geometry", "cosine", "--out", tmp_path / "atlas.parquet")
    x = pq.read_table(tmp_path / "atlas.parquet")["projection_x"].to_pylist()
    assert len(set(x[:18])) == 1
    assert [row for row, place in enumerate(x) if place is None] == [18]


def test_without_opentsne_the_extra_is_named(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.files.find_spec", lambda library: None)
    assert "uv run --extra map query.py export atlas" in refused(bundle, "atlas", "--out", tmp_path / "atlas.parquet")
    assert not any(tmp_path.iterdir())


# --- TensorBoard's projector ------------------------------------------------------------------------------------------


def read_projector(folder: Path) -> tuple[NDArray[np.float32], list[dict[str, str]]]:
    """As `data-provider.ts` of TensorBoard's projector splits the pair: by newlines, then by tabs, nothing unquoted."""
    vectors = [line.split("\t") for line in (folder / "vectors.tsv").read_text(encoding="utf-8").split("\n")[:-1]]
    names, *lines = (folder / "metadata.tsv").read_text(encoding="utf-8").split("\n")[:-1]
    assert all(line.strip() for line in lines), "a blank line is skipped"
    columns = names.split("\t")
    rows = [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {len(columns)}
    return np.array(vectors, dtype=np.float64).astype(np.float32), [
        dict(zip(columns, row, strict=True)) for row in rows
    ]


def test_projector(bundle: Bundle, gamma: NDArray[np.float32], tmp_path: Path) -> None:
    run(bundle, "projector", "--out", tmp_path / "projector")
    vectors, metadata = read_projector(tmp_path / "projector")
    assert np.array_equal(vectors, gamma), "every float32 comes back"
    tokens = bundle.tokens
    texts, pieces = tokens["text"].to_pylist(), tokens["piece"].to_pylist()
    assert [row["text"] for row in metadata] == [display(*pair) for pair in zip(texts, pieces, strict=True)]
    assert any("\t" in (text or "") for text in texts)
    assert any("\n" in (text or "") for text in texts)
    assert [int(row["token_id"]) for row in metadata] == list(range(V))
    assert [float(row["density_distinct"]) for row in metadata] == tokens["density_distinct"].to_pylist()


def test_projector_limit_and_geometry(
    bundle: Bundle, points: NDArray[np.float64], tolerance: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_question, "PROJECTOR_POINTS", 300)
    said = refused(bundle, "projector", "--out", tmp_path / "projector")
    assert "shows at most 300 points" in said
    assert "pass --limit 300 for the first ones" in said
    assert "from 1 to 300, got: 301" in refused(bundle, "projector", "--out", tmp_path / "p", "--limit", 301)
    said = run(bundle, "projector", "--out", tmp_path / "projector", "--limit", 120, "--geometry", "causal")
    assert said["content"] == "the points of the causal metric of the first 120 of 345 tokens"
    vectors, metadata = read_projector(tmp_path / "projector")
    assert len(metadata) == 120
    # Another factor of M turns the points; the distances between them stay.
    oracles.assert_close(oracles.all_distances(vectors), oracles.all_distances(points[:120]), absolute=tolerance)


# --- gensim -----------------------------------------------------------------------------------------------------------


def test_gensim_reads_every_token(bundle: Bundle, gamma: NDArray[np.float32], tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    run(bundle, "word2vec", "--out", tmp_path / "vectors.bin")
    read = KeyedVectors.load_word2vec_format(tmp_path / "vectors.bin", binary=True)
    assert len(read) == V, "no key was dropped as a repeated one"
    assert np.array_equal(read.vectors, gamma)
    pieces = bundle.vocabulary.pieces.to_pylist()
    assert read.index_to_key == [piece or f"#{row}" for row, piece in enumerate(pieces)]


def test_gensim_finds_cosine_neighbors(smollm2: Built, smollm2_gamma: NDArray[np.float32], tmp_path: Path) -> None:
    from gensim.models import KeyedVectors

    query("export", "word2vec", "--out", tmp_path / "vectors.bin", "--index", smollm2.path)
    read = KeyedVectors.load_word2vec_format(tmp_path / "vectors.bin", binary=True)
    assert len(read) == len(smollm2_gamma)
    row = read.key_to_index["Ġplanet"]
    expected = oracles.cosine_similarities(smollm2_gamma, row)
    nearest = oracles.nearest(-expected, row, 10)
    found = read.most_similar("Ġplanet", topn=10)
    # gensim adds up 576 float32 products of unit rows: errors of 2^-24 each, some 2^-20 in sum.
    oracles.assert_close([similarity for _, similarity in found], expected[nearest], absolute=2.0**-20)
    oracles.assert_close(expected[[read.key_to_index[key] for key, _ in found]], expected[nearest], absolute=2.0**-20)


def test_keys_survive_white_space_repeats_and_missing_pieces(tmp_path: Path) -> None:
    """Gemma's pieces hold newlines; gensim strips them in front, and ends a key at a space."""
    from gensim.models import KeyedVectors

    pieces = ["a", "\n", "\n\n", "a", None, " b", "", r"\n", "#4", "\u3000c", "a#3", "é"]
    vocabulary = Vocabulary.from_tokens(pieces, pieces)
    keys = [
        *("a", r"\n#1", r"\n\n", "a#3#3", "#4#4", r"\x20b", "#6", r"\n", "#4", r"\u3000c", "a#3", "é"),
    ]
    assert export_vectors.word2vec_keys(vocabulary) == keys
    vectors = np.random.default_rng(0).normal(size=(len(pieces), 3)).astype(np.float32)
    export_vectors.write_word2vec(vocabulary, vectors, tmp_path / "vectors.bin")
    read = KeyedVectors.load_word2vec_format(tmp_path / "vectors.bin", binary=True)
    assert read.index_to_key == keys
    assert np.array_equal(read.vectors, vectors)


# --- distance matrices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".pt", ".npy"])
def test_distances_pass_this_project_s_own_check(
    suffix: str, bundle: Bundle, distances: NDArray[np.float64], tolerance: float, tmp_path: Path
) -> None:
    said = run(bundle, "distances", "--out", tmp_path / f"d{suffix}")
    assert [file["path"] for file in said["files"]] == [str(tmp_path / "d.pt"), str(tmp_path / "d.npy")]
    for name in ("d.pt", "d.npy"):
        checked = query("crosscheck", "--distances", tmp_path / name, "--index", bundle.folder)
        assert checked["passed"]
        assert checked["matrix"]["rows_agreeing"] == V
    full = np.load(tmp_path / "d.npy")
    assert full.dtype == np.float32
    assert np.array_equal(full, full.T)
    assert not full.diagonal().any()
    assert full[TWINS] == 0
    oracles.assert_close(full, distances, absolute=tolerance)


def test_the_compressed_layout(bundle: Bundle, tmp_path: Path) -> None:
    said = run(bundle, "distances", "--out", tmp_path / "d", "--sample", 100, "--seed", 5)
    assert said["content"] == "100 x 100 causal distances, a sample with seed 5"
    stored = torch.load(tmp_path / "d.pt", weights_only=True)
    assert stored["N"] == 100
    assert torch.equal(stored["token_indices"], torch.randperm(V, generator=torch.Generator().manual_seed(5))[:100])
    full = torch.from_numpy(np.load(tmp_path / "d.npy"))
    values = stored["triu_values"]
    assert values.dtype == torch.float16
    upper = full[tuple(torch.triu_indices(100, 100, offset=1))]
    # float16 of a float64 and of the float32 nearest to it may fall on either side of a half: one step, 2^-11.
    assert torch.allclose(values.double(), upper.double(), rtol=2.0**-11, atol=0)
    metadata = stored["metadata"]
    assert (metadata["dtype"], metadata["random_seed"]) == ("float16", 5)
    assert metadata["model"] == bundle.manifest.source.location
    exact = values.double().numpy()
    assert metadata["distance_stats"] == pytest.approx(
        {
            "min": exact.min(),
            "max": exact.max(),
            "mean": exact.mean(),
            "median": np.median(exact),
            "std": exact.std(),
        },
        rel=1e-12,  # sums of 4,950 float64 in another order
    )
    assert query("crosscheck", "--distances", tmp_path / "d.pt", "--index", bundle.folder)["passed"]


def test_close_pairs_keep_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expansion alone would put points 1e-6 apart, at norm 50, somewhere between 0 and 3e-6."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(700, 64))
    points *= 50 / np.linalg.norm(points, axis=1, keepdims=True)
    points[1:600] = points[0] + 1e-6 * rng.normal(size=(599, 64))
    points[5] = points[300]
    monkeypatch.setattr(export_distances, "_PAIRS_PER_BLOCK", 1000)
    expected = oracles.all_distances(points)
    for start, stop in ((0, 512), (512, 700)):
        found = export_distances.distances_from(points, start, stop)
        # To half a step of float32, relative.
        oracles.assert_close(found, expected[start:stop, start:], relative=2.0**-25)


def test_a_matrix_without_sense_is_refused(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = ("distances", "--out", tmp_path / "d.pt")
    monkeypatch.setattr(export_distances, "LARGEST_N", 200)
    assert "345 tokens are 0.0 GB; pass --sample 200 or less, or --force" in refused(bundle, *out)
    run(bundle, *out, "--force")
    assert "from 2 to 345" in refused(bundle, *out, "--sample", 1, "--overwrite")
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(export_distances.shutil, "disk_usage", lambda path: usage)
    assert "has 0.0 GB left; pass a smaller --sample" in refused(bundle, *out, "--sample", 100, "--overwrite")


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(150, 4))
    np.save(tmp_path / "gamma.npy", rows)
    np.save(tmp_path / "M.npy", np.eye(4) * 1e10)
    build(tmp_path / "gamma.npy", "--metric-tensor", tmp_path / "M.npy", "--out", tmp_path / "bundle")
    wide = index.open(tmp_path / "bundle")
    assert "beyond 65,504 logometers" in refused(wide, "distances", "--out", tmp_path / "out" / "d.pt")
    assert not any((tmp_path / "out").iterdir())


# --- putting files in place -------------------------------------------------------------------------------------------


def test_nothing_is_replaced_unasked(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "knn.npz"
    out.write_text("mine")
    assert f"{out} exists; pass --overwrite" in refused(bundle, "umap", "--out", out)
    assert out.read_text() == "mine"
    run(bundle, "umap", "--out", out, "--overwrite")
    assert set(np.load(out)) == {"indices", "distances"}
    assert [path.name for path in tmp_path.iterdir()] == ["knn.npz"], "nothing left beside it"


def test_a_projector_folder_is_replaced_only_if_it_is_one(bundle: Bundle, tmp_path: Path) -> None:
    out = ("projector", "--out", tmp_path / "projector")
    run(bundle, *out)
    assert "exists; pass --overwrite" in refused(bundle, *out)
    run(bundle, *out, "--limit", 10, "--overwrite")
    assert len(read_projector(tmp_path / "projector")[1]) == 10
    (tmp_path / "projector" / "notes.txt").touch()
    assert "holds notes.txt, which no export wrote" in refused(bundle, *out, "--overwrite")
    assert "is not a file" in refused(bundle, "umap", "--out", tmp_path / "projector", "--overwrite")
    (tmp_path / "file").touch()
    assert "is not a folder" in refused(bundle, "projector", "--out", tmp_path / "file", "--overwrite")
    assert {path.name for path in tmp_path.iterdir()} == {"projector", "file"}


def test_a_bundle_is_not_written_into(bundle: Bundle) -> None:
    target = bundle.folder / "causal.ids.npy"
    assert "lies in a bundle's folder" in refused(bundle, "umap", "--out", target, "--overwrite")


def test_errors_name_the_parameter_that_named_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "sealed").touch()
    for target, said in (
        (tmp_path / "a", "a exists; pass overwrite=True to replace it, or another parquet"),
        (tmp_path / "a" / "b", "cannot be written: .*; pass another parquet"),
        (tmp_path / "bundle" / "b", "^parquet .*b lies in a bundle's folder; pass another parquet"),
    ):
        with (
            pytest.raises(ParameterError, match=said),
            placing([target], overwrite=False, manifest="sealed", named="parquet"),
        ):
            pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "bundle", "sealed"]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def fail() -> None:
        with placing([tmp_path / "a", tmp_path / "b"], overwrite=True, manifest="manifest.json") as paths:
            for path in paths:
                path.write_text("new")
            raise OSError(28, "No space left on device")

    with pytest.raises(ParameterError, match=r"cannot be written: .*No space left"):
        fail()
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_cannot_be_is_named(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in refused(bundle, "umap", "--out", tmp_path / "file" / "knn.npz")


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["parquet"],
            "FORMAT must be one of knn-csr, umap, edges, atlas, projector, word2vec, distances, graphml, faiss; got: ",
        ),
        (["umap", "--geometry", "euclid"], "--geometry must be one of causal, cosine, causal-cosine, got: euclid"),
        (["umap", "--top", "101"], "--top must be from 1 to 100"),
        (["umap", "--top", "0"], "--top must be from 1 to 100"),
        (["umap", "--limit", "5"], "--limit does not go with umap; it goes with projector"),
        (["edges", "--sample", "5"], "--sample does not go with edges; it goes with distances"),
        (["word2vec", "--top", "5"], "--top does not go with word2vec; it goes with knn-csr, umap, edges, atlas"),
        (["atlas", "--force"], "--force does not go with atlas; it goes with distances"),
        (["distances", "--geometry", "cosine"], "--geometry does not go with distances"),
        (["projector", "--limit", "0"], "--limit must be from 1 to 345, got: 0"),
        (["umap", "--json", "--csv"], "--json, --csv, --parquet and --svg exclude each other"),
    ],
)
def test_wrong_use(arguments: list[str], said: str, bundle: Bundle, tmp_path: Path) -> None:
    assert said in refused(bundle, *arguments, "--out", tmp_path / "out")
    assert not any(tmp_path.iterdir())


def test_what_was_written_is_said(bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "graph"
    table = invoke("query.py", "export", "edges", "--out", out, "--geometry", "cosine", "--index", bundle.folder).out
    assert "100 nearest by cosine similarity" in table
    lines = invoke(
        "query.py", "export", "distances", "--out", out, "--csv", "--index", bundle.folder, "--overwrite"
    ).out
    assert [row["path"] for row in csv.DictReader(StringIO(lines))] == [f"{out}.pt", f"{out}.npy"]


def test_the_library_returns_a_record(bundle: Bundle, tmp_path: Path) -> None:
    found = export(bundle, Format.UMAP, out=tmp_path / "knn.npz", top=3)
    size = (tmp_path / "knn.npz").stat().st_size
    assert found == Exported(Format.UMAP, "3 nearest by the causal metric", V, {tmp_path / "knn.npz": size})


@pytest.mark.parametrize("form", ["knn-csr", "umap", "edges", "projector", "word2vec"])
def test_exports_load_no_heavy_library(form: str, bundle: Bundle, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nimport index\nfrom index.export.export import Format, export\n"
        f"export(index.open({str(bundle.folder)!r}), Format({form!r}), out=Path({str(tmp_path / 'out')!r}))\n"
        "print(*[name for name in ('torch', 'transformers', 'pandas', 'scipy', 'umap') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


SECTION = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^uv run (?:--extra map )?query\.py (.*?)(?: *#.*)?$", SECTION, re.MULTILINE)


@pytest.mark.slow("writes the bundled model, all 49,152 tokens, in each format")
@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_commands(
    command: str, smollm2: Built, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # A map of the whole model takes half a minute.
    asked = bundle.folder if "atlas" in command else smollm2.path
    assert query(*shlex.split(command), "--index", asked)["files"]


@pytest.mark.parametrize("geometry", Geometry)
def test_a_faiss_index_of_each_geometry(
    geometry: Geometry, gamma: NDArray[np.float32], points: NDArray[np.float64], bundle: Bundle, tmp_path: Path
) -> None:
    """FAISS opens it, holds the points of the oracle, and finds what float64 brute force finds."""
    path = tmp_path / "out.faiss"
    found = export(bundle, Format.FAISS, out=path, geometry=geometry)
    assert found.files == {path: path.stat().st_size}
    flat = faiss.read_index(str(path))
    held = flat.reconstruct_n(0, flat.ntotal)
    space = bundle.spaces[geometry]
    assert (flat.ntotal, flat.d, flat.is_trained) == (V, D, True)
    assert flat.metric_type == (faiss.METRIC_INNER_PRODUCT if geometry.angular else faiss.METRIC_L2)
    np.testing.assert_array_equal(held, space.points[:])
    others = np.delete(np.arange(V), ZERO)
    with np.errstate(invalid="ignore"):
        rows = {
            Geometry.CAUSAL: points,
            Geometry.COSINE: oracles.unit_rows(gamma.astype(np.float64)),
            Geometry.CAUSAL_COSINE: oracles.unit_rows(points),
        }[geometry]
    # The oracle's causal points are turned against the stored ones: inner products of directions are the same.
    if geometry.angular:
        np.testing.assert_allclose(held[others] @ held[others].T, rows[others] @ rows[others].T, atol=1e-6)
        assert not held[ZERO].any()
    else:
        np.testing.assert_allclose(
            oracles.all_distances(held[others].astype(np.float64)), oracles.all_distances(rows[others]), atol=1e-5
        )
    row = 200
    _, ids = flat.search(held[[row]], V)
    exact = np.linalg.norm(held.astype(np.float64) - held[row], axis=1)
    apart = exact[[found for found in ids[0] if found != ZERO or not geometry.angular]]
    assert (np.diff(apart) > -1e-6).all()
    if geometry is not Geometry.CAUSAL_COSINE:
        assert path.read_bytes() == (bundle.folder / f"{geometry.value}.faiss").read_bytes()


def test_a_faiss_index_is_causal_by_default_and_takes_no_limit(bundle: Bundle, tmp_path: Path) -> None:
    done = query("export", "faiss", "--out", tmp_path / "out.faiss", "--index", bundle.folder)
    assert (done["format"], done["tokens"], done["content"]) == (
        "faiss",
        V,
        "the points of the causal metric, for squared L2",
    )
    assert (tmp_path / "out.faiss").read_bytes() == (bundle.folder / "causal.faiss").read_bytes()
    with pytest.raises(ParameterError, match="limit does not go with faiss"):
        export(bundle, Format.FAISS, out=tmp_path / "other", limit=3)
