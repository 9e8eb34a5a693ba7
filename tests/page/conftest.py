"""The small evaluation that the report's tests start from, as a page."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from evaluations import small_evaluation


@pytest.fixture
def evaluation():
    return small_evaluation()
