"""Pictures beside a control draw what its stored lists say, and those of a control say what they are of."""

from pathlib import Path

import httpx
import numpy as np
import pytest
import smollm2_oracle
from browsing import request
from conftest import build, invoke
from matplotlib.axes import Axes
from report_pages import parsed

import index
from index.api import QUESTIONS, OpenVocabulary
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.pictures.explore.app import application
from index.pictures.numbers.beside import SeriesBeside, series_beside
from index.pictures.numbers.densities import all_densities
from index.pictures.numbers.series import neighborhood_series
from index.pictures.numbers.vocabulary_series import vocabulary_series
from index.pictures.page.report import html_report
from index.pictures.plot import fonts, paper
from index.pictures.plot.neighborhood import neighborhood_figure, texts_drawn
from index.pictures.plot.vocabulary import vocabulary_figure

CAUSAL_AND_COSINE = (Geometry.CAUSAL, Geometry.COSINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("beside")
    smollm2_oracle.build_small(folder)
    model = (folder / "gamma.npy", "--tokenizer", folder / "tokenizer")
    build(*model, "--out", folder / "control", "--control", "gaussian", "--seed", 3)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> OpenVocabulary:
    return index.open(folder / "bundle")


@pytest.fixture(scope="module")
def control(folder: Path) -> OpenVocabulary:
    return index.open(folder / "control")


@pytest.fixture(scope="module")
def series(model: OpenVocabulary, control: OpenVocabulary) -> SeriesBeside:
    found = series_beside(model, control, CAUSAL_AND_COSINE, all_densities(model, Geometry.CAUSAL, Rule.DISTINCT, 20))
    assert found is not None
    return found


def curve(axes: Axes, color: str) -> list[np.ndarray]:
    """The data of the lines of a color, (n, 2) each."""
    return [np.asarray(line.get_xydata()) for line in axes.lines if line.get_color() == color and len(line.get_xdata())]


def test_series_are_what_the_stored_lists_say(
    folder: Path, model: OpenVocabulary, control: OpenVocabulary, series: SeriesBeside
) -> None:
    for geometry in CAUSAL_AND_COSINE:
        distances = np.load(folder / "control" / f"{geometry.value}.distances.npy").astype(np.float64)
        np.testing.assert_allclose(series.ranks[geometry], distances.mean(axis=0), rtol=1e-12)
    first, second = (np.load(folder / "control" / f"{each.value}.ids.npy") for each in CAUSAL_AND_COSINE)
    lengths, means = series.means(30)
    assert lengths.tolist() == [10, 30]
    for k, mean in zip(lengths, means, strict=True):
        shared = [len({*a[:k]} & {*b[:k]}) / k for a, b in zip(first.tolist(), second.tolist(), strict=True)]
        assert mean == pytest.approx(np.mean(shared), abs=1e-12)
    # Bins go on as wide as the model's, so that the heights can be compared.
    own = all_densities(model, Geometry.CAUSAL, Rule.DISTINCT, 20).edges
    step = np.diff(np.log(own)).mean()
    assert np.diff(np.log(series.edges))[1:-1] == pytest.approx(step, rel=1e-6)
    distances = np.load(folder / "control" / "causal.distances.npy")[:, :20].astype(np.float64)
    densities = 1 / distances.mean(axis=1)
    assert (
        series.counts.sum() == len(control) == ((densities >= series.edges[0]) & (densities <= series.edges[-1])).sum()
    )
    middle = (series.edges[:-1] * series.edges[1:]) ** 0.5
    assert np.average(np.log(middle), weights=series.counts) == pytest.approx(np.log(densities).mean(), abs=step / 2)


def test_a_figure_of_a_token_draws_them(model: OpenVocabulary, series: SeriesBeside) -> None:
    found = model.neighbors("#40")
    drawn = neighborhood_series(model, found, beside=series)
    texts = texts_drawn(drawn, found, "bundle")
    assert texts[-1].endswith("control: control")
    typeface = fonts.typeface(texts)
    with paper.look(typeface):
        figure = neighborhood_figure(drawn, found, "bundle", typeface)
    ranks = [axes for axes in figure.axes if axes.get_ylabel() in ("logometers", "chord")]
    for axes, geometry in zip(ranks, CAUSAL_AND_COSINE, strict=True):
        (line,) = curve(axes, paper.BESIDE)
        assert (line == np.column_stack([np.arange(1, 31), series.ranks[geometry][:30]])).all()
        low, high = axes.get_ylim()
        assert low < line[:, 1].min() < line[:, 1].max() < high
    (overlaps,) = [axes for axes in figure.axes if axes.get_ylabel() == "shared, percent"]
    lengths, means = series.means(int(drawn.overlap.lengths[-1]))
    assert (curve(overlaps, paper.BESIDE)[0] == np.column_stack([lengths, 100 * means])).all()
    assert "control, mean" in [text.get_text() for text in overlaps.texts]
    (bars,) = [axes for axes in figure.axes if axes.get_ylabel() == "tokens"]
    assert "control" in [text.get_text() for text in bars.texts]


def test_a_figure_of_the_vocabulary_draws_them(model: OpenVocabulary, control: OpenVocabulary) -> None:
    series = vocabulary_series(model, beside=control)
    typeface = fonts.typeface(["bundle"])
    with paper.look(typeface):
        figure = vocabulary_figure(series, model, typeface)
    (spectrum,) = [axes for axes in figure.axes if axes.get_ylabel() == "eigenvalue"]
    (line,) = curve(spectrum, paper.BESIDE)
    wanted = np.linalg.eigvalsh(np.cov(np.asarray(control.gamma[:], np.float64).T, bias=True))[::-1]
    np.testing.assert_allclose(line[:, 1], wanted, rtol=1e-9)
    (deciles,) = [axes for axes in figure.axes if axes.get_xlabel().startswith("decile")]
    dotted = [np.asarray(each.get_ydata()) for each in deciles.lines if each.get_linestyle() == ":"]
    census = control.overlap()
    for line, top in zip(dotted, census.tops, strict=True):
        assert line.tolist() == [100 * decile.means[top] for decile in census.deciles]


def test_figures_of_a_control_and_beside_what_is_none_say_so(
    folder: Path, model: OpenVocabulary, control: OpenVocabulary, tmp_path: Path
) -> None:
    found = control.neighbors("#40")
    series = neighborhood_series(control, found)
    assert "a control (gaussian, seed 3)" in texts_drawn(series, found, "control, a control (gaussian, seed 3)")[-1]
    from index.pictures.plot.plot import _pages

    assert any("control, a control (gaussian, seed 3)" in text for text in _pages(control, [found], None)[0].texts)
    whole = vocabulary_series(control)
    assert any("a control (gaussian, seed 3)" in text for text in _pages(control, [whole], None)[0].texts)
    assert not any("control" in text for text in _pages(model, [model.neighbors("#40")], None)[0].texts)
    for name in ("plot", "report"):
        out = tmp_path / f"{name}.{'svg' if name == 'plot' else 'html'}"
        given = ("#40", "--index", folder / "control", "--beside", folder / "bundle", "--out", out)
        said = invoke("query.py", name, *given)
        assert said.code == 0
        assert "bundle is no control: its points are a model's" in said.err
        assert said.err.count("\n") == 1


def test_a_report_draws_them_and_says_what_stands_beside(
    model: OpenVocabulary, control: OpenVocabulary, series: SeriesBeside
) -> None:
    page = parsed(html_report(model, [model.neighbors("#40")], top=30, beside=control))
    assert any("random points with the mean length of the rows of" in each for each in page.paragraphs)
    charts = page.charts
    lines = [
        [layer for layer in chart["layer"] if layer["mark"].get("color") == "var(--beside)"]
        for chart in charts.values()
    ]
    by_rank, by_angle, overlaps, densities = (each[0]["data"]["values"] for each in lines if each)
    assert [each["distance"] for each in by_rank] == series.ranks[Geometry.CAUSAL][:30].tolist()
    assert [each["distance"] for each in by_angle] == series.ranks[Geometry.COSINE][:30].tolist()
    assert [each["share"] for each in overlaps] == series.means(100)[1].tolist()[: len(overlaps)]
    assert [each["tokens"] for each in densities] == series.counts.tolist()
    alone = parsed(html_report(control, [control.neighbors("#40")], top=30))
    assert alone.paragraphs[0].startswith("A control, no model: random points with the mean length of the rows of")
    plain = parsed(html_report(model, [model.neighbors("#40")], top=30))
    assert not any("ontrol" in each for each in plain.paragraphs)


def test_pages_of_explore_say_so_and_ask_for_what_stands_beside_by_name(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "indexes").mkdir(parents=True)
    (tmp_path / "data" / "indexes" / "made").symlink_to(folder / "control", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    banner = "A control, no model: random points with the mean length of the rows of"

    def get(bundle: str, address: str) -> httpx.Response:
        return request(application(folder / bundle, tmp_path / "no.map", QUESTIONS), address)

    for address in ("/", "/token/40", "/vocabulary", "/ask", "/ask/overlap?top=10", "/analogy"):
        assert banner in get("control", address).text, address
        assert banner not in get("bundle", address).text, address
    shown = get("bundle", "/ask/densest?top=10&beside=made")
    assert shown.status_code == 200
    assert "gaussian control" in shown.text
    for refused in ("../made", str(folder / "control"), "nothing"):
        answered = get("bundle", f"/ask/densest?beside={refused}")
        assert answered.status_code == 400, refused
        assert "Traceback" not in answered.text
    assert "is the name of a bundle on a page, not a folder" in get("bundle", "/ask/densest?beside=../made").text
