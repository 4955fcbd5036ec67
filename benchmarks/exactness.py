"""Stored graphs against float64 brute force over the points: random rows, every twin, and the rows of dense spots.

python benchmarks/exactness.py BUNDLE [--rows 2000]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
BLOCK = 256
DENSE = 0.05
"""A row is in a dense spot when its nearest other is this near, as a share of the median nearest distance."""


def check(space: object, rows: np.ndarray) -> tuple[int, float]:
    """Return how many listed ids are further than their rank's distance allows, and the worst error of a distance."""
    points, ids, distances = space.points, space.ids, space.distances
    center = np.mean(points, axis=0, dtype=np.float64)
    wide = points - center  # float64: an expansion errs by 1e-15 of the squared norms
    squares = np.einsum("ij,ij->i", wide, wide)
    k = ids.shape[1]
    wrong, worst = 0, 0.0
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        exact = squares[block, None] + squares - 2 * wide[block] @ wide.T
        exact[np.arange(len(block)), block] = np.inf
        np.sqrt(np.maximum(exact, 0, out=exact), out=exact)
        expected = np.sort(np.partition(exact, k - 1, axis=1)[:, :k], axis=1)
        listed = np.take_along_axis(exact, ids[block].astype(np.int64), axis=1)
        wrong += int((np.abs(listed - expected) > space.resolution).sum())
        worst = max(worst, float(np.abs(distances[block] - expected).max()))
    return wrong, worst


def main() -> None:
    """Read the options and print the table."""
    import index

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rows", type=int, default=2000)
    options = parser.parse_args()
    bundle = index.open(options.bundle)
    twins = np.flatnonzero(np.bincount(bundle.twin_groups, minlength=len(bundle))[bundle.twin_groups] > 1)
    for space in (bundle.causal, bundle.cosine):
        nearest = space.distinct_distances[:, 0]
        dense = np.flatnonzero(nearest < DENSE * np.median(nearest))
        chosen = np.random.default_rng(0).permutation(len(bundle))[: options.rows]
        rows = np.setdiff1d(np.unique(np.concatenate([chosen, twins, dense])), space.excluded)
        wrong, worst = check(space, rows)
        kinds = f"{options.rows:,} random, {len(twins):,} twins, {len(dense):,} in dense spots"
        print(f"{space.name}: {len(rows):,} rows ({kinds}), {rows.size * space.ids.shape[1]:,} ids")
        print(f"    {wrong} ids wrong beyond ties; worst distance error {worst:.2g}, resolution {space.resolution:.2g}")


if __name__ == "__main__":
    main()
