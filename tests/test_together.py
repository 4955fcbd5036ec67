"""Many askers of one bundle: the same answers as one alone, and nothing written.

`benchmarks/together.py` does it with 64 threads and 64 processes, and counts the memory.
"""

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conftest import ROOT, Built

import index

TOKENS = [f"#{token_id}" for token_id in range(0, 49_152, 1200)]

ASK = f"""
import sys, index, json
vocabulary = index.open(sys.argv[1])
print(json.dumps([vocabulary.neighbors(token).json() for token in {TOKENS}]))
"""


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_threads_share_one_bundle(smollm2: Built) -> None:
    """They open its files at the same moment: eight start together on a bundle nobody has read."""
    alone = [index.open(smollm2.path).neighbors(token).json() for token in TOKENS]
    before = listing(smollm2.path)
    for _ in range(5):
        shared = index.open(smollm2.path)
        with ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda _, v=shared: [v.neighbors(token).json() for token in TOKENS], range(8))
            assert all(answer == alone for answer in answers)
    assert listing(smollm2.path) == before


def test_processes_give_the_same_answers(smollm2: Built) -> None:
    before = listing(smollm2.path)
    children = [
        subprocess.Popen([sys.executable, "-c", ASK, smollm2.path], cwd=ROOT, stdout=subprocess.PIPE) for _ in range(4)
    ]
    outputs = {hashlib.sha256(child.communicate(timeout=300)[0]).hexdigest() for child in children}
    alone = [index.open(smollm2.path).neighbors(token).json() for token in TOKENS]
    assert outputs == {hashlib.sha256((json.dumps(alone) + "\n").encode()).hexdigest()}
    assert listing(smollm2.path) == before
