"""`compare`: two bundles side by side, and their report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.files import require_free
from index.pictures.page.compare_page import require_libraries, write_page
from index.progress import Progress, silent
from index.questions.asking.parameters import KEPT, TOKENS, Overwrite
from index.questions.asking.question import Doc
from index.questions.compare.compared import LISTED, compare_bundles
from index.questions.compare.comparison import Comparison


def compare(
    bundle: Bundle,
    other: Annotated[
        Bundle,
        Doc(
            "The bundle to compare with: its folder, or its name.",
            metavar="B",
            on_page="The bundle to compare with, of those in the same folder.",
        ),
    ],
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
    by_token: Annotated[
        bool, Doc("In CSV, Parquet and DataFrames: a row for each shared token, instead of each geometry and length.")
    ] = False,
    out: Annotated[
        Path | None, Doc("An HTML file for all this, with charts. Needs the extra `report`.", metavar="FILE")
    ] = None,
    overwrite: Overwrite = False,
    progress: Progress = silent,
) -> Comparison:
    """What became of a vocabulary from one bundle to another: rows, twins, neighbor lists, figures, metrics.

    Tokens are matched by text and kind. Lists are compared over the tokens that both have, exactly.

    Example: uv run query.py compare base instruct
    """
    if out is not None:
        require_libraries()
        require_free([out], overwrite=overwrite, manifest=MANIFEST)
    found = compare_bundles(bundle, other, tops, LISTED if listed is None else listed, progress, by_token=by_token)
    if out is not None:
        write_page(found, out, overwrite=overwrite)
    return found
