"""A model folder, on this disk or on the Hugging Face Hub: asked for a file by name, it answers with a path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from index.errors import SourceError
from index.files import brief
from index.progress import Progress, silent
from index.sources.one_tensor import TensorCache
from index.sources.ranges import NoRangesError, RemoteFile

LONGEST_NAME = 255
"""In bytes, of a file; more than that no file system has."""


class Folder(Protocol):
    """Files by name. `str` of it names the folder in an error."""

    def get(self, name: str) -> Path | None:
        """Return where a file lies on this disk, or None when the folder has none of that name."""

    def holding(self, name: str, wanted: Sequence[str]) -> Path | None:
        """Return a file that holds the first of the wanted tensors that a file of that name does, perhaps it alone."""


class LocalFolder:
    """A folder on this disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def get(self, name: str) -> Path | None:
        """Return the path of a file that is there."""
        path = self.path / _plain(name, self)
        return path if path.is_file() else None

    def holding(self, name: str, wanted: Sequence[str]) -> Path | None:
        """Return the path of a file that is there."""
        return self.get(name)


class HubFolder:
    """A model repository on the Hub; what is asked for is fetched once, and kept.

    A whole file is kept in the Hub's own cache. Of a safetensors file one tensor is fetched, and kept in another.
    """

    def __init__(
        self,
        repository: str,
        revision: str | None,
        *,
        cache: Path | None = None,
        progress: Progress = silent,
    ) -> None:
        self.repository = repository  # `OWNER/NAME`, or `NAME`
        self.revision = revision  # a branch, tag or commit; None for the main branch
        self.notes: list[str] = []  # what to know of how it was fetched
        self._cache = None if cache is None else TensorCache.of(cache, repository)  # None: files are fetched whole
        self._progress = progress
        self._commit: str | None = None  # what all that is asked for is of, once a file has come
        self._answered = False
        self._unreachable: str | None = None

    def __str__(self) -> str:
        named = f"{self.repository}@{self.revision}" if self.revision else self.repository
        return f"{named} on the Hub" + (" (not reached; only cached files were seen)" if self._unreachable else "")

    def get(self, name: str) -> Path | None:
        """Return the path of a file in the Hub's cache, fetching it first if need be.

        SourceError when the repository is not there or gated, or the Hub cannot be reached and nothing of it is in the
        cache.
        """
        from huggingface_hub import errors as hub
        from huggingface_hub import hf_hub_download

        _plain(name, self)
        with self._refusing(name):
            try:
                if not self._answered and self._unreachable is None:
                    self._knock(name)
                revision, offline = self._commit or self.revision, self._unreachable is not None
                path = Path(hf_hub_download(self.repository, name, revision=revision, local_files_only=offline))
            except hub.RemoteEntryNotFoundError:
                self._answered = True
                return None
            except hub.LocalEntryNotFoundError as error:
                self._unreachable = self._unreachable or brief(error.__cause__ or error)
                if self._answered:
                    return None
                raise SourceError(
                    f"no file or folder {self.repository!r} here, nothing of that id in the Hub's cache, and the Hub "
                    f"cannot be reached: {self._unreachable}"
                ) from error
        self._answered, self._commit = True, path.parent.name
        return path

    def holding(self, name: str, wanted: Sequence[str]) -> Path | None:
        """Return a file with the first of the wanted tensors of a file: of a safetensors file that tensor alone.

        The whole file is taken where it is in the Hub's cache already, and where its server sends no parts of files.
        """
        from huggingface_hub import try_to_load_from_cache

        if self._cache is None or self._commit is None or Path(name).suffix != ".safetensors":
            return self.get(name)
        whole = try_to_load_from_cache(self.repository, _plain(name, self), revision=self._commit)
        if isinstance(whole, str):
            return Path(whole)
        if self._unreachable is not None:
            return self._cache.find(self._commit, name, wanted)
        with self._refusing(name):
            remote = self._remote(name, self._commit)
            if remote is None:
                return self.get(name)
            try:
                path = self._cache.fetch(remote, wanted, self._progress)
            except NoRangesError:
                self.notes.append(f"{remote.name} was fetched whole: its server sends no parts of files")
                return self.get(name)
        self._cache.remember(self._commit, name, remote.etag, remote.size)
        return path

    def _remote(self, name: str, commit: str) -> RemoteFile | None:
        """Return a file at a commit; None when there is none, or the Hub does not say what it is."""
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub import errors as hub
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # documented, not in __all__

        url = hf_hub_url(self.repository, name, revision=commit)
        try:
            facts = get_hf_file_metadata(url)
        except hub.RemoteEntryNotFoundError:
            return None
        if facts.etag is None or facts.size is None:
            return None
        seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
        return RemoteFile(
            f"{name} of {self}", f"{self.repository}/{name}", url, build_hf_headers(), facts.etag, facts.size, seconds
        )

    def _knock(self, name: str) -> None:
        """Find out at once whether the Hub answers; hf_hub_download tries for half a minute, and says so each time."""
        import httpx
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

        try:
            get_hf_file_metadata(hf_hub_url(self.repository, name, revision=self.revision))
        except (httpx.TransportError, errors.OfflineModeIsEnabled) as error:
            self._unreachable = brief(error)

    @contextmanager
    def _refusing(self, name: str) -> Iterator[None]:
        """Turn what the Hub, the network or the disk has against a file into one line."""
        import httpx
        from huggingface_hub import errors as hub

        try:
            yield
        except (hub.HfHubHTTPError, httpx.HTTPError, hub.HFValidationError, OSError, ValueError) as error:
            raise SourceError(self._refusal(name, error)) from error

    def _refusal(self, name: str, error: Exception) -> str:
        from huggingface_hub import errors as hub

        if isinstance(error, hub.GatedRepoError):
            return f"{self.repository} is gated: ask for access on its page, then log in with `hf auth login`"
        if isinstance(error, hub.RepositoryNotFoundError):
            return (
                f"no file or folder {self.repository!r} here, and no model of that id on the Hub "
                "(if it is private, log in with `hf auth login`)"
            )
        if isinstance(error, hub.RevisionNotFoundError):
            return f"{self.repository} has no revision {self.revision!r} on the Hub"
        if isinstance(error, hub.HFValidationError):
            return f"no file or folder {self.repository!r} here, and that cannot be a Hub id"
        return f"{name} of {self.repository} could not be fetched from the Hub: {brief(error)}"


def _plain(name: str, folder: Folder) -> str:
    """Refuse a name that leads out of the folder; an index may say anything."""
    outside = name in ("", "..") or name != Path(name).name or "\\" in name
    if outside or not name.isprintable() or len(name.encode()) > LONGEST_NAME:
        raise SourceError(f"{folder} names the file {name!r:.80}, which is no plain file name")
    return name
