"""Hidden states and directions: what reads logits off rows of gamma, and lives in the dual of their space.

A logit is the pairing <h, g> of a state h with a row g of gamma. With M = L L^T and C = M^-1,

    <h, g> = <L^-1 h, L^T g>,  |L^-1 h|^2 = h^T C h,  |L^T g|^2 = g^T M g,

so the angle of the pairing, <h, g> / (sqrt(h^T C h) sqrt(g^T M g)), is the one between L^-1 h and the point of g before
lengths are taken off: causal-cosine points are searched with the direction of L^-1 h.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from index.geometry.metric import Metric


class NormKind(StrEnum):
    """What a model's final norm does with its weight w."""

    RMS = "rms"  # h / rms(h) * w
    GEMMA = "gemma"  # h / rms(h) * (1 + w)
    LAYER = "layer"  # (h - mean(h)) / std(h) * w


def dual_directions(states: np.ndarray, metric: Metric) -> np.ndarray:
    """Return L^-1 h of each state (Q, D), made 1 long, float64; zero of a state without direction."""
    scale = np.abs(states).max(axis=1, keepdims=True)
    rows = np.linalg.solve(metric.factor, (states / np.where(scale > 0, scale, 1)).T).T
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: np.ndarray = rows / np.where(lengths > 0, lengths, 1)
    return directions


def normed(states: np.ndarray, weight: np.ndarray, kind: NormKind) -> np.ndarray:
    """Return what a final norm of this weight, (D,), makes of states (Q, D), float64, without its epsilon and bias.

    A state that the norm divides by 0 stays 0.
    """
    scale = np.abs(states).max(axis=1, keepdims=True)
    states = states / np.where(scale > 0, scale, 1)  # so that squares neither overflow nor vanish
    if kind is NormKind.LAYER:
        states = states - states.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(states).mean(axis=1, keepdims=True))
    states = states / np.where(lengths > 0, lengths, 1)
    found: np.ndarray = states * (1 + weight if kind is NormKind.GEMMA else weight)
    return found
