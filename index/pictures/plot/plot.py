"""`plot`: a token's neighborhood, the vocabulary, or several concepts, as a figure for a paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from index.answers.answer import Answer, Row
from index.answers.page import Block, Sentence
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, one_line, parameter
from index.files import placing, require
from index.measures.density import Rule
from index.pictures.numbers.beside import SeriesBeside, series_beside
from index.pictures.numbers.densities import all_densities
from index.pictures.numbers.series import neighborhood_series, titled
from index.pictures.numbers.vocabulary_series import VocabularySeries, vocabulary_series
from index.questions.asking.beside import BesideBundle, notes_beside
from index.questions.asking.parameters import (
    CAUSAL_AND_COSINE,
    OTHERS,
    Among,
    DensityK,
    DensityRuleOrUsual,
    Geometries,
    Overwrite,
    Without,
)
from index.questions.asking.question import Doc
from index.questions.concept.concept import LEAST_RANDOM, concept
from index.questions.concept.concepts import Concepts
from index.questions.densest import densest
from index.questions.neighbors import Neighborhood, neighbors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from index.pictures.plot.fonts import Typeface

DENSEST, VOCABULARY, CONCEPTS = "densest", "vocabulary", "concepts"
"""What a figure can be of, besides a token."""

FORMATS = (".png", ".svg", ".pdf")

Drawn = Neighborhood | VocabularySeries | Concepts
"""What figures are of."""

LISTED = 8
"""How many characters a note names before it counts the rest."""


@dataclass(frozen=True)
class Plotted(Answer):
    """What was drawn."""

    paths: tuple[Path, ...]  # the files, in the order of what was asked; one PDF holds a page for each
    missing: frozenset[str]  # characters that no font here has, drawn as escapes
    packages: tuple[str, ...]  # of Debian, with fonts that have most characters
    notes: tuple[str, ...] = ()  # what keeps what stands beside from being a control

    columns: ClassVar = {"path": str, "bytes": int}

    @property
    def note(self) -> str | None:
        """What stands beside, if it is no control; which characters are drawn as escapes, and what to install."""
        if not self.missing:
            return " ".join(self.notes) or None
        listed = ", ".join(f"U+{ord(character):04X}" for character in sorted(self.missing)[:LISTED])
        more = f" and {len(self.missing) - LISTED} more" if len(self.missing) > LISTED else ""
        fonts = (
            f"note: no font here has {listed}{more}; they are drawn as escapes. "
            f"Fonts that have most characters are in the Debian packages {', '.join(self.packages)}"
        )
        return " ".join([*self.notes, fonts])

    def rows(self) -> list[Row]:
        """Return one record for each file."""
        return [{"path": str(path), "bytes": path.stat().st_size} for path in self.paths]

    def json(self) -> dict[str, Any]:
        """Return the files, and the characters that are drawn as escapes."""
        return {"files": self.rows(), "missing": sorted(self.missing)}

    def page(self) -> list[Block]:
        """Return the files, a line each."""
        return [Sentence(one_line(str(path))) for path in self.paths]


def plot(
    bundle: Bundle,
    asked: Annotated[
        list[str],
        Doc(
            "The densest token, the whole vocabulary, the cosines between concepts, or tokens as in `neighbors`; one "
            "called 'densest', 'vocabulary' or 'concepts' by its #id.",
            metavar="densest|vocabulary|concepts|TOKEN...",
        ),
    ],
    *,
    out: Annotated[
        Path,
        Doc(
            ".png, .svg or .pdf. Of several tokens, a .pdf has several pages, and words.png becomes words-ID.png.",
            metavar="FILE",
        ),
    ],
    top: Annotated[
        int | None, Doc("Length of the neighbor lists; not of the vocabulary.", default="30, or all"), OTHERS
    ] = None,
    density_k: DensityK = None,
    rule: DensityRuleOrUsual = None,
    geometries: Geometries = CAUSAL_AND_COSINE,
    among: Among = None,
    without: Without = None,
    beside: BesideBundle = None,
    pairs: Annotated[
        tuple[Path, ...] | None,
        Doc(
            "concepts: a file of word pairs, as in `concept`; may be given again.",
            metavar="FILE",
            default="the sections of the analogies that gensim carries",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> Plotted:
    """Draw a token's neighborhood, the vocabulary or concepts as one figure of several panels. Needs the extra `plot`.

    Scripts that matplotlib's own font lacks need fonts of the system: on Debian fonts-noto-core, fonts-noto-cjk and
    fonts-symbola.

    Example: uv run --extra plot query.py plot planet --out planet.png

    The same answers give the same bytes, on a machine with the same fonts.
    """
    require("matplotlib", extra="plot", command="plot")
    from index.pictures.plot.fonts import PACKAGES

    _check_asked(asked, out, pairs, of_lists=(top, among, without) != (None, None, None))
    settings: dict[str, Any] = {"density_k": density_k, "geometries": geometries}
    lists = {**settings, "top": top, "among": among, "without": without}
    answers = [
        vocabulary_series(bundle, rule=rule or Rule.DISTINCT, beside=beside, **settings)
        if question == VOCABULARY
        else _concepts(bundle, pairs)
        if question == CONCEPTS
        else densest(bundle, rule=rule or Rule.NOTEBOOK, **lists).neighborhood
        if question == DENSEST
        else neighbors(bundle, question, rule=rule or Rule.DISTINCT, **lists)
        for question in asked
    ]
    paths, missing = draw(bundle, answers, out, beside=beside, overwrite=overwrite)
    return Plotted(paths, missing, PACKAGES, () if beside is None else tuple(notes_beside(bundle, beside)))


def _check_asked(asked: list[str], out: Path, pairs: tuple[Path, ...] | None, *, of_lists: bool) -> None:
    """Raise ParameterError for what does not go together; `of_lists` says that something is said of neighbor lists."""
    if out.suffix.lower() not in FORMATS:
        raise ParameterError(
            f"{parameter('out')} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, got: {out.name}"
        )
    of_all = next((each for each in asked if each in (VOCABULARY, CONCEPTS)), None)
    if of_all is not None and of_lists:
        raise ParameterError(
            f"plot {of_all} is of all tokens and has no lists; leave {parameter('top')}, {parameter('among')} and "
            f"{parameter('without')} out"
        )
    if pairs and CONCEPTS not in asked:
        raise ParameterError(f"{parameter('pairs')} goes with plot {CONCEPTS}, which is not asked for")


def _concepts(bundle: Bundle, pairs: tuple[Path, ...] | None) -> Concepts:
    """Return the concepts of files, with the cosines between them; ParameterError for fewer than two."""
    found = concept(bundle, pairs, top=1, random=LEAST_RANDOM)
    if len(found.concepts) < 2:
        raise ParameterError(
            f"plot {CONCEPTS} compares concepts, and {parameter('pairs')} gives one; pass another file"
        )
    if found.refusal is not None:
        raise ParameterError(found.refusal)
    return found


@dataclass(frozen=True)
class _Page:
    """A figure to draw."""

    name: str  # what its file is called by
    texts: list[str]  # those that come from data
    draw: Callable[[Typeface], Figure]


def draw(
    bundle: Bundle,
    answers: Sequence[Drawn],
    out: Path,
    *,
    beside: Bundle | None = None,
    overwrite: bool = False,
) -> tuple[tuple[Path, ...], frozenset[str]]:
    """Draw answers, one figure each; return the files, and the characters that no font here has, drawn as escapes.

    The suffix of `out` says the format. Of several answers a PDF has several pages; for the other formats `words.png`
    becomes `words-9966.png`, by the id of each token, `words-vocabulary.png` or
    `words-concepts.png`. ParameterError when a token has two
    figures but no PDF, or a file is there or cannot be written.
    """
    from index.pictures.plot import fonts, paper

    pages = _pages(bundle, answers, beside)
    typeface = fonts.typeface(text for page in pages for text in page.texts)
    if len(pages) == 1 or out.suffix.lower() == ".pdf":
        targets = [out]
    else:
        targets = [out.with_name(f"{out.stem}-{page.name}{out.suffix}") for page in pages]
        if len(set(targets)) < len(targets):
            raise ParameterError("two answers are of one token, and so are their files; ask once, or draw a .pdf")
    with placing(targets, overwrite=overwrite, manifest=MANIFEST) as paths, paper.look(typeface):
        if out.suffix.lower() == ".pdf":
            from matplotlib.backends.backend_pdf import PdfPages  # takes as long to load as a figure to draw

            with PdfPages(paths[0], metadata={"CreationDate": None}) as file:
                for page in pages:
                    file.savefig(paper.outline(page.draw(typeface), typeface))
        else:
            dateless = {"Date": None} if out.suffix.lower() == ".svg" else None
            for page, path in zip(pages, paths, strict=True):
                paper.outline(page.draw(typeface), typeface).savefig(path, metadata=dateless)
    return tuple(targets), typeface.missing


def _pages(bundle: Bundle, answers: Sequence[Drawn], beside: Bundle | None) -> list[_Page]:
    from index.pictures.plot import concepts, neighborhood, vocabulary

    densities = cache(partial(all_densities, bundle))
    others: list[SeriesBeside | None] = []
    pages = []
    for answer in answers:
        if isinstance(answer, VocabularySeries):
            draw = partial(vocabulary.vocabulary_figure, answer, bundle)
            pages.append(_Page("vocabulary", vocabulary.texts_drawn(bundle, answer.beside), draw))
            continue
        if isinstance(answer, Concepts):
            draw = partial(concepts.concepts_figure, answer, titled(bundle))
            pages.append(_Page(CONCEPTS, concepts.texts_drawn(answer, titled(bundle)), draw))
            continue
        known = densities(next(iter(answer.lists)), Rule.DISTINCT, answer.density_k)
        if not others:  # of all figures alike: they have the same geometries, lists and k
            first, second = answer.lists
            others.append(series_beside(bundle, beside, (first, second), known, answer.among))
        series, name = neighborhood_series(bundle, answer, known, others[0]), titled(bundle)
        draw = partial(neighborhood.neighborhood_figure, series, answer, name)
        pages.append(_Page(str(answer.token.id), neighborhood.texts_drawn(series, answer, name), draw))
    return pages
