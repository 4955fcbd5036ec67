"""`compare`: two bundles side by side, and their report."""

from __future__ import annotations

from typing import Annotated

from index.bundle.bundle import Bundle
from index.questions.compared import LISTED, compare_bundles
from index.questions.comparison import Comparison
from index.questions.parameters import KEPT, TOKENS
from index.questions.question import Doc, Progress, silent


def compare(
    bundle: Bundle,
    other: Annotated[Bundle, Doc("The bundle to compare with: its folder, or its name.", metavar="B")],
    *,
    tops: Annotated[
        tuple[int, ...] | None,
        Doc("Lengths of the lists compared.", metavar="K,...", default="10,30,100 up to those kept", option="--top"),
        KEPT,
    ] = None,
    listed: Annotated[
        int | None,
        Doc("How many tokens that moved most, and least, to list.", default="10, or all", option="--tokens"),
        TOKENS,
    ] = None,
    progress: Progress = silent,
) -> Comparison:
    """What became of a vocabulary from one bundle to another: rows, twins, neighbor lists, figures, metrics.

    Tokens are matched by text and kind. Lists are compared over the tokens that both have, exactly.

    Example: uv run query.py compare base instruct
    """
    return compare_bundles(bundle, other, tops, LISTED if listed is None else listed, progress)
