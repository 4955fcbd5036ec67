"""How near each geometry comes to what people judged: figures of pairs of words, and of analogies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from index.bundle.bundle import Bundle
from index.geometry.blocks import row_blocks
from index.geometry.maps import row_distances
from index.geometry.views import VIEWS, View
from index.measures.bootstrap import draws, interval, shares_of_questions
from index.measures.correlation import Ranks, spearman, spearman_at_chance, spearman_in_draws
from index.measures.places import Places, Sums, places, rank, within
from index.progress import Share
from index.questions.evaluate.figures import Difference, Hits, PairFigures, QuestionFigures, Section, SetResult
from index.sources.judgments import JudgedPairs, Questions
from index.tokens.words import WordFinder

Rows = tuple[int, ...]

_CAUSAL, _COSINE, _ANGLE, _COSINE_CENTERED, _ANGLE_CENTERED = VIEWS
COMPARED = (
    (_CAUSAL, _COSINE),
    (_ANGLE, _COSINE),
    (_ANGLE, _CAUSAL),
    (_CAUSAL, _COSINE_CENTERED),
    (_ANGLE, _COSINE_CENTERED),
    (_ANGLE_CENTERED, _COSINE_CENTERED),
    (_COSINE_CENTERED, _COSINE),
    (_ANGLE_CENTERED, _ANGLE),
)
"""Which view is held against which: the geometries, cosines at the mean row, and what centering does."""

COMPARED_WITH_UNIT_ROWS = tuple((of, over) for over in (_COSINE, _COSINE_CENTERED) for of in (_CAUSAL, _ANGLE))
"""On analogies the causal views are held against cosines of unit rows, too, which may be the stronger ones."""


def judge_pairs(bundle: Bundle, finder: WordFinder, judged: JudgedPairs) -> SetResult:
    """Return how well each view orders pairs of words as people do; words that are no tokens are left out."""
    found = [(finder.rows(first), finder.rows(second)) for first, second in judged.pairs]
    known = np.array([at for at, (first, second) in enumerate(found) if first and second], dtype=np.int64)
    rows = _Vectors(bundle, [each for at in known for each in found[at]])
    people, everyone = judged.scores[known], Ranks(judged.scores[known])
    scores: dict[View, np.ndarray] = {}
    for view in VIEWS:
        flat = view.flat(rows.words, bundle.metric)
        points = _unit(flat) if view.geometry.angular else flat
        first, second = points[rows.at[0::2]], points[rows.at[1::2]]
        scores[view] = (first * second).sum(axis=1) if view.geometry.angular else -row_distances(first, second)
    drawn = {
        view: np.concatenate([spearman_in_draws(everyone, Ranks(each), counts) for counts in draws(len(known))])
        if len(known) > 1
        else np.array([np.nan])
        for view, each in scores.items()
    }
    whole = {view: spearman(people, each) for view, each in scores.items()}
    figures = {
        view: PairFigures(whole[view], spearman_at_chance(judged.scores, known, scores[view]), *interval(drawn[view]))
        for view in VIEWS
    }
    return SetResult(judged.name, len(judged), len(known), figures, _differences(whole, drawn, whole, drawn, COMPARED))


def judge_questions(bundle: Bundle, finder: WordFinder, asked: Questions, progress: Share) -> SetResult:
    """Return how often each view's nearest token is the answer of an analogy."""
    solver = _Solver(bundle, finder, asked)
    found: dict[tuple[View, bool], Places] = {}
    for done, view in enumerate(VIEWS):
        progress(done / len(VIEWS))
        found |= {(view, unit): of_sums for unit, of_sums in solver.solve(view).items()}
    progress(1.0)
    sections = np.array(asked.sections, dtype=object)[solver.known]
    parts = [(name, np.flatnonzero(sections == name)) for name in dict.fromkeys(asked.sections)]
    whole, drawn = _question_figures(solver, found, np.arange(len(solver.known)))
    raw = {view: each.top1 for view, each in whole.items()}
    unit = {view: each.unit_rows.top1 for view, each in whole.items() if each.unit_rows is not None}
    raw_drawn, unit_drawn = ({view: drawn[view, rows] for view in of} for rows, of in ((False, raw), (True, unit)))
    return SetResult(
        asked.name,
        len(asked),
        len(solver.known),
        whole,
        (
            *_differences(raw, raw_drawn, raw, raw_drawn, COMPARED, "raw"),
            *_differences(raw, raw_drawn, unit, unit_drawn, COMPARED_WITH_UNIT_ROWS, "unit"),
        ),
        tuple(
            Section(name, asked.sections.count(name), len(part), _question_figures(solver, found, part)[0])
            for name, part in parts
        ),
    )


class _Vectors:
    """Words given by the rows of their tokens, each once: their vectors, and where each of them is."""

    def __init__(self, bundle: Bundle, given: Sequence[Rows]) -> None:
        numbered = {rows: number for number, rows in enumerate(dict.fromkeys(given))}
        self.at = np.array([numbered[rows] for rows in given], dtype=np.int64)  # (n,)
        self.words = np.empty((len(numbered), bundle.manifest.D))  # rows of gamma, or means of some
        for rows, number in numbered.items():
            self.words[number] = bundle.gamma[list(rows)].astype(np.float64).mean(axis=0)


class _Solver:
    """The analogies of a set whose words are all known, as sums of vectors."""

    def __init__(self, bundle: Bundle, finder: WordFinder, asked: Questions) -> None:
        self._bundle = bundle
        known, given, answers, inputs = [], [], [], []
        for number, words in enumerate(asked.questions):
            *terms, answer = words
            rows, answered = [finder.rows(word) for word in terms], finder.spellings(answer)
            left_out = {each for word in terms for each in finder.spellings(word)}
            if all(rows) and answered and not left_out & set(answered):
                known.append(number)
                given += rows
                answers.append(answered)
                inputs.append(tuple(sorted(left_out)))
        self.known = np.array(known, dtype=np.int64)
        self._vectors = _Vectors(bundle, given)
        self._named = np.array(sorted({row for each in (*answers, *inputs) for row in each}), dtype=np.int64)
        self._answers, self._inputs = (self._padded(each) for each in (answers, inputs))
        named = (asked.questions[number] + (asked.sections[number],) for number in known)
        pairs = [((a, b, section), (c, d, section)) for a, b, c, d, section in named]
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(each for two in pairs for each in two))}
        self.pairs = np.array([[numbers[pair] for pair in two] for two in pairs], dtype=np.int64).reshape(-1, 2)

    def _padded(self, lists: list[Rows]) -> np.ndarray:
        """Return rows as places among those named, (Q, longest), -1 behind."""
        found = np.full((len(lists), max(map(len, lists), default=1) or 1), -1)
        for at, rows in enumerate(lists):
            found[at, : len(rows)] = np.searchsorted(self._named, rows)
        return found

    def solve(self, view: View) -> dict[bool, Places]:
        """Return the place of each answer: nearest to b - a + c, of rows as they are, and under True of unit rows.

        Rows made 1 long before are the same rows with other weights: both sums are of the same products with points.
        """
        from scipy.sparse import csr_array

        metric, gamma, at = self._bundle.metric, self._bundle.gamma, self._vectors.at
        kinds, Q = (False, True) if view.geometry.angular else (False,), len(self.known)
        if Q == 0:
            return {unit: Places(*(np.zeros(0, np.int64) for _ in range(4))) for unit in kinds}
        words = view.flat(self._vectors.words, metric)
        lengths = np.linalg.norm(words, axis=1)
        scales = np.stack([np.ones(len(words)), 1 / np.where(lengths > 0, lengths, 1)])[: len(kinds)]  # (kinds, W)
        data = (np.tile([-1.0, 1.0, 1.0], Q) * scales[:, at]).ravel()
        ends = np.arange(0, len(data) + 1, 3)
        weights = csr_array((data, np.tile(at, len(kinds)), ends), shape=(len(kinds) * Q, len(words)))
        named = view.points(gamma[self._named], metric)
        blocks = (view.points(rows, metric) for _, rows in row_blocks(gamma))
        answers, inputs = (np.tile(each, (len(kinds), 1)) for each in (self._answers, self._inputs))
        found = places(blocks, named, words, Sums(weights, answers, inputs), angular=view.geometry.angular)
        parts = zip(*(each.reshape(len(kinds), Q) for each in vars(found).values()), strict=True)
        return {unit: Places(*part) for unit, part in zip(kinds, parts, strict=True)}


def _question_figures(
    solver: _Solver, found: dict[tuple[View, bool], Places], part: np.ndarray
) -> tuple[dict[View, QuestionFigures], dict[tuple[View, bool], np.ndarray]]:
    """Return the figures of some questions, (n,) places, in each view, and the shares at top 1 in all draws.

    The draws are those of raw rows, False, and of unit rows, True, of each view that has them.
    """
    first = [within(each.nearer[part], each.tied[part], 1) for each in found.values()]
    if len(part):
        pairs = np.unique(solver.pairs[part], return_inverse=True)[1].reshape(-1, 2)
        shares = shares_of_questions(pairs[:, 0], pairs[:, 1], np.column_stack(first))
    else:
        shares = np.full((1, len(found)), np.nan)
    drawn = dict(zip(found, shares.T, strict=True))

    def figures(view: View, unit: bool) -> QuestionFigures:
        each = found[view, unit]
        return QuestionFigures(
            *_hits(each.nearer[part], each.tied[part]),
            *interval(drawn[view, unit]),
            Hits(*_hits(each.nearer_with_inputs[part], each.tied_with_inputs[part])),
            figures(view, True) if view.geometry.angular and not unit else None,
        )

    return {view: figures(view, False) for view in VIEWS}, drawn


def _hits(nearer: np.ndarray, tied: np.ndarray) -> tuple[float, float, float, int]:
    if len(nearer) == 0:
        return float("nan"), float("nan"), float("nan"), 0
    top1, top5 = (float(within(nearer, tied, top).mean()) for top in (1, 5))
    return top1, top5, float(np.median(rank(nearer, tied))), int((tied > 0).sum())


def _differences(
    figures: Mapping[View, float],
    drawn: Mapping[View, np.ndarray],
    others: Mapping[View, float],
    others_drawn: Mapping[View, np.ndarray],
    compared: Sequence[tuple[View, View]],
    rows: Literal["raw", "unit"] | None = None,
) -> tuple[Difference, ...]:
    """Return the figures of views less those of others, whose analogies are of such rows, with their intervals."""
    return tuple(
        Difference(of, over, figures[of] - others[over], *interval(drawn[of] - others_drawn[over]), rows)
        for of, over in compared
    )


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return unit
