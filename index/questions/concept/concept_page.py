"""What a person is shown of `concept`: figures of each, both ends of its axis, and the cosines between concepts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from index.answers.page import TEXT, Block, Column, Heading, Sentence, Table, Words, counted, facts, table
from index.questions.concept.concepts import Concept, Concepts, Parallel, Place
from index.questions.concept.directions import PROBE, STEERING, LeftOut, Product
from index.questions.lists.lists import among_facts
from index.questions.lists.marks import legend, signs
from index.tokens.display import display
from index.tokens.words import Case, WordForm

LISTED = 5
"""How many pairs that are left out are named."""

_FORMS = {
    WordForm.SPACE: "behind a space",
    WordForm.BARE: "without a space",
    WordForm.BEST: "behind a space, or bare",
}
_PRODUCTS = {Product.CAUSAL: "in M", Product.EUCLIDEAN: "in the plain inner product"}
_UNITS = {
    "causal": "rows as they are, in M",
    "euclidean": "rows as they are",
    "cosine": "rows made 1 long",
    "causal_cosine": "rows made 1 long, in M",
}


def page_of(answer: Concepts) -> list[Block]:
    """Return the blocks of an answer."""
    rows: list[tuple[str, Words]] = []
    if answer.concepts:
        spelled = "as written" if answer.case is Case.EXACT else "in any case"
        rows.append(("words", f"tokens {_FORMS[answer.form]}, {spelled}"))
    rows += among_facts(answer.among)
    if answer.saved is not None:
        rows.append(("saved", f"{display(answer.saved)}: {PROBE}, to measure with; {STEERING}, to add"))
    blocks: list[Block] = [facts(rows)] if rows else []
    for each in answer.concepts:
        blocks += _concept(each)
    listed = [place for each in answer.concepts for places in each.ends.values() for place in places]
    if listed:
        blocks += [Sentence(line, aside=True) for line in legend(mark for place in listed for mark in place.marks)]
    if any(each.kept for each in answer.concepts):
        blocks += [Sentence(line, aside=True) for line in _readings(answer)]
    if len(answer.concepts) > 1:
        blocks += _matrices(answer)
    if answer.parallel is not None:
        blocks += _parallel(answer.parallel, answer)
    return blocks


def _readings(answer: Concepts) -> Iterator[str]:
    yield (
        "mean: the mean cosine of each pair's difference with the direction of the other pairs; by chance: of random "
        "pairs with the same directions; effect: by how many of their standard deviations it is more; from, to: 95 % "
        f"by the jackknife; p: of {answer.random:,} sets of as many random pairs, each among themselves; mixed: the "
        "same words in other pairs"
    )
    if any(each.ends["toward"] for each in answer.concepts):
        origin = "the mean row" if answer.centered else "zero"
        yield (
            f"along: the causal inner product with the direction, in logometers, from {origin}; the pairs' own words "
            "are left out"
        )


def _concept(each: Concept) -> Iterator[Block]:
    grouped = f", in {counted(each.groups, 'group')} that share no word" if each.groups < each.kept else ""
    yield Heading(f"{display(each.name)}: {each.kept:,} of {counted(each.pairs, 'pair')} kept{grouped}")
    if each.left_out:
        yield Sentence(f"left out: {_left_out(each.left_out)}", aside=True)
    if not each.kept:
        return
    if each.groups > 1:
        yield table(
            ("", "mean", "by chance", "effect", "from", "to", "p", "mixed"),
            (
                (
                    product.value,
                    *(_figure(value, "{:.3f}") for value in (held.mean_cosine, held.random_cosine)),
                    *(_figure(value, "{:.1f}") for value in (held.effect, held.low, held.high)),
                    _figure(held.p, "{:.2g}"),
                    _figure(held.crossed_cosine, "{:.3f}"),
                )
                for product, held in each.held.items()
            ),
        )
    else:
        yield Sentence("one pair, or pairs that all share words, have nothing to be held against")
    if not each.ends["toward"]:
        yield Sentence("their differences cancel: there is no direction, or no token is left to list")
        return
    first, second = each.each[0].first, each.each[0].second
    yield Heading(f"Furthest along {display(each.name)}: away, as {_said(first)}, and toward, as {_said(second)}")
    yield _ends_table(each.ends["toward"], each.ends["away"])
    if (each.ends["toward_trained"], each.ends["away_trained"]) != (each.ends["toward"], each.ends["away"]):
        yield Heading("Without untrained tokens")
        yield _ends_table(each.ends["toward_trained"], each.ends["away_trained"])


def _said(token: object) -> str:
    text, piece = getattr(token, "text", None), getattr(token, "piece", None)
    return display(text, piece)


def _left_out(pairs: Sequence[LeftOut]) -> str:
    named = "; ".join(
        f"{display(pair.first)} - {display(pair.second)} ({display(pair.why)})" for pair in pairs[:LISTED]
    )
    more = f"; and {len(pairs) - LISTED:,} more" if len(pairs) > LISTED else ""
    return named + more


def _ends_table(toward: Sequence[Place], away: Sequence[Place]) -> Table:
    lines = [
        (
            end,
            str(place.rank),
            str(place.token.id),
            f"{place.along:.4f}",
            _figure(place.cosine, "{:.4f}"),
            signs(place.marks),
            place.token,
        )
        for end, places in (("toward", toward), ("away", away))
        for place in places
    ]
    return table(("", Column("rank", 4), "id", Column("along", 8), "cosine", "", TEXT), lines)


def _matrices(answer: Concepts) -> Iterator[Block]:
    names = [display(each.name) for each in answer.concepts]
    for product, matrix in answer.cosines.items():
        yield Heading(f"Cosines between the directions, {product.value} inner product")
        numbers = [str(number) for number in range(1, len(names) + 1)]
        yield table(
            ("", *numbers),
            (
                (f"{number} {name}", *(_figure(value, "{:.2f}") for value in line))
                for number, name, line in zip(numbers, names, matrix, strict=True)
            ),
        )
    said = [f"{mean:.3f} {_PRODUCTS[product]}" for product, mean in answer.between.items() if not math.isnan(mean)]
    if said:
        yield Sentence(f"Between different concepts a cosine is {' and '.join(said)} on average, whatever its sign.")


def _parallel(found: Parallel, answer: Concepts) -> Iterator[Block]:
    yield Heading("The cosine of two differences")
    sides: list[tuple[str, Words]] = []
    for name, terms in zip("ab", found.terms, strict=True):
        words: list[object] = []
        for sign, token in terms:
            words += [" + " if sign > 0 else " - "] * abs(sign)
            words[-abs(sign) :] = [part for _ in range(abs(sign)) for part in (words[-1], token)]
        sides.append((name, tuple(words)))  # type: ignore[arg-type]
    yield facts(sides)
    yield table(
        ("", "cosine", "p"),
        (
            (
                f"{name.replace('_', '-')}: {_UNITS[name]}",
                "undefined" if math.isnan(cosine) else f"{cosine:.4f}",
                _figure(found.p[name], "{:.2g}"),
            )
            for name, cosine in found.cosines.items()
        ),
    )
    origin = "the mean row" if answer.centered else "zero"
    yield Sentence(
        f"p: how often random tokens in their places are as parallel, of {answer.random:,} draws; rows made 1 long are "
        f"measured from {origin}",
        aside=True,
    )


def _figure(value: float, form: str) -> str:
    return "" if math.isnan(value) else form.format(value)
