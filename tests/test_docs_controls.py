"""What docs/ shows beside a control is what the programs print. Apart from test_docs.py: a control takes long."""

from pathlib import Path

import pytest
from conftest import CONTROL, Built
from test_docs import SHOWN, assert_printed

pytestmark = pytest.mark.shown


@pytest.mark.slow("a control is built")
@pytest.mark.usefixtures("smollm2_control", "at_home")  # in this order: another worker builds the model meanwhile
@pytest.mark.parametrize("block", [each for each in SHOWN if CONTROL in each.values[0]])
def test_shown_output(block: str, smollm2_control: Built, tmp_path: Path) -> None:
    (tmp_path / "data" / "indexes" / CONTROL).symlink_to(smollm2_control.path, target_is_directory=True)
    assert_printed(block)
