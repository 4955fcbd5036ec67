"""What docs/compare.md says of SmolLM2 in 4 bits, figure by figure, of a bundle built here.

Of float16, nearly all of whose neighbors stay, the angles alone: `benchmarks/quantized.py` prints its line.
"""

import re
from typing import Any

import numpy as np
import oracles
import pytest
from conftest import ROOT, Built, query, run
from gguf import GGMLQuantizationType, dequantize, quantize
from numpy.typing import NDArray

TEXT = " ".join((ROOT / "docs/compare.md").read_text(encoding="utf-8").split())
GEOMETRIES = ("causal", "cosine", "causal_cosine")
TOPS = ("10", "30", "100")

pytestmark = pytest.mark.slow("builds a bundle of SmolLM2, and compares 49,152 lists in three geometries")


@pytest.fixture(scope="module")
def rounded(smollm2_gamma: NDArray) -> NDArray[np.float32]:
    kind = GGMLQuantizationType.Q4_0
    return np.asarray(dequantize(quantize(smollm2_gamma, kind), kind), np.float32)


@pytest.fixture(scope="module")
def compared(smollm2: Built, rounded: NDArray, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("rounded")
    np.save(folder / "gamma.npy", rounded)
    done = run("build_index.py", folder / "gamma.npy", "--tokenizer", oracles.bundled_gguf(), "--out", folder / "Q4_0")
    assert done.code == 0, done.err
    return query("compare", smollm2.path, folder / "Q4_0")


def cells(name: str) -> list[tuple[str, str | None]]:
    """The line of a rounding in the table: each mean, and the one of trained tokens where it is there."""
    (line,) = re.findall(rf"\| {name} \|([^A-Za-z]*)\|", TEXT)
    return [(mean, trained or None) for mean, trained in re.findall(r"([\d.]+)(?: \(([\d.]+)\))?", line)]


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


def test_lists_in_four_bits(compared: Any) -> None:
    found = []
    for geometry in GEOMETRIES:
        for top in TOPS:
            trained = compared["trained"]["overlap"][geometry].get(top)
            mean = percent(compared["overlap"][geometry][top]["mean"])
            found.append((mean, None if trained is None else percent(trained["mean"])))
    assert cells("Q4_0") == found
    tenths = compared["by_density_decile"]
    for geometry, said in (
        ("causal_cosine", "Of causal-cosine lists of 30 the sparsest tenth keeps {} %, the densest {}"),
        ("cosine", "of cosine lists {} and {}"),
    ):
        assert said.format(*(percent(tenths[at]["mean"][geometry]["30"]) for at in (0, -1))) in TEXT
    causal = compared["overlap"]["causal"]["10"]
    assert f"ties could move the {percent(causal['mean'])} from {percent(causal['lowest'])} to" in TEXT
    assert f"to {percent(causal['highest'])})" in TEXT


def test_rows_twins_and_norms_in_four_bits(compared: Any, smollm2_gamma: NDArray, rounded: NDArray) -> None:
    assert f"the mean over {compared['matched']:,} tokens" in TEXT
    assert f"over the {compared['matched'] - compared['trained']['untrained']:,} trained ones" in TEXT
    assert compared["rows"]["moved"] == compared["matched"]
    assert f"of {compared['rows']['angle']['50']:.2f} in 4 bits" in TEXT
    assert compared["rows"]["angle"]["50"] == pytest.approx(median_angle(smollm2_gamma, rounded), rel=1e-6)
    assert compared["twins"] == {"kept": 0, "split": 0, "merged": 1}
    groups = [np.unique(each, axis=0, return_counts=True)[1] for each in (smollm2_gamma, rounded)]
    before, after = ([int(count) for count in counts if count > 1] for counts in groups)
    assert f"its {len(before)} groups of twins become one of {after[0]} tokens" in TEXT
    assert len(after) == 1
    norms = compared["correlation"]
    assert f"a rank correlation of {norms['causal_norm']:.3f}, Euclidean norms {norms['euclidean_norm']:.4f}" in TEXT


def test_angles_in_float16(smollm2_gamma: NDArray) -> None:
    angle = median_angle(smollm2_gamma, smollm2_gamma.astype(np.float16))
    assert f"a median angle of {angle:.4f} degrees in float16" in TEXT


def median_angle(rows: NDArray, others: NDArray) -> float:
    """In degrees, by the length of the difference of unit vectors: an arc cosine would have half of the digits."""
    a, b = (
        each.astype(np.float64) / np.linalg.norm(each.astype(np.float64), axis=1)[:, None] for each in (rows, others)
    )
    return float(np.median(np.degrees(2 * np.arcsin(np.linalg.norm(a - b, axis=1) / 2))))
