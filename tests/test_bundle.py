"""An open bundle: what is mapped stays valid, and nothing of it can be written to."""

import gc

import numpy as np
import pytest
from conftest import Built

import index


def test_points_outlive_the_bundle_they_came_from(smollm2: Built) -> None:
    """The memory is FAISS's own: a view alone would dangle once the index is collected."""
    points = index.open(smollm2.path).causal.points
    before = points[::97].copy()
    gc.collect()
    for _ in range(20):
        np.empty(1 << 22, dtype=np.uint8).fill(255)
    np.testing.assert_array_equal(points[::97], before)


@pytest.mark.parametrize("name", ["points", "ids", "distances", "distinct_distances"])
def test_mapped_arrays_are_read_only(name: str, smollm2: Built) -> None:
    array = getattr(index.open(smollm2.path).cosine, name)
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 0


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
