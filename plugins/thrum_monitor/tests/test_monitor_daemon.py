"""Monitors with a real daemon, real commands and real processes."""

from __future__ import annotations

from monitor_house import House, is_running, session_of, until


def test_a_line_that_matches_is_a_message_and_a_stop_ends_the_command(house: House) -> None:
    monitor = house.watch_log(match="FAIL|panic:")
    pid = house.show("build")["pid"]
    house.write("all is well")
    house.write("panic: nil")

    until(house.texts, what="the alarm")
    house.write("FAIL again")
    until(lambda: house.show("build").get("suppressed"), what="the count")
    listed = house.cli.json("monitor", "list")
    said = house.cli("monitor", "stop", "build")

    assert [each["name"] for each in listed] == ["build"]
    assert (listed[0]["status"], listed[0]["target"], listed[0]["pid"]) == ("running", "@rev", pid)
    assert said == f"Stopped monitor {monitor}\n"
    assert not is_running(pid) and not session_of(pid)
    until(lambda: len(house.texts()) == 2, what="what was suppressed")
    assert house.texts() == ["panic: nil", "FAIL again\n(suppressed during last 1m)"]
    (first, *_) = house.cli.json("inbox", "--unread")["messages"]
    assert first["agent_id"] == "monitor:build"
    assert house.cli.json("monitor", "list") == []
    assert house.cli.json("monitor", "list", "--all")[0]["status"] == "stopped"
