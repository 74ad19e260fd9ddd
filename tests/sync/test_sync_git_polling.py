"""When the remote is looked at again."""

from __future__ import annotations

from thrum_kernel.sync.polling import Polling


def pauses(polling: Polling, count: int, *, interval_s: float = 60.0) -> list[float]:
    found = []
    for _ in range(count):
        found.append(polling.pause_s(interval_s))
    return found


def test_looks_become_rarer_while_nothing_travels() -> None:
    polling = Polling(jitter=lambda: 1.0)
    assert pauses(polling, 7) == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    polling.succeeded(is_busy=False)
    assert polling.pause_s(60.0) == 60.0
    polling.succeeded(is_busy=True)
    assert pauses(polling, 2) == [2.0, 4.0]


def test_failures_are_tried_again_ever_more_seldom() -> None:
    polling = Polling(jitter=lambda: 1.0)
    found = []
    for _ in range(8):
        polling.failed()
        found.append(polling.pause_s(60.0))
    assert found == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    polling.succeeded(is_busy=False)
    assert polling.pause_s(60.0) == 2.0 and not polling.is_failing


def test_a_short_interval_holds_from_the_first_look() -> None:
    assert pauses(Polling(jitter=lambda: 1.0), 3, interval_s=1.0) == [2.0, 2.0, 2.0]


def test_clones_do_not_ask_in_step() -> None:
    found = [Polling().pause_s(60.0) for _ in range(20)]
    assert len(set(found)) > 10 and all(1.6 <= pause <= 2.4 for pause in found)
