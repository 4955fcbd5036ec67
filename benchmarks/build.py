"""The seconds of each step of a whole build, and how they stand to the graphs alone.

python benchmarks/model.py FOLDER && python benchmarks/build.py FOLDER --out BUNDLE
"""

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


class Clock:
    """Adds up the seconds of each step from the calls of a build's progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()
        self._step = "starting"

    def __call__(self, step: str, done: int, total: int) -> None:
        """Count the time since the last call for the step that was under way."""
        now = time.perf_counter()
        self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._last
        self._last, self._step = now, step


def main() -> None:
    """Read the options, build, print the table."""
    from index.build.build import build
    from index.build.settings import Settings

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    clock = Clock()
    built = build(Settings(source=options.source, out=options.out, overwrite=True), clock)
    clock("done", 1, 1)
    graphs = sum(seconds for step, seconds in clock.seconds.items() if "neighbors in" in step)
    for step, seconds in clock.seconds.items():
        print(f"{step:<40} {seconds:>8.1f} s")
    print(f"{'whole build':<40} {built.seconds:>8.1f} s, {built.seconds / graphs:.2f} x the graphs alone")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1e6:.2f} GB, pages of mapped files included; on disk {built.bytes / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
