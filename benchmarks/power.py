"""Power cuts during a build: its writes replayed with what was not synced dropped or reordered, and what is then there.

python benchmarks/power.py FOLDER [--states 40] [--builds 100] [--seed 0]

`strace` records every call by which builds change files, with what they write; replayed whole, it must give what is on
the disk, byte for byte, or something was missed. Then the power is cut after each call. Kept is what was synced: of a
file its bytes, by fsync of the file; of a folder its names, by fsync of the folder. Of all other calls before it any
may have reached the disk: none, all, all but one, one alone, the names or the bytes alone, and random ones, `--states`
at most for each cut. A rename is whole or not at all. In each state the old bundle must be in place, byte for byte, or
the new one, and once the build has ended the new one. `--builds` of the states, drawn at random, are put on the disk:
the bundle must answer as before, and the next build succeed and leave nothing beside it.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from faults import load_all, vocabulary
from kills import Round, finish, start

from index.build import place as workplace

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendfile,copy_file_range,ftruncate,truncate,fallocate,"
    "lseek,mmap,fsync,fdatasync,msync,sync,syncfs,sync_file_range,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,unlink,unlinkat,rmdir,mkdir,mkdirat"
)
LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)(.*)$")


@dataclass(eq=False)
class Node:
    """A file or a folder, whatever it is called."""

    folder: bool


@dataclass
class Operation:
    """One change: of the bytes of a file, or of the names in folders, which happen together or not at all."""

    said: str
    data: tuple[Node, int, bytes | None] | None = None  # of which file, from where on; None cuts it off there
    names: tuple[tuple[Node, str, Node | None], ...] = ()  # in which folder, which name, of what from now on


@dataclass
class Disk:
    """What is on a disk."""

    names: dict[Node, dict[str, Node]] = field(default_factory=dict)
    bytes: dict[Node, bytearray] = field(default_factory=dict)

    def copy(self) -> Disk:
        """Return another one with the same on it."""
        names = {folder: dict(entries) for folder, entries in self.names.items()}
        return Disk(names, {node: bytearray(content) for node, content in self.bytes.items()})

    def apply(self, operation: Operation) -> None:
        """Change it."""
        if operation.data is not None:
            node, where, content = operation.data
            held = self.bytes.setdefault(node, bytearray())
            if content is None:
                del held[where:]
                held.extend(bytes(where - len(held)))
            else:
                held.extend(bytes(max(0, where - len(held))))
                held[where : where + len(content)] = content
        for folder, name, node in operation.names:
            entries = self.names.setdefault(folder, {})
            if node is None:
                entries.pop(name, None)
            else:
                entries[name] = node

    def tree(self, folder: Node) -> dict[str, object]:
        """Return what a folder holds: bytes of files, and the same of folders."""
        return {
            name: self.tree(node) if node.folder else bytes(self.bytes.get(node, b""))
            for name, node in self.names.get(folder, {}).items()
        }


class Recording:
    """The calls of builds in one folder, as changes and syncs."""

    def __init__(self, root: Path) -> None:
        self.root, self.top = root, Node(folder=True)
        self.now, self.log = Disk({self.top: {}}), list[Operation | Node]()  # a Node: it was synced
        self.positions: dict[tuple[str, str], int] = {}
        self.mapped: set[Node] = set()  # written through the memory, which no call shows
        self._take(root, self.top)
        self.before = self.now.copy()
        self.built: list[object] = []  # what each build put in place

    def _take(self, path: Path, node: Node) -> None:
        for entry in path.iterdir():
            child = Node(entry.is_dir())
            self.now.apply(Operation("", names=((node, entry.name, child),)))
            if child.folder:
                self.now.names[child] = {}
                self._take(entry, child)
            else:
                self.now.bytes[child] = bytearray(entry.read_bytes())

    def find(self, path: str) -> tuple[Node, str] | None:
        """Return the folder and the name of a path below the root; the root is its own."""
        if path == str(self.root):
            return self.top, ""
        if not path.startswith(f"{self.root}/"):
            return None
        *folders, name = path[len(str(self.root)) + 1 :].split("/")
        node = self.top
        for each in folders:
            node = self.now.names[node][each]
        return node, name

    def at(self, path: str) -> Node | None:
        """Return what lies at a path below the root."""
        found = self.find(path)
        if found is None:
            return None
        return found[0] if found[1] == "" else self.now.names[found[0]].get(found[1])

    def change(self, operation: Operation) -> None:
        """Record a change."""
        self.now.apply(operation)
        self.log.append(operation)

    def read(self, log: str) -> None:
        """Read what strace wrote of a process."""
        waiting: dict[str, str] = {}
        for line in log.splitlines():
            process = line.split(" ", 1)[0]
            if line.endswith("<unfinished ...>"):
                waiting[process] = line.removesuffix("<unfinished ...>").rstrip()
                continue
            if "resumed>" in line:
                line = waiting.pop(process) + line.partition("resumed>")[2]
            found = LINE.match(line)
            if found is not None and int(found[4]) >= 0:
                self.call(process, found[2], arguments(found[3]), found[4], found[5])

    def call(self, process: str, name: str, given: list[str], result: str, rest: str) -> None:
        """Record one call that succeeded."""
        if name in ("open", "openat", "creat"):
            self.open(process, given[1] if name == "openat" else given[0], given[2], result)
        elif name in ("write", "pwrite64"):
            self.write(process, name, given, int(result))
        elif name == "lseek":
            self.positions[process, given[0].partition("<")[0]] = int(result)
        elif name == "ftruncate":
            node = self.at(opened(given[0]))
            if node is not None:
                self.change(Operation(f"truncate {given[0]}", (node, int(given[1]), None)))
        elif name == "mmap":
            node = self.at(opened(given[4]))
            if node is not None and "PROT_WRITE" in given[2] and "MAP_SHARED" in given[3]:
                self.mapped.add(node)
                self.change(Operation(f"mapped {given[4]}", (node, 0, b"")))
        elif name in ("fsync", "fdatasync"):
            node = self.at(opened(given[0]))
            if node is not None:
                self.log.append(node)
        elif name.startswith("rename"):
            self.rename(name, given)
        elif name in ("mkdir", "mkdirat", "unlink", "unlinkat", "rmdir"):
            where = self.find(joined(given) if name.endswith("at") else text(given[0]))
            if where is not None:
                made = Node(folder=True) if name.startswith("mkdir") else None
                if made is not None:
                    self.now.names[made] = {}
                self.change(Operation(f"{name} {where[1]}", names=((*where, made),)))
        elif any(str(self.root) in text(each) for each in given):
            sys.exit(f"a call that is not replayed: {name}({', '.join(given)}) = {result}{rest}")

    def open(self, process: str, path: str, flags: str, result: str) -> None:
        """Record a file that is opened, and made by that, or emptied."""
        self.positions[process, result] = 0
        where = self.find(text(path))
        if where is None or "O_TMPFILE" in flags or where[1] == "":
            return
        node = self.now.names[where[0]].get(where[1])
        if node is None and "O_CREAT" in flags:
            node = Node(folder=False)
            self.change(Operation(f"make {where[1]}", names=((*where, node),)))
        elif node is not None and "O_TRUNC" in flags:
            self.change(Operation(f"empty {where[1]}", (node, 0, None)))
        if "O_APPEND" in flags:
            sys.exit(f"a file is opened to append: {text(path)}")

    def write(self, process: str, name: str, given: list[str], count: int) -> None:
        """Record bytes that are written."""
        key = process, given[0].partition("<")[0]
        where = int(given[3]) if name == "pwrite64" else self.positions.get(key, 0)
        if name == "write":
            self.positions[key] = where + count
        node = self.at(opened(given[0]))
        if node is not None:
            content = ast.literal_eval(f"b{given[1]}")[:count]
            self.change(Operation(f"write {opened(given[0])}", (node, where, content)))

    def rename(self, name: str, given: list[str]) -> None:
        """Record a rename, or two paths that change places."""
        one = self.find(text(given[0]) if name == "rename" else joined(given[:2]))
        other = self.find(text(given[1]) if name == "rename" else joined(given[2:4]))
        if one is None or other is None:
            return
        moved, there = (self.now.names[folder].get(entry) for folder, entry in (one, other))
        exchanged = there if "RENAME_EXCHANGE" in given[-1] else None
        self.change(Operation(f"{name} {one[1]} {other[1]}", names=((*one, exchanged), (*other, moved))))

    def end(self) -> None:
        """Give mapped files the bytes that they have in the end, and see that nothing was missed."""
        held: dict[Node, bytes] = {}
        for path in self.root.rglob("*"):
            node = self.at(str(path))
            if node is not None and path.is_file():
                held[node] = path.read_bytes()
        for operation in self.log:
            if isinstance(operation, Operation) and operation.said.startswith("mapped"):
                assert operation.data is not None
                operation.data = (operation.data[0], 0, held.get(operation.data[0], b""))
                self.now.apply(operation)
        if self.now.tree(self.top) != on_disk(self.root):
            sys.exit("the calls that were recorded do not give what is on the disk")


def arguments(given: str) -> list[str]:
    """Split the arguments of a call; strings are hexadecimal, so that a comma is one between arguments."""
    return re.split(r", (?![^<]*>)", given)


def text(quoted: str) -> str:
    """Return what stands in quotes, or as it is."""
    return ast.literal_eval(quoted) if quoted.startswith('"') else quoted


def opened(descriptor: str) -> str:
    """Return the path of an open file, as strace shows it; files without a name have none."""
    path = descriptor.partition("<")[2].rpartition(">")[0]
    return ast.literal_eval(f'"{path}"') if path and "(deleted)" not in descriptor else ""


def joined(given: list[str]) -> str:
    """Return the path that a folder's descriptor and a name mean."""
    return os.path.join(opened(given[0]), text(given[1]))


def on_disk(folder: Path) -> dict[str, object]:
    """Return what a folder holds, as `Disk.tree`."""
    return {path.name: on_disk(path) if path.is_dir() else path.read_bytes() for path in folder.iterdir()}


def put_on_disk(tree: dict[str, object], folder: Path) -> None:
    """Make a folder hold this."""
    folder.mkdir()
    for name, held in tree.items():
        if isinstance(held, dict):
            put_on_disk(held, folder / name)
        else:
            (folder / name).write_bytes(held)  # type: ignore[arg-type]


def cuts(recording: Recording, most: int, draw: random.Random) -> Iterator[tuple[int, Disk]]:
    """Yield the number of calls before each cut, and every state that the disk may be in then."""
    synced, open_calls = recording.before.copy(), list[Operation]()
    for number, each in enumerate(recording.log):
        if isinstance(each, Operation):
            open_calls.append(each)
        else:  # what is synced no cut can undo
            covered = [one for one in open_calls if of(one, each)]
            for one in covered:
                synced.apply(one)
            open_calls = [one for one in open_calls if one not in covered]
        for chosen in subsets(open_calls, most, draw):
            state = synced.copy()
            for one in chosen:
                state.apply(one)
            yield number + 1, state


def of(operation: Operation, synced: Node) -> bool:
    """Whether an fsync of a file or folder keeps a change: of its bytes, or of a name in it."""
    if operation.data is not None:
        return operation.data[0] is synced
    return any(folder is synced for folder, _, _ in operation.names)


def subsets(calls: list[Operation], most: int, draw: random.Random) -> Iterator[list[Operation]]:
    """Yield what of some calls, in order, may have reached the disk: at most so many choices of them."""
    last = calls[-most // 4 :]
    choices: list[list[Operation]] = [
        [],
        calls,
        [each for each in calls if each.data is None],
        [each for each in calls if each.data is not None],
        *([each for each in calls if each is not one] for one in last),
        *([one] for one in last),
    ]
    choices += [[each for each in calls if draw.random() < 0.5] for _ in range(max(0, most - len(choices)))]
    yield from {tuple(map(id, choice)): choice for choice in choices[:most]}.values()


def record(rounds: Round, *, old: bool, prepare: Callable[[], None], builds: int = 1) -> Recording:
    """Record builds one after the other, of which all but the last are killed once the new bundle is in place."""
    rounds.place(old=old)
    recording = Recording(rounds.target.parent)
    for number in range(builds):
        killed = number < builds - 1
        rmtree, exchange = workplace.shutil.rmtree, workplace.exchange
        prepare()
        if killed:
            workplace.shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        process = start(rounds.target, rounds.sample, rounds.log, "--overwrite", stopped=True)
        workplace.shutil.rmtree, workplace.exchange = rmtree, exchange  # type: ignore[assignment]
        os.waitid(os.P_PID, process, os.WSTOPPED)
        log = rounds.folder / "strace"
        shown = ["-f", "-y", "-xx", "-s", "100000000", "-qq", "-e", "signal=none", "-e", f"trace={CALLS}"]
        with subprocess.Popen(["strace", *shown, "-o", str(log), "-p", str(process)]) as tracer:
            while "TracerPid:\t0\n" in Path(f"/proc/{process}/status").read_text():
                time.sleep(0.001)
            os.kill(process, signal.SIGCONT)
            code = finish(process)
            tracer.wait(timeout=60)
        if code != (-signal.SIGKILL if killed else 0):
            sys.exit(f"exit code {code}: {rounds.log.read_text()}")
        recording.read(log.read_text())
        recording.built.append(on_disk(rounds.target))
    recording.end()
    return recording


def judge(rounds: Round, recording: Recording, most: int, builds: int, draw: random.Random) -> Counter[str]:
    """Count what is in place in every state, and what comes after in some."""
    before = recording.before.tree(recording.top).get("bundle")
    counts, kept, last = Counter[str](), list[dict[str, object]](), len(recording.log)
    for number, state in cuts(recording, most, draw):
        counts["states"] += 1
        tree = state.tree(recording.top)
        there = tree.get("bundle")
        if there == recording.built[-1] or (there in recording.built and number < last):
            counts["the new bundle, whole"] += 1
        elif there == before and number < last:
            counts["nothing in place, as before" if before is None else "the old bundle, whole"] += 1
        elif there is None and tree.get(".bundle.replaced") in (before, *recording.built) and number < last:
            counts["nothing in place; a bundle, whole, is aside, for the next build to put back"] += 1
        else:
            wrong = "the build had ended, and its bundle is not there" if there == before else "neither bundle, whole"
            counts[f"WRONG: {wrong}"] += 1
            if sum(count for what, count in counts.items() if what.startswith("WRONG")) <= 3:
                call = recording.log[number - 1]
                said = call.said if isinstance(call, Operation) else "fsync"
                print(f"  after call {number} of {last}, {said}: {wrong}", file=sys.stderr)
        kept.append(tree)
        if len(kept) > builds:  # each state with the same chance
            place = draw.randrange(counts["states"])
            newest = kept.pop()
            if place < builds:
                kept[place] = newest
    for tree in kept:
        shutil.rmtree(rounds.target.parent)
        put_on_disk(tree, rounds.target.parent)
        rounds.check(old=before is not None)
        rounds.go_on()
    counts[f"of {len(kept)} states on a disk:"] = len(kept)
    return counts


def main() -> None:
    """Read the options, record, cut the power, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new one; removed at the end")
    parser.add_argument("--states", type=int, default=40, help="for each cut, at most")
    parser.add_argument("--builds", type=int, default=100, help="states of each kind that are put on the disk")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sample, draw, wrong = vocabulary(options.folder / "source"), random.Random(options.seed), 0
    load_all(sample, options.folder)
    rounds = Round(options.folder, sample)

    def no_exchange() -> None:
        workplace.exchange = lambda one, other: False  # type: ignore[assignment]

    for title, old, prepare, builds in (
        ("a bundle is replaced", True, lambda: None, 1),
        ("there was none", False, lambda: None, 1),
        ("a file system that exchanges no folders", True, no_exchange, 1),
        ("a build was killed once its bundle was in place, then the next", True, lambda: None, 2),
        ("the same where no folders are exchanged", True, no_exchange, 2),
    ):
        rounds.found = Counter()
        recording = record(rounds, old=old, prepare=prepare, builds=builds)
        counts = judge(rounds, recording, options.states, options.builds, draw)
        syncs = sum(isinstance(each, Node) for each in recording.log)
        print(f"{title}: {len(recording.log) - syncs} changes, {syncs} syncs, {len(recording.mapped)} mapped files")
        for what, count in itertools.chain(sorted(counts.items()), sorted(rounds.found.items())):
            print(f"{count:>9,}  {what}", flush=True)
            wrong += count if what.startswith("WRONG") else 0
    shutil.rmtree(options.folder)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
