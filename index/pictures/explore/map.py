"""Maps of the vocabulary: every token's places in the plane, made once and kept in a file beside the bundle.

The file stands beside and not in the bundle, whose files are sealed by their checksums. It names the bundle it was made
of, so that a map is not shown for another one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from index.bundle.arrow import columns_table, numbers, read_parquet
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, parameter
from index.export.layout import enough_points, lay_out, require_layout
from index.files import brief, placing
from index.geometry.maps import Geometry
from index.pictures.numbers.fidelity import NEIGHBORS, Fidelity, fidelity
from index.progress import Progress, silent

GEOMETRIES = (Geometry.CAUSAL, Geometry.COSINE)
"""Those whose exact graphs are laid out, each on a map of its own."""

IDS = "token_id"
_FORMAT = 3
_BUNDLE, _FIDELITY = b"bundle_fingerprint", b"fidelity"


@dataclass(frozen=True, eq=False)
class VocabularyMap:
    """Places in the plane, by the label of the geometry whose map they are of: `causal` first."""

    token_ids: np.ndarray  # (V,) int64
    layouts: dict[str, np.ndarray]  # (V, 2) float32; NaN for a row without a point
    kept: dict[str, np.ndarray]  # (V,) float64: the share of 15 neighbors that each map keeps, NaN where none is told
    fidelity: tuple[Fidelity, ...]

    @cached_property
    def fingerprint(self) -> str:
        """A short name for the content of all `packed` places."""
        return hashlib.sha256(b"".join(map(self.packed, self.layouts))).hexdigest()[:16]

    def packed(self, layout: str) -> bytes:
        """Return V abscissas and V ordinates, float32, little-endian, as a page reads them."""
        return self.layouts[layout].T.astype("<f4").tobytes()

    def packed_ids(self) -> bytes:
        """Return V token ids, int32, little-endian."""
        return self.token_ids.astype("<i4").tobytes()


def default_path(folder: Path) -> Path:
    """Return where the map of the bundle in a folder is kept: `smollm2-135m.map.parquet` beside it."""
    resolved = folder.resolve()
    return resolved.with_name(f"{resolved.name}.map.parquet")


def make_map(bundle: Bundle, path: Path, report: Progress = silent) -> None:
    """Lay out the exact graph of each of `GEOMETRIES`, and keep the places and how true they are.

    A geometry with too few points has no map. ParameterError without openTSNE, where no geometry has one, and where
    `path` cannot be written, or is there and no map.
    """
    read_map(path, bundle)  # a map of another bundle is replaced, nothing else
    require_layout("explore --map", extra="explore --extra map")
    # Entered before the long work, to see whether its outcome can be kept.
    with placing([path], overwrite=True, manifest=MANIFEST, named="map_file") as (written,):
        columns, figures = {IDS: bundle.vocabulary.token_ids}, []
        for geometry in GEOMETRIES:
            label, space = geometry.label, bundle.spaces[geometry]
            if geometry is not GEOMETRIES[0] and not enough_points(bundle, space):
                continue
            places = lay_out(bundle, space, partial(report, f"laying out the {label} map"))
            columns |= dict(zip(_axes(label), places.T, strict=True))
            found, kept = fidelity(bundle, places, geometry, partial(report, f"checking the {label} map"))
            columns[_kept(label)] = kept
            figures += found
        about = {_BUNDLE: _fingerprint(bundle), _FIDELITY: msgspec.json.encode(figures)}
        pq.write_table(columns_table(columns).replace_schema_metadata(about), written)


def read_map(path: Path, bundle: Bundle) -> VocabularyMap | None:
    """Return the map in a file, None where there is none or it is of another bundle; ParameterError for no map."""
    if not path.is_file():
        return None
    try:
        table = read_parquet(path)
    except (OSError, ValueError) as error:
        raise ParameterError(f"{path} is no map: {brief(error)}; pass another {parameter('map_file')}") from error
    made_of = (table.schema.metadata or {}).get(_BUNDLE)
    if made_of is None:
        raise ParameterError(f"{path} is a Parquet file, but no map; pass another {parameter('map_file')}")
    if made_of != _fingerprint(bundle):
        return None
    labels = [each.label for each in GEOMETRIES if _kept(each.label) in table.column_names]
    layouts = {label: np.stack([numbers(table[name]) for name in _axes(label)], axis=1) for label in labels}
    kept = {label: numbers(table[_kept(label)]) for label in labels}
    figures = msgspec.json.decode(table.schema.metadata[_FIDELITY], type=tuple[Fidelity, ...])
    return VocabularyMap(numbers(table[IDS]), layouts, kept, figures)


def _axes(label: str) -> tuple[str, str]:
    """Return the names of the columns with places on the map of a geometry."""
    return f"{label}_x", f"{label}_y"


def _kept(label: str) -> str:
    return f"{label}_kept_{NEIGHBORS[0]}"


def _fingerprint(bundle: Bundle) -> bytes:
    """Return a checksum of a bundle's manifest, which holds those of all its files, and of the form of a map's file."""
    manifest = msgspec.to_builtins(bundle.manifest)
    return hashlib.sha256(json.dumps([_FORMAT, manifest], sort_keys=True).encode()).hexdigest().encode()
