"""`evaluate` on the bundled model: known figures, an oracle, and gensim on the same vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from conftest import Built, query
from scipy.stats import spearmanr

import index
from index.api import OpenVocabulary
from index.sources import judgments


@pytest.fixture(scope="module")
def evaluated(smollm2: Built) -> dict[str, Any]:
    return {each["name"]: each for each in query("evaluate", "--index", smollm2.path)["sets"]}


@pytest.fixture(scope="module")
def opened(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


@pytest.mark.slow("reads 10,231 analogies in nine views")
def test_known_figures_of_the_bundled_model(evaluated: dict[str, Any]) -> None:
    simlex, google = evaluated["SimLex-999"], evaluated["questions-words"]
    assert (simlex["covered"], google["covered"], google["items"]) == (949, 10_231, 19_544)
    views = ("cosine", "causal", "causal_cosine", "cosine_centered", "causal_cosine_centered")
    rhos = [simlex[view]["spearman"] for view in views]
    assert rhos == pytest.approx([0.383223, 0.441443, 0.483944, 0.2707, 0.5320], abs=1e-4)
    assert [google[view]["top1"] for view in views[:3]] == pytest.approx([0.619783, 0.660151, 0.668752], abs=1e-6)


def gensims(name: str) -> Path:
    import gensim

    return Path(gensim.__file__).parent / "test/test_data" / judgments.GENSIM[name]


def piece_rows(opened: OpenVocabulary) -> dict[str, int]:
    return {piece: row for row, piece in enumerate(opened.vocabulary.pieces.to_pylist())}


@pytest.mark.parametrize("name", ["WordSim-353", "SimLex-999"])
def test_rho_against_the_oracle(name: str, evaluated: dict[str, Any], opened: OpenVocabulary) -> None:
    rows = piece_rows(opened)
    lines = [line.split("\t") for line in gensims(name).read_text().splitlines() if not line.startswith("#")]
    known = [(rows[f"Ġ{a}"], rows[f"Ġ{b}"], float(score)) for a, b, score in lines if {f"Ġ{a}", f"Ġ{b}"} <= rows.keys()]
    assert evaluated[name]["covered"] == len(known)
    first, second, people = (np.array(column) for column in zip(*known, strict=True))
    for geometry in smollm2_oracle.GEOMETRIES:
        points = smollm2_oracle.points(geometry)
        scores = -np.linalg.norm(points[first] - points[second], axis=1)
        assert evaluated[name][geometry]["spearman"] == pytest.approx(spearmanr(scores, people).statistic, abs=1e-4)


@pytest.mark.parametrize("geometry", smollm2_oracle.GEOMETRIES)
def test_ranks_against_the_oracle(geometry: str, opened: OpenVocabulary, tmp_path: Path) -> None:
    rows, rng = piece_rows(opened), np.random.default_rng(0)
    lines = [line.split() for line in gensims("questions-words").read_text().splitlines() if line[0] != ":"]
    known = [line for line in lines if {f"Ġ{word}" for word in line} <= rows.keys()]
    chosen = [known[at] for at in rng.choice(len(known), 40, replace=False)]
    (tmp_path / "some.txt").write_text(": some\n" + "".join(" ".join(line) + "\n" for line in chosen))
    figures = opened.evaluate(tmp_path / "some.txt").json()["sets"][0][geometry]
    gamma, (_, M) = smollm2_oracle.gamma().astype(np.float64), smollm2_oracle.metric()
    points, factor = smollm2_oracle.points(geometry), np.linalg.cholesky((M + M.T) / 2)
    ranks = []
    for line in chosen:
        a, b, c, d = (rows[f"Ġ{word}"] for word in line)
        target = gamma[b] - gamma[a] + gamma[c]
        target = target if geometry == "cosine" else target @ factor
        target = target if geometry == "causal" else target / np.linalg.norm(target)
        distances = np.linalg.norm(points - target, axis=1)
        distances[[a, b, c]] = np.inf
        ranks.append(1 + int((distances < distances[d] - 1e-9).sum()))
    assert figures["median_rank"] == np.median(ranks)
    assert (figures["top1"], figures["top5"]) == pytest.approx([np.mean(np.array(ranks) <= top) for top in (1, 5)])


def as_gensim(opened: OpenVocabulary, geometry: str) -> Any:
    """All tokens under their pieces, which are unique, with points before lengths are taken off."""
    from gensim.models import KeyedVectors

    points = smollm2_oracle.gamma() if geometry == "cosine" else smollm2_oracle.points("causal")
    vectors = KeyedVectors(points.shape[1])
    vectors.add_vectors(opened.vocabulary.pieces.to_pylist(), points.astype(np.float32))
    return vectors


@pytest.mark.slow("gensim multiplies 49,152 vectors for each question")
@pytest.mark.parametrize("geometry", ["cosine", "causal_cosine"])
def test_figures_are_gensims_where_it_does_the_same(
    geometry: str, evaluated: dict[str, Any], opened: OpenVocabulary, tmp_path: Path
) -> None:
    """Words as written, those without a vector left out; analogies of rows made 1 long, their own words left out."""
    vectors = as_gensim(opened, geometry)
    lines = [line.split("\t") for line in gensims("SimLex-999").read_text().splitlines() if not line.startswith("#")]
    (tmp_path / "pairs.tsv").write_text("".join(f"Ġ{a}\tĠ{b}\t{score}\n" for a, b, score in lines))
    _, rho, missing = vectors.evaluate_word_pairs(str(tmp_path / "pairs.tsv"), case_insensitive=False)
    simlex = evaluated["SimLex-999"]
    assert simlex[geometry]["spearman"] == pytest.approx(rho.statistic, abs=1e-5)
    assert missing == pytest.approx(100 * (1 - simlex["covered"] / simlex["items"]))
    text = gensims("questions-words").read_text()
    family = text[text.index(": family") : text.index(": gram1")].splitlines()[1:]
    questions = "".join(" ".join(f"Ġ{word}" for word in line.split()) + "\n" for line in family)
    (tmp_path / "family.txt").write_text(f": family\n{questions}")
    share, _ = vectors.evaluate_word_analogies(str(tmp_path / "family.txt"), case_insensitive=False)
    (section,) = (each for each in evaluated["questions-words"]["sections"] if each["name"] == "family")
    assert section[geometry]["unit_rows"]["top1"] == pytest.approx(share, abs=1e-9)


def test_where_gensim_does_otherwise(evaluated: dict[str, Any], opened: OpenVocabulary, tmp_path: Path) -> None:
    """It gives pairs without a vector the score 0, as if they were said to be unlike: a lower rho than no opinion."""
    vectors = as_gensim(opened, "cosine")
    lines = [line.split("\t") for line in gensims("SimLex-999").read_text().splitlines() if not line.startswith("#")]
    (tmp_path / "pairs.tsv").write_text("".join(f"Ġ{a}\tĠ{b}\t{score}\n" for a, b, score in lines))
    _, rho, _ = vectors.evaluate_word_pairs(str(tmp_path / "pairs.tsv"), case_insensitive=False, dummy4unknown=True)
    assert abs(evaluated["SimLex-999"]["cosine"]["spearman_all"] - rho.statistic) > 1e-3
    # And upper case is no form of a word: it makes one of two letters, and two of one.
    assert "ß".upper() == "SS"
    assert "ı".upper() == "i".upper()
    assert "ı".casefold() != "i".casefold()
