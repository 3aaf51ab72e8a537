"""Processes that tests start: their numbers, and whether they have ended."""

import time
from pathlib import Path

FAMILY = "echo $$ >> pids; sh -c 'echo $$ >> pids; exec sleep 1000' & wait"
"""A shell that waits for a program of its own; both note their process numbers."""


def started(folder: Path, count: int) -> list[int]:
    """The process numbers in the file, once there are ``count``."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if (folder / "pids").exists():
            found = [int(line) for line in (folder / "pids").read_text().split()]
            if len(found) >= count:
                return found
        time.sleep(0.01)
    raise TimeoutError


def assert_ended(pids: list[int]) -> None:
    """None of these processes runs. One without a parent may be a zombie until it is reaped."""
    end = time.monotonic() + 60
    while any(running(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"
