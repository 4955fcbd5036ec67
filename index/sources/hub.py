"""A model folder, on this disk or on the Hugging Face Hub: asked for a file by name, it answers with a path."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from index.errors import SourceError
from index.files import brief

LONGEST_NAME = 255
"""In bytes, of a file; more than that no file system has."""


class Folder(Protocol):
    """Files by name. `str` of it names the folder in an error."""

    def get(self, name: str) -> Path | None:
        """Return where a file lies on this disk, or None when the folder has none of that name."""


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


class HubFolder:
    """A model repository on the Hub; a file is fetched when it is first asked for, and kept in the Hub's cache."""

    def __init__(self, repository: str, revision: str | None) -> None:
        self.repository = repository  # `OWNER/NAME`, or `NAME`
        self.revision = revision  # a branch, tag or commit; None for the main branch
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
        import httpx
        from huggingface_hub import errors as hub
        from huggingface_hub import hf_hub_download

        _plain(name, self)
        try:
            if not self._answered and self._unreachable is None:
                self._knock(name)
            offline = self._unreachable is not None
            path = hf_hub_download(self.repository, name, revision=self.revision, local_files_only=offline)
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
        except (hub.HfHubHTTPError, httpx.HTTPError, hub.HFValidationError, OSError, ValueError) as error:
            raise SourceError(self._refusal(name, error)) from error
        self._answered = True
        return Path(path)

    def _knock(self, name: str) -> None:
        """Find out at once whether the Hub answers; hf_hub_download tries for half a minute, and says so each time."""
        import httpx
        from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

        try:
            get_hf_file_metadata(hf_hub_url(self.repository, name, revision=self.revision))
        except (httpx.TransportError, errors.OfflineModeIsEnabled) as error:
            self._unreachable = brief(error)

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
