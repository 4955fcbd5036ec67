"""Figures in files: PNG, SVG or PDF, made to stand in a paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from matplotlib.figure import Figure

from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError
from index.files import placing
from index.pictures.numbers.densities import all_densities
from index.pictures.numbers.series import neighborhood_series
from index.pictures.numbers.vocabulary_series import VocabularySeries
from index.pictures.plot import fonts, paper
from index.pictures.plot import neighborhood as plot_neighborhood
from index.pictures.plot import vocabulary as plot_vocabulary
from index.pictures.plot.fonts import Typeface
from index.questions.neighbors import Neighborhood


@dataclass(frozen=True)
class _Page:
    """A figure to draw: what its file is called by, its texts that come from data, and how to draw it."""

    name: str
    texts: list[str]
    draw: Callable[[Typeface], Figure]


def draw(
    bundle: Bundle, answers: Sequence[Neighborhood | VocabularySeries], out: Path, *, overwrite: bool = False
) -> tuple[tuple[Path, ...], frozenset[str]]:
    """Draw answers, one figure each; return the files, and the characters that no font here has, drawn as escapes.

    Parameters
    ----------
    bundle : Bundle
        The one that was asked.
    answers : sequence of Neighborhood or VocabularySeries
    out : Path
        Its suffix says the format. Of several answers a PDF has several pages; for the other formats `words.png`
        becomes `words-9966.png`, by the id of each token, or `words-vocabulary.png`.
    overwrite : bool
        Whether files that are there may be replaced.

    Raises
    ------
    ParameterError
        When a token has two figures but no PDF, or a file is there or cannot be written.
    """
    pages = _pages(bundle, answers)
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
                    file.savefig(page.draw(typeface))
        else:
            dateless = {"Date": None} if out.suffix.lower() == ".svg" else None
            for page, path in zip(pages, paths, strict=True):
                page.draw(typeface).savefig(path, metadata=dateless)
    return tuple(targets), typeface.missing


def _pages(bundle: Bundle, answers: Sequence[Neighborhood | VocabularySeries]) -> list[_Page]:
    densities = cache(partial(all_densities, bundle))
    pages = []
    for answer in answers:
        if isinstance(answer, VocabularySeries):
            draw = partial(plot_vocabulary.vocabulary_figure, answer, bundle)
            pages.append(_Page("vocabulary", plot_vocabulary.texts_drawn(bundle), draw))
            continue
        known = densities(next(iter(answer.lists)), answer.rule, answer.density_k)
        series = neighborhood_series(bundle, answer, known)
        draw = partial(plot_neighborhood.neighborhood_figure, series, answer, bundle.name)
        pages.append(_Page(str(answer.token.id), plot_neighborhood.texts_drawn(series, answer, bundle.name), draw))
    return pages
