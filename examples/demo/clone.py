"""An agent in another clone joins, through nothing but git."""

from __future__ import annotations

from pathlib import Path

from transcript import Transcript

from thrum_kernel.testing.harness import Cli, Repo, stop_daemon


def second_clone(show: Transcript, repo: Repo, person: Cli, alice: Cli, folder: Path) -> None:
    show.heading("A colleague on another machine clones the repository, and joins")
    host, path = folder / "host.git", folder / "elsewhere" / "shop"
    repo.git("init", "-q", "--bare", str(host))
    repo.git("remote", "add", "origin", str(host))
    repo.git("push", "-q", "origin", "main")
    show.run("person", person, "config", "set", "daemon.local_only", "false")
    show.run("alice", alice, "sync", "force")
    repo.git("clone", "-q", "-b", "main", str(host), str(path))
    clone = Repo(path, path, repo.env)
    colleague = Cli(person.spawner, path, person.env)
    try:
        out = show.run("colleague", colleague, "init", "--non-interactive")
        show.expect("init joins the messages that are there", "Joined the messages of origin" in out)
        show.run("carol", colleague, "quickstart", "carol", "--role", "tester", "--module", "checkout")
        show.run("carol", colleague, "send", "Which cases shall I test?", "--to", "@alice")
        colleague("sync", "force")
        alice("sync", "force")
        out = show.run("alice", alice, "inbox")
        show.expect("alice has it, from another clone", "Which cases shall I test?" in out)
        show.run("alice", alice, "send", "The ones with cents.", "--to", "@carol")
        alice("sync", "force")
        colleague("sync", "force")
        out = show.run("carol", colleague, "inbox")
        show.expect("carol has the answer", "The ones with cents." in out)
        branches = clone.git("branch", "--format=%(refname:short)").split()
        show.expect("the branches of the clone are its own", branches == ["main"])
    finally:
        stop_daemon(colleague)
