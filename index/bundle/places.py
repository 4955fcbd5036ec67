"""Where bundles are looked for: in their own folder, or by their name under `data/indexes`."""

from __future__ import annotations

import os
from pathlib import Path

from index.bundle.manifest import MANIFEST, read_manifest
from index.errors import BundleError

ROOT = Path("data/indexes")


def named_folder(path: Path) -> Path:
    """Return the folder of the bundle that was named, by its folder or by its name under `ROOT`."""
    named = ROOT / path
    alone = path.name == str(path) and not os.path.lexists(path)
    return named if alone and os.path.isfile(named / MANIFEST) else path


def names_beside(folder: Path) -> list[str]:
    """Return the names of the other bundles that lie where one does, but for those that are being built."""
    here = folder.resolve()
    found = (manifest.parent for manifest in here.parent.glob(f"[!.]*/{MANIFEST}"))
    return sorted(each.name for each in found if each != here)


def is_control(folder: Path) -> bool:
    """Whether there is a bundle in a folder that is a control, as far as its manifest can be read."""
    try:
        return read_manifest(folder).control is not None
    except BundleError:
        return False
