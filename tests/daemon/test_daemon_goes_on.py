"""Commands that wait: on through a restart, and until what they need is there."""

from __future__ import annotations

import concurrent.futures
import json
import time
from pathlib import Path

import pytest
from daemon_house import House

from thrum_kernel.testing.harness import Cli
from thrum_kernel.testing.waiting import until


@pytest.mark.parametrize("in_process", [False, True], ids=["in the daemon", "in process"])
def test_a_wait_goes_on_with_the_next_daemon_and_tells_everything_once(
    house: House, tmp_path: Path, in_process: bool
) -> None:
    bob = house.bob.in_process() if in_process else house.bob
    house.alice("send", "before", "--to", "@bob")
    assert [m["body"]["content"] for m in waited(bob)] == ["before"]
    output = tmp_path / "wait.txt"
    waiting = bob.background("wait", "--timeout", "50s", "--json", output=output)
    until(lambda: house.status()["waits"] == 1)

    house.person("daemon", "restart")
    house.alice("send", "after", "--to", "@bob")

    assert waiting.wait(30) == 0
    text = output.read_text()
    told = json.loads(text[text.index("{") :])[
        "messages"
    ]  # behind what was noted while the cache was not there
    assert [message["body"]["content"] for message in told] == ["after"]
    assert bob.run("wait", "--timeout", "100ms").status == 1  # nothing is told again


def waited(who: Cli) -> list[dict[str, dict[str, str]]]:
    found: list[dict[str, dict[str, str]]] = who.json("wait", "--timeout", "20s")["messages"]
    return found


def test_a_wait_has_only_the_rest_of_its_time_after_a_restart(house: House, tmp_path: Path) -> None:
    output = tmp_path / "wait.txt"
    begun = time.monotonic()
    waiting = house.bob.in_process().background("wait", "--timeout", "3s", output=output)
    until(lambda: house.status()["waits"] == 1)

    house.person("daemon", "restart")

    assert waiting.wait(30) == 1
    assert time.monotonic() - begun >= 3
    assert "no message within 3s" in output.read_text()


def test_a_search_right_after_a_start_waits_for_the_index(house: House) -> None:
    house.alice("send", "a needle in the hay", "--to", "@bob")
    house.person("daemon", "restart")

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = pool.map(lambda cli: cli.json("search", "needle"), (house.alice, house.alice.in_process()))

    assert [found["total"] for found in both] == [1, 1]
