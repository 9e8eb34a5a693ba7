"""Constraints of wildcards match the names that they are made from, and nothing else."""

import re

from lpclip.config.constraints import one_of


def test_a_constraint_matches_its_names_alone_and_writes_common_beginnings_once():
    names = [f"lp_clip_{number}" for number in range(300)] + ["lp_clip", "a-b", "a+", "a", "ä.h5"]
    constraint = re.compile(one_of(names))
    assert all(constraint.fullmatch(name) for name in names)
    for other in ("", "lp_clip_", "lp_clip_300", "a-", "b", "aa", "ä_h5", "lp_clip_1\n"):
        assert constraint.fullmatch(other) is None
    assert len(constraint.pattern) < len("|".join(names)) / 3
    assert re.fullmatch(one_of([]), "") is None
