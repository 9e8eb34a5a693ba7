"""What kinds of method declare about themselves."""

import pytest

from lpclip.methods.registry import kinds, trains_on_gpu
from lpclip.utils.code_hash import _closure


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_uses_a_gpu_if_its_code_can_choose_one(kind):
    code = [path.read_text() for path in _closure(f"lpclip.methods.kinds.{kind}").values()]
    assert trains_on_gpu(kind) == any("training_device(" in text for text in code)
