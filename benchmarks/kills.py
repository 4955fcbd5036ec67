"""Builds that are killed at random moments, and disks that fill up during one: what is left, and what comes after.

python benchmarks/kills.py FOLDER [--kills 200] [--whole 20] [--disks 60] [--seed 0]

Each build replaces an older bundle of SmolLM2 (another ridge), or in every third round none. Most are of 3,000 tokens,
`--whole` of all. After each one: the old bundle is there, byte for byte, and answers as before, or the new one does;
what is half done cannot be opened; the next build succeeds, and ends with the bytes of a build that nothing interrupted
and nothing else beside it. Disks are tmpfs in a mount namespace of their own (`unshare`), filled by another file.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import build_index
import index
import index.build.build  # so that a forked build need not import it
from index.errors import BundleError

OLD = ("--ridge", "0.5")
SMALL = ("--sample", "3000", "--threads", "1")
SPARE = 2 << 20  # bytes of a disk beyond two bundles


def start(target: Path, sample: tuple[str, ...], log: Path, *options: str, stopped: bool = False) -> int:
    """Run build_index.py in a forked process, which first waits for SIGCONT if it is `stopped`; return its id."""
    process = os.fork()
    if process == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if stopped:
            os.kill(os.getpid(), signal.SIGSTOP)
        code = 70
        try:
            code = build_index.app([*sample, *options, "--out", str(target), "--json"], standalone_mode=False) or 0
        except BaseException:  # noqa: BLE001 -- nobody else would tell of it
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    return process


def finish(process: int) -> int:
    """Wait for a build; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file, but for what the manifest says of the time and of itself."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    manifest = json.loads(found["manifest.json"])
    del manifest["build_seconds"], manifest["checksum"]
    for approximate in (each for space in manifest["spaces"].values() for each in space["approximate"]):
        del approximate["seconds"]
    return found | {"manifest.json": json.dumps(manifest).encode()}


def answer(folder: Path) -> str:
    """Return what a bundle says of one token."""
    bundle = index.open(folder)
    return bundle.neighbors(f"#{int(bundle.vocabulary.token_ids[7])}").to_pandas().to_csv()


class Round:
    """The old bundle and the new one of one size, and how long a build takes."""

    def __init__(self, folder: Path, sample: tuple[str, ...]) -> None:
        self.sample, self.folder, self.target = sample, folder, folder / "place" / "bundle"
        self.log = folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        self.states = {}
        for name, options in (("old", OLD), ("new", ())):
            started, path = time.perf_counter(), folder / name / "bundle"
            if finish(start(path, sample, self.log, *options)) != 0:
                sys.exit(self.log.read_text(errors="replace"))
            self.seconds = time.perf_counter() - started
            self.states[name] = (contents(path), answer(path))
        self.found: Counter[str] = Counter()
        self.done = 0

    def place(self, *, old: bool) -> None:
        """Begin with the old bundle, or with nothing."""
        shutil.rmtree(self.target.parent, ignore_errors=True)
        self.target.parent.mkdir()
        if old:
            shutil.copytree(self.folder / "old" / "bundle", self.target)

    def check(self, *, old: bool) -> None:
        """Say what is there, and count what must not be."""
        left = self.target.with_name(".bundle.building")
        for half in (left, left / "bundle"):
            with contextlib.suppress(BundleError):
                if index.open(half) and half == left:
                    self.found["WRONG: a half bundle was opened"] += 1
        if not self.target.exists():
            self.found["WRONG: no bundle where one was" if old else "nothing in place, as before"] += 1
            return
        states = [name for name, state in self.states.items() if (contents(self.target), answer(self.target)) == state]
        expected = {"old": "the old bundle, as before", "new": "the new bundle, whole"}
        self.found[expected[states[0]] if states else "WRONG: another bundle in place"] += 1

    def go_on(self) -> None:
        """Run the next build, undisturbed."""
        started = time.perf_counter()
        code = finish(start(self.target, self.sample, self.log, "--overwrite"))
        elapsed = time.perf_counter() - started
        self.done += 1
        if self.done % 10 == 0:
            print(self.done, dict(self.found), file=sys.stderr, flush=True)
        said = self.log.read_text(errors="replace")
        kept = said.partition("did not end: ")[2].partition("\n")[0]
        if not kept:  # on a machine that others use, too, builds grow slower and faster
            self.seconds = elapsed
        self.found[f"the next build kept {len(kept.split(',')) if kept else 0} of 3 spaces"] += 1
        if code != 0:
            self.found[f"WRONG: the next build failed: {' '.join(said.split())[-200:]}"] += 1
            return
        files, said_of_a_token = self.states["new"]
        now = contents(self.target)
        differ = sorted(name for name in files.keys() | now.keys() if files.get(name) != now.get(name))
        if differ or answer(self.target) != said_of_a_token:
            self.found[f"WRONG: the next build ended with another {', '.join(differ) or 'answer'}"] += 1
        if os.listdir(self.target.parent) != ["bundle"]:
            self.found["WRONG: something was left beside the bundle"] += 1


def kill_builds(rounds: Round, times: int, draw: random.Random) -> None:
    """Kill builds at random moments."""
    for n in range(times):
        old = n % 3 != 0
        rounds.place(old=old)
        process = start(rounds.target, rounds.sample, rounds.log, "--overwrite")
        time.sleep(draw.uniform(0, 1.05 * rounds.seconds))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        rounds.found["killed" if finish(process) == -signal.SIGKILL else "ended before it was killed"] += 1
        rounds.check(old=old)
        rounds.go_on()


def fill_disks(rounds: Round, times: int, draw: random.Random) -> None:
    """Fill the disk at a random moment of a build, up to a random rest."""
    bundle_bytes = sum(path.stat().st_size for path in (rounds.folder / "new" / "bundle").iterdir())
    disk = rounds.target.parent
    for n in range(times):
        old = n % 3 != 0
        disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={2 * bundle_bytes + SPARE}", "tmpfs", disk], check=True)
        try:
            if old:
                shutil.copytree(rounds.folder / "old" / "bundle", rounds.target)
            process = start(rounds.target, rounds.sample, rounds.log, "--overwrite")
            time.sleep(draw.uniform(0.3, 1) * rounds.seconds)  # a disk that is full before is refused at once
            rest = round(draw.uniform(0, bundle_bytes))
            with contextlib.suppress(OSError), (disk / "ballast").open("wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, max(1, shutil.disk_usage(disk).free - rest))
            code = finish(process)
            said = rounds.log.read_text(errors="replace").splitlines()
            if code == 0:
                rounds.found["room enough, built"] += 1
            elif code == 2 and len(said) == 1 and said[0].startswith("error: ") and "make room" in said[0]:
                rounds.found[f"refused in one line: {said[0].split()[1]}"] += 1
            else:
                rounds.found[f"WRONG: exit code {code}: {' '.join(said)[-300:]}"] += 1
            (disk / "ballast").unlink()
            if code != 0 and set(os.listdir(disk)) - {"bundle"}:
                rounds.found["WRONG: a build that failed left something"] += 1
            rounds.check(old=old)
            rounds.go_on()
        finally:
            subprocess.run(["umount", disk], check=True)


def main() -> None:
    """Read the options, interrupt, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one; removed at the end")
    parser.add_argument("--kills", type=int, default=200, help="of builds of 3,000 tokens")
    parser.add_argument("--whole", type=int, default=20, help="kills of builds of all tokens")
    parser.add_argument("--disks", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.disks and "LOGOSCOPE_OWN_MOUNTS" not in os.environ:
        os.environ["LOGOSCOPE_OWN_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--map-root-user", sys.executable, *sys.argv])
    draw = random.Random(options.seed)
    wrong = 0
    for title, interrupt, times, sample in (
        ("kill -9, 3,000 tokens", kill_builds, options.kills, SMALL),
        ("kill -9, all 49,152 tokens", kill_builds, options.whole, ()),
        ("a disk that fills up, 3,000 tokens", fill_disks, options.disks, SMALL),
    ):
        if times == 0:
            continue
        rounds = Round(options.folder, sample)
        interrupt(rounds, times, draw)
        print(f"{title}: {times} builds of {rounds.seconds:.1f} s, when undisturbed")
        for what, count in sorted(rounds.found.items()):
            print(f"{count:>6}  {what}")
        wrong += sum(count for what, count in rounds.found.items() if what.startswith("WRONG"))
        shutil.rmtree(options.folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
