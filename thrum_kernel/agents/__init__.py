"""Agents: registration, sessions, what each works on, and the team.

`room.Agents` wires everything; `LOCAL_MIGRATIONS` are its tables in ``local.db``. `directory.whoami_from_files` and
`status.set_own_status` answer with no daemon.
"""

from thrum_kernel.agents.directory import whoami_from_files
from thrum_kernel.agents.local_tables import LOCAL_MIGRATIONS
from thrum_kernel.agents.room import Agents
from thrum_kernel.agents.status import set_own_status

__all__ = ["LOCAL_MIGRATIONS", "Agents", "set_own_status", "whoami_from_files"]
