"""A map of the vocabulary: every token's place in the plane, made once and kept in a file beside the bundle.

The file stands beside and not in the bundle, whose files are sealed by their checksums. It names the bundle it was made
of, so that a map is not shown for another one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from index.bundle.arrow import columns_table, numbers, read_parquet
from index.bundle.bundle import Bundle
from index.bundle.manifest import MANIFEST
from index.errors import ParameterError, parameter
from index.export.atlas import project
from index.files import brief, placing, require
from index.geometry.maps import Geometry
from index.pictures.numbers.fidelity import Fidelity, fidelity

GEOMETRY = Geometry.CAUSAL
"""The one whose exact graph is laid out."""

COMPARED = (Geometry.CAUSAL, Geometry.COSINE)
"""Those whose neighborhoods are looked for on the map."""

COLUMNS = ("token_id", "projection_x", "projection_y")
KEPT = "kept_"
"""What the names of columns begin with that say how much of each neighborhood is kept."""
_FORMAT = 2
_BUNDLE, _FIDELITY = b"bundle_fingerprint", b"fidelity"


@dataclass(frozen=True, eq=False)
class VocabularyMap:
    """Places in the plane."""

    token_ids: np.ndarray  # (V,) int64
    places: np.ndarray  # (V, 2) float32; NaN for a row without a point
    kept: dict[str, np.ndarray]  # (V,) float64, by names such as `causal, 15`: the share of neighbors kept
    fidelity: tuple[Fidelity, ...]

    @cached_property
    def fingerprint(self) -> str:
        """A short name for the content of `packed`."""
        return hashlib.sha256(self.packed()).hexdigest()[:16]

    def packed(self) -> bytes:
        """Return V abscissas, V ordinates (float32) and V token ids (int32), little-endian, as the page reads them."""
        return self.places.T.astype("<f4").tobytes() + self.token_ids.astype("<i4").tobytes()


def default_path(folder: Path) -> Path:
    """Return where the map of the bundle in a folder is kept: `smollm2-135m.map.parquet` beside it."""
    resolved = folder.resolve()
    return resolved.with_name(f"{resolved.name}.map.parquet")


def make_map(bundle: Bundle, path: Path) -> None:
    """Lay out the exact causal graph with UMAP, keep the places and how true they are: minutes for a large vocabulary.

    ParameterError without umap-learn, with too few points, and where `path` cannot be written, or is there and no map.
    """
    read_map(path, bundle)  # a map of another bundle is replaced, nothing else
    require("umap", extra="explore --extra map", command="explore --map")
    # Entered before the long work, to see whether its outcome can be kept.
    with placing([path], overwrite=True, manifest=MANIFEST, named="map_file") as (written,):
        places = project(bundle, bundle.spaces[GEOMETRY])
        columns = dict(zip(COLUMNS, (bundle.vocabulary.token_ids, places[:, 0], places[:, 1]), strict=True))
        figures = []
        for geometry in COMPARED:
            for k, (kept, figure) in fidelity(bundle, places, geometry).items():
                columns[f"{KEPT}{geometry.label}_{k}"] = kept
                figures.append(figure)
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
    ids, x, y = (numbers(table[name]) for name in COLUMNS)
    kept = {
        ", ".join(name.removeprefix(KEPT).split("_")): numbers(table[name])
        for name in table.column_names
        if name.startswith(KEPT)
    }
    figures = msgspec.json.decode(table.schema.metadata[_FIDELITY], type=tuple[Fidelity, ...])
    return VocabularyMap(ids, np.stack([x, y], axis=1), kept, figures)


def _fingerprint(bundle: Bundle) -> bytes:
    """Return a checksum of a bundle's manifest, which holds those of all its files, and of the form of a map's file."""
    manifest = msgspec.to_builtins(bundle.manifest)
    return hashlib.sha256(json.dumps([_FORMAT, manifest], sort_keys=True).encode()).hexdigest().encode()
