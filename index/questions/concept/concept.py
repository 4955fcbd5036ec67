"""`concept`: directions of meaning, as pairs of words give them, and whether they are such."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np

from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.geometry.views import View
from index.measures.concepts import direction
from index.progress import Progress, silent
from index.questions.asking.among import kept as kept_tokens
from index.questions.asking.parameters import TOKENS, Among, Overwrite, Without
from index.questions.asking.question import Doc, Limit
from index.questions.concept import directions
from index.questions.concept.concepts import ENDS, Concept, Concepts, Held, HeldPair, Place
from index.questions.concept.directions import KeptPairs, Product, kept_pairs
from index.questions.concept.stand import Stand, parallel_of, stand_of
from index.questions.lists.marks import marks_of
from index.sources.judgments import WordPairs, gensims_word_pairs, read_word_pairs
from index.tokens.words import Case, WordFinder, WordForm, WordRows

USUAL_LENGTH = 10
RANDOM, LEAST_RANDOM = 1_999, 19

Form = Annotated[WordForm, Doc("Words are tokens behind a space, bare ones, or the first, else the second.")]
Spelling = Annotated[Case, Doc("Whether a token in another case is the word, where none is spelled as it.")]


def concept(
    bundle: Bundle,
    files: Annotated[
        tuple[Path, ...] | None,
        Doc(
            "Word pairs: two words and a tab between on each line; or analogies, each section a concept.",
            metavar="PAIRS",
            default="the sections of the analogies that gensim carries, the extra `evaluate`",
        ),
    ] = None,
    *,
    only: Annotated[
        str | None, Doc("Only the concepts of these names, with commas between: family,gram8-plural.", metavar="NAMES")
    ] = None,
    form: Form = WordForm.SPACE,
    case: Spelling = Case.EXACT,
    top: Annotated[int | None, Doc("Tokens listed at each end.", default="10, or all"), TOKENS] = None,
    among: Among = None,
    without: Without = None,
    centered: Annotated[bool, Doc("Measure tokens from the mean row, not from zero.")] = False,
    random: Annotated[
        int,
        Doc("Sets of as many random pairs that a concept is held against.", metavar="N"),
        Limit(LEAST_RANDOM, 100_000),
    ] = RANDOM,
    seed: Annotated[int, Doc("Of the random pairs."), Limit(0)] = 0,
    parallel: Annotated[
        tuple[str, str] | None,
        Doc('Two differences to compare: "king - man" "queen - woman".', metavar="A B"),
    ] = None,
    save: Annotated[
        Path | None, Doc("Keep the direction of the one concept in a .safetensors file.", metavar="FILE")
    ] = None,
    overwrite: Overwrite = False,
    progress: Progress = silent,
) -> Concepts:
    """Directions of meaning: what the differences of word pairs have in common, and how much more than random pairs.

    Example: uv run --extra evaluate query.py concept --only family,gram8-plural --top 3

    Figures are of rows of gamma in float64. Differences do not depend on where rows are measured from; how far a token
    lies along a direction, its angle with it, and rows made 1 long do: from zero, as Park, Choe and Veitch (2024) take
    them, or from the mean row, `centered`, as Park, Choe, Jiang and Veitch (2025).
    """
    asked = _asked(files, only, parallel is not None)
    if save is not None:
        directions.require_savable(save, overwrite=overwrite, concepts=asked)
    some = kept_tokens(bundle, among, without)
    without_point = {row for space in bundle.spaces.values() for row in space.excluded}
    finder = WordFinder(bundle.vocabulary, form, case, WordRows.SINGLE, without_point)
    stand = Stand(bundle, np.arange(len(bundle)) if some is None else some.rows.astype(np.int64), random, seed)
    count = min(USUAL_LENGTH, len(stand.candidates)) if top is None else top
    found = [kept_pairs(bundle, finder, each) for each in asked]
    vectors = np.array([directions.unembedding(bundle, each) for each in found])
    reach = directions.along(bundle, vectors, centered=centered) if found else np.empty((0, len(bundle)))
    answers = []
    for number, kept in enumerate(found):
        progress("concepts", number / len(found))
        held, pairs = stand_of(stand, kept)
        ends = _ends(bundle, kept, vectors[number], reach[number], stand.candidates, count, centered=centered)
        answers.append(_answer(bundle, kept, held, pairs, ends))
    progress("concepts", 1.0)
    compared = None if parallel is None else parallel_of(stand, finder, parallel, centered=centered)
    cosines = {product: _cosines(bundle, found, product) for product in Product} if found else {}
    if save is not None and vectors[0].any():
        directions.save(bundle, found[0], save, overwrite=overwrite)
    written = str(save) if save is not None and vectors[0].any() else None
    return Concepts(form, case, centered, random, seed, tuple(answers), cosines, compared, some, written)


def _asked(files: tuple[Path, ...] | None, only: str | None, compared: bool) -> list[WordPairs]:
    """Return the concepts asked for, in their order; ParameterError for a name that none has, or that two have."""
    if not files:
        concepts = [] if compared and only is None else gensims_word_pairs("concept")
    else:
        concepts = [each for path in files for each in read_word_pairs(path)]
    known = {each.name: each for each in concepts}
    if len(known) < len(concepts):
        names = [each.name for each in concepts]
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(f"{parameter('files')} name the concept {twice!r} twice; give each a name of its own")
    if only is None:
        return concepts
    wanted = [name.strip() for name in only.split(",")]
    for name in wanted:
        if name not in known:
            raise ParameterError(f"{parameter('only')} {name!r:.60} names no concept; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]


def _answer(
    bundle: Bundle,
    kept: KeptPairs,
    held: dict[Product, Held],
    pairs: dict[Product, tuple[np.ndarray, np.ndarray]],
    ends: dict[str, tuple[Place, ...]],
) -> Concept:
    token = bundle.vocabulary.token
    each = tuple(
        HeldPair(
            token(first),
            token(second),
            {product: float(cosines[at]) for product, (cosines, _) in pairs.items()},
            {product: float(ps[at]) for product, (_, ps) in pairs.items()},
        )
        for at, (first, second) in enumerate(kept.rows.tolist())
    )
    groups = int(kept.pairs.groups.max()) + 1 if len(each) else 0
    return Concept(kept.name, kept.given, kept.left_out, each, groups, held, ends)


def _ends(
    bundle: Bundle,
    kept: KeptPairs,
    vector: np.ndarray,
    along: np.ndarray,
    candidates: np.ndarray,
    count: int,
    *,
    centered: bool,
) -> dict[str, tuple[Place, ...]]:
    """Return the tokens furthest along a direction both ways; the vectors of its own words are left out."""
    if not vector.any():
        return dict.fromkeys(ENDS, ())
    others = candidates[~np.isin(bundle.twins.first[candidates], bundle.twins.first[kept.words])]
    trained = others[~bundle.untrained[others]]
    place = partial(_places, bundle, vector, along, count, centered)
    found = (place(rows, sign) for rows in (others, trained) for sign in (-1, 1))
    return dict(zip(ENDS, found, strict=True))


def _places(
    bundle: Bundle, vector: np.ndarray, along: np.ndarray, count: int, centered: bool, rows: np.ndarray, sign: int
) -> tuple[Place, ...]:
    ordered = rows[np.argsort(sign * along[rows], kind="stable")][: count + 1]
    view = View(Product.CAUSAL.view.geometry, centered=True)
    points = view.flat(bundle.gamma[ordered], bundle.metric)
    lengths = np.linalg.norm(points if centered else points + bundle.metric.mean @ bundle.metric.factor, axis=1)
    values = along[ordered]
    level = np.concatenate([[False], values[1:] == values[:-1], [False]])
    tied = level[:-1] | level[1:]
    return tuple(
        Place(
            rank,
            bundle.vocabulary.token(row),
            float(value),
            float(value / length) if bundle.gamma[row].any() and length > 0 else float("nan"),
            marks_of(bundle, row, tied=bool(is_tied)),
        )
        for rank, (row, value, length, is_tied) in enumerate(
            zip(ordered[:count].tolist(), values, lengths, tied, strict=False), 1
        )
    )


def _cosines(bundle: Bundle, found: list[KeptPairs], product: Product) -> tuple[tuple[float, ...], ...]:
    """Return the cosine of each concept's direction with each, NaN of one without."""
    each = [direction(kept.pairs.differences(kept.vectors(bundle, product))) for kept in found]
    array = np.array([one if one.any() else np.full(bundle.manifest.D, np.nan) for one in each])
    matrix = np.clip(array @ array.T, -1, 1)
    np.fill_diagonal(matrix, np.where(np.isnan(np.diag(matrix)), np.nan, 1.0))
    return tuple(tuple(line) for line in matrix.tolist())
