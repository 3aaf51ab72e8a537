"""Work for other processes that ends when this one says so."""

from multiprocessing.synchronize import Event

_event: Event


def begin_to_wait(event: Event) -> None:
    """Have a process wait for this event."""
    global _event
    _event = event


def wait_for_event(job: int) -> tuple[int, bool]:
    """The job, and whether the event came within a minute."""
    return job, _event.wait(60)
