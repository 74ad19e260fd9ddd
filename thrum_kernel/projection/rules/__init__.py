"""What each event of the kernel does to the tables.

A rule is ``(tables, place, event) -> Verdict``. It is idempotent, and any two rules may run in either order with the
same result; where an event needs another one first, it answers `Held` and is tried again when that one comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from thrum_kernel.events import core
from thrum_kernel.projection.rules import agents, groups, messages, purges, receipts
from thrum_kernel.projection.tables import Place, Tables, Verdict

Rule = Callable[[Tables, Place, Any], Verdict]

RULES: Mapping[type[Any], Rule] = {
    core.MessageEdit: messages.edit,
    core.MessageDelete: messages.delete,
    core.MessageReceipt: receipts.receipt,
    core.AgentRegister: agents.register,
    core.AgentCleanup: agents.cleanup,
    core.AgentMove: agents.move,
    core.SessionStart: agents.session_start,
    core.SessionEnd: agents.session_end,
    core.AgentUpdate: agents.update,
    core.GroupCreate: groups.create,
    core.GroupUpdate: groups.update,
    core.GroupDelete: groups.delete,
    core.GroupMemberAdd: groups.add_member,
    core.GroupMemberRemove: groups.remove_member,
    core.ThreadCreate: groups.create_thread,
    core.PurgeExecuted: purges.purge,
}
"""The rule of every event of the kernel but ``message.create``, which also takes the hash of its line."""
