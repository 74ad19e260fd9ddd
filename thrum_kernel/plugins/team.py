"""A team's own plugins: files ``.thrum-plugins/*.py`` of the repository, loaded only when they are named and trusted.

Named: by ``plugins.team`` in config.json, by their file name without ``.py``. Trusted: somebody on this machine looked
at exactly these bytes and said so (``thrum plugin trust``); changed bytes are untrusted again. Whoever may push to the
repository could otherwise run code on every machine that pulls.

The file is one module: ``MANIFEST`` and the hooks beside it; ``hooks`` in its manifest stays empty, or names the module
`module_name` gives.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from thrum_kernel import jsonio
from thrum_kernel.api import PluginManifest
from thrum_kernel.errors import FileDamaged, NotFound
from thrum_kernel.plugins.record import LoadFailed, Source

FOLDER: Final = ".thrum-plugins"
TRUSTED: Final = "trusted-plugins.json"
_BYTES: Final = "__thrum_sha256__"


class Trust:
    """Which bytes are trusted on this machine.

    Args:
        folder: ``T``, which git never carries anywhere.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / TRUSTED

    def has(self, file: Path, data: bytes) -> bool:
        """Whether exactly these bytes of *file* are trusted.

        Raises:
            FileDamaged: the list cannot be read; then nothing is.
        """
        return self._read().get(file.name) == digest(data)

    def grant(self, file: Path) -> str:
        """Trust a file as it is now; gives its digest.

        Raises:
            NotFound: there is no such file.
        """
        try:
            found = digest(file.read_bytes())
        except OSError as error:
            raise NotFound("plugin file", str(file)) from error
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with jsonio.locked(self._path.parent):
            jsonio.write_object(self._path, {**self._read(), file.name: found})
        return found

    def _read(self) -> dict[str, Any]:
        try:
            return jsonio.read_object(self._path)
        except FileNotFoundError:
            return {}


def digest(data: bytes) -> str:
    """SHA-256, as it is kept and shown."""
    return hashlib.sha256(data).hexdigest()


def file_of(repo: Path, name: str) -> Path:
    """Where a team's plugin lies."""
    return repo / FOLDER / f"{name}.py"


def is_plain(repo: Path, name: str) -> bool:
    """Whether *name* can mean a file of the team: a name to import by, and no link to elsewhere."""
    return name.isidentifier() and not file_of(repo, name).is_symlink()


def module_name(name: str) -> str:
    """What the module of a team's plugin is called once it is imported."""
    return f"thrum_team_plugins.{name}"


def is_outdated(repo: Path, trust: Trust, name: str) -> bool:
    """Whether the file of a plugin that was loaded holds other bytes by now, and these are trusted."""
    loaded = getattr(sys.modules.get(module_name(name)), _BYTES, "")
    try:
        data = file_of(repo, name).read_bytes()
        return digest(data) != loaded and is_plain(repo, name) and trust.has(file_of(repo, name), data)
    except (OSError, FileDamaged):
        return False


def sources(repo: Path, trust: Trust, names: Iterable[str]) -> list[Source]:
    """The team's plugins that the configuration names, by name."""
    return [
        Source(name, f"{FOLDER}/{name}.py", "", _reader(repo, trust, name), file_of(repo, name))
        for name in sorted(set(names))
    ]


def judged(file: Path) -> Source:
    """A file that somebody asks to look at here and now, trusted or not: who checks a plugin runs it."""

    def read() -> PluginManifest:
        return _manifest(file, _execute(file.stem, file, file.read_bytes()))

    return Source(file.stem, f"{FOLDER}/{file.name}", "", read, file)


def _reader(repo: Path, trust: Trust, name: str) -> Any:
    def read() -> PluginManifest:
        file = file_of(repo, name)
        if not is_plain(repo, name):
            raise LoadFailed(f"{FOLDER}/{name}.py is no plain file of this repository")
        try:
            data = file.read_bytes()
        except OSError as error:
            raise LoadFailed(f"{file} cannot be read: {error.strerror}") from error
        if not trust.has(file, data):
            raise LoadFailed(
                f"its bytes are not trusted on this machine: look at them, then: thrum plugin trust {name}"
            )
        return _manifest(file, _execute(name, file, data))

    return read


def _manifest(file: Path, module: Any) -> PluginManifest:
    manifest = getattr(module, "MANIFEST", None)
    if not isinstance(manifest, PluginManifest):
        raise LoadFailed(f"{file} has no MANIFEST")
    return manifest if manifest.hooks else dataclasses.replace(manifest, hooks=module.__name__)


def _execute(name: str, file: Path, data: bytes) -> Any:
    """Run exactly the bytes that were judged, and let the module be imported by its name."""
    full = module_name(name)
    spec = importlib.util.spec_from_loader(full, loader=None, origin=str(file))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(file)
    module.__dict__[_BYTES] = digest(data)
    sys.modules[full] = module
    try:
        exec(compile(data, str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[full]
        raise
    return module
