"""Numbers that docs/meaning.md has in its sentences, beside what is shown: each counted again on the bundled model."""

import unicodedata

import numpy as np
import pytest
from conftest import ROOT, Built
from test_evaluate_bundled import questions

import index
from index.questions.evaluate.judged import COMPARED, COMPARED_WITH_UNIT_ROWS

TEXT = " ".join((ROOT / "docs/meaning.md").read_text(encoding="utf-8").split())


def require_told(*sentences: str) -> None:
    assert [each for each in sentences if each not in TEXT] == []


@pytest.fixture(scope="module")
def lists(smollm2: Built) -> np.ndarray:
    return np.asarray(index.open(smollm2.path).causal.ids[:, :40])


def test_how_much_of_causal_lists_is_untrained(smollm2: Built, lists: np.ndarray) -> None:
    opened = index.open(smollm2.path)
    table = opened.tokens.to_pydict()
    untrained = np.array(table["untrained"])
    held = untrained[lists[:, :10]]
    of_all, of_thirty = 100 * held.any(axis=1).mean(), 100 * untrained[lists[:, :30]].any(axis=1).mean()
    most = 100 * np.bincount(lists[:, :10].ravel()).max() / len(lists)
    require_told(
        f"SmolLM2 has {untrained.sum()}.",
        f"Together they hold {100 * held.mean():.1f} % of the places in causal lists of 10",
        f"{of_all:.1f} % of these lists hold at least one ({of_thirty:.1f} % of lists of 30)",
        f"the most frequent is in {most:.0f} %",
    )
    forms = [unicodedata.normalize("NFKC", text.strip()).casefold()[:3] for text in table["text"]]
    both = zip(table["text"], forms, strict=True)
    usable = np.array(["\ufffd" not in text and len(form) == 3 and form.isalpha() for text, form in both])
    codes = np.unique(forms, return_inverse=True)[1]
    same = (codes[:, None] == codes[lists]) & usable[:, None] & usable[lists]
    refilled = [np.mean(line[~left_out][:10]) for line, left_out in zip(same, untrained[lists], strict=True)]
    dropped, filled = 100 * same[:, :10][~held].mean(), 100 * np.mean(refilled)
    require_told(f"{dropped:.1f} % with the same letters, against {filled:.1f} % of lists that are as long")


def test_what_analogies_are_made_of() -> None:
    every = questions()
    capitals = every["capital-common-countries"]
    pairs = {pair for a, b, c, d in capitals for pair in ((a, b), (c, d))}
    require_told(
        f"{len(capitals)} questions about capitals are made of {len(pairs)} pairs of words",
        f"`currency` keeps 40 of {len(every['currency'])}",
    )
    share, asked = 0.669, 10_231
    require_told(
        f"66.9 % within about 6 points, where draws of questions, which are often reported, would say "
        f"{196 * np.sqrt(share * (1 - share) / asked):.1f}"
    )
    intervals = 3 * len(COMPARED) + len(COMPARED_WITH_UNIT_ROWS)
    require_told(f"Eight differences on three sets, and four more on analogies, are {intervals} intervals")


def test_what_the_first_paragraphs_say_is_shown_below() -> None:
    """The figures of the verdict: of causal cosine, of causal distance, and of the strongest cosine."""
    require_told(
        "66.9 and 66.0 % against 65.2 %",
        "causal-cosine raw 66.9 60.6 73.1",
        "causal raw 66.0 59.6 72.3",
        "cosine, centered unit 65.2 59.0 71.4",
        "over all 14 sections a cosine between two is 0.082 on average, and 0.231 in the plain inner product",
    )
    assert len(questions()) == 14
