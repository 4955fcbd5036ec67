"""`plot`: what is drawn equals the answers, any token's text can be drawn, and the files are what they say."""

import re
import sys
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Built, Outcome, build, invoke
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from texts import WORST

import index
from index.api import OpenVocabulary
from index.geometry.maps import Geometry
from index.pictures.numbers.series import NeighborhoodSeries, neighborhood_series
from index.pictures.numbers.vocabulary_series import vocabulary_series
from index.pictures.page.charts import neighborhood_charts
from index.pictures.plot import fonts, paper
from index.pictures.plot.fonts import Typeface
from index.pictures.plot.neighborhood import SPOT, neighborhood_figure, texts_drawn
from index.pictures.plot.plot import draw
from index.pictures.plot.vocabulary import vocabulary_figure
from index.questions.neighbors import Neighborhood
from index.tokens.display import display


def figures(found: Neighborhood, name: str, vocabulary: OpenVocabulary) -> tuple[Figure, NeighborhoodSeries]:
    series = neighborhood_series(vocabulary, found)
    typeface = fonts.typeface(texts_drawn(series, found, name))
    with paper.look(typeface):
        return neighborhood_figure(series, found, name, typeface), series


@pytest.fixture(scope="module")
def vocabulary(smollm2: Built) -> OpenVocabulary:
    return index.open(smollm2.path)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty vectors: twins, a zero row, and as many neighbors kept as there are."""
    rows = np.random.default_rng(8).normal(size=(40, 4))
    rows[10:20] = rows[10]
    rows[39] = 0
    folder = tmp_path_factory.mktemp("plot")
    np.save(folder / "gamma.npy", rows)
    build(folder / "gamma.npy", "--out", folder / "bundle", "--neighbors", 39, "--density-k", 5)
    return folder / "bundle"


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """Matplotlib warns of each glyph it misses."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def refused(*arguments: object) -> str:
    done = invoke("query.py", "plot", *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    return done.err


def lines(axes: Axes, *, marker: str = "None", fill: str | None = None) -> list[tuple[list[float], list[float]]]:
    """The data of the lines that have this marker, those of keys left out."""
    return [
        (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for line in axes.lines
        if line.get_marker() == marker and fill in (None, line.get_markerfacecolor())
    ]


def line(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    (found,) = (line for line in axes.lines if str(line.get_label()).split(":")[0] == label)
    return list(map(float, found.get_xdata())), list(map(float, found.get_ydata()))


def said(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


# --- what is drawn ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["planet", "#7"])
def test_distances_are_those_of_the_lists(token: str, vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors(token)
    figure, _ = figures(found, "smollm2", vocabulary)
    for axes, (geometry, listed) in zip(figure.axes[:2], found.lists.items(), strict=True):
        every = [(neighbor.rank, neighbor.distance) for neighbor in listed]
        (curve,) = lines(axes)
        assert list(zip(*curve, strict=True)) == every
        hollow, full = lines(axes, marker="o", fill="white"), lines(axes, marker="o")
        assert list(zip(*hollow[0], strict=True)) == [
            (neighbor.rank, neighbor.distance) for neighbor in listed if neighbor.tied
        ]
        assert sorted(pair for part in full for pair in zip(*part, strict=True)) == every
        (band,) = axes.collections
        resolution = vocabulary.spaces[geometry].resolution
        top = {(x, y) for x, y in band.get_paths()[0].vertices.tolist()}
        assert {(rank, distance + resolution) for rank, distance in every} <= top
        assert {(rank, distance - resolution) for rank, distance in every} <= top


@pytest.mark.parametrize("token", ["planet", "#7"])
def test_overlaps_are_those_of_the_questions(token: str, vocabulary: OpenVocabulary) -> None:
    figure, _ = figures(vocabulary.neighbors(token), "smollm2", vocabulary)
    axes = figure.axes[2]
    lengths, percents = line(axes, "overlap")
    assert lengths == list(range(1, 100))
    for k in (1, 2, 10, 30, 99):
        agreed = vocabulary.neighbors(token, top=k).overlap
        assert agreed is not None
        assert percents[k - 1] == pytest.approx(agreed.percent)
        vertices = axes.collections[0].get_paths()[0].vertices
        at_k = [y for x, y in vertices.tolist() if x == k]
        assert [min(at_k), max(at_k)] == pytest.approx([100 * agreed.lowest / k, 100 * agreed.highest / k])
    assert line(axes, "chance")[1] == pytest.approx([100 * k / 49_151 for k in lengths])
    assert line(axes, "k = 30") == ([30], [percents[29]])


def test_density_in_the_histogram(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors("planet")
    figure, series = figures(found, "smollm2", vocabulary)
    axes = figure.axes[3]
    assert [bar.get_height() for bar in axes.patches] == series.densities.counts.tolist()
    assert [bar.get_x() for bar in axes.patches] == series.densities.edges[:-1].tolist()
    assert sum(bar.get_height() for bar in axes.patches) == 49_152
    assert line(axes, "this token")[0] == [found.density, found.density]
    lower = sum(value < found.density for value in series.densities.values.tolist())
    (words,) = (text for text in said(figure) if text.startswith(f"this token: {found.density:.4g}, denser than"))
    assert 0 <= 100 * lower / 49_152 - float(words.split()[-2]) < 0.001


def test_every_neighbor_in_both_geometries(vocabulary: OpenVocabulary) -> None:
    found = vocabulary.neighbors("planet")
    figure, _ = figures(found, "smollm2", vocabulary)
    axes = figure.axes[4]
    shared = {each.token.row for each in found.shared}
    for label, rows in (
        ("in both lists", shared),
        ("causal only", {each.token.row for each in found.lists[Geometry.CAUSAL]} - shared),
        ("cosine only", {each.token.row for each in found.lists[Geometry.COSINE]} - shared),
    ):
        x, y = line(axes, label)
        expected = []
        for row in rows:
            places = vocabulary.distance("planet", f"#{row}").to_pandas().set_index("geometry")
            expected.append((places["distance"]["causal"], places["similarity"]["cosine"]))
        assert sorted(zip(x, y, strict=True)) == [pytest.approx(pair, rel=1e-6) for pair in sorted(expected)]


def test_labels_are_shared_tokens_and_hide_nothing(vocabulary: OpenVocabulary) -> None:
    for token in ("planet", "#7", " the"):
        found = vocabulary.neighbors(token, top=60)
        figure, series = figures(found, "smollm2", vocabulary)
        axes = figure.axes[4]
        labels = [text for text in axes.texts if isinstance(text, Annotation) and text.get_fontsize() == paper.SMALL]
        marks = np.column_stack(points(series))
        typeface = fonts.typeface(series.union.texts)
        place = {
            f"{typeface.label(text)} {signs}".strip(): at
            for text, signs, at, both in zip(
                series.union.texts, series.union.signs, marks, series.union.shared, strict=True
            )
            if both
        }
        assert len(labels) >= 2
        boxes = [Text.get_window_extent(label) for label in labels]
        spans = np.ptp(marks, axis=0)
        for at, (label, box) in enumerate(zip(labels, boxes, strict=True)):
            named, counted = re.fullmatch(r"(.*?)(?: ?\(x (\d+)\))?", label.get_text()).groups()
            spot = np.array(label.xy)
            near = (np.abs(marks - spot) / spans <= 2 * np.array(SPOT)).all(axis=1)
            assert near.sum() >= int(counted or 1)
            if named:
                assert spot == pytest.approx(place[named])
            assert not any(box.overlaps(other) for other in boxes[:at])
            assert not any(box.contains(*mark) for mark in axes.transData.transform(marks))
            assert axes.get_window_extent().contains(box.x0, box.y0)
            assert axes.get_window_extent().contains(box.x1, box.y1)


def test_a_heap_is_counted(vocabulary: OpenVocabulary) -> None:
    """Thirty neighbors that look like two dots are thirty neighbors."""
    figure, _ = figures(vocabulary.neighbors("planet"), "smollm2", vocabulary)
    assert any(re.search(r"\(x 2\d\)$", text.get_text()) for text in figure.axes[4].texts)


def test_axes_end_where_measures_do(vocabulary: OpenVocabulary) -> None:
    """No distance is negative, and no cosine above 1; what an axis shows stands on the same one in a report."""
    found = vocabulary.neighbors("#7")
    figure, series = figures(found, "smollm2", vocabulary)
    for axes in figure.axes[:2]:
        assert axes.get_ylim()[0] == 0
    assert figure.axes[4].get_xlim()[0] == 0
    assert figure.axes[4].get_ylim()[1] == 1
    union = neighborhood_charts(series)[-1].specification
    layer = union["layer"][0]["encoding"]
    names = [layer[axis]["title"] for axis in ("x", "y")]
    assert names == [figure.axes[4].get_xlabel(), figure.axes[4].get_ylabel()]


@pytest.mark.parametrize("token", ["planet", "#7", " the"])
def test_no_line_strikes_a_note(token: str, vocabulary: OpenVocabulary) -> None:
    figure, _ = figures(vocabulary.neighbors(token, top=60), "smollm2", vocabulary)
    for axes in figure.axes[:2]:
        note = next(text for text in axes.texts if "resolution" in text.get_text())
        box = note.get_window_extent()
        line = axes.transData.transform(np.column_stack(axes.lines[0].get_data()))
        between = np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(line)])
        assert not any(box.contains(*at) for at in between)


def points(series: NeighborhoodSeries) -> tuple[list[float], list[float]]:
    union = series.union
    return union.distances[Geometry.CAUSAL].tolist(), union.similarities[Geometry.COSINE].tolist()


def test_the_vocabulary(vocabulary: OpenVocabulary) -> None:
    series = vocabulary_series(vocabulary)
    typeface = fonts.typeface([])
    with paper.look(typeface):
        figure = vocabulary_figure(series, vocabulary, typeface)
    density, norms, deciles, spectrum = (figure.axes[at] for at in (0, 1, 3, 4))
    assert [bar.get_height() for bar in density.patches] == series.densities.counts.tolist()
    (mesh,) = norms.collections
    cells = np.ma.filled(mesh.get_array(), 0)
    assert cells.sum() == 49_152
    assert cells.reshape(series.norms.counts.shape).tolist() == series.norms.counts.tolist()
    census = vocabulary.overlap()
    for top in (10, 30, 100):
        expected = [100 * decile.means[top] for decile in census.deciles]
        assert line(deciles, f"k = {top}") == (list(range(1, 11)), expected)
    report = vocabulary.spectrum()
    for label, expected in (("Cov(gamma)", report.covariance), ("M", report.metric)):
        x, y = line(spectrum, label)
        assert x == list(range(1, 577))
        assert (min(y), max(y), sum(y)) == pytest.approx((expected.lowest, expected.highest, expected.trace))


def test_a_zero_row_has_no_list_and_says_so(small: Path) -> None:
    bundle = index.open(small)
    figure, _ = figures(bundle.neighbors("#39", top=10), "small", bundle)
    texts = said(figure)
    assert "no other token has a place here" in texts
    assert "no overlap: one of the lists is empty" in texts
    assert "no neighbor has a place in both geometries" in texts
    turned, _ = figures(bundle.neighbors("#39", top=10, geometries=("cosine", "causal")), "small", bundle)
    assert any(text.startswith("this token has no density: its row is zero") for text in said(turned))
    for shown, empty in ((figure, 1), (turned, 0)):
        for place, axes in enumerate(shown.axes[:2]):
            assert any(tick.tick1line.get_visible() for tick in axes.yaxis.get_major_ticks()) == (place != empty)
        lower = shown.axes[1]  # the ranks stand below it, whichever strip has a list
        assert {tick.label1.get_visible() for tick in lower.xaxis.get_major_ticks()} == {True}
        assert ranks_between(lower.get_xticks(), 1, 10) == [2, 4, 6, 8, 10]
        assert lower.get_xlabel() == "rank"
        assert legend(shown.axes[3])[-1] == "all tokens"


def ranks_between(ticks: np.ndarray, low: int, high: int) -> list[float]:
    return [float(tick) for tick in ticks if low <= tick <= high]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


@pytest.mark.parametrize("top", [1, 2, 3])
def test_counts_and_ranks_have_no_fractions(top: int, small: Path) -> None:
    bundle = index.open(small)
    figure, _ = figures(bundle.neighbors("#0", top=top), "small", bundle)
    upper, lower, overlap, density, union = figure.axes
    for axis in (upper.xaxis, lower.xaxis, overlap.xaxis, density.yaxis):
        ticks = axis.get_major_locator()()
        assert len(ticks) >= 1
        assert all(float(tick).is_integer() for tick in ticks)
    series = vocabulary_series(bundle)
    typeface = fonts.typeface([])
    with paper.look(typeface):
        drawn = vocabulary_figure(series, bundle, typeface)
    counts, _, tokens, deciles, spectrum = drawn.axes
    for axis in (counts.yaxis, tokens.yaxis, deciles.xaxis, spectrum.xaxis):
        assert all(float(tick).is_integer() for tick in axis.get_major_locator()())
    assert len(union.get_legend().get_texts()) == sum(len(points[0]) > 0 for points in lines_with_points(union))


def test_lists_of_one(tmp_path: Path) -> None:
    """A line of one point is not drawn, and so not explained."""
    np.save(tmp_path / "gamma.npy", np.random.default_rng(4).normal(size=(3, 2)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 1, "--density-k", 1)
    bundle = index.open(tmp_path / "bundle")
    figure, _ = figures(bundle.neighbors("#1", top=1), "small", bundle)
    assert legend(figure.axes[0]) == ["apart"]
    assert legend(figure.axes[2]) == ["chance", "k = 1"]
    assert re.match(r"[01] of 1 neighbor in both lists", figure.texts[1].get_text())


def lines_with_points(axes: Axes) -> list[tuple[list[float], list[float]]]:
    return [*lines(axes, marker="o"), *lines(axes, marker="s")]


def test_the_band_is_explained_where_it_can_be_seen(small: Path) -> None:
    bundle = index.open(small)
    found = bundle.neighbors("#0", top=10)
    assert "± resolution" not in legend(figures(found, "small", bundle)[0].axes[0])
    bundle.spaces[Geometry.CAUSAL].resolution = 0.1
    assert "± resolution" in legend(figures(found, "small", bundle)[0].axes[0])


def test_the_line_below_the_title_has_no_marks_of_spaces(small: Path) -> None:
    bundle = index.open(small)
    typeface = fonts.typeface([])
    with paper.look(typeface):
        below = vocabulary_figure(vocabulary_series(bundle), bundle, typeface).texts[1].get_text()
    assert below.startswith("40 tokens x 4 · 39 neighbors kept · inverse of Cov(gamma)")
    assert "␣" not in below
    assert "␣" not in figures(bundle.neighbors("#0"), "small", bundle)[0].texts[1].get_text()


def test_tokens_without_text_are_told_apart(small: Path) -> None:
    bundle = index.open(small)
    found = bundle.neighbors("#12", top=9)
    figure, _ = figures(found, "small", bundle)
    assert figure.texts[0].get_text() == "#12"
    labels = {text.get_text() for text in figure.axes[4].texts if isinstance(text, Annotation)} & set(said(figure))
    named = {label for label in labels if label.startswith("#")}
    assert named
    assert {label.split()[0] for label in named} <= {
        f"#{each.token.id}" for listed in found.lists.values() for each in listed
    }


def test_norms_that_are_level_are_seen(tmp_path: Path) -> None:
    """Cells as high as a line of the panel, not as rounding."""
    np.save(tmp_path / "gamma.npy", np.eye(8))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 4, "--density-k", 2)
    bundle = index.open(tmp_path / "bundle")
    typeface = fonts.typeface([])
    with paper.look(typeface):
        series = vocabulary_series(bundle, geometries=(Geometry.COSINE, Geometry.CAUSAL))
        norms = vocabulary_figure(series, bundle, typeface).axes[1]
    low, high = norms.get_ylim()
    assert np.ptp(norms.collections[0].get_coordinates()[:2, 0, 1]) > 0.01 * (high - low)


def test_nothing_but_ties(small: Path) -> None:
    """A twin among twins: every distance is 0, and it has its place in the histogram all the same."""
    bundle = index.open(small)
    for rule in ("notebook", "multiset"):
        figure, _ = figures(bundle.neighbors("#12", top=9, density_k=5, rule=rule), "small", bundle)
        (curve,) = lines(figure.axes[0])
        assert curve == (list(range(1, 10)), [0.0] * 9)
        assert lines(figure.axes[0], marker="o", fill="white") == [curve]
        assert not any("left out" in text for text in said(figure))  # by the rule 'distinct' it is in a bar
        assert legend(figure.axes[0]) == ["tied"]
        assert legend(figure.axes[3])[0].startswith("this token: ")
        assert legend(figure.axes[4]) == ["in both lists"]
        assert any("9 twins" in text for text in said(figure))


@pytest.mark.parametrize("rule", ["notebook", "multiset"])
def test_no_density_at_all(rule: str, tmp_path: Path) -> None:
    """Every row is a twin of every other."""
    np.save(tmp_path / "gamma.npy", np.ones((8, 3)))
    build(tmp_path / "gamma.npy", "--out", tmp_path / "bundle", "--neighbors", 7, "--density-k", 3)
    bundle = index.open(tmp_path / "bundle")
    figure, _ = figures(bundle.neighbors("#0", top=7, rule=rule), "twins", bundle)
    wanted = "no density to draw\nthis token has no distance to average\n8 with no distance to average left out"
    assert wanted in said(figure)
    draw(bundle, [vocabulary_series(bundle)], tmp_path / "twins.png")


# --- texts ------------------------------------------------------------------------------------------------------------


def test_every_token_has_a_label(vocabulary: OpenVocabulary) -> None:
    """Nothing that breaks a line, reorders its neighbors or opens a formula is left, and none is too wide."""
    texts = [vocabulary.vocabulary.display(row) for row in range(len(vocabulary))]
    typeface = fonts.typeface(texts)
    for text in texts:
        label = typeface.label(text)
        assert fonts.cell_len(label) <= fonts.LABEL_CELLS
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", label)
        assert not typeface.missing & set(label)


def test_what_no_font_has_is_an_escape() -> None:
    plain = Typeface(("DejaVu Sans",), frozenset("ก𒀀"))
    assert plain.label("aก𒀀") == "a\\u0e01\\U00012000"
    assert plain.label("a" * 24) == "a" * 24
    assert plain.label("a" * 25) == "a" * 23 + "…"
    assert plain.label("ก" * 5) == "\\u0e01" * 3 + "…"  # no escape is cut
    assert plain.label("中" * 13) == "中" * 11 + "…"
    assert plain.label("a  b c") == "a␣␣b c"
    assert plain.label("\u2068שלום\u2069") == "שלום"
    assert plain.label("\u2066י\\xd7\u2069") == "\\u05d9\\xd7"


def test_fonts_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", list)
    found = fonts.typeface(["aé", "中", "\u2068ש\u2069"])
    assert found == Typeface(("DejaVu Sans",), frozenset("中"))


def test_a_font_that_was_installed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts are looked for in files, not in the list that matplotlib keeps of an earlier day."""
    known = [font for font in fonts.font_manager.fontManager.ttflist if "Noto" not in font.name]
    monkeypatch.setattr(fonts.font_manager.fontManager, "ttflist", known)
    found = fonts.typeface(["ไทย"])
    if found.missing:
        pytest.skip("no font with Thai letters is installed here")
    assert set(found.families) <= {font.name for font in fonts.font_manager.fontManager.ttflist}


def worded(found: Neighborhood, texts: list[str]) -> Neighborhood:
    """The same answer, as if its tokens had these texts."""
    rows = sorted({neighbor.token.row for listed in found.lists.values() for neighbor in listed})
    text_of = dict(zip(rows, (texts * len(rows))[: len(rows)], strict=True))
    lists = {
        geometry: tuple(
            replace(neighbor, token=replace(neighbor.token, text=text_of[neighbor.token.row], piece=None))
            for neighbor in listed
        )
        for geometry, listed in found.lists.items()
    }
    return replace(found, token=replace(found.token, text=texts[0], piece=None), lists=lists)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.slow("draws every hostile text in a figure")
def test_the_worst_texts_are_drawn_as_text(suffix: str, small: Path, tmp_path: Path) -> None:
    """Each once as a title and, in turn, as a label; no warning, no markup, no formula."""
    bundle = index.open(small)
    found = bundle.neighbors("#0", top=28)
    answers = [worded(found, [*WORST[at:], *WORST[:at]]) for at in range(0, len(WORST), 4)]
    answers = [replace(answer, token=replace(answer.token, id=at)) for at, answer in enumerate(answers)]
    paths, _ = draw(bundle, answers, tmp_path / f"worst{suffix}")
    assert len(paths) == (1 if suffix == ".pdf" else len(answers))
    if suffix == ".svg":
        for path in paths:
            tags = {element.tag.split("}")[1] for element in ET.parse(path).getroot().iter()}
            assert tags <= {"svg", "metadata", "RDF", "Work", "type", "format", "creator", "Agent", "title", "defs",
                            "style", "g", "path", "use", "clipPath", "rect"}  # fmt: skip


@pytest.mark.parametrize("text", WORST)
def test_a_title_is_its_token(text: str, small: Path) -> None:
    """As the label function writes it, and never as a formula, though the name of the bundle asks for one, too."""
    bundle = index.open(small)
    found = worded(bundle.neighbors("#0", top=5), [text])
    series = neighborhood_series(bundle, found)
    typeface = fonts.typeface(texts_drawn(series, found, "$x^2$"))
    with paper.look(typeface):
        title, _, below = neighborhood_figure(series, found, "$x^2$", typeface).texts
        assert title.get_text() == typeface.label(display(text), cells=48)
        assert below.get_text().startswith("#0 in $x^2$")
        assert not title.get_parse_math()
        assert not below.get_parse_math()


def test_letters_are_not_joined_to_another_character(small: Path) -> None:
    """The ligature of f and i would look like the one character U+FB01: as a title, and as a label."""
    bundle = index.open(small)
    found = bundle.neighbors("#0", top=5)
    images = []
    for text in ("fi", "\ufb01"):
        series = neighborhood_series(bundle, worded(found, [text]))
        typeface = fonts.typeface([text])
        with paper.look(typeface):
            figure = neighborhood_figure(series, found, "small", typeface)
            figure.canvas.draw()
        images.append(np.asarray(figure.canvas.buffer_rgba()))
    differ = (images[0] != images[1]).any(axis=(1, 2))
    assert differ[:100].any()
    assert differ[-800:].any()


# --- files ------------------------------------------------------------------------------------------------------------


def drawn(*arguments: object) -> Outcome:
    done = invoke("query.py", "plot", *arguments)
    assert done.code == 0, done.err
    return done


def test_png(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "token.PNG"
    assert drawn("#3", "--top", 5, "--out", path, "--index", small).out == f"{path}\n"
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    size = (int.from_bytes(content[16:20]), int.from_bytes(content[20:24]))
    assert size == (int(paper.WIDTH * paper.DPI), int(paper.HEIGHT * paper.DPI))


def test_svg(small: Path, tmp_path: Path) -> None:
    drawn("#3", "--top", 5, "--out", tmp_path / "token.svg", "--index", small)
    root = ET.parse(tmp_path / "token.svg").getroot()
    assert (root.tag, root.get("width"), root.get("height")) == ("{http://www.w3.org/2000/svg}svg", "504pt", "396pt")


def test_pdf_has_a_page_for_each(small: Path, tmp_path: Path) -> None:
    drawn("#3", "#4", "densest", "vocabulary", "--out", tmp_path / "tokens.pdf", "--index", small)
    content = (tmp_path / "tokens.pdf").read_bytes()
    assert content.startswith(b"%PDF-1.")
    assert content.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 4
    assert b"/Type3" not in content


@pytest.mark.parametrize("text", ["planet", "中文字"])
def test_fonts_in_a_pdf_are_what_it_calls_them(text: str, small: Path, tmp_path: Path) -> None:
    """No font with PostScript outlines is embedded as TrueType, none is of Type 3, and plain texts can be copied."""
    bundle = index.open(small)
    path = draw(bundle, [worded(bundle.neighbors("#0", top=5), [text])], tmp_path / "text.pdf")[0][0]
    content = path.read_bytes()
    streams = [
        zlib.decompress(content[match.end() :]) if b"FlateDecode" in match[1] else content[match.end() :]
        for match in re.finditer(rb"<<((?:(?!>>).)*/Length1 .*?)>>\s*stream\r?\n", content, re.DOTALL)
    ]
    assert b"/Type3" not in content
    assert streams
    assert not any(stream.startswith((b"OTTO", b"ttcf")) for stream in streams)
    assert content.count(b"/ToUnicode") >= 1
    if text == "planet":
        assert not fonts.typeface([text]).outlined


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_bytes_again(suffix: str, small: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        drawn("#3", "--top", 5, "--out", tmp_path / f"{name}{suffix}", "--index", small)
    a, b = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert a == b
    assert not re.search(rb"CreationDate|dc:date", a)


def test_a_file_for_each_token(small: Path, tmp_path: Path) -> None:
    done = drawn("#3", "vocabulary", "#12", "--density-k", 5, "--out", tmp_path / "x.svg", "--index", small)
    names = ["x-3.svg", "x-vocabulary.svg", "x-12.svg"]
    assert done.out.splitlines() == [str(tmp_path / name) for name in names]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_what_is_there_stays(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.png"
    path.write_text("mine")
    assert "mine.png exists; pass --overwrite" in refused("#3", "--out", path, "--index", small)
    assert path.read_text() == "mine"
    drawn("#3", "--overwrite", "--out", path, "--index", small)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_wrong_use(small: Path, tmp_path: Path) -> None:
    assert "--out must end in .png, .svg or .pdf, got: x.jpg" in refused(
        "#3", "--out", tmp_path / "x.jpg", "--index", small
    )
    assert "got: x" in refused("#3", "--out", tmp_path / "x", "--index", small)
    out = tmp_path / "x.png"
    leave = "leave --top, --among and --without out"
    assert leave in refused("vocabulary", "--top", 3, "--out", out, "--index", small)
    assert "--top must be from 1 to 39" in refused("#3", "--top", 40, "--out", out, "--index", small)
    assert "no token has the id #77" in refused("#3", "#77", "--out", out, "--index", small)
    assert "two answers are of one token" in refused("#3", "#03", "--out", out, "--index", small)
    assert "lies in a bundle's folder" in refused("#3", "--out", small / "x.png", "--index", small)
    assert not list(tmp_path.iterdir())


def test_without_the_extra(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = refused("#3", "--out", tmp_path / "x.png", "--index", small)
    assert "`plot` needs matplotlib, which is not installed; run it as `uv run --extra plot query.py plot" in message


def test_missing_fonts_are_named(smollm2: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", list)
    done = drawn("#31933", "--top", 3, "--out", tmp_path / "thai.png", "--index", smollm2.path)
    assert "note: no font here has U+0E" in done.err
    assert "fonts-noto-core, fonts-noto-cjk, fonts-symbola" in done.err


def test_settings_reach_the_question(smollm2: Built, tmp_path: Path, vocabulary: OpenVocabulary) -> None:
    """What the command draws is what the library draws for the same question."""
    settings: dict[str, Any] = {
        "top": 12,
        "density_k": 7,
        "rule": "distinct",
        "geometries": ("cosine", "causal_cosine"),
    }
    found = vocabulary.densest(**settings, among="kind=word").neighborhood
    expected = draw(vocabulary, [found], tmp_path / "library.png")[0][0]
    options = ("--top", 12, "--density-k", 7, "--rule", "distinct", "--geometry", "cosine,causal-cosine")
    drawn("densest", *options, "--among", "kind=word", "--out", tmp_path / "x.png", "--index", smollm2.path)
    assert (tmp_path / "x.png").read_bytes() == expected.read_bytes()
