"""What docs/meaning.md shows is what the programs print. Apart from test_docs.py: it takes as long as the others."""

import pytest
from conftest import CONTROL
from test_docs import APART, SHOWN, assert_printed

pytestmark = pytest.mark.shown


@pytest.mark.slow("findings and evaluate are computed in full, as they are shown")
@pytest.mark.usefixtures("at_home")
@pytest.mark.parametrize(
    "block", [each for each in SHOWN if CONTROL not in each.values[0] and str(each.id).startswith(APART)]
)
def test_shown_output(block: str) -> None:
    assert_printed(block)
