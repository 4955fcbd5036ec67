"""The built thing on disk: a folder of open formats, opened memory-mapped.

The files, their sizes and their checksums stand in `manifest.json`. `index.bundle.write` writes them, and nothing is
read of them that was not checked (`index.bundle.checksums`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from index.bundle.arrow import columns_fit, flags, numbers, read_parquet
from index.bundle.checksums import DAMAGED, Checksums
from index.bundle.manifest import Manifest, read_manifest
from index.bundle.space import Space as Space
from index.bundle.stored import StoredArray, safetensors_array
from index.errors import BundleError
from index.files import brief
from index.geometry.maps import Geometry
from index.geometry.metric import Metric
from index.geometry.twins import Groups
from index.measures.density import Rule
from index.measures.hubness import hubs
from index.tokens.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

TOKENS = "tokens.parquet"
TOKENIZER = "tokenizer.json"
GAMMA = "gamma.safetensors"
METRIC = "metric.safetensors"


class Bundle:
    """An open bundle. Opening reads the manifest; every other file is read, and checked, when first asked for."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest, self.name = folder, manifest, manifest.name
        self.checksums = Checksums(folder, manifest.files, self.was_replaced)
        self.spaces = {
            geometry: Space(geometry, manifest, self.checksums, lambda: self.metric, lambda: self.causal)
            for geometry in Geometry
        }

    def __len__(self) -> int:
        return self.manifest.V

    def __reduce__(self) -> tuple[Any, ...]:
        return open_bundle, (self.folder.absolute(),)

    def __repr__(self) -> str:
        facts = self.manifest
        control = "" if facts.control is None else f", control: {facts.control.short}"
        return f"{type(self).__name__}({self.name!r}, {facts.V:,} x {facts.D:,}, {facts.K} neighbors{control})"

    def was_replaced(self) -> bool:
        """Whether another bundle lies in its folder by now. What was read before is still of this one."""
        try:
            return read_manifest(self.folder).checksum != self.manifest.checksum
        except BundleError:
            return False

    @property
    def causal(self) -> Space:
        """The space whose distances are in logometers."""
        return self.spaces[Geometry.CAUSAL]

    @property
    def cosine(self) -> Space:
        """The space of directions of raw rows."""
        return self.spaces[Geometry.COSINE]

    @property
    def causal_cosine(self) -> Space:
        """The space of directions in the causal metric."""
        return self.spaces[Geometry.CAUSAL_COSINE]

    def columns(self, *names: str) -> pa.Table:
        """Return columns of `tokens.parquet`, V rows."""
        file = self.checksums.file(TOKENS)
        file.check(0, len(file.content))
        try:
            table = read_parquet(file.content, names)
        except (OSError, ValueError) as error:
            raise BundleError(f"{file.path} cannot be read: {brief(error)}; build the bundle again") from error
        if table.num_rows != len(self) or not columns_fit(table, names):
            raise BundleError(f"{file.path} holds other columns or rows than a bundle of {len(self)} tokens: {DAMAGED}")
        return table

    @property
    def tokens(self) -> pa.Table:
        """All columns of `tokens.parquet`."""
        return self.columns()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Ids, texts, pieces and kinds of the V tokens."""
        table = self.columns("token_id", "text", "piece", "kind")
        texts, pieces, kinds = (
            cast("pa.StringArray", table[name].combine_chunks()) for name in ("text", "piece", "kind")
        )
        tokenizer = None
        if TOKENIZER in self.checksums:
            file = self.checksums.file(TOKENIZER)
            try:
                tokenizer = file.read().decode()
            except UnicodeDecodeError as error:
                raise BundleError(f"{file.path} is no text: {brief(error)}; {DAMAGED}") from error
        return Vocabulary(_numbers(table["token_id"]), texts, pieces, kinds, tokenizer)

    @cached_property
    def twins(self) -> Groups:
        """Which tokens share a vector."""
        return Groups(_numbers(self.columns("twin_group")["twin_group"]))

    @cached_property
    def hubness(self) -> np.ndarray:
        """In how many causal lists of the build's `density_k` each token is, (V,) float64."""
        return _numbers(self.columns("hubness")["hubness"])

    @cached_property
    def hubs(self) -> np.ndarray:
        """Which tokens are in far more lists than their share, (V,) bool."""
        return hubs(self.hubness, self.manifest.settings.density_k)

    @cached_property
    def untrained(self) -> np.ndarray:
        """Which tokens training never moved, (V,) bool."""
        return _read(flags, self.columns("untrained")["untrained"])

    @cached_property
    def gamma(self) -> StoredArray:
        """The rows in the source's own dtype, (V, D), mapped."""
        return safetensors_array(self.checksums.file(GAMMA), "gamma", (len(self), self.manifest.D))

    @cached_property
    def metric(self) -> Metric:
        """The causal metric in float64, mapped."""
        file, facts, D = self.checksums.file(METRIC), self.manifest.metric, self.manifest.D
        shapes: dict[str, tuple[int, ...]] = {"mean": (D,), "M": (D, D), "factor": (D, D), "eigenvalues": (D,)}
        tensors = {name: safetensors_array(file, name, shape) for name, shape in shapes.items()}
        if any(each.dtype != np.float64 for each in tensors.values()):
            raise BundleError(f"{file.path} holds other numbers than float64: {DAMAGED}")
        mean, matrix, factor, eigenvalues = (each.whole for each in tensors.values())
        return Metric(mean, matrix, factor, eigenvalues, facts.ridge, facts.origin)

    def densities(self, rule: Rule) -> np.ndarray:
        """Return the stored densities under a rule at the build's `density_k`, (V,) float64."""
        column = density_column(rule)
        return _numbers(self.columns(column)[column])


def density_column(rule: Rule) -> str:
    """Return the column of `tokens.parquet` that holds the densities under a rule."""
    return f"density_{rule.value}"


Opened = TypeVar("Opened", bound=Bundle)


def open_bundle(path: str | Path) -> Bundle:
    """Open a built bundle, by its own folder, for questions; raises what `open_as` raises."""
    return open_as(Bundle, path)


def open_as(kind: type[Opened], path: str | Path) -> Opened:
    """Open a built bundle, by its own folder, as a kind of `Bundle`.

    Raises
    ------
    BundleError
        When there is none, its manifest is damaged, or it is of another format version.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    while True:
        try:
            return kind(folder, manifest)
        except BundleError:
            # A build may have put another bundle in its place after the manifest was read.
            before, manifest = manifest, read_manifest(folder)
            if manifest == before:
                raise


def _numbers(column: pa.ChunkedArray[Any]) -> np.ndarray:
    return _read(numbers, column)


def _read(read: Callable[[pa.ChunkedArray[Any]], np.ndarray], column: pa.ChunkedArray[Any]) -> np.ndarray:
    try:
        return read(column)
    except ValueError as error:
        raise BundleError(f"{TOKENS} lacks numbers: {DAMAGED}") from error
