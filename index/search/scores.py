"""Scores of one block of residuals against another: the one product that takes most of an engine's time.

On the CPU each worker multiplies its own tile on its own thread; torch, told to use one thread in each, is only asked
for the product. A device multiplies the same tiles and hands them back.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Tile = NDArray[np.int8] | NDArray[np.int32] | NDArray[np.float32] | NDArray[np.uint16]
Product = Callable[[slice, slice], Tile]


@dataclass(frozen=True)
class Arithmetic:
    """The number format of a product."""

    dtype: torch.dtype
    bits: type[np.int8] | type[np.float32] | type[np.uint16]  # how NumPy holds it
    unit_roundoff: float  # of the sums
    output_error: float  # relative, of rounding a sum to `dtype`

    @property
    def integers(self) -> bool:
        """Whether sums are of integers, and exact."""
        return self.bits is np.int8


INT8 = Arithmetic(torch.int8, np.int8, 0.0, 0.0)
FLOAT32 = Arithmetic(torch.float32, np.float32, 2.0**-24, 0.0)
# Products of bfloat16 are exact in float32. Not every unit rounds the sums to nearest, which doubles their error.
BFLOAT16 = Arithmetic(torch.bfloat16, np.uint16, 2.0**-23, 2.0**-8)
# Tensor cores align and cut the terms of a sum before they add them; four times the bound leaves room for that.
DEVICE_BFLOAT16 = Arithmetic(torch.bfloat16, np.uint16, 2.0**-21, 2.0**-8)
DEVICE_FLOAT32 = Arithmetic(torch.float32, np.float32, 2.0**-22, 0.0)


WIDEST_INT8 = (2**31 - 1) // 127**2
"""Products of two such integers that surely sum up in 32 bits."""


def choose_arithmetic(device: str, D: int) -> Arithmetic:
    """Return the number format in which a device is fast at products of rows of D numbers.

    On the CPU: 8-bit integers or bfloat16 if this CPU multiplies them faster than float32, and within their bounds.

    Asked by trial, because a processor may know a format and yet be slow at it, some builds of torch sum bfloat16 in
    bfloat16 (PyTorch issue 83863), and units before VNNI cut off sums of two products of integers at 16 bits.
    """
    if device != "cpu":
        return DEVICE_BFLOAT16 if device.startswith("cuda") else DEVICE_FLOAT32
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = {FLOAT32: _seconds(_trial(FLOAT32))}
        if _sums_bfloat16():
            seconds[BFLOAT16] = _seconds(_trial(BFLOAT16)) / 0.75  # it leaves more pairs to measure
        if D <= WIDEST_INT8 and _sums_integers():
            seconds[INT8] = _seconds(_trial(INT8)) / 0.75
    finally:
        torch.set_num_threads(threads)
    return min(seconds, key=lambda arithmetic: seconds[arithmetic])


TRIAL = (256, 1024)


def _trial(arithmetic: Arithmetic) -> Callable[[], object]:
    rows: Tile = np.ones(TRIAL, arithmetic.bits)  # type: ignore[assignment]
    product = make_product(rows, rows, arithmetic, "cpu")
    return lambda: product(slice(0, TRIAL[0]), slice(0, TRIAL[0]))


def _sums_bfloat16() -> bool:
    """Return whether products of bfloat16 are within the bound of their error here."""
    exact = torch.randn(TRIAL, generator=torch.Generator().manual_seed(0)).bfloat16()
    truth = exact.double() @ exact.double().T
    bound = BFLOAT16.output_error * truth.abs() + TRIAL[1] * BFLOAT16.unit_roundoff * truth.diagonal().max()
    return bool(((exact @ exact.T).double() - truth).abs().le(bound).all())


def _sums_integers() -> bool:
    """Return whether products of 8-bit integers are exact here, the longest of them with either sign."""
    signs = torch.randint(0, 2, TRIAL, generator=torch.Generator().manual_seed(0)) * 2 - 1
    signs[:2] = 1
    longest = (127 * signs).to(torch.int8)
    try:
        found = torch._int_mm(longest, longest.T)
    except (AttributeError, RuntimeError, NotImplementedError):
        return False
    return bool((found.double() == longest.double() @ longest.double().T).all())


def _seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def _float32_product() -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a function (M, D), (N, D) -> (M, N).

    torch.mm calls MKL, which keeps AMD processors at half their speed; oneDNN, in the same torch, does not.
    """
    operators: Any = torch.ops.mkldnn

    def by_onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        packed = operators._reorder_linear_weight(b, len(a))
        scores: torch.Tensor = operators._linear_pointwise(a, packed, None, "none", [], "")
        return scores

    try:
        by_onednn(torch.ones(2, 2), torch.ones(2, 2))
    except (AttributeError, RuntimeError, NotImplementedError):
        return lambda a, b: a @ b.T
    return by_onednn


def make_product(left: Tile, right: Tile, arithmetic: Arithmetic, device: str) -> Product:
    """Return a function that multiplies a slice of left (M, D) by a slice of right (N, D), to a tile (M, N)."""
    a = torch.from_numpy(left).view(arithmetic.dtype)
    b = a if right is left else torch.from_numpy(right).view(arithmetic.dtype)
    return _cpu_product(a, b, arithmetic) if device == "cpu" else _device_product(a, b, arithmetic, device)


def _device_product(left: torch.Tensor, right: torch.Tensor, arithmetic: Arithmetic, device: str) -> Product:
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    with suppress(torch.OutOfMemoryError):  # then blocks travel one by one
        left, right = left.to(device), right.to(device)

    def product(rows: slice, columns: slice) -> Tile:
        try:
            scores = (left[rows].to(device) @ right[columns].to(device).T).cpu()
        except torch.OutOfMemoryError:
            middle = (rows.start + rows.stop) // 2
            if middle == rows.start:
                raise
            halves = (slice(rows.start, middle), slice(middle, rows.stop))
            return np.concatenate([product(half, columns) for half in halves])
        tile: Tile = scores.view(torch.uint16).numpy() if arithmetic.bits is np.uint16 else scores.numpy()
        return tile

    return product


def _cpu_product(left: torch.Tensor, right: torch.Tensor, arithmetic: Arithmetic) -> Product:
    local = threading.local()
    float32_product = _float32_product()
    scores_dtype = torch.int32 if arithmetic.integers else arithmetic.dtype

    def product(rows: slice, columns: slice) -> Tile:
        torch.set_num_threads(1)
        a, b = left[rows], right[columns]
        if arithmetic.bits is np.float32:
            return float32_product(a, b).numpy()
        size = len(a) * len(b)
        if getattr(local, "size", 0) < size:  # fresh memory for every tile would cost a page fault per 4096 bytes
            local.size, local.buffer = size, torch.empty(size, dtype=scores_dtype)
        scores = local.buffer[:size].view(len(a), len(b))
        if arithmetic.integers:
            torch._int_mm(a, b.T, out=scores)
            return np.asarray(scores.numpy())
        torch.mm(a, b.T, out=scores)
        tile: Tile = scores.view(torch.uint16).numpy()
        return tile

    return product
