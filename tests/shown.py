"""What a comparison of shown text leaves out by name: numbers that depend on the processor, its BLAS or on versions.

Distances and densities are no such numbers. They are float32, or shown to fewer digits than float64 sums keep: SmolLM2
built with OpenBLAS's kernels for AVX2 and for AVX-512, with one thread and with two, has the same ids throughout, and 8
in 4.9 million distances in their last bit otherwise. A worst error is what is left when equal digits are taken away.
"""

import re

UNSTEADY = (
    (r"(worst (?:error|difference)) [\d.e-]+", r"\1 …"),  # held to its tolerance by the check it is part of
    (r"(logometers) \(#\d+, #\d+\)", r"\1 (…)"),  # the pair it was found in
    (r"\d+ (differ), 0 beyond ties", r"… \1, 0 beyond ties"),  # ids within the resolution, in one order or the other
)
"""What is left out, as patterns over text with single spaces, and what stands in its place."""

VERSIONS = re.compile(r"(built by(?: [\w-]+ [\w.+]+,?)*)$")


def steady(text: str) -> str:
    """Text as it is compared: as it stands, or, where something in it is left out, in one line, which wraps nowhere."""
    line = " ".join(text.split())
    kept = line
    for pattern, instead in UNSTEADY:
        kept = re.sub(pattern, instead, kept)
    kept = VERSIONS.sub(lambda found: re.sub(r"([\w-]+) [\d][\w.+]*(,|$)", r"\1 …\2", found[1]), kept)
    return text if kept == line else kept
