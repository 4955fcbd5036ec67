"""Places in the plane for the points of a space: t-SNE on the exact graph of what training moved, the rest apart."""

from __future__ import annotations

import numpy as np

from index.bundle.bundle import Bundle, Space
from index.errors import ParameterError
from index.files import require
from index.geometry.blocks import row_blocks
from index.progress import Share
from index.search.subset import lists_within

LAYOUT = "t-SNE"
"""What lays points out; which others were measured stands in benchmarks/README.md."""

NEIGHBORS = 15
"""Of each point that are drawn to it, all alike: nearly what a perplexity of 30 gives (Böhm, Berens and Kobak 2022,
"Attraction-repulsion spectrum in neighbor embeddings"), with a fifth of the forces."""

FEWEST_POINTS = 5
STEPS = (250, 250)  # with clusters drawn together (van der Maaten and Hinton 2008, section 3.4), and as they are
_EXAGGERATION, _MOMENTUM = (12.0, 1.0), (0.5, 0.8)
_STEPS_TOGETHER = 10  # between two calls of `progress`
_FEW_POINTS = 10_000
"""Of fewer, forces are summed over a tree, which is faster than over a grid (openTSNE's own border), by one thread: the
order of sums is always the same."""
_SEED = 42
_GAP = 0.04  # between the layout and the untrained, of the layout's width
_SPREAD = 1e-4  # of the start, as scikit-learn and openTSNE have it


def require_layout(command: str, *, extra: str = "map", program: str = "query.py") -> None:
    """Raise ParameterError unless what the extra `map` brings is installed, which a command of a program wants."""
    require("openTSNE", extra=extra, command=command, program=program)


def enough_points(bundle: Bundle, space: Space) -> bool:
    """Whether a space has so many different points that they can be laid out."""
    return int(_points(bundle, space).sum()) >= FEWEST_POINTS


def laid_out(bundle: Bundle, space: Space) -> np.ndarray:
    """Return the rows that are laid out, ascending: of each point that training moved the first row.

    All points, where training moved fewer than `FEWEST_POINTS`. ParameterError where there are not so many at all.
    """
    points = _points(bundle, space)
    trained = points & ~np.asarray(bundle.untrained)
    rows = np.flatnonzero(trained if trained.sum() >= FEWEST_POINTS else points)
    if len(rows) < FEWEST_POINTS:
        raise ParameterError(f"a map needs {FEWEST_POINTS} different points, but {bundle.name} holds {len(rows)}")
    return rows


def set_apart(bundle: Bundle, space: Space) -> np.ndarray:
    """Return the rows that stand in the disc beside the layout, ascending: all with a point that is not laid out."""
    apart = ~np.isin(space.groups.first, laid_out(bundle, space))
    apart[list(space.excluded)] = False
    return np.flatnonzero(apart)


def lay_out(bundle: Bundle, space: Space, progress: Share = lambda share: None) -> np.ndarray:
    """Return a place for each token of a space, (V, 2) float32; NaN for rows without a point.

    The exact graph of `laid_out` is laid out, so that tokens of one point share their place. Untrained tokens are near
    everything, in no order, and would bend the rest: their points fill a disc beside it. The layout starts from gamma's
    two leading principal components, which keep the coarse order (Kobak and Linderman 2021, "Initialization is critical
    for preserving global data structure in both t-SNE and UMAP"). Nothing in it is drawn at random.
    ParameterError for too few points; openTSNE must be there.
    """
    rows = laid_out(bundle, space)
    placed = np.full((len(bundle), 2), np.nan, dtype=np.float32)
    placed[rows] = _layout(_neighbors(space, rows), _principal_components(bundle, rows), progress)
    others = _points(bundle, space)
    others[rows] = False
    placed[others] = _disc(placed[rows], int(others.sum()))
    places: np.ndarray = placed[space.groups.first]
    places[list(space.excluded)] = np.nan
    return places


def _points(bundle: Bundle, space: Space) -> np.ndarray:
    """Return which rows are the first of their point, (V,) bool."""
    points: np.ndarray = space.groups.first == np.arange(len(bundle))
    points[list(space.excluded)] = False
    return points


def _neighbors(space: Space, rows: np.ndarray) -> np.ndarray:
    """Return the nearest others of each row among these, (U, k), as places in `rows`."""
    k = min(NEIGHBORS, len(rows) - 1)
    lists = lists_within(space.lists, space.points, rows, k)
    found: np.ndarray = lists.distinct_ids[:, :k]
    return found


def _layout(neighbors: np.ndarray, start: np.ndarray, progress: Share) -> np.ndarray:
    """Return the places, (U, 2), of points of which each is drawn to its neighbors, (U, k)."""
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PrecomputedAffinities
    from scipy.sparse import csr_matrix

    U, k = neighbors.shape
    own = np.repeat(np.arange(U), k)
    drawn = csr_matrix((np.ones(U * k), (own, neighbors.ravel())), shape=(U, U))
    done, steps = 0, sum(STEPS)

    def report(step: int, error: float, places: np.ndarray) -> None:
        progress((done + step) / steps)

    layout = TSNEEmbedding(
        start * (_SPREAD / start[:, 0].std()),
        PrecomputedAffinities(drawn + drawn.T),
        negative_gradient_method="bh" if U < _FEW_POINTS else "fft",
        n_jobs=1 if U < _FEW_POINTS else -1,
        random_state=_SEED,
        callbacks=report,
        callbacks_every_iters=_STEPS_TOGETHER,
    )
    for count, exaggeration, momentum in zip(STEPS, _EXAGGERATION, _MOMENTUM, strict=True):
        layout = layout.optimize(count, exaggeration=exaggeration, momentum=momentum)
        done += count
    return np.asarray(layout)


def _disc(layout: np.ndarray, count: int) -> np.ndarray:
    """Return places that fill a disc beside a layout, (count, 2), as densely as it is filled: a sunflower's seeds."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    width, height = high - low
    radius = np.sqrt(width * height * count / len(layout) / np.pi)
    place = np.arange(count)
    angle = place * np.pi * (3 - np.sqrt(5))  # the golden angle
    seeds = radius * np.sqrt((place + 0.5) / count)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    center = (high[0] + _GAP * width + radius, low[1] + radius)
    places: np.ndarray = seeds + center
    return places


def _principal_components(bundle: Bundle, rows: np.ndarray) -> np.ndarray:
    """Return the two leading principal components of gamma, (U, 2) float64, of unit variance.

    They are the eigenvectors of M's smallest eigenvalues. Signs are fixed by the largest entry. Where all rows lie on
    a line, the second is drawn: places that begin on a line stay there.
    """
    metric = bundle.metric
    axes = np.linalg.eigh(metric.matrix)[1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    start = np.zeros((len(bundle), 2))
    for block, values in row_blocks(bundle.gamma):
        start[block, : axes.shape[1]] = (values - metric.mean) @ axes
    spread = start[rows].std(axis=0)
    drawn = np.random.default_rng(_SEED).normal(size=(len(rows), 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: np.ndarray = np.where(spread > 0, start[rows] / spread, drawn)
    return scaled
