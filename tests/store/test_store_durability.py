"""The durability check of DESIGN.md D11: a crash, a failing call or a full disk at every single I/O call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_workload import Ledger, Node, assert_sound, rng_of, run_workload

from thrum_kernel.errors import StoreError
from thrum_kernel.testing.disk import FaultDisk

SOAK = os.environ.get("THRUM_SOAK") == "1"
ROUNDS = 30 if SOAK else 10
SEEDS = 8 if SOAK else 1


def crash_everywhere(disk: FaultDisk, *, seeds: int, rounds: int) -> int:
    """Run the workload once; before every call, look at what a power cut would leave. How many images were looked at.

    Those that look like one of before, when no more was acknowledged, need not be checked again.
    """
    ledger = Ledger()
    count = 0
    checked: set[tuple[object, ...]] = set()

    def look(found: FaultDisk, verb: str) -> None:
        nonlocal count
        ticks = 10_000 + found.calls
        if verb in ("read", "list", "size"):
            return  # nothing changed since the call before
        for rng in (None, *(rng_of(found.calls, seed) for seed in range(seeds))):
            count += 1
            image = found.crashed(rng)
            known = (image.looks(), len(ledger.acknowledged), ledger.asked, ledger.cutoff, len(ledger.erased))
            if known not in checked:
                checked.add(known)
                assert_sound(image, ledger.copy(), ticks=ticks)

    disk.before_call = look
    run_workload(Node(disk, ledger), rounds=rounds)
    assert ledger.erased and ledger.cutoff
    assert [path for path in disk.files() if path.name.startswith("ended.")], "nothing was rolled up"
    assert [path for path in disk.files() if path.parent.name == "held"], "nothing was held back"
    assert Path("/T/released") in disk.files(), "nothing was released"
    return count


def test_nothing_is_lost_when_the_power_goes_at_any_call() -> None:
    checked = crash_everywhere(FaultDisk(), seeds=SEEDS, rounds=ROUNDS)
    assert checked > 700


def test_the_check_fails_on_a_disk_whose_sync_does_nothing() -> None:
    with pytest.raises(AssertionError, match="acknowledged events are missing"):
        crash_everywhere(FaultDisk(is_honest=False), seeds=0, rounds=ROUNDS)


def count_calls(rounds: int) -> int:
    disk = FaultDisk()
    run_workload(Node(disk, Ledger()), rounds=rounds)
    return disk.calls


@pytest.mark.parametrize("fault", ["fail", "full"])
def test_nothing_is_lost_when_any_call_fails(fault: str) -> None:
    rounds = 12 if SOAK else 6
    calls = count_calls(rounds)
    for at in range(1, calls + 1, 1 if SOAK else 7):
        disk = FaultDisk(faults={at: fault})
        ledger = Ledger()
        try:
            node = Node(disk, ledger)
        except StoreError:  # the start itself failed: the next one works
            disk.free()
            node = Node(disk, ledger)
        run_workload(node, rounds=rounds, tolerant=True)
        disk.free()
        ticks = 10_000 + at
        found = (disk.crashed(), disk.crashed(rng_of(at)), disk)
        for each in {image.looks(): image for image in found}.values():
            assert_sound(each, ledger.copy(), ticks=ticks)
