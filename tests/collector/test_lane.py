"""The thread that may be given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from hosts.collector.lane import Lane, stuck_threads
from tests.polling import poll
from vmdash.virt.errors import HostHung


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """Calls that wait for it hang until the test has ended."""
    event = threading.Event()
    yield event
    event.set()
    poll(lambda: stuck_threads() == 0, what="the stuck threads to end")


async def test_it_gives_what_the_call_returns_and_raises_what_it_raises() -> None:
    lane = Lane("kvm1", deadline_s=5)

    assert await lane.run(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await lane.run(int, "seven")
    await lane.finish(lambda: None)


async def test_calls_run_one_after_the_other_on_one_thread_that_is_not_ours() -> None:
    lane = Lane("kvm1", deadline_s=5)

    threads = await asyncio.gather(*(lane.run(threading.get_ident) for _ in range(5)))

    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    await lane.finish(lambda: None)


async def test_a_call_over_its_deadline_makes_the_host_hung(hang: threading.Event) -> None:
    lane = Lane("kvm1", deadline_s=0.05)

    with pytest.raises(HostHung, match=r"kvm1: a call got no answer within 0\.05 s"):
        await lane.run(hang.wait)


async def test_a_thread_that_never_comes_back_is_counted_and_cleans_up_when_it_does(hang: threading.Event) -> None:
    lane = Lane("kvm1", deadline_s=0.05)
    cleaned_up = threading.Event()
    with pytest.raises(HostHung):
        await lane.run(hang.wait)

    await lane.finish(cleaned_up.set)

    assert stuck_threads() == 1
    assert not cleaned_up.is_set()
    hang.set()
    assert cleaned_up.wait(5)
    poll(lambda: stuck_threads() == 0, what="the thread to end")


async def test_what_is_left_behind_does_not_hold_up_another_lane(hang: threading.Event) -> None:
    stuck, other = Lane("kvm1", deadline_s=0.05), Lane("kvm1", deadline_s=5)
    with pytest.raises(HostHung):
        await stuck.run(hang.wait)

    assert await other.run(int, "7") == 7
    await other.finish(lambda: None)
    await stuck.finish(lambda: None)
