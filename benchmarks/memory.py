"""The memory of a whole build, step by step, with or without a limit on it.

python benchmarks/memory.py [SOURCE] --out FOLDER [--limit GB | --cgroup GB] [--neighbors K] [--sample N]

Pages are told apart: anonymous ones are the build's own, those of files are given up when others need memory. `--limit`
is one on private memory (RLIMIT_DATA): the CUDA build of torch maps more address space than `ulimit -v` could leave.
`--cgroup` counts files, too: the build runs in a control group (version 1, as root) below the one that is here.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIELDS = {"RssAnon": "anonymous", "RssFile": "of files", "VmData": "private, mapped", "VmSize": "address space"}

BUILD = """
import json, sys
from pathlib import Path
from index.build.build import build
from index.errors import LogoscopeError
from index.build.settings import Settings

options = json.loads(sys.argv[1])
settings = Settings(**options | {"out": Path(options["out"])}, overwrite=True)
try:
    built = build(settings, lambda step, done, total: print(step, flush=True))
except LogoscopeError as error:
    sys.exit(f"refused: {error}")
print(f"built: {built.seconds:.1f} s, {built.bytes / 1e9:.2f} GB on disk", file=sys.stderr)
"""


class Watch(threading.Thread):
    """Reads a process's memory 20 times a second, and keeps the peaks (bytes) of each step that it names."""

    def __init__(self, process: subprocess.Popen) -> None:
        super().__init__(daemon=True)
        self.step, self.peaks = "starting", {}
        self._process = process

    def run(self) -> None:
        """Look until the process has ended."""
        while self._process.poll() is None:
            peaks = self.peaks.setdefault(self.step, dict.fromkeys(FIELDS, 0))
            try:
                lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
            except OSError:  # it has just ended
                return
            for line in lines:
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], 1024 * int(value.split()[0]))
            time.sleep(0.05)


@contextmanager
def control_group(limit_bytes: int) -> Iterator[Path]:
    """Give a control group with this much memory, below the one that this process is in."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    own = next(path for _, controllers, path in lines if "memory" in controllers.split(","))
    group = Path("/sys/fs/cgroup/memory", own.lstrip("/"), f"logoscope-{os.getpid()}")
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit_bytes))
        yield group
        peak, failures = (int((group / f"memory.{name}").read_text()) for name in ("max_usage_in_bytes", "failcnt"))
        print(f"the control group held up to {peak / 1e9:.2f} GB and met its limit {failures:,} times", file=sys.stderr)
    finally:
        group.rmdir()


def build(options: dict[str, Any], limit: float | None, group: Path | None) -> tuple[Watch, int]:
    """Build in a process of its own; return what was seen of its memory, and its exit code."""

    def restrict() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9), int(limit * 1e9)))

    command = [sys.executable, "-c", BUILD, json.dumps(options)]
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # as build_index.py has it
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=restrict
    )
    watch = Watch(process)
    watch.start()
    for line in process.stdout:
        watch.step = line.strip()
    code = process.wait()
    watch.join()
    return watch, code


def main() -> None:
    """Read the options, build in a process of its own, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?")
    parser.add_argument("--out", required=True)
    limits = parser.add_mutually_exclusive_group()
    limits.add_argument("--limit", type=float, help="GB of private memory")
    limits.add_argument("--cgroup", type=float, help="GB of memory and of files' pages in it")
    parser.add_argument("--neighbors", type=int, default=100)
    parser.add_argument("--sample")
    options = vars(parser.parse_args())
    limit, cgroup = options.pop("limit"), options.pop("cgroup")
    with control_group(int(cgroup * 1e9)) if cgroup else nullcontext() as group:
        watch, code = build(options, limit, group)
    print(f"{'peak, GB':<36}" + "".join(f"{title:>18}" for title in FIELDS.values()))
    for step, peaks in watch.peaks.items():
        print(f"{step:<36}" + "".join(f"{peaks[field] / 1e9:>18.2f}" for field in FIELDS))
    highest = {field: max(peaks[field] for peaks in watch.peaks.values()) for field in FIELDS}
    print(f"{'whole build':<36}" + "".join(f"{highest[field] / 1e9:>18.2f}" for field in FIELDS))
    sys.exit(code)


if __name__ == "__main__":
    main()
