"""What one would quote of a vocabulary: a finding from the answer of another question, and how far it can be believed.

Nothing is counted here: every number is one that a question has answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from index.answers.answer import json_number
from index.answers.page import Reference, counted, listed
from index.geometry.maps import Geometry
from index.geometry.views import VIEWS, View
from index.questions.duplicates import Duplicates
from index.questions.evaluate.evaluation import FEWEST_ITEMS, MAIN
from index.questions.evaluate.figures import Figures, PairFigures, QuestionFigures, SetResult
from index.questions.hubness import Hubness
from index.questions.overlap.overlap import OverlapCensus
from index.questions.shares.in_common import Shares
from index.questions.untrained.untrained import Untrained
from index.tokens.classes import TokenClass

BY = {
    Geometry.CAUSAL: "causal distance",
    Geometry.COSINE: "cosine similarity",
    Geometry.CAUSAL_COSINE: "causal cosine",
}
"""The geometries as a sentence names what lists are ranked by."""

FEW = "0.1"
"""The percent of the tokens, those in most lists, whose share of all places is quoted."""

_COUNTED = "counted over the whole vocabulary, not estimated"


@dataclass(frozen=True)
class Figure:
    """A count, a share from 0 to 1, or a correlation."""

    value: float
    low: float = math.nan  # at 95 %, or by ties; NaN where there is no such range
    high: float = math.nan

    def json(self) -> dict[str, Any]:
        """Return the number, and its range where it has one."""
        return {name: json_number(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Finding:
    """Something to quote."""

    name: str
    said: str  # in a sentence, without the full stop
    short: str  # its numbers alone, as they stand beside another bundle's
    sure: str  # how sure it is
    misleads: str  # what a hurried reader would conclude from it, and should not
    source: Reference  # the question that it is the answer of
    figures: Mapping[str, Figure]

    def json(self) -> dict[str, Any]:
        """Return the finding with its figures."""
        return {
            "name": self.name,
            "sentence": f"{self.said}.",
            "sure": self.sure,
            "misleads": self.misleads,
            "question": self.source.question,
            "figures": {name: each.json() for name, each in self.figures.items()},
        }


def twins(found: Duplicates, of: int) -> Finding:
    """Return how many tokens of a vocabulary share their vector with another."""
    groups, tokens = len(found.groups), found.tokens
    largest = max(map(len, found.groups), default=0)
    said = f"{counted(groups, 'group')} of twins {_hold(groups)} {tokens:,} of {of:,} tokens, the largest {largest:,}"
    return Finding(
        "twins",
        said if groups else f"No two of {of:,} tokens have the same vector",
        f"{counted(groups, 'group')}, {counted(tokens, 'token')}",
        f"{_COUNTED}: rows of gamma, equal bit for bit",
        "equal vectors are no equal meanings: most twins are what training never moved; in lists they are tied",
        Reference("duplicates", "duplicates", {"top": "30"}),
        {"groups": Figure(groups), "tokens": Figure(tokens), "largest": Figure(largest)},
    )


def texts(found: Untrained) -> Finding:
    """Return how many tokens no text becomes, as far as the tokenizer says."""
    count = {kind: tokens for kind, (tokens, _) in found.classes.items()}
    orphans, fragments = count[TokenClass.ORPHAN], count[TokenClass.BYTES]
    lost = sum(tokens for kind, tokens in count.items() if not kind.occurs) - orphans
    figures = {"unreachable": Figure(lost), "fragments": Figure(fragments), "without_text": Figure(orphans)}
    said = f"{orphans:,} of {found.of:,} tokens have no text"
    if count[TokenClass.UNTESTED]:
        figures = {"without_text": Figure(orphans)}
        sure = "of the others it is not known which no text becomes: the bundle has no tokenizer to ask"
    else:
        said = f"{lost:,} of {found.of:,} tokens are unreachable, {orphans:,} have no text"
        said += f", {fragments:,} are pieces of characters that only other text becomes" if fragments else ""
        sure = "the tokenizer was asked for the text of every token"
    return Finding(
        "texts",
        said,
        ", ".join(f"{each.value:,}" for each in figures.values()),
        sure,
        "that no text becomes a token is no proof that training never met it, nor the other way round",
        Reference("untrained", "untrained", {"top": "30"}),
        figures,
    )


def untrained(found: Untrained, filled: Hubness) -> Finding:
    """Return how much of all lists is of tokens that training never moved."""
    k, tokens = filled.length, len(found.members)
    shares = {geometry: each.untrained for geometry, each in filled.geometries.items()}
    held = [f"{_percent(share)} of all places in lists of {k} by {BY[each]}" for each, share in shares.items()]
    held[1:] = [f"{_percent(share)} by {BY[each]}" for each, share in list(shares.items())[1:]]
    verb = "fills" if tokens == 1 else "fill"
    said = f"{counted(tokens, 'untrained token')} {verb} {listed(held)}" if tokens else "No token is untrained"
    return Finding(
        "untrained",
        said,
        ", ".join(map(_percent, shares.values())),
        "places are counted, those that ties leave open in shares; who is untrained is told by texts and vectors, for "
        "what a model was trained on is not in its files",
        "a list full of them looks like a neighborhood, and is none: ask again without @untrained",
        Reference("hubness", "hubness", {"top": str(k)}),
        {"tokens": Figure(tokens), **{each.value: Figure(share) for each, share in shares.items()}},
    )


def hubs(found: Hubness) -> Finding:
    """Return how unevenly the causal lists are filled."""
    of = found.geometries[Geometry.CAUSAL].by_distance
    share = of.share[FEW]
    return Finding(
        "hubs",
        f"The {FEW} % of the tokens in most lists of {of.k} by causal distance hold {_percent(share)} of all "
        f"places, and {counted(of.in_no_list, 'token')} {'is' if of.in_no_list == 1 else 'are'} in none",
        f"{_percent(share)}, {of.in_no_list:,} in none",
        f"{_COUNTED}; where tokens tie for the last places, they share them",
        "any points in many dimensions have hubs: what these would have without a model's structure, a control says",
        Reference("hubness", "hubness", {"top": str(of.k)}),
        {"share": Figure(share), "in_no_list": Figure(of.in_no_list)},
    )


def overlap(found: OverlapCensus, cleaned: OverlapCensus | None, *, controlled: bool) -> Finding:
    """Return how far the causal and the cosine lists agree, and how far without untrained tokens and hubs."""
    ((k, at),) = found.tops.items()
    figures = {"share": Figure(at.mean, at.lowest, at.highest), "chance": Figure(at.chance)}
    without = ""
    if cleaned is not None:
        of = cleaned.tops[k]
        figures["share_without"] = Figure(of.mean, of.lowest, of.highest)
        without = f", {_percent(of.mean)} without untrained tokens and hubs"
    quarter, _, three = at.quartiles
    spread = _percent(at.lowest), _percent(at.highest)
    ties = "no order of tied tokens changes these digits"
    if spread != (_percent(at.mean),) * 2:
        ties = f"other orders of tied tokens would give {spread[0]} to {spread[1]}"
    blind = f"; blind draws share {100 * at.chance:.2g} %, any points more: how much, a control says"
    blind = "" if controlled else blind
    return Finding(
        "overlap",
        f"Lists of {k} by causal distance and by cosine similarity share {_percent(at.mean)} of their places{without}",
        _percent(at.mean),
        f"the mean of {found.tokens:,} tokens, exactly; {ties}",
        f"a mean is no token: a quarter share {_percent(quarter)} or less, a quarter {_percent(three)} or more{blind}",
        Reference(f"overlap --top {k}", "overlap", {"tops": str(k)}),
        figures,
    )


def in_common(found: Shares) -> Finding | str:
    """Return how often a neighbor is the same word, or begins with the same letters; else why not."""
    word, letters = ({each: of[trait] for each, of in found.found.items()} for trait in ("word", "letters"))
    chance = [found.chance[trait] for trait in ("word", "letters")]
    if any(math.isnan(each.share) for of in (word, letters) for each in of.values()) or any(map(math.isnan, chance)):
        return "no token here has a word's text to have in common with another"
    both, trained = (
        {
            each: f"{100 * of['word'].share:.1f} and {_percent(of['letters'].share)}"
            for each, of in counted.found.items()
        }
        for counted in (found.every, found.trained)
    )
    first, *others = both
    beside = ", ".join(f"{both[each]} by {BY[each]}" for each in others)
    alone = ", ".join(f"{trained[each]} by {BY[each]}" for each in trained)
    among_trained = f"; among the nearest trained tokens {alone}" if found.mixed else ""
    spans = [f"{_span(letters[each].low, letters[each].high)} by {BY[each]}" for each in letters]
    figures = {
        f"{trait}_{whose}{each.value}": Figure(of[trait].share, of[trait].low, of[trait].high)
        for whose, counted in (("", found.every), ("trained_", found.trained))
        for trait in ("word", "letters")
        for each, of in counted.found.items()
    }
    by_chance = {f"{trait}_chance": Figure(each) for trait, each in zip(("word", "letters"), chance, strict=True)}
    return Finding(
        "in common",
        f"Of a token's {found.k} nearest by {BY[first]} {_percent(word[first].share)} are the same word in another "
        f"form and {_percent(letters[first].share)} begin with the same letters ({beside}){among_trained}; "
        f"of random tokens {100 * chance[0]:.2f} and {100 * chance[1]:.2f} %",
        both[first],
        f"95 % of draws of tokens give for the letters {listed(spans)}",
        "what looks alike is not what means the same, and few untrained tokens decide much of the causal lists",
        Reference("shares", "shares", {"top": str(found.k)}),
        figures | by_chance,
    )


def judged(found: SetResult) -> Finding | str:
    """Return which geometry is nearest to people's judgments on a set, as far as the intervals tell them apart."""
    if found.covered < FEWEST_ITEMS:
        few = f"fewer than {FEWEST_ITEMS} tell nothing"
        return f"{found.covered:,} of its {found.items:,} {found.kind} are of tokens here, and {few}"
    figures = {view: _figure(found.figures[view]) for view in VIEWS}
    if any(math.isnan(figures[view].value) for view in MAIN):
        return "people's scores, or those of a geometry, are all the same"
    first, *others = sorted(MAIN, key=lambda view: -figures[view].value)
    level = [view for view in others if not _nearer(found, first, view)]
    pairs = found.sections is None
    shown = {view: _shown(figures[view], pairs=pairs) for view in VIEWS}
    best = listed([BY[view.geometry] for view in (first, *level)])
    one = not level
    how = f"{'agrees' if one else 'agree'} best with human similarity"
    if not pairs:
        how = f"{'gets' if one else 'get'} the most analogies right"
    told = "" if not level else ", not told apart"
    against = [f"{shown[view]} by {BY[view.geometry]}" for view in others]
    unit = "rho " if pairs else ""
    at_mean = [f"{shown[view]} by {BY[view.geometry]}" for view in VIEWS if view.centered]
    rivals = f"angles are taken at zero; at the mean row: {listed(at_mean)}"
    rivals += "".join(
        f"; of unit rows {_shown(_figure(of.unit_rows), pairs=pairs)} by {view.label}"
        for view, of in found.figures.items()
        if isinstance(of, QuestionFigures) and of.unit_rows is not None and view.geometry is Geometry.COSINE
    )
    kind = "pairs of words" if pairs else "questions"
    return Finding(
        found.name,
        f"On {found.name} {best} {how}{told}: {unit}{shown[first]}, against {listed(against)}",
        shown[first],
        f"[from, to] holds 95 % of draws of pairs of words, over {found.covered:,} of {found.items:,} {kind}; best: "
        "the interval of its difference to each other one, on the same draws, leaves zero out",
        f"{rivals}. Counted are words of one token: English, and frequent",
        Reference("evaluate", "evaluate", {"form": "space"}),
        {view.key: figure for view, figure in figures.items()},
    )


def _figure(found: Figures) -> Figure:
    value = found.spearman if isinstance(found, PairFigures) else found.top1
    return Figure(value, found.low, found.high)


def _nearer(found: SetResult, first: View, other: View) -> bool:
    """Whether a view is nearer to people than another for certain: the interval of the difference leaves zero out."""
    for each in found.differences:
        if (each.of, each.over) == (first, other):
            return each.low > 0
        if (each.of, each.over) == (other, first):
            return each.high < 0
    return False


def _shown(figure: Figure, *, pairs: bool) -> str:
    if pairs:
        return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{_percent(figure.value)} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _span(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _hold(number: int) -> str:
    return "holds" if number == 1 else "hold"
