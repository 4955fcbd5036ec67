"""`shares` of a control: what comes of texts and ids is at chance, for these were dealt out; what comes of rows is not.

In a shuffled control every column was put in an order of its own, each order as likely as any other. So who has which
text, kind, script, class or id says nothing of where the points lie, and a neighbor has it in common as often as any
other token does: a 95 % interval holds chance 19 times in 20. Norms are the points' own. In many dimensions what lies
near the mean is near to all others, so the nearest by distance have shorter rows than random ones: no chance there.
"""

from pathlib import Path

import numpy as np
import oracles
import smollm2_oracle
import synthetic
from conftest import build, query
from numpy.typing import NDArray

from index.geometry.controls import shuffled_columns
from index.measures.shares import Trait, shares, token_draws

LABELS = ("word", "letters", "script", "kind", "class", "id", "twin")
GEOMETRIES = ("causal", "cosine", "causal_cosine")


def nearest(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.argsort(apart, axis=1)[:, :k]


def test_intervals_of_shuffled_controls_hold_chance_as_often_as_they_say() -> None:
    gamma, V = synthetic.gaussian(250, 10, seed=4), 250
    gamma[:30] += 5 * gamma.std(axis=0)  # a heap, of the first ids and of one kind, which a shuffle takes apart
    kinds = np.repeat(np.arange(5), 50)
    starts = np.arange(V) // 5
    traits = [Trait(kinds), Trait(starts), Trait(np.arange(V), V // 20)]
    chances = [trait.chance(np.arange(V)) for trait in traits]
    drawn = token_draws(V)
    own = shares(np.arange(V), nearest(oracles.unit_rows(gamma), 10), traits, drawn)
    assert all(sure.low > chance for (_, sure), chance in zip(own, chances, strict=True))
    held = []
    for seed in range(60):
        made = np.concatenate([block for _, block in shuffled_columns(gamma, seed)], axis=1)
        _, cov = oracles.covariance(made)
        points = oracles.causal_points(made, oracles.metric(cov, 1e-6)) if seed % 2 else oracles.unit_rows(made)
        found = shares(np.arange(V), nearest(points, 10), traits, drawn)
        held += [sure.low <= chance <= sure.high for (_, sure), chance in zip(found, chances, strict=True)]
    # Of 180, 95 % at the most likely; traits of one vocabulary hang together, so the spread is that of 60 or more.
    assert np.mean(held) >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 60)


def test_labels_are_at_chance_in_a_built_control_and_norms_are_not(tmp_path: Path) -> None:
    rows = smollm2_oracle.small_gamma()
    rows[100:160] *= 3  # long rows, as hubs make short ones: a shuffle keeps columns, and so what is long in them
    folder = smollm2_oracle.build_small(tmp_path, gamma=rows)
    model = (tmp_path / "gamma.npy", "--tokenizer", tmp_path / "tokenizer")
    build(*model, "--out", tmp_path / "shuffle", "--control", "shuffle", "--seed", 5)
    found = query("shares", "--index", tmp_path / "shuffle")
    out = [
        (geometry, trait)
        for geometry in GEOMETRIES
        for trait in LABELS
        if found["chance"][trait]["share"] and not within(found, geometry, trait)
    ]
    assert len(out) <= 3, out  # of 18 intervals at 95 %
    assert not within(found, "causal", "causal_norm")
    assert query("shares", "--index", folder)["chance"]["kind"] == found["chance"]["kind"]


def within(found: dict, geometry: str, trait: str) -> bool:
    share = found[geometry][trait]
    return bool(share["low"] <= found["chance"][trait]["share"] <= share["high"])
