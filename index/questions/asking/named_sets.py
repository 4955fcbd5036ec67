"""The sets that have names: those that come with every bundle, and those that people keep beside one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from index.bundle.bundle import Bundle
from index.bundle.saved_sets import SavedSet, read_set, require_savable, rows_of, saved_names, write_set
from index.errors import ParameterError
from index.measures.hubness import HUB_TIMES
from index.tokens.vocabulary import Kind

MARK = "@"
"""Before the name of a set."""

_WORDS = (Kind.WORD, Kind.WORD_START)
_UNUSABLE = "was kept of other rows"


def _untrained(bundle: Bundle) -> np.ndarray:
    return bundle.untrained


def _hubs(bundle: Bundle) -> np.ndarray:
    return bundle.hubs


def _twins(bundle: Bundle) -> np.ndarray:
    return bundle.twins.sizes(bundle.twins.first) > 1


def _orphans(bundle: Bundle) -> np.ndarray:
    return kinds(bundle, Kind.ORPHAN)


def _reachable(bundle: Bundle) -> np.ndarray:
    column = bundle.columns("reachable")["reachable"].to_pylist()
    return np.array([each is True for each in column], dtype=bool)


def _words(bundle: Bundle) -> np.ndarray:
    return kinds(bundle, *_WORDS)


def kinds(bundle: Bundle, *wanted: Kind) -> np.ndarray:
    """Return whether each token is of one of these kinds, (V,) bool."""
    return np.array([kind in wanted for kind in bundle.vocabulary.kinds.to_pylist()], dtype=bool)


BUILT_IN: dict[str, tuple[Callable[[Bundle], np.ndarray], str]] = {
    "untrained": (_untrained, "tokens that training never moved apart from the others like them"),
    "hubs": (_hubs, f"tokens in over {HUB_TIMES} times as many causal lists, of density_k tokens, as the mean token"),
    "twins": (_twins, "tokens that share their vector, bit for bit, with another"),
    "orphans": (_orphans, "rows without a text: the tokenizer has no entry for them"),
    "reachable": (_reachable, "tokens that the tokenizer makes of their own text; empty without a tokenizer"),
    "words": (_words, "words with and without a space before them: the kinds word and word-start"),
}
"""Which tokens each set holds, (V,) bool, and its definition in words."""


def named_rows(bundle: Bundle, name: str, where: str) -> np.ndarray:
    """Return the rows, ascending, of the set of a name; ParameterError, of what `where` is, for none or a foreign one.

    A set that was kept of other rows is refused.
    """
    if name in BUILT_IN:
        return np.flatnonzero(BUILT_IN[name][0](bundle))
    found = read_set(bundle, name)
    if found is None:
        known = ", ".join(MARK + each for each in [*BUILT_IN, *saved_names(bundle)])
        raise ParameterError(f"{where}: there is no set @{name:.60} of {bundle.name}; there are {known}")
    if not usable(bundle, found):
        raise ParameterError(
            f"{where}: @{name} {_UNUSABLE}: {bundle.name} holds other vectors or ids by now; save or import it again"
        )
    known_ids = bundle.vocabulary.token_ids
    if not np.isin(found.ids, known_ids).all():
        raise ParameterError(f"{where}: @{name} names ids that {bundle.name} has not; save or import it again")
    return np.flatnonzero(np.isin(known_ids, found.ids))


def usable(bundle: Bundle, found: SavedSet) -> bool:
    """Whether a set is of the rows that a bundle holds."""
    return found.rows == rows_of(bundle)


def require_free_name(bundle: Bundle, name: str, *, overwrite: bool, named: str = "save_set") -> None:
    """Raise ParameterError, of the parameter `named`, for a name that no set can have, or that one has already."""
    require_savable(bundle, name.removeprefix(MARK), overwrite=overwrite, named=named, reserved=tuple(BUILT_IN))


def save_set(
    bundle: Bundle,
    name: str,
    ids: Sequence[int] | np.ndarray,
    definition: str,
    *,
    overwrite: bool = False,
    named: str = "save_set",
) -> SavedSet:
    """Keep the tokens of some ids beside a bundle; ParameterError for a name that is bad or taken, or for no ids."""
    return write_set(
        bundle,
        name.removeprefix(MARK),
        np.asarray(ids, dtype=np.int64),
        definition,
        overwrite=overwrite,
        named=named,
        reserved=tuple(BUILT_IN),
    )
