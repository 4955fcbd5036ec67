"""What the scripts of the map read: places, names, colorings and neighbors, under addresses that name their content."""

from __future__ import annotations

import base64
from collections.abc import Callable
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
from index.questions.lists.marks import suspect

IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}
"""For what is served under an address that names its content."""

BYTES = "application/octet-stream"
LISTED = 30
"""Neighbors that a picked token is joined with."""


class NotThereError(LookupError):
    """There is no map, coloring or token as is asked for."""


def points(opened: OpenedBundle) -> bytes:
    """Return every token's place on the first map, V abscissas and V ordinates (float32), and V token ids (int32)."""
    found = _map(opened)
    return found.packed(next(iter(found.layouts))) + found.packed_ids()


def places(opened: OpenedBundle, layout: str) -> bytes:
    """Return every token's place on one of the maps, V abscissas and V ordinates (float32)."""
    found = _map(opened)
    if layout not in found.layouts:
        raise NotThereError("there is no such map")
    return found.packed(layout)


def names(opened: OpenedBundle) -> dict[str, Any]:
    """Return the texts of all tokens as they are printed, and the rows in the order in which they are named.

    Of each map the rows that stand apart, in its disc of untrained tokens.
    """
    found, bundle = _map(opened), opened.vocabulary
    texts = [bundle.vocabulary.display(row) for row in range(len(bundle))]
    shown = [geometry for geometry in GEOMETRIES if geometry.label in found.layouts]
    apart = {geometry.label: set_apart(bundle, bundle.spaces[geometry]).tolist() for geometry in shown}
    return {"texts": texts, "order": opened.named_rows.tolist(), "apart": apart}


def colorings(opened: OpenedBundle) -> list[dict[str, Any]]:
    """Return what tokens can be colored by."""
    return [each.described() for each in opened.colorings.values()]


def coloring(opened: OpenedBundle, name: str) -> bytes:
    """Return a byte for each token."""
    return _coloring(opened, name).codes.tobytes()


def values(opened: OpenedBundle, name: str) -> bytes:
    """Return a number for each token (float64, NaN without one), of what tokens have numbers of."""
    found = _coloring(opened, name).values
    if found is None:
        raise NotThereError("these are no numbers")
    return found.astype("<f8").tobytes()


def near(opened: OpenedBundle, row: int) -> dict[str, Any]:
    """Return the rows of a token's nearest in both geometries, and which of them are untrained or hubs."""
    bundle = opened.vocabulary
    if row >= len(bundle):
        raise NotThereError("there is no such token")
    lists = {geometry.label: _nearest(opened, geometry, row) for geometry in GEOMETRIES}
    suspects = suspect(bundle)
    doubted = sorted({each for rows in lists.values() for each in rows if suspects[each]})
    return {"lists": lists, "suspect": doubted}


READ: dict[str, Callable[..., Any]] = {
    "": points,
    "/places/{layout}": places,
    "/names": names,
    "/colorings": colorings,
    "/coloring/{name}": coloring,
    "/values/{name}": values,
    "/near/{row:int}": near,
}
"""What scripts read, bytes or JSON, by the address behind that of a map."""


def endpoint(read: Callable[..., Any]) -> Callable[[Request, OpenedBundle], Response]:
    """Return what answers a request for something that scripts read: of the map that the address names alone."""

    def answer(request: Request, opened: OpenedBundle) -> Response:
        fingerprint, parameters = request.path_params["fingerprint"], dict(request.path_params)
        del parameters["fingerprint"]
        try:
            if _map(opened).fingerprint != fingerprint:
                raise NotThereError("there is no such map")
            found = read(opened, **parameters)
        except NotThereError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
        if isinstance(found, bytes):
            return Response(found, media_type=BYTES, headers=IMMUTABLE)
        return JSONResponse(found, headers=IMMUTABLE)

    return answer


def as_text(found: Any) -> Any:
    """Return what was read for where only JSON goes: bytes in base64."""
    return base64.b64encode(found).decode() if isinstance(found, bytes) else found


def _map(opened: OpenedBundle) -> VocabularyMap:
    if opened.map is None:
        raise NotThereError("there is no such map")
    return opened.map


def _coloring(opened: OpenedBundle, name: str) -> Coloring:
    found = opened.colorings.get(name)
    if found is None:
        raise NotThereError("there is no such coloring")
    return found


def _nearest(opened: OpenedBundle, geometry: Geometry, row: int) -> list[int]:
    """Return the rows of the nearest other vectors; none for a row without a point."""
    space: Any = opened.vocabulary.spaces[geometry]
    if row in space.excluded:
        return []
    return [int(each) for each in space.distinct_ids[row][:LISTED] if each >= 0]
