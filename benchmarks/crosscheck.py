"""A cross-check of every entry of a stored matrix, against reading the file once and one float32 product of its shape.

python benchmarks/crosscheck.py BUNDLE FILE.npy
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    """Read the options, measure, print the table."""
    import index
    from index.checks.matrix import check_matrix

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("distances", type=Path)
    options = parser.parse_args()
    bundle = index.open(options.bundle)
    points = np.array(bundle.causal.points)

    start = time.perf_counter()
    with options.distances.open("rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    reading = time.perf_counter() - start
    start = time.perf_counter()
    for first in range(0, len(points), 4096):
        points[first : first + 4096] @ points.T
    product = time.perf_counter() - start
    start = time.perf_counter()
    found = check_matrix(bundle, options.distances)
    checking = time.perf_counter() - start

    print(f"{found.entries:,} entries, D = {points.shape[1]:,}: {'passed' if found.passed else found.cause}")
    print(f"{'reading the file':<24} {reading:>8.1f} s")
    print(f"{'one float32 product':<24} {product:>8.1f} s")
    print(f"{'cross-check':<24} {checking:>8.1f} s = {checking / (reading + product):.2f} x both")


if __name__ == "__main__":
    main()
