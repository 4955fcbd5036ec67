"""`evaluate` under every `--form`, `--case` and `--words`, against an oracle that finds words by itself."""

from collections.abc import Iterator
from functools import cache, cached_property
from itertools import permutations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import oracles
import pytest
from conftest import build, query
from models import save_tokenizer
from numpy.typing import NDArray
from scipy.stats import rankdata
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = (
    "a planet, a moon, a star, a sea, a king, a queen, a man, a woman and a Moon, a Star, a King",
    "the planet the moon the star the sea the king the queen the man the woman the LAND",
    "zebra",
    "moon",
    "king",
    "Queen",
    "STAR and SEA",
) * 30
D, ZERO, TWINS = 9, " sea", (" man", " Moon")

PAIRS = (
    *(("planet", "moon", 9.0), ("moon", "star", 8.5), ("king", "queen", 9.5), ("man", "woman", 8), ("a", "the", 2)),
    *(("Queen", "moon", 2.5), ("zebra", "man", 1), ("Land", "planet", 4), ("planetmoon", "star", 5), ("sea", "a", 3)),
)
"""Some words have no token of their case, or none behind a space, or none but several, or one without a point."""

QUESTIONS = {
    "sky": (
        *(("planet", "moon", "king", "queen"), ("moon", "star", "man", "woman"), ("woman", "queen", "man", "king")),
        *(("queen", "king", "woman", "man"), ("STAR", "star", "MOON", "moon"), ("star", "planet", "king", "King")),
    ),
    "land": (
        *(("Land", "planet", "zebra", "man"), ("planetmoon", "star", "king", "Queen"), ("zebra", "a", "the", "moon")),
        *(("king", "man", "queen", "planetmoon"), ("sea", "star", "moon", "king"), ("the", "a", "man", "Planet")),
    ),
}

VIEWS = ("causal", "cosine", "causal_cosine", "cosine_centered", "causal_cosine_centered")
OPTIONS = tuple(product(("space", "bare", "best"), ("exact", "any"), ("single", "mean")))


@cache
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    return made


# --- the oracle: words by their texts, one by one; then float64 -----------------------------------------------------


class Words:
    """Which rows a word is, under some options."""

    def __init__(self, form: str, case: str, words: str) -> None:
        self.tokenizer, self.case, self.words = tokenizer(), case, words
        self.prefixes = {"space": [" "], "bare": [""], "best": [" ", ""]}[form]
        count = self.tokenizer.get_vocab_size()
        texts = [self.tokenizer.decode([row], skip_special_tokens=False) for row in range(count)]
        self.zero = texts.index(ZERO)
        self.texts = [None if row == self.zero else text for row, text in enumerate(texts)]

    def one(self, word: str) -> int | None:
        for prefix in self.prefixes:
            for row, text in enumerate(self.texts):
                if text == prefix + word:
                    return row
            for row, text in enumerate(self.texts):
                if self.case == "any" and text is not None and text.casefold() == (prefix + word).casefold():
                    return row
        return None

    def rows(self, word: str) -> list[int]:
        one = self.one(word)
        if one is not None or self.words == "single":
            return [] if one is None else [one]
        parts = self.tokenizer.encode(self.prefixes[0] + word).ids
        return [] if self.zero in parts else parts

    def spellings(self, word: str) -> set[int]:
        one = self.one(word)
        if one is None or self.case == "exact":
            return set() if one is None else {one}
        folded = {(prefix + word).casefold() for prefix in self.prefixes}
        return {row for row, text in enumerate(self.texts) if text is not None and text.casefold() in folded}


@cache
def gamma() -> NDArray[np.float64]:
    """Random rows, but that analogies of some words nearly hold, two words are twins, and one has no direction."""
    texts = [tokenizer().decode([row], skip_special_tokens=False) for row in range(tokenizer().get_vocab_size())]
    random = np.random.default_rng(3)
    rows, place = random.normal(size=(len(texts), D)), {text: row for row, text in enumerate(texts)}
    for a, b, c, d in (*QUESTIONS["sky"], ("Land", "planet", "zebra", "man")):
        known = [
            next(row for row in (place.get(f" {word}"), place.get(word), 0) if row is not None) for word in (a, b, c, d)
        ]
        rows[known[3]] = rows[known[1]] - rows[known[0]] + rows[known[2]] + 0.4 * random.normal(size=D)
    rows[place[ZERO]] = 0
    rows[place[TWINS[0]]] = rows[place[TWINS[1]]]
    return rows.astype(np.float32).astype(np.float64)


class Space:
    """Rows where Euclidean distance is a view's, before lengths are taken off, and after."""

    def __init__(self, view: str) -> None:
        rows = gamma()
        mean, cov = oracles.covariance(rows)
        self.angular = view != "causal"
        self.offset = mean if view.endswith("centered") else np.zeros(D)
        self.factor = np.eye(D) if view.startswith("cosine") else np.linalg.cholesky(oracles.metric(cov, 1e-6))
        self.points = np.array([self.point(row) for row in rows])
        self.there = np.array([bool(self.flat(row).any()) or not self.angular for row in rows])

    def flat(self, row: NDArray) -> NDArray:
        return (row - self.offset) @ self.factor

    def point(self, row: NDArray) -> NDArray:
        flat = self.flat(row)
        return flat / np.linalg.norm(flat) if self.angular and np.linalg.norm(flat) > 0 else flat


class Asked(NamedTuple):
    """An analogy as rows."""

    terms: list[NDArray]  # the vectors of a, b and c
    answers: set[int]
    inputs: set[int]
    section: str
    pairs: tuple[tuple[str, str, str], tuple[str, str, str]]


class Oracle:
    def __init__(self, form: str, case: str, words: str) -> None:
        self.words = Words(form, case, words)
        self.gamma = gamma()

    def vector(self, word: str) -> NDArray:
        return np.mean([self.gamma[row] for row in self.words.rows(word)], axis=0)

    @cached_property
    def known(self) -> list[tuple[str, str, float]]:
        return [pair for pair in PAIRS if self.words.rows(pair[0]) and self.words.rows(pair[1])]

    @cached_property
    def asked(self) -> list[Asked]:
        return list(self._asked())

    def _asked(self) -> Iterator[Asked]:
        for section, questions in QUESTIONS.items():
            for a, b, c, d in questions:
                answers = self.words.spellings(d)
                inputs = self.words.spellings(a) | self.words.spellings(b) | self.words.spellings(c)
                if answers and all(map(self.words.rows, (a, b, c))) and not answers & inputs:
                    yield Asked(
                        [*map(self.vector, (a, b, c))], answers, inputs, section, ((a, b, section), (c, d, section))
                    )

    def scores(self, view: str) -> NDArray:
        """How alike the two words of each pair that is known are."""
        space = Space(view)
        both = [(space.point(self.vector(a)), space.point(self.vector(b))) for a, b, _ in self.known]
        return np.array([x @ y if space.angular else -np.linalg.norm(x - y) for x, y in both])

    def places(self, view: str, *, unit: bool, inputs_in: bool) -> list[tuple[int, int]]:
        """Of each analogy, how many are nearer than the answer, and how many others as near."""
        space, found = Space(view), []
        for each in self.asked:
            if unit:
                a, b, c = map(space.point, each.terms)
                target = b - a + c
            else:
                a, b, c = each.terms
                target = space.flat(b - a + c)
            target = target / np.linalg.norm(target) if space.angular else target
            distances = np.linalg.norm(space.points - target, axis=1)
            own = min(distances[row] for row in each.answers)
            others = [
                row
                for row in np.flatnonzero(space.there)
                if row not in each.answers and (inputs_in or row not in each.inputs)
            ]
            apart = distances[others] - own
            found.append((int((apart < -1e-9).sum()), int((abs(apart) <= 1e-9).sum())))
        return found


def spearman(a: NDArray, b: NDArray) -> NDArray:
    """Of each line of two arrays (n, items)."""
    a, b = (rankdata(each, axis=1) for each in (a, b))
    a, b = (each - each.mean(axis=1, keepdims=True) for each in (a, b))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))


def drawn(items: int) -> NDArray[np.int64]:
    """The draws, as often as each item is in each, (2000, items)."""
    return np.random.default_rng(0).multinomial(items, np.full(items, 1 / items), size=2_000)


def interval(values: NDArray) -> list[float]:
    return np.percentile(values[~np.isnan(values)], [2.5, 97.5]).tolist()


def in_draws_of_pairs(people: NDArray, scores: NDArray) -> NDArray:
    items = np.array([np.repeat(np.arange(len(people)), counts) for counts in drawn(len(people))])
    return spearman(people[items], scores[items])


def over_all_places(people: NDArray, known: NDArray, scores: NDArray) -> float:
    """The mean of rho, those without a score at every place among the others."""
    n, order = len(people), known[np.argsort(scores)]
    missing, found = np.setdiff1d(np.arange(n), known), []
    for places in permutations(range(n), len(missing)):
        placed = np.empty(n)
        placed[missing] = places
        placed[order] = np.setdiff1d(np.arange(n), places)
        found.append(placed)
    return float(spearman(np.tile(people, (len(found), 1)), np.array(found)).mean())


def within(places: list[tuple[int, int]], top: int) -> list[float]:
    """A share for each answer: of m that tie for r places each has r / m."""
    return [min(max((top - nearer) / (tied + 1), 0), 1) for nearer, tied in places]


def in_draws_of_questions(asked: list[Asked], hits: list[float]) -> NDArray:
    numbers = {pair: at for at, pair in enumerate(dict.fromkeys(pair for each in asked for pair in each.pairs))}
    found = []
    for counts in drawn(len(numbers)):
        weights = [counts[numbers[each.pairs[0]]] * counts[numbers[each.pairs[1]]] for each in asked]
        found.append(np.dot(weights, hits) / sum(weights) if sum(weights) else np.nan)
    return np.array(found)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    np.save(folder / "gamma.npy", gamma().astype(np.float32))
    save_tokenizer(folder / "tokenizer", tokenizer())
    build(folder / "gamma.npy", "--tokenizer", folder / "tokenizer", "--out", folder / "bundle", "--neighbors", 20)
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\t{score}\n" for a, b, score in PAIRS))
    lines = (line for name, each in QUESTIONS.items() for line in (f": {name}", *map(" ".join, each)))
    (folder / "questions.txt").write_text("\n".join(lines))
    return folder


def evaluated(folder: Path, form: str, case: str, words: str) -> Any:
    files, options = (
        (folder / "pairs.tsv", folder / "questions.txt"),
        ("--form", form, "--case", case, "--words", words),
    )
    answer = query("evaluate", *files, *options, "--index", folder / "bundle")
    assert (answer["form"], answer["case"], answer["words"]) == (form, case, words)
    return answer["sets"]


@pytest.mark.parametrize("options", OPTIONS, ids="-".join)
def test_pairs(options: tuple[str, str, str], folder: Path) -> None:
    oracle, (found, _) = Oracle(*options), evaluated(folder, *options)
    assert (found["items"], found["covered"]) == (len(PAIRS), len(oracle.known))
    people, draws = np.array([score for *_, score in oracle.known]), {}
    everyone, known = np.array([score for *_, score in PAIRS]), np.array([PAIRS.index(pair) for pair in oracle.known])
    for view in VIEWS:
        scores = oracle.scores(view)
        draws[view] = in_draws_of_pairs(people, scores)
        wanted = [spearman(people[None], scores[None])[0], *interval(draws[view])]
        assert [found[view][name] for name in ("spearman", "low", "high")] == pytest.approx(wanted, abs=1e-9)
        if len(PAIRS) - len(known) <= 3:
            at_chance = over_all_places(everyone, known, scores)
            assert found[view]["spearman_all"] == pytest.approx(at_chance, abs=1e-9)
    for each in found["differences"]:
        wanted = [found[each["of"]]["spearman"] - found[each["over"]]["spearman"]]
        wanted += interval(draws[each["of"]] - draws[each["over"]])
        assert [each["difference"], each["low"], each["high"]] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("options", OPTIONS, ids="-".join)
def test_questions(options: tuple[str, str, str], folder: Path) -> None:
    oracle, (_, found) = Oracle(*options), evaluated(folder, *options)
    assert (found["items"], found["covered"]) == (12, len(oracle.asked))
    draws = {}
    for view, unit in product(VIEWS, (False, True)):
        if unit and view == "causal":
            continue
        out, within_inputs = (oracle.places(view, unit=unit, inputs_in=each) for each in (False, True))
        parts = {None: range(len(oracle.asked))}
        parts |= {name: [at for at, each in enumerate(oracle.asked) if each.section == name] for name in QUESTIONS}
        for name, part in parts.items():
            of = found if name is None else next(each for each in found["sections"] if each["name"] == name)
            assert of["covered"] == len(part)
            figures = of[view]["unit_rows"] if unit else of[view]
            require_figures(figures, [out[at] for at in part])
            require_figures(figures["with_inputs"], [within_inputs[at] for at in part])
            if part:
                draw = in_draws_of_questions([oracle.asked[at] for at in part], within([out[at] for at in part], 1))
                assert [figures["low"], figures["high"]] == pytest.approx(interval(draw), abs=1e-9)
                draws.setdefault((view, unit), draw)
    for each in found["differences"]:
        of, over = (each["of"], False), (each["over"], each["over_rows"] == "unit")
        wanted = [top1(found, *of) - top1(found, *over), *interval(draws[of] - draws[over])]
        assert [each["difference"], each["low"], each["high"]] == pytest.approx(wanted, abs=1e-9)


def top1(found: Any, view: str, unit: bool) -> float:
    return float(found[view]["unit_rows"]["top1"] if unit else found[view]["top1"])


def require_figures(figures: dict[str, Any], places: list[tuple[int, int]]) -> None:
    if not places:
        assert figures["top1"] is figures["median_rank"] is None
        return
    wanted = [np.mean(within(places, 1)), np.mean(within(places, 5))]
    wanted += [np.median([nearer + 1 + tied / 2 for nearer, tied in places]), sum(tied > 0 for _, tied in places)]
    assert [figures[name] for name in ("top1", "top5", "median_rank", "ties")] == pytest.approx(wanted, abs=1e-12)


def test_means_are_gensims_of_rows_as_they_are() -> None:
    """By default it takes the mean of unit rows, and passes over what it has not: of another word, then."""
    from gensim.models import KeyedVectors

    vectors, oracle = KeyedVectors(D), Oracle("space", "exact", "mean")
    names = [str(row) for row in range(len(gamma()))]
    vectors.add_vectors(names, gamma().astype(np.float32))
    parts = [str(row) for row in oracle.words.rows("planetmoon")]
    assert len(parts) > 1
    np.testing.assert_allclose(
        vectors.get_mean_vector(parts, pre_normalize=False), oracle.vector("planetmoon"), rtol=1e-5
    )
    of_units = vectors.get_mean_vector(parts)
    assert abs(of_units @ oracle.vector("planetmoon")) < 0.9999 * np.linalg.norm(of_units) * np.linalg.norm(
        oracle.vector("planetmoon")
    )
    np.testing.assert_array_equal(vectors.get_mean_vector([*parts, "gone"]), of_units)
    assert oracle.words.rows("sea") == []  # one of its tokens has no point


def test_the_options_differ(folder: Path) -> None:
    """Else the tests above could not tell one from another."""
    oracles_of = {options: Oracle(*options) for options in OPTIONS}
    covered = {options: (len(each.known), len(each.asked)) for options, each in oracles_of.items()}
    assert covered["space", "exact", "single"] < covered["space", "any", "single"] < covered["space", "any", "mean"]
    assert covered["space", "any", "single"] < covered["best", "any", "single"]
    assert covered["bare", "exact", "single"] < covered["best", "exact", "single"]
    assert covered["space", "exact", "single"] < covered["space", "exact", "mean"]
    assert any(len(each.answers) > 1 for each in oracles_of["best", "any", "mean"].asked)
    of_space = oracles_of["space", "exact", "single"].places("cosine", unit=True, inputs_in=False)
    assert 0 < np.mean(within(of_space, 1)) < np.mean(within(of_space, 5))
    assert any(tied for _, tied in of_space)
