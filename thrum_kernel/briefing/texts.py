"""What was written down for an agent: files in the ``context`` folder of its worktree, and the project's state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from thrum_kernel.api import AgentInfo
from thrum_kernel.context.folder import ContextFolder
from thrum_kernel.context.sharing import PROJECT_STATE
from thrum_kernel.errors import FileDamaged


@dataclass(slots=True)
class Texts:
    """The texts; empty where there is none. ``warnings``: files that cannot be used, one sentence each."""

    preamble: str = ""
    overlay: str = ""
    saved: str = ""
    project: str = ""
    warnings: list[str] = field(default_factory=list)


def read_texts(agent: AgentInfo, shared: Path) -> Texts:
    """Everything of *agent*, and of the project whose ``.thrum`` is *shared*; blocking.

    Raises:
        OSError: the worktree is gone.
    """
    own, project = ContextFolder(agent.thrum), ContextFolder(shared)
    texts = Texts()
    texts.preamble = _read(own, f"{agent.name}_preamble.md", texts.warnings)
    texts.overlay = _read(own, f"{agent.name}.md", texts.warnings)
    texts.saved = _read(own, f"{agent.name}_session.md", texts.warnings)
    texts.project = _read(project, PROJECT_STATE, texts.warnings)
    return texts


def _read(folder: ContextFolder, name: str, warnings: list[str]) -> str:
    try:
        found = folder.read(name)
    except FileDamaged as error:
        warnings.append(f"left out of the briefing: {error}")
        return ""
    return found.data.decode(errors="replace") if found is not None else ""
