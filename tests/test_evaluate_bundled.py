"""`evaluate` on the bundled model: known figures, an oracle, and gensim on the same vectors."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import smollm2_oracle
from conftest import Built, query
from numpy.typing import NDArray
from scipy.stats import spearmanr

import index
from index.api import OpenVocabulary
from index.sources import judgments
from index.tokens.words import Case, WordFinder, WordForm, WordRows

VIEWS = ("causal", "cosine", "causal_cosine", "cosine_centered", "causal_cosine_centered")


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
    first, second, people = (list(column) for column in zip(*known, strict=True))
    for view in VIEWS:
        x, y = flat_rows(view, first), flat_rows(view, second)
        cosines = (x * y).sum(axis=1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        scores = -np.linalg.norm(x - y, axis=1) if view == "causal" else cosines
        scores = scores.round(9)  # WordSim-353 has a pair twice: products of its rows may part in the last bit
        assert evaluated[name][view]["spearman"] == pytest.approx(spearmanr(scores, people).statistic, abs=1e-9)


def questions() -> dict[str, list[list[str]]]:
    """The analogies of each section, four words each, read on their own."""
    found: dict[str, list[list[str]]] = {}
    for line in gensims("questions-words").read_text().splitlines():
        if line.startswith(":"):
            section = found.setdefault(line[2:], [])
        else:
            section.append(line.split())
    return found


def flat_rows(view: str, of: slice | list[int] = slice(None)) -> NDArray[np.float64]:
    """Rows where Euclidean distance is a view's, before lengths are taken off."""
    gamma, (mean, M) = smollm2_oracle.gamma()[of].astype(np.float64), smollm2_oracle.metric()
    rows = gamma - mean if view.endswith("centered") else gamma
    return rows if view.startswith("cosine") else rows @ np.linalg.cholesky((M + M.T) / 2)


@pytest.mark.parametrize("view", VIEWS)
def test_ranks_of_two_sections_against_the_oracle(view: str, evaluated: dict[str, Any], opened: OpenVocabulary) -> None:
    """Of rows as they are and of unit rows, with the question's own words and without."""
    rows, sections = piece_rows(opened), {each["name"]: each for each in evaluated["questions-words"]["sections"]}
    flat, angular = flat_rows(view), view != "causal"
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    points = unit if angular else flat
    halves = (points**2).sum(axis=1) / 2
    for name in ("currency", "family"):
        asked = [[rows.get(f"Ġ{word}", -1) for word in line] for line in questions()[name]]
        a, b, c, d = np.array([line for line in asked if min(line) >= 0]).T
        assert sections[name]["covered"] == len(a)
        for of, summed in (("raw", flat), ("unit", unit)):
            if of == "unit" and not angular:
                continue
            figures = sections[name][view] if of == "raw" else sections[name][view]["unit_rows"]
            targets = summed[b] - summed[a] + summed[c]
            targets = targets / np.linalg.norm(targets, axis=1, keepdims=True) if angular else targets
            nearness = targets @ points.T - halves
            each = np.arange(len(a))
            above = nearness > (nearness[each, d] + 1e-9)[:, None]
            require_hits(figures["with_inputs"], 1 + above.sum(axis=1))
            above[each[:, None], np.column_stack([a, b, c])] = False
            require_hits(figures, 1 + above.sum(axis=1))


def require_hits(figures: dict[str, Any], ranks: NDArray[np.int64]) -> None:
    wanted = [np.mean(ranks <= 1), np.mean(ranks <= 5), np.median(ranks), 0]
    assert [figures[name] for name in ("top1", "top5", "median_rank", "ties")] == pytest.approx(wanted, abs=1e-12)


# --- gensim ---------------------------------------------------------------------------------------------------------


def as_gensim(opened: OpenVocabulary, points: NDArray) -> Any:
    """All tokens under their pieces, which are unique, with points before lengths are taken off."""
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(points.shape[1])
    vectors.add_vectors(opened.vocabulary.pieces.to_pylist(), points.astype(np.float32))
    return vectors


def pieces_of(lines: Iterable[Iterable[str]], path: Path, between: str, head: str = "") -> str:
    """A file of gensim's with each word as the piece of its token behind a space."""
    path.write_text(head + "".join(between.join(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)


def pairs_file(name: str, path: Path) -> str:
    lines = [line.split("\t") for line in gensims(name).read_text().splitlines() if not line.startswith("#")]
    return pieces_of([[f"Ġ{a}", f"Ġ{b}", score] for a, b, score in lines], path, "\t")


def questions_file(path: Path) -> str:
    with path.open("w", encoding="utf-8") as file:
        for section, lines in questions().items():
            file.write(f": {section}\n" + "".join(" ".join(f"Ġ{word}" for word in line) + "\n" for line in lines))
    return str(path)


def with_products_made_once(vectors: Any) -> Any:
    """The same vectors, which find what is most similar to a sum by adding up the cosines of its words with all.

    gensim reads all 49,152 vectors for each of 10,231 questions. What it asks, and what it makes of the answers, is as
    it is; the answers themselves are held against its own on questions drawn.
    """
    vectors.fill_norms()
    unit = vectors.vectors / vectors.norms[:, np.newaxis]
    words = {f"Ġ{word}" for lines in questions().values() for line in lines for word in line}
    rows = sorted(vectors.key_to_index[word] for word in words if word in vectors.key_to_index)
    place, products, own = {row: at for at, row in enumerate(rows)}, unit[rows] @ unit.T, vectors.most_similar

    def most_similar(positive: list[str], negative: list[str], topn: int, **_: Any) -> list[tuple[str, float]]:
        left_out = [vectors.key_to_index[word] for word in (*positive, *negative)]
        b, c, a = (products[place[row]] for row in left_out)
        scores = b + c - a
        scores[left_out] = -np.inf
        return [(vectors.index_to_key[scores.argmax()], float(scores.max()))]  # the first alone is looked at

    known = sorted(vectors.index_to_key[row] for row in rows)
    for a, b, c in np.random.default_rng(0).choice(known, (25, 3)):
        asked: dict[str, Any] = {"positive": [b, c], "negative": [a], "topn": 1}
        assert most_similar(**asked)[0][0] == own(**asked)[0][0]
    vectors.most_similar = most_similar
    return vectors


@pytest.mark.parametrize("geometry", ["cosine", "causal_cosine"])
def test_figures_are_gensims_where_it_does_the_same(
    geometry: str, evaluated: dict[str, Any], opened: OpenVocabulary, tmp_path: Path
) -> None:
    """Both sets of pairs and every section: words as written, those without a vector left out, sums of unit rows."""
    vectors = as_gensim(opened, flat_rows(geometry))
    for name in ("WordSim-353", "SimLex-999"):
        path = pairs_file(name, tmp_path / f"{name}.tsv")
        _, rho, missing = vectors.evaluate_word_pairs(path, case_insensitive=False)
        assert evaluated[name][geometry]["spearman"] == pytest.approx(rho.statistic, abs=1e-5)  # of float32
        assert missing == pytest.approx(100 * (1 - evaluated[name]["covered"] / evaluated[name]["items"]))
    found, path = evaluated["questions-words"], questions_file(tmp_path / "questions.txt")
    share, sections = with_products_made_once(vectors).evaluate_word_analogies(path, case_insensitive=False)
    assert found[geometry]["unit_rows"]["top1"] == pytest.approx(share, abs=1e-12)
    *sections, total = sections
    assert [each["section"] for each in sections] == [each["name"] for each in found["sections"]]
    for theirs, ours in zip(sections, found["sections"], strict=True):
        right, asked = len(theirs["correct"]), len(theirs["correct"]) + len(theirs["incorrect"])
        assert (ours["covered"], ours[geometry]["unit_rows"]["top1"]) == (
            asked,
            pytest.approx(right / asked, abs=1e-12),
        )
    assert found["covered"] == len(total["correct"]) + len(total["incorrect"])
    low, high = in_draws_of_pairs(sections)
    unit = found[geometry]["unit_rows"]
    assert [unit["low"], unit["high"]] == pytest.approx([low, high], abs=1e-12)


def in_draws_of_pairs(sections: list[dict[str, Any]]) -> list[float]:
    """Where the share of gensim's right answers lies in 95 of 100 draws of pairs of words."""
    right = {(each["section"], line) for each in sections for line in each["correct"]}
    asked = {(each["section"], line) for each in sections for line in (*each["correct"], *each["incorrect"])}
    lines = [(name, tuple(f"Ġ{word}" for word in line)) for name, found in questions().items() for line in found]
    lines = [line for line in lines if line in asked]
    both = [((name, *line[:2]), (name, *line[2:])) for name, line in lines]
    number = {pair: at for at, pair in enumerate(dict.fromkeys(pair for two in both for pair in two))}
    first, second = (np.array([number[two[side]] for two in both]) for side in (0, 1))
    counts = np.random.default_rng(0).multinomial(len(number), np.full(len(number), 1 / len(number)), size=2_000)
    weights, hits = counts[:, first] * counts[:, second], np.array([line in right for line in lines])
    return np.percentile(weights @ hits / weights.sum(axis=1), [2.5, 97.5]).tolist()


def test_gensim_gives_pairs_without_a_vector_a_score(
    evaluated: dict[str, Any], opened: OpenVocabulary, tmp_path: Path
) -> None:
    """The score 0, as if they were said to be unlike: another rho than that of no opinion."""
    vectors = as_gensim(opened, flat_rows("cosine"))
    path = pairs_file("SimLex-999", tmp_path / "pairs.tsv")
    _, rho, _ = vectors.evaluate_word_pairs(path, case_insensitive=False, dummy4unknown=True)
    assert abs(evaluated["SimLex-999"]["cosine"]["spearman_all"] - rho.statistic) > 1e-3


def first_of_upper_case(pieces: list[str]) -> dict[str, int]:
    """The token that gensim takes for all that have its letters in upper case."""
    return {piece.upper(): row for row, piece in reversed(list(enumerate(pieces)))}


def test_gensim_takes_the_first_token_of_all_cases_for_a_word(opened: OpenVocabulary, tmp_path: Path) -> None:
    """Whichever is spelled as the word: `Turkey` for `turkey`. Here the one spelled as the word is it."""
    vectors, pieces = as_gensim(opened, flat_rows("cosine")), opened.vocabulary.pieces.to_pylist()
    _, rho, _ = vectors.evaluate_word_pairs(pairs_file("SimLex-999", tmp_path / "pairs.tsv"), case_insensitive=True)
    first, as_written = first_of_upper_case(pieces), piece_rows(opened)
    lines = [line.split("\t") for line in gensims("SimLex-999").read_text().splitlines() if not line.startswith("#")]
    known = [line for line in lines if all(f"Ġ{word}".upper() in first for word in line[:2])]
    unit = smollm2_oracle.points("cosine")
    scores = [unit[first[f"Ġ{a}".upper()]] @ unit[first[f"Ġ{b}".upper()]] for a, b, _ in known]
    assert rho.statistic == pytest.approx(spearmanr(scores, [float(score) for *_, score in known]).statistic, abs=1e-5)
    words = {word for line in known for word in line[:2] if f"Ġ{word}" in as_written}
    other = {word for word in words if first[f"Ġ{word}".upper()] != as_written[f"Ġ{word}"]}
    assert len(other) > 5
    found = WordFinder(opened.vocabulary, WordForm.SPACE, Case.ANY, WordRows.SINGLE)
    assert [found.row(word) for word in sorted(words)] == [as_written[f"Ġ{word}"] for word in sorted(words)]
    # And upper case is no form of a word: it makes one letter of two, and two of one.
    assert ("ß".upper(), "ı".upper()) == ("SS", "i".upper())
    assert "ı".casefold() != "i".casefold()


@pytest.mark.slow("16,000 tokens of a smollm2 bundle in five views")
def test_any_case_is_gensims_where_a_word_is_the_same_token(smollm2_sample: Built, tmp_path: Path) -> None:
    """Every case of the answer is right, and every case of the question's words is left out, by both."""
    opened = index.open(smollm2_sample.path)
    pieces = opened.vocabulary.pieces.to_pylist()
    first, finder = (
        first_of_upper_case(pieces),
        WordFinder(opened.vocabulary, WordForm.SPACE, Case.ANY, WordRows.SINGLE),
    )
    every = [line for lines in questions().values() for line in lines]
    every = [line for line in every if all(f"Ġ{word}".upper() in first for word in line)]
    same = [line for line in every if all(first[f"Ġ{word}".upper()] == finder.row(word) for word in line)]
    assert 200 < len(same) < len(every)
    vectors = as_gensim(opened, smollm2_oracle.gamma()[opened.vocabulary.token_ids])
    path = pieces_of([[f"Ġ{word}" for word in line] for line in same], tmp_path / "pieces.txt", " ", ": same\n")
    share, _ = vectors.evaluate_word_analogies(path)
    path = pieces_of(same, tmp_path / "same.txt", " ", ": same\n")
    (found,) = query("evaluate", path, "--case", "any", "--index", smollm2_sample.path)["sets"]
    assert (found["covered"], found["cosine"]["unit_rows"]["top1"]) == (len(same), pytest.approx(share, abs=1e-12))
