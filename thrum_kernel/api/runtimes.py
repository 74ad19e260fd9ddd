"""Runtimes as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class KitFile:
    """A file that a runtime needs in a repository.

    Attributes:
        path: relative to the worktree's root (``~/…``: to the home folder).
        content: its text; ``{{.AgentName}}``, ``{{.AgentRole}}``, ``{{.AgentModule}}`` and ``{{.MCPCommand}}`` are
            replaced.
        managed: ours, always written anew; otherwise one that is there stays unless forced.
        merge: ``hooks`` merges it into an existing JSON file that keeps everything else.
        executable: mode 0755.
    """

    path: str
    content: str
    managed: bool = False
    merge: Literal["", "hooks"] = ""
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """One entry of a runtime's transcript.

    Attributes:
        kind: ``user``, ``assistant``, ``tool`` (a tool's result), or ``other`` (queue, history, bookkeeping).
        text: what it says.
        at: timestamp, empty when the transcript tells none.
    """

    kind: Literal["user", "assistant", "tool", "other"]
    text: str
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextUse:
    """How much of its context a runtime's session uses, as its transcript tells it.

    Attributes:
        tokens: in the context now.
        window: how many fit into it.
    """

    tokens: int
    window: int

    @property
    def percent(self) -> float:
        """0 … 100; more where *window* is too small a guess."""
        return 100 * self.tokens / self.window if self.window > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimePreset:
    """A runtime as data. The name is its one key everywhere.

    Attributes:
        name, display_name, command: e.g. ``claude``, ``Claude Code``, ``claude``.
        processes: names of its processes.
        mcp_supported, hooks_supported, has_session_start_hook: what it can do.
        instructions_file, mcp_config_path, setup_notes: for people.
        markers: files or folders in a repository that tell it is used there.
        environment: variables that tell we run inside it.
        binaries: ``(program, words one of which its --version contains)``.
        skills_dir: where it looks for skills.
        files: what ``init --runtime`` writes.
        queues_input: takes input while it is busy.
        enter_delay_s: seconds between text and Enter.
        bracketed_paste: wants multi-line text pasted.
        prompt: regular expressions of its prompt box, each matched with one row of the screen, without the blanks at
            its end. ``line``: the first row of what is typed, which stands in the group ``text``; ``more``: its
            further rows, likewise; ``above`` and ``below``: the rows that bound the box; ``footer``: the next row
            below that is not empty; ``placeholder``: matched with the whole text, what an empty box says; ``pasted``:
            likewise, what it says in place of a long text that was pasted; ``at_cursor`` (any value): the prompt is the
            cursor's row, as in a shell. A key that is left out is not asked for; without ``line`` nothing is ever typed
            unasked. Further keys are for whoever knows them.
        busy, dialog: regular expressions searched in the lowest rows of the screen, by the name of what is shown: it
            works, or it asks something and takes its next key as the answer.
        keys: keys for a dialog, by ``<dialog>.<answer>``; several are separated by commas.
        find_transcript: ``(pid, cwd) -> Path | None``, blocking.
        read_transcript: ``(path) -> Iterable[TranscriptEntry]``, oldest first, blocking.
        read_context: ``(path) -> ContextUse | None`` of the same file, from its end; None where it does not tell;
            blocking.
    """

    name: str
    display_name: str
    command: str
    processes: tuple[str, ...] = ()
    mcp_supported: bool = False
    hooks_supported: bool = False
    has_session_start_hook: bool = False
    instructions_file: str = ""
    mcp_config_path: str = ""
    setup_notes: str = ""
    markers: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    binaries: tuple[tuple[str, tuple[str, ...]], ...] = ()
    skills_dir: str = ""
    files: tuple[KitFile, ...] = ()
    queues_input: bool = False
    enter_delay_s: float = 0.1
    bracketed_paste: bool = False
    prompt: Mapping[str, str] = field(default_factory=dict)
    busy: Mapping[str, str] = field(default_factory=dict)
    dialog: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    find_transcript: Callable[[int, Path], Path | None] | None = None
    read_transcript: Callable[[Path], Iterable[TranscriptEntry]] | None = None
    read_context: Callable[[Path], ContextUse | None] | None = None
