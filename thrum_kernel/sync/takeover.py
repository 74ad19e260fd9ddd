"""Makes a remote's branch ours that another program wrote: asked for by a person, and without force.

What the branch was is pushed under another name first. The commit that makes it ours is a child of that one, so every
clone fetches it as it fetches anything; it takes the other program's files out of the tree, brings ``FORMAT``, and leaves
one message in the form that the reference reads, which tells those who still use it what happened.

Done again, or by two at once, it comes to the same: a branch with ``FORMAT`` is left alone.
Source: DESIGN.md D1 "FORMAT"; spec/kernel.md §2.2, §7.5 ("Interop advice").
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import msgspec

from thrum_kernel import ids
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.store.files import drop, replace
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.branch_format import FORMAT
from thrum_kernel.sync.publish import Publisher
from thrum_kernel.sync.remote import Remote
from thrum_kernel.sync.repository import BRANCH, Repository

NOTICE: Final = "messages/system.jsonl"
"""Where the reference looks for messages of ``system``; no name of ours."""

TEXT: Final = (
    "This team uses Thrum 0.11 or later now: what you send from here reaches nobody else any more. "
    "Stop this daemon, install the new version, and run `thrum migrate` in this repository."
)


@dataclass(frozen=True, slots=True)
class Takeover:
    """One remote's branch.

    Attributes:
        daemon: the id of this daemon, which the notice is from.
    """

    remote: Remote
    repository: Repository
    tree: Tree
    publisher: Publisher
    clock: Clock
    daemon: str

    async def run(self) -> str:
        """Do it; the name that the branch has on the remote now as it was, empty when nothing had to be done.

        Raises:
            RemoteFailed: the remote cannot be asked, or takes one of the two pushes not.
            Raced: somebody pushed to the branch in between; nothing was replaced.
            GitFailed, StoreError: what is here cannot be used.
        """
        async with self.publisher.quiet():
            return await asyncio.to_thread(self._replace)

    def _replace(self) -> str:
        self.tree.prepare()
        self.repository.prepare()
        if not self.remote.look():
            return ""
        self.remote.fetch()
        tip = self.repository.tip(self.remote.ref)
        files = self.repository.files(tip)
        if FORMAT in files:
            return ""
        kept = f"{BRANCH}-before-thrum-{tip[:12]}"
        self.repository.move(f"refs/thrum/{kept}", tip)  # so that `migrate` finds it here, too
        self.remote.push(tip, branch=kept)
        self.remote.push(self._commit(tip, list(files)))
        return kept

    def _commit(self, tip: str, files: list[str]) -> str:
        notice = self.tree.published / NOTICE
        temporary = self.tree.folders.ensure(self.tree.temporary)
        self.tree.folders.ensure(notice.parent)
        replace(self.tree.disk, notice, self._notice(tip), temporary=temporary)
        try:
            gone = sorted({*files} - {FORMAT, NOTICE})
            message = "sync: this branch is Thrum's 0.11 now\n\n[skip ci]\n"
            return self.repository.commit(tip, [FORMAT, NOTICE], gone, message)
        finally:
            drop(self.tree.disk, [notice])

    def _notice(self, tip: str) -> bytes:
        """The message, once for each tip that was replaced."""
        now_us = self.clock.now_us()
        ulid = ids.derived_ulid(now_us, "replaced", tip)
        event = {
            "type": "message.create",
            "event_id": ids.event_id(ulid),
            "timestamp": format_us(now_us),
            "v": 1,
            "origin_daemon": self.daemon,
            "message_id": ids.message_id(ulid),
            "agent_id": "system",
            "session_id": "",
            "body": {"format": "markdown", "content": TEXT},
        }
        return msgspec.json.encode(event) + b"\n"
