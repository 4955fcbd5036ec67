"""The seconds of each step of a whole build, and how they stand to the graphs alone.

python benchmarks/model.py FOLDER && python benchmarks/build.py FOLDER --out BUNDLE
python benchmarks/build.py --synthetic 16384x2560 --out BUNDLE

Of wall and of all processors. docs/scale.md counts with what two sizes of the synthetic vocabulary take besides graphs.
"""

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))


class Clock:
    """Adds up the seconds of each step, of wall and of the processors, from the calls of a build's progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self._last = time.perf_counter(), time.process_time()
        self._step = "starting"

    def __call__(self, step: str, done: int, total: int) -> None:
        """Count the time since the last call for the step that was under way."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = self.seconds.get(self._step, (0.0, 0.0))
        self.seconds[self._step] = wall + now[0] - self._last[0], cpu + now[1] - self._last[1]
        self._last, self._step = now, step


def write_synthetic(folder: Path, size: str) -> Path:
    """Write a synthetic vocabulary of `VxD`."""
    from safetensors.torch import save_file
    from synthetic import vocabulary

    V, D = map(int, size.split("x"))
    save_file({"lm_head.weight": vocabulary(V, D)}, folder / "model.safetensors")
    return folder / "model.safetensors"


def main() -> None:
    """Read the options, build, print the table."""
    from index.build.build import build
    from index.build.settings import Settings

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?")
    parser.add_argument("--synthetic", metavar="VxD")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = write_synthetic(Path(folder), options.synthetic) if options.synthetic else options.source
        clock = Clock()
        built = build(Settings(source=str(source), out=options.out, overwrite=True), clock)
    clock("done", 1, 1)
    graphs = {step: seconds for step, seconds in clock.seconds.items() if "neighbors in" in step}
    for step, (wall, cpu) in clock.seconds.items():
        print(f"{step:<40} {wall:>8.1f} s {cpu:>8.1f} s of the processors")
    of_graphs, of_all = (sum(cpu for _, cpu in each.values()) for each in (graphs, clock.seconds))
    print(f"{'whole build':<40} {built.seconds:>8.1f} s {of_all:>8.1f} s of the processors, {of_all / of_graphs:.2f} x")
    print(f"{'all but the graphs':<40} {of_all - of_graphs:>19.1f} s of the processors")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak / 1e6:.2f} GB, pages of mapped files included; on disk {built.bytes / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
