"""What the scripts of the map read: places, names, colorings and neighbors, under addresses that name their content."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from index.export.layout import set_apart
from index.geometry.maps import Geometry
from index.pictures.explore.colorings import Coloring
from index.pictures.explore.map import GEOMETRIES, VocabularyMap
from index.pictures.explore.opened import OpenedBundle
from index.questions.marks import suspect

IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
"""For what is served under an address that names its content."""

BYTES = "application/octet-stream"
LISTED = 30
"""Neighbors that a picked token is joined with."""


def points(request: Request, opened: OpenedBundle) -> Response:
    """Return every token's place on the first map, V abscissas and V ordinates (float32), and V token ids (int32)."""
    found = _map(request, opened)
    return Response(found.packed(next(iter(found.layouts))) + found.packed_ids(), media_type=BYTES, headers=IMMUTABLE)


def places(request: Request, opened: OpenedBundle) -> Response:
    """Return every token's place on one of the maps, V abscissas and V ordinates (float32)."""
    found, layout = _map(request, opened), request.path_params["layout"]
    if layout not in found.layouts:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such map")
    return Response(found.packed(layout), media_type=BYTES, headers=IMMUTABLE)


def names(request: Request, opened: OpenedBundle) -> Response:
    """Return the texts of all tokens as they are printed, and the rows in the order in which they are named.

    Of each map the rows that stand apart, in its disc of untrained tokens.
    """
    found, bundle = _map(request, opened), opened.vocabulary
    texts = [bundle.vocabulary.display(row) for row in range(len(bundle))]
    shown = [geometry for geometry in GEOMETRIES if geometry.label in found.layouts]
    apart = {geometry.label: set_apart(bundle, bundle.spaces[geometry]).tolist() for geometry in shown}
    return JSONResponse({"texts": texts, "order": opened.named_rows.tolist(), "apart": apart}, headers=IMMUTABLE)


def colorings(request: Request, opened: OpenedBundle) -> Response:
    """Return what tokens can be colored by."""
    _map(request, opened)
    return JSONResponse([each.described() for each in opened.colorings.values()], headers=IMMUTABLE)


def coloring(request: Request, opened: OpenedBundle) -> Response:
    """Return a byte for each token."""
    return Response(_coloring(request, opened).codes.tobytes(), media_type=BYTES, headers=IMMUTABLE)


def values(request: Request, opened: OpenedBundle) -> Response:
    """Return a number for each token (float64, NaN without one), of what tokens have numbers of."""
    found = _coloring(request, opened).values
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "these are no numbers")
    return Response(found.astype("<f8").tobytes(), media_type=BYTES, headers=IMMUTABLE)


def near(request: Request, opened: OpenedBundle) -> Response:
    """Return the rows of a token's nearest in both geometries, and which of them are untrained or hubs."""
    _map(request, opened)
    bundle, row = opened.vocabulary, request.path_params["row"]
    if row >= len(bundle):
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such token")
    lists = {geometry.label: _nearest(opened, geometry, row) for geometry in GEOMETRIES}
    suspects = suspect(bundle)
    doubted = sorted({each for rows in lists.values() for each in rows if suspects[each]})
    return JSONResponse({"lists": lists, "suspect": doubted}, headers=IMMUTABLE)


def _map(request: Request, opened: OpenedBundle) -> VocabularyMap:
    found = opened.map
    if found is None or request.path_params["fingerprint"] != found.fingerprint:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such map")
    return found


def _coloring(request: Request, opened: OpenedBundle) -> Coloring:
    _map(request, opened)
    found = opened.colorings.get(request.path_params["name"])
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "there is no such coloring")
    return found


def _nearest(opened: OpenedBundle, geometry: Geometry, row: int) -> list[int]:
    """Return the rows of the nearest other vectors; none for a row without a point."""
    space: Any = opened.vocabulary.spaces[geometry]
    if row in space.excluded:
        return []
    return [int(each) for each in space.distinct_ids[row][:LISTED] if each >= 0]
