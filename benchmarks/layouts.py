"""Which layout of a vocabulary keeps most of its neighborhoods, and what it costs.

uv run --group dev --with pacmap python benchmarks/layouts.py data/indexes/smollm2-135m

Tokens that training moved are laid out, twins as one, by their exact neighbors among each other: by t-SNE, by UMAP, and
by UMAP of other graphs: of mutual neighbors only, of those that are nearest once hubs are corrected for (CSLS, mutual
proximity), and of causal cosines. `whole` leaves the untrained in. Each is judged by the 15 and 100 nearest in the
causal metric: the share kept, trustworthiness and continuity. Seconds are of the processor.
"""

import argparse
import resource
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import index
from index.bundle.bundle import Bundle, Space
from index.export.layout import _layout, _principal_components, laid_out
from index.measures.layout import kept_shares, nearest_places, neighborhood_scores
from index.measures.scaling import CSLS_NEIGHBORS, farness, moments
from index.search.queries import nearest_points
from index.search.ranks import plane_ranks, ranks_of
from index.search.subset import lists_within

SIZES = (15, 100)
NEAR = 14  # of each point, beside itself: UMAP's default
WIDE = 60  # among which the nearest by another measure are looked for


class Laid:
    """The points that are laid out, and their nearest."""

    def __init__(self, bundle: Bundle, space: Space, rows: np.ndarray) -> None:
        self.points = np.asarray(space.points[rows])  # (U, D)
        lists = lists_within(space.lists, space.points, rows, WIDE)
        self.near, self.distances = lists.distinct_ids[:, :WIDE], lists.distinct_distances[:, :WIDE]
        self.start = _principal_components(bundle, rows)


def tsne(laid: Laid, k: int = 15) -> np.ndarray:
    """The layout that is drawn, with k neighbors drawn to each point."""
    return _layout(laid.near[:, :k], laid.start, lambda share: None)


def umap(laid: Laid, near: np.ndarray | None = None, distances: np.ndarray | None = None, **options) -> np.ndarray:
    """UMAP of the exact graph, or of another."""
    from umap import UMAP

    near = laid.near[:, :NEAR] if near is None else near
    distances = laid.distances[:, :NEAR] if distances is None else distances
    own = np.arange(len(near), dtype=np.int32)[:, None]
    pair = (
        np.concatenate([own, near], axis=1),
        np.concatenate([np.zeros_like(own), distances], axis=1, dtype=np.float32),
    )
    start = laid.start.astype(np.float32)
    reducer = UMAP(
        n_neighbors=near.shape[1] + 1, precomputed_knn=pair, init=start, random_state=42, n_jobs=1, **options
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = np.asarray(reducer.fit_transform(start))
    without = np.isnan(places).any(axis=1)  # nothing is drawn to it: its nearest one's place
    places[without] = np.nan_to_num(places[laid.near[without, 0]])
    return places


def pacmap(laid: Laid) -> np.ndarray:
    """PaCMAP, with the exact neighbors for its own approximate ones."""
    from pacmap import PaCMAP

    k = 10
    pairs = np.stack([np.repeat(np.arange(len(laid.near)), k), laid.near[:, :k].ravel()], axis=1).astype(np.int32)
    reducer = PaCMAP(n_neighbors=k, pair_neighbors=pairs, random_state=42)
    return reducer.fit_transform(laid.points, init=laid.start.astype(np.float32))


def reordered(laid: Laid, far: np.ndarray) -> np.ndarray:
    """UMAP of the nearest by another measure of farness, (U, `WIDE`), with that for distances."""
    order = np.argsort(far, axis=1, kind="stable")[:, :NEAR]
    near, apart = (np.take_along_axis(each, order, axis=1) for each in (laid.near, far - far.min()))
    return umap(laid, near, apart)


def csls(laid: Laid) -> np.ndarray:
    """Farness as CSLS has it."""
    squared = laid.distances.astype(np.float64) ** 2
    mean = squared[:, :CSLS_NEIGHBORS].mean(axis=1)
    return reordered(laid, squared - (mean[:, None] + mean[laid.near]) / 2)


def mutual_proximity(laid: Laid) -> np.ndarray:
    """Farness as mutual proximity has it."""
    squared = laid.distances.astype(np.float64) ** 2
    mean, deviation = moments(laid.points, np.ones(len(laid.points)))
    there, back = ((squared - mean[at]) / deviation[at] for at in (np.arange(len(mean))[:, None], laid.near))
    return reordered(laid, farness(there) + farness(back))


class Judge:
    """What a layout keeps of the neighborhoods of some rows, `drawn` of them or all, in the causal metric."""

    def __init__(self, bundle: Bundle, rows: np.ndarray, drawn: int | None) -> None:
        self.points = np.asarray(bundle.causal.points[rows])
        U = len(rows)
        self.drawn = np.sort(np.random.default_rng(42).permutation(U)[:drawn])
        self.true = nearest_points(self.points, np.arange(U), self.points[self.drawn], SIZES[-1] + 1)[0][:, 1:]

    def figures(self, places: np.ndarray) -> list[float]:
        """Return the share kept, trustworthiness and continuity, at 15 and then at 100."""
        near = nearest_places(places, SIZES[-1])[self.drawn]
        in_truth, on_map = ranks_of(self.points, self.drawn, near), plane_ranks(places, self.drawn, self.true)
        found = []
        for k in SIZES:
            found.append(kept_shares(self.true[:, :k], near[:, :k]).mean())
            found += [neighborhood_scores(ranks[:, :k], len(places)).mean() for ranks in (in_truth, on_map)]
        return found


Layout = Callable[[Laid], np.ndarray]
LAYOUTS: dict[str, tuple[str, Layout]] = {
    "t-SNE, 15 neighbors": ("causal", tsne),
    "t-SNE, 30 neighbors": ("causal", lambda laid: tsne(laid, 30)),
    "t-SNE, causal cosine": ("causal_cosine", tsne),
    "t-SNE, whole": ("whole", tsne),
    "UMAP": ("causal", umap),
    "UMAP, whole": ("whole", umap),
    "UMAP, mutual neighbors": ("causal", lambda laid: umap(laid, set_op_mix_ratio=0.0)),
    "UMAP, CSLS": ("causal", csls),
    "UMAP, mutual proximity": ("causal", mutual_proximity),
    "UMAP, causal cosine": ("causal_cosine", umap),
    "densMAP": ("causal", lambda laid: umap(laid, densmap=True)),
    "PaCMAP": ("causal", pacmap),
}
"""By their names: the graph, and what lays it out."""


def main() -> None:
    """Read the options and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--only", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--drawn", type=int, help="judge so many tokens of all; each costs a pass over the points")
    options = parser.parse_args()
    bundle = index.open(options.bundle)
    trained = laid_out(bundle, bundle.causal)
    whole = np.flatnonzero(bundle.causal.groups.first == np.arange(len(bundle)))
    judge = Judge(bundle, trained, options.drawn)
    print(f"{bundle.name}: {len(trained):,} points laid out, {len(judge.drawn):,} of them judged")
    print(f"{'':<26}{'':>8}  {'kept, trustworthiness, continuity at 15':<40}  at 100")
    for name in options.only:
        graph, lay = LAYOUTS[name]
        rows = whole if graph == "whole" else trained
        laid = Laid(bundle, bundle.causal_cosine if graph == "causal_cosine" else bundle.causal, rows)
        began = seconds()
        places = lay(laid)
        took = seconds() - began
        figures = judge.figures(places[np.searchsorted(rows, trained)])
        shown = ["   ".join(f"{each:.3f}" for each in part) for part in (figures[:3], figures[3:])]
        print(f"{name:<26}{took:>6.0f} s  {shown[0]:<40}  {shown[1]}", flush=True)


def seconds() -> float:
    """Return the seconds of the processor so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
