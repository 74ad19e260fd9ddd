"""What a daemon does when it finds that another one lives under its id.

The one that has to go on under a new id ends as at a stop, publishes under the old one whatever it has acknowledged,
writes the new one down and begins again in the same process. Until that is written everything is as before, so a
crash anywhere leaves a daemon with one id and a whole log.

Source: DESIGN.md D1, "Which daemon".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence

from thrum_kernel.daemon.adopting import adopt
from thrum_kernel.daemon.opened import Opened
from thrum_kernel.errors import StoreError
from thrum_kernel.store import journal
from thrum_kernel.store.tree import Tree
from thrum_kernel.sync.cutter import Cutter
from thrum_kernel.sync.journals import Place
from thrum_kernel.sync.namesake import Sighting

_log = logging.getLogger(__name__)


class Doubt:
    """What one daemon has seen of others under its id. `heed` is for the loop.

    Args:
        end: ends this daemon.

    Attributes:
        has_lost: whether this daemon goes on under a new id, once it has ended.
        warnings: sentences for `daemon status`.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        self.has_lost = False
        self.warnings: list[str] = []
        self._end = end

    def heed(self, sighting: Sighting) -> None:
        """Take note of what was seen, and end when we are the one to change."""
        if sighting.past:
            self._warn(
                f"the remote holds files under this daemon's id by {len(sighting.past)} writer(s) that it does not "
                f"know, from before its start: its own past, if the repository was restored from a backup"
            )
        if sighting.is_younger and not self.has_lost:
            self.has_lost = True
            _log.warning(
                "another daemon writes under this one's id (%s): the younger of the two, this one, takes a new id",
                ", ".join(sighting.namesakes),
            )
            self._end()
        elif sighting.namesakes:
            self._warn(
                "another daemon writes under this one's id: a copy of this repository; it is the younger and takes "
                "a new id when it notices"
            )

    def _warn(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            _log.warning("%s", sentence)


def renew(opened: Opened, message_types: Container[str], *, scan: Callable[[bytes], Sequence[str]]) -> bool:
    """Publish under the old id what is left in the journals, and write down a new one; False: nothing changed.

    Blocking; the daemon has stopped, the lock is held.

    Args:
        scan: as for `Cutter`: what must not travel is held back here as ever.
    """
    try:
        publish_rest(opened.tree, opened.daemon_id, message_types, scan=scan)
        chosen, _ = adopt(opened.paths, opened.settings, opened.known, new=True, new_id=opened.ids.next_ulid)
    except (StoreError, OSError) as error:
        _log.error("the id stays for now: %s", error)
        return False
    _log.warning("this daemon was %s and is %s from now on", opened.daemon_id, chosen)
    return True


def publish_rest(
    tree: Tree, daemon: str, message_types: Container[str], *, scan: Callable[[bytes], Sequence[str]]
) -> None:
    """Publish whatever the journals of a daemon that has stopped still hold; blocking.

    Raises:
        StoreError: the disk refuses; done again it goes on.
    """
    ended = journal.recover(tree.disk, tree.journal, tree.quarantine).journals
    cutter = Cutter(tree, daemon=daemon, message_types=message_types, ended=ended, scan=scan)
    cutter.cut(Place("", 0))
