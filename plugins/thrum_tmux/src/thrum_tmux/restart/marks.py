"""How far a restart has come, kept as an option of its tmux session.

It lives exactly as long as what it is about: a daemon that ends in the middle leaves it to the next one, and with the
session, or the server, it is gone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from thrum_tmux.control.words import Words

OPTION: Final = "@thrum-restart"
ENDING: Final = "ending"
LAUNCHING: Final = "launching"
SAVING: Final = "saving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A restart under way.

    Attributes:
        phase: ``saving`` nothing has ended yet, ``ending`` the old runtime is being ended, ``launching`` the new one is
            being started.
        agent: whose.
        runtime: what is to be launched.
        pid, started: the runtime that is to end, and when it began; 0 when none ran.
        asked_by: who wanted it; empty when nobody that can be told.
        before: the runtime that its identity named before; empty when none.
    """

    phase: str
    agent: str
    runtime: str
    pid: int = 0
    started: int = 0
    asked_by: str = ""
    before: str = ""


def setting(session: str, mark: Mark | None) -> Words:
    """The command that keeps *mark* with a session (by id), or takes it away."""
    if mark is None:
        return ("set-option", "-u", "-q", "-t", session, OPTION)
    return ("set-option", "-t", session, OPTION, json.dumps(asdict(mark)))


def question() -> Words:
    """The command whose answer `marks` reads."""
    return ("list-sessions", "-F", f"#{{session_id}}\t#{{{OPTION}}}")


def marks(answer: tuple[str, ...]) -> dict[str, Mark]:
    """Restarts under way, by the session's id; what cannot be understood is left out."""
    found = {}
    for line in answer:
        session, _, value = line.partition("\t")
        try:
            found[session] = Mark(**json.loads(value))
        except (ValueError, TypeError):
            continue
    return found
