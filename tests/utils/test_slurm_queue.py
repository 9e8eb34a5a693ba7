"""Jobs of a killed run in Slurm's queue, with a stand-in for squeue."""

import pytest

from lpclip.errors import LpclipError
from lpclip.utils.slurm_queue import check_queue, jobs_of_folder


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Return a function that makes squeue print lines, or fail with a message."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def replies(*lines, fails=False):
        (programs / "reply").write_text("".join(f"{line}\n" for line in lines))
        program = programs / "squeue"
        end = "1>&2; exit 1" if fails else ""
        program.write_text(f"#!/bin/sh\ncat {programs}/reply {end}\n")
        program.chmod(0o755)

    return replies


def test_jobs_of_other_folders_and_of_other_programs_do_not_matter(squeue, tmp_path):
    squeue(f"1|RUNNING|{tmp_path}|(null)", f"2|PENDING|{tmp_path}/other|rule_page")
    assert jobs_of_folder(tmp_path) == []
    check_queue(tmp_path)


def test_a_folder_is_the_same_by_another_path(squeue, tmp_path):
    folder = tmp_path / "a | b"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    squeue(f"3_1|RUNNING|{tmp_path}/link|rule_evaluate_wildcards_a|b")
    assert [job.number for job in jobs_of_folder(folder)] == ["3_1"]


def test_jobs_that_are_left_are_named_with_the_way_out(squeue, tmp_path):
    squeue(*(f"{number}|RUNNING|{tmp_path}|rule_page" for number in range(1, 8)))
    with pytest.raises(LpclipError) as caught:
        check_queue(tmp_path)
    assert "1 (rule_page, running)" in str(caught.value)
    assert "and 2 more" in str(caught.value)
    assert str(caught.value).endswith("scancel 1 2 3 4 5 6 7")


def test_a_queue_that_does_not_reply_is_an_error(squeue, tmp_path):
    squeue("slurm_load_jobs error: Unable to contact slurm controller", fails=True)
    with pytest.raises(LpclipError, match=r"Unable to contact.*not known"):
        check_queue(tmp_path)
