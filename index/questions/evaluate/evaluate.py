"""`evaluate`: does a geometry see meaning? How near each comes to what people judged."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from index.bundle.bundle import Bundle
from index.errors import ParameterError, parameter
from index.progress import Progress, silent
from index.questions.asking.question import Doc
from index.questions.evaluate.evaluation import Evaluation
from index.questions.evaluate.judged import judge_pairs, judge_questions
from index.sources.judgments import JudgedPairs, gensims_judgments, read_judgments
from index.tokens.words import Case, WordFinder, WordForm, WordRows


def evaluate(
    bundle: Bundle,
    files: Annotated[
        tuple[Path, ...] | None,
        Doc(
            "Pairs of words with scores, or analogies.",
            metavar="FILE",
            default="the three sets that gensim carries, the extra `evaluate`",
        ),
    ] = None,
    *,
    form: Annotated[WordForm, Doc("Words are tokens behind a space, bare ones, or the first, else the second.")] = (
        WordForm.SPACE
    ),
    case: Annotated[
        Case, Doc("Whether a token in another case is the word, where none is spelled as it.")
    ] = Case.EXACT,
    words: Annotated[WordRows, Doc("Words of several tokens: left out, or the mean of their rows.")] = WordRows.SINGLE,
    progress: Progress = silent,
) -> Evaluation:
    """How near each geometry comes to what people judged: how alike two words are, which word completes an analogy.

    Example: uv run --extra evaluate query.py evaluate

    Figures are of rows of gamma mapped in float64, not of stored points, with angles taken at zero and at the mean row.
    """
    judgments = gensims_judgments() if not files else [read_judgments(path) for path in files]
    if words is WordRows.MEAN and bundle.vocabulary.tokenizer_json is None:
        raise ParameterError(
            f"{parameter('words', 'mean')} needs the model's tokenizer, which {bundle.name} has not; leave it out"
        )
    without_point = {row for space in bundle.spaces.values() for row in space.excluded}
    finder = WordFinder(bundle.vocabulary, form, case, words, without_point)
    results = []
    for judged in judgments:
        if isinstance(judged, JudgedPairs):
            results.append(judge_pairs(bundle, finder, judged))
        else:
            results.append(judge_questions(bundle, finder, judged, partial(progress, judged.name)))
    return Evaluation(form, case, words, tuple(results))
