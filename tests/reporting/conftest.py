"""The evaluation that most tests of reports use."""

import pytest

from tests.helpers.evaluations import Evaluation, small_evaluation


@pytest.fixture
def evaluation() -> Evaluation:
    return small_evaluation()
