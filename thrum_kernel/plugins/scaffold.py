"""``plugin new``: a project that builds, is tested, and passes the conformance suite as it is.

Each part that can be chosen is a module of the new package with its test; ``hooks.py`` names their hooks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from keyword import iskeyword
from pathlib import Path
from typing import Final

from thrum_kernel.errors import UsageError
from thrum_kernel.plugins.catalogue import RESERVED

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a new plugin.

    Attributes:
        module: of the new package; its test is called like it.
        hooks: what ``hooks.py`` takes from it.
        manifest: what it adds to the manifest.
    """

    module: str
    hooks: tuple[str, ...] = ()
    manifest: str = ""


BASE: Final = Part("hello", ("thrum_methods",))
PARTS: Final[dict[str, Part]] = {
    "guard": Part("guard", ("thrum_guard", "thrum_guard_scope")),
    "service": Part("service", ("thrum_services",)),
    "table": Part("table", ("thrum_event_types", "thrum_migrations", "thrum_projectors")),
    "preset": Part("preset", ("thrum_runtime_presets",)),
    "command": Part(
        "commands",
        manifest="""\
    commands=(
        PluginCommand(
            words=("__NOUN__", "hello"),
            target="__PACKAGE__.commands:hello",
            help="Greet somebody",
            in_daemon=True,
        ),
    ),
""",
    ),
}


def project(name: str, *, parts: Sequence[str] = (), summary: str = "") -> dict[str, str]:
    """Every file of a new project, by path below its folder.

    Args:
        name: of the plugin, e.g. ``acme_guard``.
        parts: of `PARTS`.

    Raises:
        UsageError: the name cannot be one of a plugin or is taken, or a part is unknown.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'invalid plugin name "{name}": it must be 2 to 41 lower-case letters, digits and _, a letter first',
            hint="e.g. acme_guard",
        )
    if name in RESERVED or iskeyword(name):
        whose = "a word of Python" if iskeyword(name) else "one of thrum's own"
        raise UsageError(f'a plugin cannot be called "{name}": it is {whose}', hint=f"e.g. acme_{name}")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UsageError(f'unknown part "{unknown[0]}"', hint=f"there are {', '.join(PARTS)}")
    chosen = [BASE, *(PARTS[part] for part in dict.fromkeys(parts))]
    package = f"thrum_{name}"
    source = f"src/{package}"
    written = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        ".gitignore": "gitignore",
        f"{source}/__init__.py": "src/__init__.py",
        f"{source}/plugin.py": "src/plugin.py",
        f"{source}/settings.py": "src/settings.py",
        f"{source}/hooks.py": "src/hooks.py",
        f"tests/test_{name}_contract.py": "tests/contract.py",
    }
    for part in chosen:
        written[f"{source}/{part.module}.py"] = f"src/{part.module}.py"
        written[f"tests/test_{name}_{part.module}.py"] = f"tests/{part.module}.py"
    summary = " ".join(summary.split()) or f"What {name} does, in one line"
    if not summary.isprintable() or any(sign in summary for sign in '"\\'):
        raise UsageError(
            "a summary is one line without quotation marks or backslashes"
        )  # it stands in code as it is
    words = _words(name, package, chosen, summary)
    return {
        f"{source}/py.typed": "",
        **{path: _filled(template, words) for path, template in written.items()},
    }


def folder_name(name: str) -> str:
    """What the folder of a new project, and its distribution, are called."""
    return f"thrum-{name.replace('_', '-')}"


def write(folder: Path, project_files: dict[str, str]) -> list[Path]:
    """Put a project into a new folder; the files made.

    Raises:
        UsageError: there is something at that place already; nothing was written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty")
    made = []
    for path, text in sorted(project_files.items()):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        made.append(target)
    return made


def _words(name: str, package: str, chosen: Sequence[Part], summary: str) -> dict[str, str]:
    noun = name.replace("_", "-")
    hooks = sorted((part.module, part.hooks) for part in chosen if part.hooks)
    has_commands = any(part.manifest for part in chosen)
    return {
        # First, for they hold others.
        "__MANIFEST_LINES__": "".join(part.manifest for part in chosen),
        "__MANIFEST_IMPORTS__": "PluginCommand, PluginManifest" if has_commands else "PluginManifest",
        "__HOOK_IMPORTS__": "\n".join(_import(package, module, names) for module, names in hooks),
        "__HOOK_NAMES__": "".join(
            f'    "{hook}",\n' for hook in sorted(h for _, names in hooks for h in names)
        ),
        "__DISTRIBUTION__": folder_name(name),
        "__PACKAGE__": package,
        "__SUMMARY__": summary,
        "__NOUN__": noun,
        "__NAME__": name,
    }


def _import(package: str, module: str, names: tuple[str, ...]) -> str:
    return f"from {package}.{module} import {', '.join(sorted(names))}"


def _filled(template: str, words: dict[str, str]) -> str:
    text = files("thrum_kernel.templates").joinpath("plugin", f"{template}.tmpl").read_text("utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text
