"""`query.py crosscheck --distances FILE`: what it must let pass, and what it must name.

One small bundle, whose ridge is large enough to be seen, and a stored matrix of its distances in many states of damage.
Every matrix is made by the oracle from gamma; what is wrong with it is the test's name.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import oracles
import pytest
import synthetic
import torch
from conftest import Outcome, build, invoke, run
from numpy.typing import NDArray

V, D, N = 900, 32, 300

# The words by which a cause is recognized. Of these, one message may name only its own.
CAUSES = ("cosine", "euclidean", "ridge", "nan", "symmetric")


@dataclass(frozen=True, eq=False)
class Stored:
    """A bundle over a sample, and the truth its matrices are made from. Row i is token `tokens[i]`."""

    bundle: Path
    gamma: NDArray  # the whole vocabulary's, (V, D)
    tokens: NDArray
    ridge: float
    exact: NDArray  # causal distances with that ridge, float64, (N, N)

    def distances(self, tokens: NDArray, ridge: float) -> NDArray:
        M = oracles.metric(oracles.covariance(self.gamma)[1], ridge)
        return oracles.all_distances(oracles.causal_points(self.gamma[tokens], M))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    folder = tmp_path_factory.mktemp("crosscheck")
    model = synthetic.planted(V, D, seed=4, twin_sizes=(4, 2), singles=6)
    rng = np.random.default_rng(4)
    knot = [row for group in model.twins for row in group] + list(model.singles)
    ordinary = rng.choice(np.setdiff1d(np.arange(V), knot), size=N - len(knot), replace=False)
    tokens = rng.permutation(np.concatenate([knot, ordinary]))
    # A tenth of the median eigenvalue: shortens distances by percents, which no rounding does.
    _, cov = oracles.covariance(model.gamma)
    ridge = float(np.median(np.linalg.eigvalsh(cov)) / 10)

    source = synthetic.write_model(folder / "model.safetensors", model.gamma)
    np.save(folder / "tokens.npy", tokens)
    bundle = folder / "bundle"
    build(source, "--sample", folder / "tokens.npy", "--ridge", ridge, "--out", bundle)
    points = oracles.causal_points(model.gamma[tokens], oracles.metric(cov, ridge))
    return Stored(bundle, model.gamma, tokens, ridge, oracles.all_distances(points))


def crosscheck(stored: Stored, file: Path, *more: str) -> Outcome:
    return invoke("query.py", "crosscheck", "--index", stored.bundle, "--distances", file, "--pairs", 2_000, *more)


def assert_refused(outcome: Outcome, *words: str) -> None:
    """Exit 1, one of the words said, in any case, and none of the words for another cause."""
    assert outcome.code == 1, outcome.said
    said = outcome.err if outcome.err.strip() else outcome.out
    said = " ".join(said.casefold().split())
    assert any(word.casefold() in said for word in words), said
    strangers = [cause for cause in CAUSES if cause not in [word.casefold() for word in words]]
    # "symmetric" is also in "asymmetric", and "nan" may be part of a longer word: look at whole words.
    assert not [cause for cause in strangers if cause in said.replace(".", " ").replace(",", " ").split()], said


# --- passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [True, False])
def test_float32_full_matrix_passes(stored: Stored, tmp_path: Path, as_json: bool) -> None:
    file = synthetic.write_distances(tmp_path, "causal", stored.exact, stored.tokens)
    outcome = crosscheck(stored, file, *(["--json"] if as_json else []))
    assert outcome.code == 0, outcome.said
    if as_json:
        matrix = outcome.json["matrix"]
        assert outcome.json["passed"] is True
        assert matrix["n"] == N
        assert matrix["entries"] in (N * (N - 1), N * (N - 1) // 2), "every off-diagonal entry, or every pair"
        assert matrix["within_share"] == 1
        # The matrix and the points are both rounded to float32, in their own way.
        points = oracles.causal_points(stored.gamma, oracles.metric(oracles.covariance(stored.gamma)[1], stored.ridge))
        assert 0 < matrix["worst_error"] <= 2 * oracles.rounding_tolerance(points)
        assert matrix["rows_agreeing"] == matrix["rows_checked"] > 0
        assert matrix["cause"] is None
        assert "32" in matrix["born"]


def test_in_a_process_of_its_own(stored: Stored, tmp_path: Path) -> None:
    """The other tests call the program without starting it; these two exit codes are what a shell sees."""
    good = synthetic.write_distances(tmp_path, "good", stored.exact, stored.tokens)
    bad = synthetic.write_distances(tmp_path, "bad", 2 * stored.exact, stored.tokens)
    assert run("query.py", "crosscheck", "--index", stored.bundle, "--distances", good).code == 0
    assert run("query.py", "crosscheck", "--index", stored.bundle, "--distances", bad).code == 1


def test_float32_arithmetic_passes(stored: Stored, tmp_path: Path) -> None:
    """Computed in float32 as |x|^2 + |y|^2 - 2xy, as most programs do: small distances lose nearly all digits."""
    M = oracles.metric(oracles.covariance(stored.gamma)[1], stored.ridge)
    points = oracles.causal_points(stored.gamma[stored.tokens], M).astype(np.float32)
    squared = np.square(points).sum(axis=1)
    expanded = np.sqrt(np.maximum(squared[:, None] + squared - 2 * (points @ points.T), 0))
    expanded = (expanded + expanded.T) / 2
    np.fill_diagonal(expanded, 0)
    assert np.abs(expanded - stored.exact).max() > 100 * oracles.rounding_tolerance(points)
    outcome = crosscheck(stored, synthetic.write_distances(tmp_path, "expanded", expanded, stored.tokens))
    assert outcome.code == 0, outcome.said


def test_float32_matrix_off_by_a_percent_fails(stored: Stored, tmp_path: Path) -> None:
    """The tolerance that lets float32 arithmetic pass must not let this pass: every entry wrong by the same share.

    |x|^2 + |y|^2 - 2xy leaves about 2^-22 |x|^2 where 0 should be, a distance of 2^-11 |x|: 0.012 at the norm of 24
    that points have here, against 0.06 to 0.11 for a percent of the usual distances.
    """
    file = synthetic.write_distances(tmp_path, "scaled", 1.01 * stored.exact, stored.tokens)
    outcome = crosscheck(stored, file, "--json")
    assert outcome.code == 1
    norms = np.linalg.norm(
        oracles.causal_points(stored.gamma, oracles.metric(oracles.covariance(stored.gamma)[1], stored.ridge)), axis=1
    )
    # At most twice that floor (and the rounding of its own arithmetic).
    assert outcome.json["matrix"]["atol"] <= 1.001 * 2**-10 * norms.max()
    assert outcome.json["matrix"]["rtol"] < 1e-6


def test_float16_compressed_matrix_passes(stored: Stored, tmp_path: Path) -> None:
    file = synthetic.write_compressed(tmp_path / "causal.pt", stored.exact, stored.tokens)
    matrix = crosscheck(stored, file, "--json")
    assert matrix.code == 0, matrix.said
    found = matrix.json["matrix"]
    # Exactly the error that storing in float16 made: the largest of all, nothing sampled.
    worst = np.abs(stored.exact.astype(np.float16).astype(np.float64) - stored.exact).max()
    assert found["worst_error"] == pytest.approx(worst, abs=1e-5)
    assert "16" in found["born"]
    assert found["within_share"] == 1
    # Half a step is 2^-11 of a distance; the pipeline rounds more than once, but not ten times.
    assert 2**-11 <= found["rtol"] < 10 * 2**-11


def test_float16_arithmetic_passes(stored: Stored, tmp_path: Path) -> None:
    """Squares and roots both in float16, as the notebook's matrix was made: 0.000423 is sqrt(3 * 2^-24)."""
    rounded = synthetic.through_float16(stored.exact)
    file = synthetic.write_compressed(tmp_path / "causal.pt", rounded, stored.tokens)
    outcome = crosscheck(stored, file)
    assert outcome.code == 0, outcome.said


def test_float16_born_matrix_in_a_float32_file_passes(stored: Stored, tmp_path: Path) -> None:
    """A full matrix is float32 whatever its numbers were born in."""
    born = stored.exact.astype(np.float16).astype(np.float32)
    outcome = crosscheck(stored, synthetic.write_distances(tmp_path, "causal", born, stored.tokens), "--json")
    assert outcome.code == 0, outcome.said
    assert "16" in outcome.json["matrix"]["born"]


def test_a_matrix_without_a_pt_beside_it_passes(stored: Stored, tmp_path: Path) -> None:
    np.save(tmp_path / "alone.npy", stored.exact.astype(np.float32))
    outcome = crosscheck(stored, tmp_path / "alone.npy")
    assert outcome.code == 0, outcome.said


def test_without_a_matrix_the_quadratic_form_is_checked(stored: Stored) -> None:
    outcome = invoke("query.py", "crosscheck", "--index", stored.bundle, "--pairs", 3_000, "--json")
    assert outcome.code == 0
    assert outcome.json["passed"] is True
    assert outcome.json["matrix"] is None
    form = outcome.json["quadratic_form"]
    assert form["passed"] is True
    assert form["random"]["pairs"] == 3_000
    for pairs in ("random", "nearest"):
        assert form[pairs]["pairs"] > 0
        assert 0 < form[pairs]["worst_error"] <= form["tolerance"]
    # Rounding of points and nothing more.
    points = oracles.causal_points(stored.gamma, oracles.metric(oracles.covariance(stored.gamma)[1], stored.ridge))
    assert form["tolerance"] <= 10 * oracles.rounding_tolerance(points)


# --- passes: a matrix that names its own tokens ------------------------------------------------------------------


@pytest.fixture(params=["another order", "fewer tokens"])
def named(request: pytest.FixtureRequest) -> NDArray:
    """Rows of the sample that a matrix is about, in its own order."""
    order = np.random.default_rng(0).permutation(N)
    return order if request.param == "another order" else order[: N // 2]


@pytest.mark.parametrize("compressed", [True, False])
def test_rows_go_by_the_tokens_of_the_pt(stored: Stored, tmp_path: Path, named: NDArray, compressed: bool) -> None:
    """Row i is `token_indices[i]`: a matrix of the same tokens in its own order, or of some of them, is not wrong."""
    file = synthetic.write_distances(tmp_path, "causal", stored.exact[np.ix_(named, named)], stored.tokens[named])
    outcome = crosscheck(stored, tmp_path / "causal.pt" if compressed else file, "--json")
    assert outcome.code == 0, outcome.said
    assert outcome.json["matrix"]["n"] == len(named)
    assert outcome.json["matrix"]["within_share"] == 1


def test_a_wrong_pair_is_named_by_its_tokens(stored: Stored, tmp_path: Path, named: NDArray) -> None:
    distances = stored.exact[np.ix_(named, named)].copy()
    distances[3, 5] += 1
    distances[5, 3] += 1
    outcome = crosscheck(
        stored, synthetic.write_distances(tmp_path, "causal", distances, stored.tokens[named]), "--json"
    )
    assert outcome.code == 1, outcome.said
    assert sorted(outcome.json["matrix"]["worst_ids"]) == sorted(stored.tokens[named[[3, 5]]].tolist())


# --- fails, and says why -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_rows_permuted(stored: Stored, tmp_path: Path, compressed: bool) -> None:
    """The same numbers in another order, under the sample's own token ids."""
    order = np.random.default_rng(0).permutation(N)
    shuffled = stored.exact[np.ix_(order, order)]
    file = synthetic.write_distances(tmp_path, "causal", shuffled, stored.tokens)
    assert_refused(crosscheck(stored, tmp_path / "causal.pt" if compressed else file), "order")


def test_two_rows_swapped(stored: Stored, tmp_path: Path) -> None:
    """Nearly all entries are right: a share alone would not fail it."""
    order = np.arange(N)
    a, b = np.unravel_index(stored.exact.argmax(), stored.exact.shape)
    order[[a, b]] = order[[b, a]]
    file = synthetic.write_distances(tmp_path, "causal", stored.exact[np.ix_(order, order)], stored.tokens)
    assert crosscheck(stored, file).code == 1


@pytest.mark.parametrize("said", [True, False])
def test_another_sample(stored: Stored, tmp_path: Path, said: bool) -> None:
    """Said: the `.pt` beside it lists the tokens. Not said: there is none, only numbers that are another sample's."""
    others = np.random.default_rng(1).permutation(np.setdiff1d(np.arange(V), stored.tokens))[:N]
    distances = stored.distances(others, stored.ridge)
    file = synthetic.write_distances(tmp_path, "causal", distances, others)
    if not said:
        (tmp_path / "causal.pt").unlink()
    assert_refused(crosscheck(stored, file), "sample")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["1 - cosine", "chord"])
def test_cosine_distances(stored: Stored, tmp_path: Path, kind: str, compressed: bool) -> None:
    chords = oracles.all_distances(oracles.unit_rows(stored.gamma[stored.tokens]))
    distances = chords if kind == "chord" else chords**2 / 2
    file = synthetic.write_distances(tmp_path, "cosine_no_hint", distances, stored.tokens)
    hintless = file.rename(tmp_path / "matrix_full.npy")
    (tmp_path / "cosine_no_hint.pt").rename(tmp_path / "matrix.pt")
    assert_refused(crosscheck(stored, tmp_path / "matrix.pt" if compressed else hintless), "cosine")


@pytest.mark.parametrize("compressed", [True, False])
def test_euclidean_distances(stored: Stored, tmp_path: Path, compressed: bool) -> None:
    distances = oracles.all_distances(stored.gamma[stored.tokens].astype(np.float64))
    file = synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens)
    assert_refused(crosscheck(stored, tmp_path / "matrix.pt" if compressed else file), "Euclidean")


@pytest.mark.parametrize("compressed", [True, False])
def test_without_ridge(stored: Stored, tmp_path: Path, compressed: bool) -> None:
    distances = stored.distances(stored.tokens, 0.0)
    apart = ~np.eye(N, dtype=bool) & (stored.exact > 0)
    assert np.median(distances[apart] / stored.exact[apart]) > 1.02, "visible"
    file = synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens)
    assert_refused(crosscheck(stored, tmp_path / "matrix.pt" if compressed else file), "ridge")


@pytest.mark.parametrize("compressed", [True, False])
def test_nan(stored: Stored, tmp_path: Path, compressed: bool) -> None:
    distances = stored.exact.copy()
    distances[7, 250] = distances[250, 7] = np.nan
    file = synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens)
    assert_refused(crosscheck(stored, tmp_path / "matrix.pt" if compressed else file), "NaN")


def test_asymmetric(stored: Stored, tmp_path: Path) -> None:
    distances = stored.exact.copy()
    distances[np.triu_indices(N, 1)] *= 1.05
    file = synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens)
    assert_refused(crosscheck(stored, file), "symmetric", "not symmetric", "asymmetric")


def test_a_single_asymmetric_entry(stored: Stored, tmp_path: Path) -> None:
    distances = stored.exact.copy()
    distances[290, 3] += 1
    outcome = crosscheck(stored, synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens))
    assert outcome.code == 1, outcome.said


def test_a_single_wrong_pair_is_found(stored: Stored, tmp_path: Path) -> None:
    """Every entry is looked at: the last pair of all, off by one logometer, is the worst and is enough."""
    distances = stored.exact.copy()
    distances[N - 2, N - 1] += 1
    distances[N - 1, N - 2] += 1
    outcome = crosscheck(stored, synthetic.write_distances(tmp_path, "matrix", distances, stored.tokens), "--json")
    assert outcome.code == 1, outcome.said
    matrix = outcome.json["matrix"]
    assert outcome.json["passed"] is False
    assert matrix["worst_error"] == pytest.approx(1, abs=1e-4)
    assert sorted(matrix["worst_ids"]) == sorted(stored.tokens[[N - 2, N - 1]].tolist())
    share = 1 - 2 / (N * (N - 1))
    assert matrix["within_share"] == pytest.approx(share, rel=1e-9)
    assert matrix["cause"]


def test_wrong_size(stored: Stored, tmp_path: Path) -> None:
    np.save(tmp_path / "alone.npy", stored.exact[:-1, :-1].astype(np.float32))
    assert_refused(crosscheck(stored, tmp_path / "alone.npy"), "size", "N =")


def test_wrong_size_beside_a_pt_of_the_right_one(stored: Stored, tmp_path: Path) -> None:
    file = synthetic.write_distances(tmp_path, "matrix", stored.exact, stored.tokens)
    np.save(file, stored.exact[:-1, :-1].astype(np.float32))
    assert_refused(crosscheck(stored, file), "size", "N =")


def test_tokens_that_the_sample_has_not(stored: Stored, tmp_path: Path) -> None:
    """One token more than the bundle holds is another sample, however right the rest."""
    stranger = np.setdiff1d(np.arange(V), stored.tokens)[0]
    tokens = np.append(stored.tokens, stranger)
    file = synthetic.write_distances(tmp_path, "matrix", stored.distances(tokens, stored.ridge), tokens)
    assert_refused(crosscheck(stored, file), "size", "N =", "sample")


def test_not_square(stored: Stored, tmp_path: Path) -> None:
    """No distance matrix at all: bad input or a 'no', but never a pass."""
    np.save(tmp_path / "matrix_full.npy", stored.exact[:, :-1].astype(np.float32))
    outcome = crosscheck(stored, tmp_path / "matrix_full.npy")
    assert outcome.code in (1, 2), outcome.said
    assert "299" in outcome.said


def test_a_triangle_that_is_not_of_its_size(stored: Stored, tmp_path: Path) -> None:
    """`N` and `triu_values` contradict each other."""
    file = synthetic.write_compressed(tmp_path / "matrix.pt", stored.exact, stored.tokens)
    content = torch.load(file, weights_only=True)
    torch.save({**content, "triu_values": content["triu_values"][:-5]}, file)
    outcome = crosscheck(stored, file)
    assert outcome.code in (1, 2), outcome.said
    assert str(N * (N - 1) // 2 - 5) in outcome.said.replace(",", "")


def test_the_build_stores_the_outcome(stored: Stored, tmp_path: Path) -> None:
    """`build_index.py --distances` runs the same check; a matrix that fails it is not passed over."""
    source = synthetic.write_model(tmp_path / "model.safetensors", stored.gamma)
    file = synthetic.write_distances(tmp_path, "causal", stored.exact[::-1, ::-1], stored.tokens)
    np.save(tmp_path / "tokens.npy", stored.tokens)
    options = ["--sample", tmp_path / "tokens.npy", "--ridge", stored.ridge, "--distances", file]
    outcome = invoke("build_index.py", source, *options, "--out", tmp_path / "bundle")
    assert outcome.code == 1, outcome.said
    assert "order" in outcome.said
