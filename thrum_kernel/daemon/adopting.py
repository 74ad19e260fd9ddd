"""``daemon.adopt``: which daemon goes on with a log that was brought from another machine.

A start without a terminal to ask on takes a new identity; this takes the old one back, or makes a new one. It holds
from the next start on, since a daemon's events carry its id.

Source: DESIGN.md D1, "Which daemon".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

from thrum_kernel import ids, jsonio
from thrum_kernel.errors import Refused
from thrum_kernel.paths import Paths
from thrum_kernel.settings.daemon_identity import Known
from thrum_kernel.settings.document import SettingsFile


def adopt(
    paths: Paths, settings: SettingsFile, known: Known, *, new: bool, new_id: Callable[[], str]
) -> tuple[str, bool]:
    """The id that holds from now on, and whether that needs a restart.

    Raises:
        Refused: nothing was brought from elsewhere, so there is nothing to take back.
    """
    if new:
        chosen = ids.daemon_id(new_id())
    elif known.told in ("renewed", "copied") and known.previous is not None:
        chosen = known.previous.daemon_id
    elif known.told in ("same", "moved", "adopted", "created"):
        return known.identity.daemon_id, False
    else:
        raise Refused("this log was not brought from another machine: there is no other identity to take on")
    identity = replace(known.identity, daemon_id=chosen)
    with jsonio.locked(paths.sync):
        jsonio.write_object(paths.daemon_file, asdict(identity))
    settings.update("identity", identity.block)
    return chosen, True
