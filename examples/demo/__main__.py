"""What thrum does, played through: real commands, daemons, log, git and terminals.

Run it with ``make demo``. It works in a scratch folder that it removes, prints a transcript, and ends with a status
other than 0 when any step is not what it should be.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import clone
import messages
import monitors
import terminal
from transcript import Transcript

from thrum_kernel.testing.fake_runtime.driver import install_program
from thrum_kernel.testing.harness import Cli, Failed, Repo, clean_environment, launcher, stop_daemon
from thrum_kernel.testing.spawner import Spawner


def play(folder: Path, spawner: Spawner) -> int:
    """The whole story; gives the number of commands shown."""
    home = folder / "home"
    home.mkdir()
    env = clean_environment(home)
    programs = install_program(folder / "bin").parent
    env["PATH"] = f"{programs}:{launcher().parent}:{env['PATH']}"
    repo = Repo.make(folder / "shop", env)
    (repo.path / "checkout.py").write_text("def total(items):\n    return sum(items)\n")
    repo.git("add", "checkout.py")
    repo.git("commit", "-q", "-m", "checkout")
    alice_home, bob_home = repo.worktree("alice"), repo.worktree("bob")
    person = Cli(spawner, repo.path, env)
    alice, bob = person.at(alice_home.path), person.at(bob_home.path)
    show = Transcript()
    try:
        messages.set_up(show, person, alice, bob)
        question = messages.ask_and_answer(show, alice, bob, folder)
        messages.look_around(show, alice, bob, bob_home, question)
        messages.wait_for_news(show, alice, bob, folder)
        monitors.watch_a_log(show, alice, bob, folder)
        terminal.agent_in_a_terminal(show, repo, person, alice, folder)
        clone.second_clone(show, repo, person, alice, folder)
    finally:
        stop_daemon(person)
    return show.steps


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="thrum-demo-"))
    spawner = Spawner()
    try:
        steps = play(folder, spawner)
    except (Failed, TimeoutError, KeyError) as error:
        print(
            f"\nThe demo failed: {error!r}" if isinstance(error, KeyError) else f"\nThe demo failed: {error}"
        )
        for log in folder.glob("**/shop/.thrum/var/daemon.log"):
            print("\n".join(log.read_text().splitlines()[-30:]))
        return 1
    finally:
        spawner.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nDemo complete: {steps} commands, every step as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
