"""The commands that make a session: tagged, titled and with the agent's environment, all at one moment of tmux.

Done one by one, a crash between two of them would leave a session that nobody keeps, and a person's
``destroy-unattached on`` would end it before the next command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from thrum_tmux import model
from thrum_tmux.control.words import Words
from thrum_tmux.session.records import Record

FOREIGN: Final = re.compile(r"THRUM_\w*|CLAUDE_PROJECT_DIR")
"""Variables that tell who somebody else is, or which runtime a shell was started from."""
_VARIABLE: Final = re.compile(r"([A-Za-z_]\w*)(=|$)")


def overrides(record: Record) -> dict[str, str]:
    """What an agent's programs find in their environment; nothing for a bare session."""
    if not record.agent:
        return {}
    found = {
        "THRUM_NAME": record.agent,
        "THRUM_AGENT_ID": record.agent,
        "THRUM_ROLE": record.role,
        "THRUM_MODULE": record.module,
        "THRUM_HOME": str(record.cwd),
    }
    return {**found, "THRUM_INTENT": record.intent} if record.intent else found


def foreign(environment: Iterable[str]) -> list[str]:
    """Names in the lines of ``show-environment -g`` that no session of ours may begin with."""
    names = (found[1] for line in environment if (found := _VARIABLE.match(line)))
    return sorted({name for name in names if FOREIGN.fullmatch(name)})


def commands(record: Record, *, thrum_dir: Path, unwanted: Iterable[str]) -> list[Words]:
    """The commands, to be run in a row; the first prints ``$session %pane``.

    Args:
        thrum_dir: whose daemon keeps it.
        unwanted: variables of the server that its first pane must find empty, and later ones not at all.
    """
    wanted = overrides(record)
    empty = [name for name in unwanted if name not in wanted]
    here = ("-t", f"={record.name}:")
    title = f"@{record.agent}" if record.agent else record.name
    return [
        _new_session(record, {**dict.fromkeys(empty, ""), **wanted}),
        ("set-option", *here, "destroy-unattached", "off"),
        ("set-option", *here, model.MANAGED, "1"),
        ("set-option", *here, model.THRUM_DIR, str(thrum_dir)),
        ("set-option", *here, model.AGENT, record.agent),
        ("set-option", *here, model.RECORD, record.name),
        ("set-option", "-F", *here, model.PANE, "#{pane_id}"),
        ("set-option", *here, "set-titles", "on"),
        ("set-option", *here, "set-titles-string", title.replace("#", "##")),
        ("rename-window", *here, title),
        *(("set-environment", "-r", "-t", f"={record.name}", name) for name in empty),
    ]


def adoption(session: str, pane: str, *, agent: str, record: str, thrum_dir: Path) -> list[Words]:
    """The commands that make a session ours which thrum did not make, or note that its agent has another pane.

    Args:
        session, pane: their ids.
        record: the name under which it is remembered.
    """
    here = ("-t", session)
    return [
        ("set-option", *here, "destroy-unattached", "off"),
        ("set-option", *here, model.MANAGED, "1"),
        ("set-option", *here, model.THRUM_DIR, str(thrum_dir)),
        ("set-option", *here, model.AGENT, agent),
        ("set-option", *here, model.RECORD, record),
        ("set-option", *here, model.PANE, pane),
    ]


def _new_session(record: Record, environment: Mapping[str, str]) -> Words:
    given = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
    # -E: our environment is not a person's, whose SSH_AUTH_SOCK and DISPLAY the server has.
    head = ("new-session", "-d", "-E", "-P", "-F", "#{session_id} #{pane_id}", "-s", record.name)
    return (*head, "-c", str(record.cwd), *given)
