"""The files that a runtime needs in a repository, made from the templates of this package.

Scripts are ours and always brought up to date; instructions and settings belong to the project, so one that is there
stays. Source: spec/features.md §11.4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from thrum_kernel.api import KitFile

STARTUP_SCRIPT = "scripts/thrum-startup.sh"
INBOX_SCRIPT = "scripts/thrum-check-inbox.sh"
POLLING_SCRIPT = "scripts/thrum-polling.sh"

_GUARDED = re.compile(r"\[ ! -f (?P<path>\".+\") \] \|\| (?P<run>(?:\w+=\w+ )?bash (?P=path))")


@cache
def template(name: str) -> str:
    """The text of one template, e.g. ``instructions.md`` or ``skill/SKILL.md``."""
    return files("thrum_runtimes").joinpath("templates", name).read_text(encoding="utf-8")


def script(path: str) -> KitFile:
    """One of our scripts, from the template of its name; executable, always brought up to date."""
    return KitFile(path=path, content=template(path.rpartition("/")[2]), managed=True, executable=True)


def startup() -> KitFile:
    """The script that prints the briefing."""
    return script(STARTUP_SCRIPT)


def instructions(path: str, *, before: str = "") -> KitFile:
    """What an agent should know about thrum, as an instructions file of its runtime.

    Args:
        path: where the runtime looks for it.
        before: what must stand above it there, e.g. front matter.
    """
    return KitFile(path=path, content=before + template("instructions.md"))


def settings(path: str, value: Mapping[str, object]) -> KitFile:
    """A JSON file with settings of a runtime; one that is there stays."""
    return KitFile(path=path, content=_json(value))


def if_there(path: str, *, env: str = "") -> str:
    """The command of a hook that runs our script at *path*; does nothing, and succeeds, where there is none.

    A settings file that git tracks comes to every worktree and clone, the scripts, which git ignores, do not.

    Args:
        path: where the script is, as the runtime's shell finds it; may hold variables.
        env: what the script finds in its environment, e.g. ``HOOK_EVENT=Stop``.
    """
    return f'[ ! -f "{path}" ] || {f"{env} bash" if env else "bash"} "{path}"'


def unguarded(command: str) -> str:
    """What a command of `if_there` was in kits that ran it without a look; empty for any other command."""
    found = _GUARDED.fullmatch(command)
    return found["run"] if found else ""


def hooks(path: str, commands: Mapping[str, str], *, matchers: Mapping[str, str] | None = None) -> KitFile:
    """A JSON file whose ``hooks`` run *commands*, by event; merged into one that is there."""
    groups = {event: [_group(command, (matchers or {}).get(event))] for event, command in commands.items()}
    return KitFile(path=path, content=_json({"hooks": groups}), merge="hooks")


def _group(command: str, matcher: str | None) -> dict[str, object]:
    group: dict[str, object] = {} if matcher is None else {"matcher": matcher}
    return group | {"hooks": [{"type": "command", "command": command}]}


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
