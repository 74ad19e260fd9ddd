"""Unit files that have the system's own supervisor run the daemon: systemd on Linux, launchd on macOS."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape


def unit_name(repo: Path) -> str:
    """A name for the unit of one repository: its folder's name and the start of a hash of its path."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", repo.name).strip("-") or "repo"
    return f"thrum-{plain}-{hashlib.sha256(str(repo).encode(errors='surrogateescape')).hexdigest()[:8]}"


def systemd(repo: Path, words: Sequence[str]) -> str:
    """A user unit; goes to ``~/.config/systemd/user/<name>.service``."""
    return (
        "[Unit]\n"
        f"Description=Thrum daemon for {repo}\n"
        "\n"
        "[Service]\n"
        "Type=simple\n"
        f"ExecStart={' '.join(_systemd_word(word) for word in words)}\n"
        "WorkingDirectory=/\n"
        "Restart=on-failure\n"
        "RestartSec=2\n"
        "KillMode=process\n"  # a tmux server that the daemon started holds agents, which outlive it
        "\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    )


def launchd(repo: Path, words: Sequence[str], *, log: Path) -> str:
    """An agent's property list; goes to ``~/Library/LaunchAgents/<name>.plist``."""
    arguments = "".join(f"    <string>{escape(word)}</string>\n" for word in words)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
        '<plist version="1.0">\n<dict>\n'
        f"  <key>Label</key>\n  <string>{unit_name(repo)}</string>\n"
        f"  <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n"
        "  <key>RunAtLoad</key>\n  <true/>\n"
        "  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n"
        f"  <key>StandardErrorPath</key>\n  <string>{escape(str(log))}</string>\n"
        "</dict>\n</plist>\n"
    )


def _systemd_word(word: str) -> str:
    quoted = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{quoted}"' if re.search(r"[\s\"'\\]", word) else quoted
