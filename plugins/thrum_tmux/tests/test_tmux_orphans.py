"""What a killed daemon left attached is ended by the next one, and nobody else's client."""

from __future__ import annotations

import os
import signal
import subprocess

from tmux_house import House

from thrum_kernel.testing.waiting import until


def clients(house: House) -> set[int]:
    """Process ids of all control clients."""
    told = house.tmux.run("list-clients", "-F", "#{client_control_mode} #{client_pid}").stdout
    return {int(line[2:]) for line in told.splitlines() if line.startswith("1 ")}


def parent(pid: int) -> int:
    """Of a process; 0 when it is gone."""
    told = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return int(told.stdout or 0)


def test_a_killed_daemon_leaves_no_client_to_the_next(house: House) -> None:
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

        until(lambda: name in house.heard() and not before & clients(house))
        daemon = house.cli.json("daemon", "status")["pid"]
        assert {parent(pid) for pid in clients(house) - {foreign.pid}} == {daemon}
        assert foreign.pid in clients(house)
    finally:
        foreign.kill()
        foreign.communicate()
        house.tmux("send-keys", "-t", f"={name}:", "C-c")
        until(lambda: house.program(name) != "yes")
        house.cli("tmux", "kill", name)
