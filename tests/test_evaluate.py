"""`evaluate`: a small vocabulary word by word, what files may hold, and what cannot be asked."""

from pathlib import Path

import numpy as np
import oracles
import pytest
import smollm2_oracle
from conftest import invoke, query
from numpy.typing import NDArray
from scipy.stats import spearmanr

import index
from index.errors import ParameterError
from index.tokens.words import Case, WordFinder, WordForm, WordRows

KNOWN = (("planet", "star", 8), ("planet", "moon", 9.5), ("moon", "the", 1), ("of", "star", 2))
ASKED = (("planet", "star", "moon", "the"), ("planet", "moon", "star", "of"), ("and", "the", "of", "planet"))

NO_ZERO = ("cosine", "causal_cosine")
"""Where a row of zeros is no point."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    return smollm2_oracle.build_small(folder)


def judged(folder: Path) -> tuple[Path, Path]:
    pairs, questions = folder / "pairs.tsv", folder / "questions.txt"
    lines = ("# two words\tscore", *("\t".join(map(str, each)) for each in (*KNOWN, ("unheard", "of", 3))))
    pairs.write_text("\n".join(lines))
    sky, earth = (" ".join(each) for each in ASKED[:2]), " ".join(ASKED[2])
    questions.write_text("\n".join((": sky", *sky, "unheard of moon star", ": earth", earth)))
    return pairs, questions


def test_pairs_and_analogies_of_a_small_vocabulary(small: Path, tmp_path: Path) -> None:
    answer = query("evaluate", *judged(tmp_path), "--index", small)
    opened = index.open(small)
    gamma = np.asarray(opened.gamma).astype(np.float64)
    mean, cov = oracles.covariance(gamma)
    M = oracles.metric(cov, 1e-6)
    words = {word for each in ASKED for word in each}
    row = {word: opened.vocabulary.meanings.exact(f" {word}")[0] for word in words}

    def cosine(x: NDArray, y: NDArray, G: NDArray) -> float:
        return float(x @ G @ y / np.sqrt((x @ G @ x) * (y @ G @ y)))

    scored = {
        "causal": lambda x, y: -np.sqrt((x - y) @ M @ (x - y)),
        "cosine": lambda x, y: cosine(x, y, np.eye(len(M))),
        "causal_cosine": lambda x, y: cosine(x, y, M),
        "cosine_centered": lambda x, y: cosine(x - mean, y - mean, np.eye(len(M))),
        "causal_cosine_centered": lambda x, y: cosine(x - mean, y - mean, M),
    }
    pairs, questions = answer["sets"]
    assert (pairs["name"], pairs["kind"], pairs["items"], pairs["covered"]) == ("pairs", "pairs", 5, 4)
    for view, score in scored.items():
        found = [score(gamma[row[a]], gamma[row[b]]) for a, b, _ in KNOWN]
        rho = spearmanr(found, [people for *_, people in KNOWN]).statistic
        assert pairs[view]["spearman"] == pytest.approx(rho, abs=1e-9)
        assert pairs[view]["low"] <= pairs[view]["high"]
    assert (questions["kind"], questions["items"], questions["covered"]) == ("analogies", 4, 3)
    sections = [(each["name"], each["items"], each["covered"]) for each in questions["sections"]]
    assert sections == [("sky", 3, 2), ("earth", 1, 1)]
    ranks: dict[str, list[int]] = {view: [] for view in scored}
    for a, b, c, d in ASKED:
        target = gamma[row[b]] - gamma[row[a]] + gamma[row[c]]
        for view, score in scored.items():
            all_scores = np.array(
                [score(target, each) if each.any() or view not in NO_ZERO else -np.inf for each in gamma]
            )
            all_scores[[row[a], row[b], row[c]]] = -np.inf
            ranks[view].append(1 + int((all_scores > all_scores[row[d]] + 1e-12).sum()))
    for view, places in ranks.items():
        assert questions[view]["median_rank"] == np.median(places)
        assert questions[view]["top5"] == pytest.approx(np.mean(np.array(places) <= 5))
    assert questions["causal"]["unit_rows"] is None
    assert set(questions["cosine"]["unit_rows"]) >= {"top1", "low", "high", "with_inputs"}
    assert [(each["of"], each["over"]) for each in pairs["differences"]][:3] == [
        ("causal", "cosine"),
        ("causal_cosine", "cosine"),
        ("causal_cosine", "causal"),
    ]
    for one in (*pairs["differences"], *questions["differences"]):
        figure = "spearman" if one in pairs["differences"] else "top1"
        of = pairs if one in pairs["differences"] else questions
        other = of[one["over"]]["unit_rows"] if one["over_rows"] == "unit" else of[one["over"]]
        assert one["difference"] == pytest.approx(of[one["of"]][figure] - other[figure])
    assert {one["over_rows"] for one in pairs["differences"]} == {None}
    assert [(one["of"], one["over"]) for one in questions["differences"] if one["over_rows"] == "unit"] == [
        ("causal", "cosine"),
        ("causal_cosine", "cosine"),
        ("causal", "cosine_centered"),
        ("causal_cosine", "cosine_centered"),
    ]


def test_rows_of_csv_and_parquet_are_the_jsons_figures(small: Path, tmp_path: Path) -> None:
    files = judged(tmp_path)
    frame = index.open(small).evaluate(files).to_pandas()
    answer = query("evaluate", *files, "--index", small)
    whole = frame[frame["over"].isna() & frame["section"].isna()]
    assert len(whole) == 5 + 5 * 2 + 4 * 2
    one = whole[(whole["set"] == "questions") & (whole["geometry"] == "causal-cosine-centered")]
    one = one[one["rows"] == "unit"]
    unit = answer["sets"][1]["causal_cosine_centered"]["unit_rows"]
    assert one["median_rank"].tolist() == [unit["median_rank"], unit["with_inputs"]["median_rank"]]
    assert len(frame[frame["over"].notna()]) == 20
    written = invoke("query.py", "evaluate", *files, "--index", small, "--parquet", tmp_path / "out.parquet")
    assert written.code == 0, written.err


def test_the_page_says_what_is_covered_and_a_verdict(small: Path, tmp_path: Path) -> None:
    said = invoke("query.py", "evaluate", *judged(tmp_path), "--index", small).said
    assert "pairs: 4 of 5 pairs covered" in said
    assert "questions: 3 of 4 analogies covered" in said
    assert "Fewer than 10 items tell nothing: pairs (4) and questions (3)." in said
    assert "Held against cosine" not in said
    pairs = "".join(f"{a}\t{b}\t{people}\n" for a, b, people in KNOWN)
    (tmp_path / "many.tsv").write_text(pairs * 3)
    said = invoke("query.py", "evaluate", tmp_path / "many.tsv", *judged(tmp_path), "--index", small).said
    assert "Held against cosine similarity, taken at zero and at the mean row, the causal metric's angle" in said
    assert "Fewer than 10 items tell nothing: pairs (4) and questions (3)." in said


def test_words_that_are_no_tokens_are_an_answer_that_is_no(small: Path, tmp_path: Path) -> None:
    (tmp_path / "none.tsv").write_text("unheard\tof-this\t3\n")
    outcome = invoke("query.py", "evaluate", tmp_path / "none.tsv", "--index", small)
    assert outcome.code == 1
    assert "no item is covered: no word of none is a token here" in outcome.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a b 3\n", "line 1: 'a b 3' is no pair; wanted two words and a number with tabs between"),
        (b"a\tb\t3\na\tb\tx\n", "line 2"),
        (b"a\tb\tnan\n", "line 1"),
        (b"a\tb\t3\t4\n", "line 1"),
        (b": s\na b c\n", "line 2: 'a b c' has 3 words; wanted four"),
        (b": s\n", "has sections and no analogy"),
        (b"# nothing\n", "holds no line but comments"),
        (b"", "is empty"),
        (b"a\tb\t3\n\xff\t\xfe\t3\n", "is no UTF-8"),
    ],
)
def test_files_that_are_no_judgments(small: Path, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "file.tsv").write_bytes(content)
    outcome = invoke("query.py", "evaluate", tmp_path / "file.tsv", "--index", small)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_file_that_is_not_there(small: Path, tmp_path: Path) -> None:
    outcome = invoke("query.py", "evaluate", tmp_path / "gone.tsv", "--index", small)
    assert outcome.code == 2
    assert "FILE" in outcome.err


def test_without_gensim_it_says_what_to_install(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("index.files.find_spec", lambda name: None)
    outcome = invoke("query.py", "evaluate", "--index", small)
    assert outcome.code == 2
    assert "uv run --extra evaluate query.py evaluate" in outcome.err


def test_a_gensim_without_its_tests_data(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        submodule_search_locations = ("/nowhere",)

    monkeypatch.setattr("index.sources.judgments.find_spec", lambda name: Spec)
    assert "has no test data" in invoke("query.py", "evaluate", "--index", small).err


def test_forms_cases_and_words_of_several_tokens(small: Path) -> None:
    vocabulary = index.open(small).vocabulary

    def rows(
        word: str, form: WordForm = WordForm.SPACE, case: Case = Case.EXACT, words: WordRows = WordRows.SINGLE
    ) -> list[str | None]:
        finder = WordFinder(vocabulary, form, case, words)
        return [vocabulary.text(row) for row in finder.rows(word)]

    texts = {text for text in vocabulary.texts.to_pylist() if text}
    bare = max((text for text in texts if text.isalpha() and f" {text}" not in texts), key=len)
    assert rows("planet") == rows("planet", WordForm.BEST) == [" planet"]
    assert rows("planet", WordForm.BARE) == rows(bare) == []
    assert rows(bare, WordForm.BEST) == rows(bare, WordForm.BARE) == [bare]
    assert rows("Planet") == []
    assert rows("PLANET", case=Case.ANY) == [" planet"]
    several = rows("planetstar", words=WordRows.MEAN)
    assert len(several) > 1
    assert "".join(map(str, several)) == " planetstar"
    finder = WordFinder(vocabulary, WordForm.BARE, Case.ANY, WordRows.SINGLE)
    assert sorted(vocabulary.text(row) or "" for row in finder.spellings("a")) == ["A", "a"]
    assert [vocabulary.text(row) for row in finder.rows("A")] == ["A"]  # as it is written, where there is such a token
    gone = vocabulary.meanings.exact(" planet")
    assert WordFinder(vocabulary, WordForm.SPACE, Case.EXACT, WordRows.SINGLE, gone).rows("planet") == ()


def test_a_mean_is_of_a_words_tokens_and_needs_a_tokenizer(small: Path, tmp_path: Path) -> None:
    pairs, _ = judged(tmp_path)
    opened = index.open(small)
    assert opened.evaluate(pairs, words="mean").sets[0].covered == 5
    opened.vocabulary.__dict__["tokenizer_json"] = None
    with pytest.raises(ParameterError, match=r"words=mean needs the model's tokenizer, which bundle has not"):
        opened.evaluate(pairs, words="mean")
