"""Git as the kernel sees it: where one stands, and what was changed there. The only importer of GitPython.

Every function opens what it needs and closes it again, and may take as long as git does (at most five seconds a
process): callers on the loop use a thread. Nothing here writes to the user's repository, takes its locks, reaches the
network, or runs a program that its configuration names.
"""

from thrum_kernel.errors import GitFailed
from thrum_kernel.git.process import Answer, run
from thrum_kernel.git.repository import User, branch, discover, head, origin_url, user, worktrees
from thrum_kernel.git.work import Commit, FileChange, WorkState, work_state
from thrum_kernel.gitdir import Place

__all__ = [
    "Answer",
    "Commit",
    "FileChange",
    "GitFailed",
    "Place",
    "User",
    "WorkState",
    "branch",
    "discover",
    "head",
    "origin_url",
    "run",
    "user",
    "work_state",
    "worktrees",
]
