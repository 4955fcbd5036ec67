"""Whether this process goes on asking: one that asks once is to take little memory, one that stays is to be quick.

The first sweeps over points are FAISS's, and what is read for them does not stay in memory. After a few, loops are
loaded and compiled, and what is read is kept.
"""

FEW_SWEEPS = 8


class _Sweeps:
    count = 0


def note_sweep() -> None:
    """Count a sweep over points."""
    _Sweeps.count += 1


def goes_on() -> bool:
    """Return whether there were more than a few."""
    return _Sweeps.count > FEW_SWEEPS
