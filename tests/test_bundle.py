"""An open bundle: what is mapped stays valid, and nothing of it can be written to."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT, Built

import index


def test_points_outlive_the_bundle_they_came_from(smollm2: Built) -> None:
    """The memory is FAISS's own: a view alone would dangle once the index is collected."""
    points = index.open(smollm2.path).causal.points
    before = points[::97].copy()
    gc.collect()
    for _ in range(20):
        np.empty(1 << 22, dtype=np.uint8).fill(255)
    np.testing.assert_array_equal(points[::97], before)


@pytest.mark.parametrize("name", ["points", "ids", "distances", "distinct_ids", "distinct_distances"])
def test_mapped_arrays_are_read_only(name: str, smollm2: Built) -> None:
    array = getattr(index.open(smollm2.path).cosine, name)
    for rows in (array[0], array[3:9], array.whole):
        with pytest.raises(ValueError, match="read-only"):
            rows[...] = 0


@pytest.mark.parametrize(
    "key",
    [0, -1, np.int64(700), slice(3, 9), slice(9, 3, -2), slice(5, 5), [4, 0, 4], np.array([-1, 2]), (3, 5),
     (slice(None), slice(2)), np.arange(49_152) % 7 == 0],
    ids=str,
)  # fmt: skip
def test_a_stored_array_indexes_like_an_array(key: object, smollm2: Built) -> None:
    stored = index.open(smollm2.path).causal.ids
    np.testing.assert_array_equal(stored[key], np.load(smollm2.path / "causal.ids.npy")[key])
    assert stored[key].dtype == np.int32


def test_a_stored_array_in_numpys_hands(smollm2: Built) -> None:
    stored = index.open(smollm2.path).cosine.distances
    plain = np.load(smollm2.path / "cosine.distances.npy")
    np.testing.assert_array_equal(np.asarray(stored), plain)
    np.testing.assert_array_equal(np.array(stored, dtype=np.float64), plain.astype(np.float64))
    assert (stored.shape, stored.dtype, len(stored)) == (plain.shape, plain.dtype, len(plain))
    with pytest.raises(IndexError):
        stored[len(stored)]


@pytest.mark.parametrize("name", ["causal", "cosine", "causal_cosine"])
def test_groups_are_the_rows_with_one_point(name: str, smollm2: Built) -> None:
    space = getattr(index.open(smollm2.path), name)
    unique, group = np.unique(np.asarray(space.points), axis=0, return_inverse=True)
    first = np.full(len(unique), len(group))
    np.minimum.at(first, group.ravel(), np.arange(len(group)))
    np.testing.assert_array_equal(space.groups.first, first[group.ravel()])
    for row in (7, 8, 905):
        assert space.groups.others(row).tolist() == [
            other for other in np.flatnonzero(first[group.ravel()] == first[group.ravel()[row]]) if other != row
        ]


def test_an_index_answers_as_the_graph_does(smollm2: Built) -> None:
    """The FAISS files are plain indexes: their own search finds the stored neighbors, self aside."""
    bundle = index.open(smollm2.path)
    rows = [905, 3925, 46835]
    _, found = bundle.cosine.index.search(bundle.cosine.points[rows], 31)
    for row, ids in zip(rows, found, strict=True):
        assert ids[0] == row
        assert len(set(ids[1:]) & set(bundle.cosine.ids[row, :30])) == 30
    squared, _ = bundle.causal.index.search(bundle.causal.points[rows], 31)
    np.testing.assert_allclose(np.sqrt(squared[:, 1:]), bundle.causal.distances[rows, :30], rtol=1e-4)


def test_reading_the_tokens_starts_no_thread(smollm2: Built) -> None:
    """Arrow's threads may abort a process that ends soon after, its answer already printed."""
    code = (
        "import sys, psutil, pyarrow.parquet, index\n"
        "bundle = index.open(sys.argv[1])\n"
        "before = psutil.Process().num_threads()\n"
        "bundle.tokens, bundle.vocabulary\n"
        "print(psutil.Process().num_threads() - before)"
    )
    command = [sys.executable, "-c", code, str(smollm2.path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout == "0\n"
