"""A module that is interrupted while a worker process imports it, as by Ctrl-C on a terminal."""

import os
import signal
from multiprocessing import current_process

if current_process().name != "MainProcess":
    os.kill(os.getpid(), signal.SIGINT)


def handling(job: int) -> tuple[bool, bool]:
    """Whether SIGINT is ignored here, and whether it is blocked."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.SIGINT in blocked


def begin() -> None:
    """What makes a worker import this module before anything else."""
