"""Parameters that several questions share, each declared once."""

from __future__ import annotations

from typing import Annotated

from index.bundle.bundle import Bundle
from index.geometry.maps import Geometry
from index.measures.density import Rule
from index.questions.asking.among import Subset
from index.questions.asking.question import Doc, Limit
from index.questions.asking.reading import Pair, Some, TokenName

CAUSAL_AND_COSINE: Pair = (Geometry.CAUSAL, Geometry.COSINE)


def _others(bundle: Bundle) -> int:
    return len(bundle) - 1


def _kept(bundle: Bundle) -> int:
    return bundle.manifest.K


OTHERS = Limit(1, _others, "one less than the tokens here")
TOKENS = Limit(1, len, "the tokens here")
KEPT = Limit(1, _kept, "the neighbors kept in {bundle}", more="neighbors")
POSITIVE = Limit(1)
PAIRS = Limit(1, 10_000_000)
"""Random pairs are drawn, and held, all at once."""

TokenText = Annotated[TokenName, Doc("#id, an exact text, a piece, or a text without its space.", metavar="TOKEN")]
Top = Annotated[int | None, Doc("Length of the neighbor lists.", default="30, or all"), OTHERS]
DensityK = Annotated[int | None, Doc("Neighbors averaged in a density.", default="the build's own, 20"), KEPT]
DensityRule = Annotated[Rule, Doc("What the zero distances of twins do in a density.")]
DensityRuleOrUsual = Annotated[
    Rule | None,
    Doc("What the zero distances of twins do in a density.", default="distinct; of the densest, notebook"),
]
Geometries = Annotated[
    Pair,
    Doc(
        "The two to compare, of causal, cosine and causal-cosine; densities are taken in the first.",
        metavar="A,B",
        option="--geometry",
    ),
]
ListedGeometries = Annotated[
    Some,
    Doc(
        "Those to list, of causal, cosine and causal-cosine; the first two are compared, densities are of the first.",
        metavar="A,...",
        option="--geometry",
    ),
]
Among = Annotated[
    Subset | None,
    Doc(
        "Only these tokens: @SET, kind=word, script=Thai, or a FILE of ids or words; several with commas.",
        metavar="SUBSET",
        on_page="Only these tokens: a set as @words, kind=word, script=Thai; several with commas.",
    ),
]
Without = Annotated[Subset | None, Doc("All but these tokens, named as for among: @hubs,@untrained.", metavar="SUBSET")]
Overwrite = Annotated[bool, Doc("Replace what is there.", page=False)]


def list_length(bundle: Bundle, top: int | None, usual: int = 30) -> int:
    """Return how long a list is: as asked for, or as usual where the tokens suffice."""
    return min(usual, _others(bundle)) if top is None else top


def density_k_of(bundle: Bundle, density_k: int | None) -> int:
    """Return the neighbors to average: those asked for, or the build's own."""
    return bundle.manifest.settings.density_k if density_k is None else density_k
