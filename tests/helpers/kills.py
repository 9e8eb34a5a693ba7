"""Processes that die at one of their changes on the disk, and what the disk holds meanwhile."""

import os
import sys
import traceback

CHANGES = ("pwrite", "fsync", "ftruncate", "replace", "rename", "link", "unlink", "mkdir", "rmdir")
_KILLED = 9


def before_changes(monkeypatch, act):
    """Call ``act(name, arguments)`` before every change on the disk that Python makes."""

    def watched(name, change):
        def changed(*arguments, **options):
            act(name, arguments)
            return change(*arguments, **options)

        return changed

    for name in CHANGES:
        monkeypatch.setattr(os, name, watched(name, getattr(os, name)))


def killed_at(step, work, monkeypatch):
    """Run work in a copy of this process that dies at a change; return whether it came to it."""
    left = iter(range(step))
    return killed_when(lambda: next(left, None) is None, work, monkeypatch)


def killed_when(is_time, work, monkeypatch):
    """Run work in a copy of this process that dies at the first change at which it is time.

    It dies in the middle of a change that writes.

    Returns:
        Whether it died.
    """
    child = os.fork()
    if not child:
        try:
            _die_when(is_time, monkeypatch)
            work()
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, _KILLED)
    return code == _KILLED


def _die_when(is_time, monkeypatch):
    pwrite = os.pwrite

    def look(name, arguments):
        if is_time():
            if name == "pwrite":
                descriptor, data, position = arguments
                pwrite(descriptor, data[: len(data) // 2], position)
            os._exit(_KILLED)

    before_changes(monkeypatch, look)


def bytes_on_disk(folder):
    """Bytes that the files in a folder occupy, each counted once; holes occupy none."""
    found = {}
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        found[status.st_ino] = status.st_blocks * 512 if path.is_file() else 0
    return sum(found.values())
