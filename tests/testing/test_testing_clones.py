"""Two clones of one remote: one repository to git, two houses to thrum."""

from __future__ import annotations

from thrum_kernel.testing.clones import TwoClones
from thrum_kernel.testing.harness import request


def test_each_clone_has_its_own_daemon_and_log_and_git_goes_between_them(two_clones: TwoClones) -> None:
    here, there = two_clones.here, two_clones.there

    (here.repo.path / "new.txt").write_text("from here\n")
    here.repo.git("add", "new.txt")
    here.repo.git("commit", "-q", "-m", "new")
    here.repo.git("push", "-q", "origin", "main")
    there.repo.git("pull", "-q")

    assert (there.repo.path / "new.txt").read_text() == "from here\n"
    known = [request(clone.socket, "daemon.status") for clone in (here, there)]
    assert known[0]["identity"]["daemon_id"] != known[1]["identity"]["daemon_id"]
    assert known[0]["pid"] != known[1]["pid"]


def test_a_message_stays_in_the_clone_where_it_was_written(two_clones: TwoClones) -> None:
    for clone in (two_clones.here, two_clones.there):
        clone.cli("quickstart", "ada", "--role", "implementer", "--module", "shop")

    two_clones.here.cli("send", "only here", "--to", "@everyone")

    assert "only here" in two_clones.here.cli("sent")
    assert "only here" not in two_clones.there.cli("sent")
