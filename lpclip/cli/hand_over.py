"""Hand a command over to the server that runs the jobs of a workflow, if there is one."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from itertools import pairwise

from lpclip.cli.stages import STAGES
from lpclip.errors import LpclipError

ADDRESS = "LPCLIP_JOB_SERVER"  # variable of the environment: the path of the server's socket
STREAMS = (0, 1, 2)


def hand_over(arguments: Sequence[str]) -> None:
    """Let the server run a command and end as it ended; return where no server can run it.

    Raises:
        LpclipError: the server was killed while it ran the command.
    """
    address = os.environ.get(ADDRESS)
    if not address or not _is_served(arguments):
        return
    mask = os.umask(0)
    os.umask(mask)
    job = json.dumps([list(arguments), os.getcwd(), dict(os.environ), mask]).encode()  # noqa: PTH109
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
            socket.send_fds(server, [len(job).to_bytes(8)], STREAMS)
        except OSError:
            return
        # The keyboard interrupts the fork too, whose status then comes back.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            server.sendall(job)
        answer = b""
        with contextlib.suppress(OSError):
            answer = server.recv(4, socket.MSG_WAITALL)
    if len(answer) < 4:
        raise LpclipError(
            "The process that runs the jobs of this workflow has ended. Run it again."
        )
    status = int.from_bytes(answer, signed=True)
    if status < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other effect anyway
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _is_served(arguments: Sequence[str]) -> bool:
    """Whether a command is a stage on one thread: libraries fix that number when imported."""
    return any(one in STAGES for one in arguments[:1]) and ("--threads", "1") in pairwise(arguments)
