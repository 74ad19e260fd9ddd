"""What a runtime still has to be told, kept as an option of its tmux session.

It is noted before the runtime's command is typed and lives as long as the session: a daemon that ends in between leaves
it to the next one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from thrum_tmux.control.words import Words

OPTION: Final = "@thrum-greeting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A runtime that is being started, or was and has not been told everything.

    Attributes:
        agent: whose.
        runtime: its name.
        reminder: what it is told when it shows nothing after that.
        told: how many of its lines it was told.
    """

    agent: str
    runtime: str
    reminder: str
    told: int = 0


def setting(session: str, greeting: Greeting | None) -> Words:
    """The command that keeps *greeting* with a session (by id), or takes it away."""
    if greeting is None:
        return ("set-option", "-u", "-q", "-t", session, OPTION)
    return ("set-option", "-t", session, OPTION, json.dumps(asdict(greeting)))


def question() -> Words:
    """The command whose answer `greetings` reads."""
    return ("list-sessions", "-F", f"#{{session_id}}\t#{{{OPTION}}}")


def greetings(answer: tuple[str, ...]) -> dict[str, Greeting]:
    """Those that are not through, by the session's id; what cannot be understood is left out."""
    found = {}
    for line in answer:
        session, _, value = line.partition("\t")
        try:
            found[session] = Greeting(**json.loads(value))
        except (ValueError, TypeError):
            continue
    return found
