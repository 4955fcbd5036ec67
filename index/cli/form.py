"""In which form an answer leaves, and the file it goes into: whole or not at all, and over no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from index.errors import ParameterError, parameter
from index.files import brief, is_device, placing, require_free


@dataclass(frozen=True)
class Form:
    """In which form an answer leaves; none of them: as a table."""

    json: bool = False
    csv: bool = False
    parquet: Path | None = None
    svg: Path | None = None
    save_set: str | None = None  # the name of the set that its tokens are kept as, beside any form
    overwrite: bool = False  # the file of parquet and svg, and the set, may be there

    def __post_init__(self) -> None:
        if sum(map(bool, (self.json, self.csv, self.parquet, self.svg))) > 1:
            *others, last = map(parameter, ("json", "csv", "parquet", "svg"))
            raise ParameterError(f"{', '.join(others)} and {last} exclude each other; pass one")

    @property
    def shows_rows_alone(self) -> bool:
        """Whether nothing of an answer is seen but its rows."""
        return self.csv or self.parquet is not None

    def require_use(self) -> None:
        """Raise ParameterError for a leave to overwrite where no file is written."""
        if self.overwrite and self._file[1] is None and self.save_set is None:
            overwrite, parquet, svg, save_set = map(parameter, ("overwrite", "parquet", "svg", "save_set"))
            raise ParameterError(f"{overwrite} goes with {parquet}, {svg} and {save_set}, and none is given")

    def require_free(self) -> None:
        """Raise ParameterError, before there is an answer, where its file cannot be written."""
        from index.bundle.manifest import MANIFEST

        name, path = self._file
        if path is None or is_device(path):
            return
        if not path.parent.is_dir():
            raise ParameterError(f"{parameter(name, path)} cannot be written: {path.parent} is no folder")
        require_free([path], overwrite=self.overwrite, manifest=MANIFEST, named=name)

    @contextmanager
    def placing(self) -> Iterator[Path]:
        """Give a path to write; what is written there becomes the answer's file when the block ends well."""
        from index.bundle.manifest import MANIFEST

        name, path = self._file
        if path is None:
            raise TypeError("this form has no file")
        if not is_device(path):
            with placing([path], overwrite=self.overwrite, manifest=MANIFEST, named=name) as (written,):
                yield written
            return
        try:
            yield path
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ParameterError(f"{parameter(name, path)} cannot be written: {brief(error)}") from error

    @property
    def _file(self) -> tuple[str, Path | None]:
        """The option that names a file, and the file."""
        return ("svg", self.svg) if self.svg is not None else ("parquet", self.parquet)
