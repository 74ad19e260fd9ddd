"""What `init` asks before there is a daemon: is there a log to join on the remote?

Source: spec/kernel.md §7.7; spec/decisions.md: `local_only` is true unless the remote has our branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from thrum_kernel import git, gitdir
from thrum_kernel.errors import GitFailed
from thrum_kernel.sync.process import Runner
from thrum_kernel.sync.remote import Remote, RemoteFailed, choose
from thrum_kernel.sync.repository import BRANCH

LOOK_S: Final = 5.0


class Found(NamedTuple):
    """What a look at the remote told.

    Attributes:
        remote: the name of the remote; empty when there is none to ask.
        has_branch: whether it has the branch of logs.
        problem: why that cannot be told; empty when it can.
    """

    remote: str = ""
    has_branch: bool = False
    problem: str = ""


def look(repo: Path, *, environ: Mapping[str, str]) -> Found:
    """Whether the remote of the user's repository at *repo* has a log; blocking, five seconds at most.

    A clone that was just made knows the remote's branches, and nobody is asked then.
    """
    place = gitdir.locate(repo)
    if place is None:
        return Found()
    try:
        choice = choose(place)
        if not choice.name:
            return Found()
        known = f"refs/remotes/{choice.name}/{BRANCH}"
        if git.run(place, "rev-parse", "--verify", "--quiet", known).ok:
            return Found(choice.name, has_branch=True)
        runner = Runner(place.common_dir / gitdir.SYNC_FOLDER / "repo.git", place.root, environ=environ)
        remote = Remote(choice, runner=runner, cwd=repo, look_s=LOOK_S)
        return Found(choice.name, has_branch=bool(remote.look()))
    except (GitFailed, RemoteFailed) as error:
        return Found(problem=str(error))
