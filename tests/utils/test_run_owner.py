import json
import os
import subprocess
import sys

import pytest

from lpclip.utils import run_owner
from lpclip.utils.run_owner import LOCKS, OWNER, note_owner, remove_lock_of_killed_run

NOTE = "import sys; from pathlib import Path; from lpclip.utils.run_owner import note_owner\n"


def lock(folder, *, time=0):
    path = folder / LOCKS / "0.input.lock"
    path.parent.mkdir(parents=True)
    path.write_text("cache/a.h5\n")
    os.utime(path, (time, time))
    return path


def noted_by_a_process_that_ended(folder):
    subprocess.run([sys.executable, "-c", f"{NOTE}note_owner(Path({str(folder)!r}))"], check=True)


def test_the_lock_of_a_process_that_is_gone_is_removed(tmp_path):
    path = lock(tmp_path)
    noted_by_a_process_that_ended(tmp_path)
    assert remove_lock_of_killed_run(tmp_path)
    assert not path.exists()
    assert not remove_lock_of_killed_run(tmp_path)


def test_the_lock_of_a_process_that_lives_stays(tmp_path):
    path = lock(tmp_path)
    note_owner(tmp_path)
    assert not remove_lock_of_killed_run(tmp_path)
    assert path.exists()


def test_a_number_that_another_process_has_now_is_no_sign_of_life(tmp_path):
    lock(tmp_path)
    note_owner(tmp_path)
    note = json.loads((tmp_path / OWNER).read_text())
    (tmp_path / OWNER).write_text(json.dumps({**note, "started": note["started"] - 60}))
    assert remove_lock_of_killed_run(tmp_path)


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"machine": 1}'])
def test_a_lock_whose_owner_is_unknown_stays(tmp_path, note):
    path = lock(tmp_path)
    (tmp_path / OWNER).write_text(note)
    assert not remove_lock_of_killed_run(tmp_path)
    (tmp_path / OWNER).unlink()
    assert not remove_lock_of_killed_run(tmp_path)
    assert path.exists()


def test_a_lock_that_is_newer_than_the_note_stays(tmp_path):
    noted_by_a_process_that_ended(tmp_path)
    path = lock(tmp_path, time=(tmp_path / OWNER).stat().st_mtime + 1)
    assert not remove_lock_of_killed_run(tmp_path)
    assert path.exists()


def test_the_lock_of_another_machine_stays(tmp_path, monkeypatch):
    path = lock(tmp_path)
    noted_by_a_process_that_ended(tmp_path)
    monkeypatch.setattr(run_owner.socket, "gethostname", lambda: "another")
    assert not remove_lock_of_killed_run(tmp_path)
    assert path.exists()
