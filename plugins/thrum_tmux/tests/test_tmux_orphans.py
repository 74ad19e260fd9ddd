"""What a killed daemon left attached is named by the next one, and nobody else's client."""

from __future__ import annotations

import os
import re
import signal
import subprocess

from tmux_house import House

from thrum_kernel.testing.waiting import until


def clients(house: House) -> set[int]:
    """Process ids of all control clients."""
    told = house.tmux.run("list-clients", "-F", "#{client_control_mode} #{client_pid}").stdout
    return {int(line[2:]) for line in told.splitlines() if line.startswith("1 ")}


def named(house: House) -> set[int]:
    """Process ids of the clients that daemons named in the log."""
    log = house.cli("daemon", "logs")
    return {int(pid) for pid in re.findall(r"is still attached: PID (\d+)", log)}


def test_what_a_killed_daemon_left_attached_is_named_and_left_alone(house: House) -> None:
    name = house.fresh()
    house.create(name)
    until(lambda: name in house.heard())
    foreign = subprocess.Popen(
        ["tmux", "-S", str(house.tmux.path), "-C", "attach-session", "-E", "-t", f"={name}"],
        env=dict(house.tmux.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        until(lambda: foreign.pid in clients(house))
        before = clients(house) - {foreign.pid}
        # So much output that a client cannot be rid of it when nobody reads: tmux 3.3a then keeps it for ever.
        house.tmux("send-keys", "-t", f"={name}:", "yes", "Enter")
        until(lambda: house.program(name) == "yes")

        os.kill(house.cli.json("daemon", "status")["pid"], signal.SIGKILL)
        house.cli("daemon", "start")

        until(lambda: name in house.heard())
        until(lambda: before & clients(house) <= named(house))  # most times one is left, seldom none
        assert named(house) <= before
        assert foreign.pid in clients(house)
    finally:
        foreign.kill()
        foreign.communicate()
        house.tmux("send-keys", "-t", f"={name}:", "C-c")
        until(lambda: house.program(name) != "yes")
        house.cli("tmux", "kill", name)
