"""What every plugin keeps: a whole contract in three lines.

::

    from thrum_kernel.testing.conformance import PluginContract

    class TestContract(PluginContract):
        plugin = "acme"

``python -m thrum_kernel.testing.conformance NAME [FILE]`` runs it for an installed plugin, or for a team's file;
``thrum plugin check`` does that for *silver*.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from thrum_kernel.plugins.in_process import ProcessHost
    from thrum_kernel.plugins.record import Plugin, Source
    from thrum_kernel.testing.harness import Cli, Repo

NAME_VARIABLE = "THRUM_CONTRACT_PLUGIN"
FILE_VARIABLE = "THRUM_CONTRACT_FILE"


class PluginContract:
    """Inherit it and name the plugin.

    Attributes:
        plugin: its name.
        file: of a team's plugin; None for an installed one.
    """

    plugin: ClassVar[str]
    file: ClassVar[Path | None] = None

    def test_it_is_found_once(self) -> None:
        sources = self._sources()

        assert [source.name for source in sources].count(self.plugin) == 1

    def test_it_becomes_active_and_lets_go_of_everything(self, repo: Repo) -> None:
        with self._loaded(repo) as (host, plugin):
            assert plugin.is_active, f"{plugin.label} failed in phase {plugin.phase}: {plugin.error}"
            assert not plugin.troubles

            host.unload(plugin, "the contract")

            assert plugin.state == "disabled"
            assert not plugin.undo
            assert not any(item.plugin == self.plugin for hook in _COLLECTED for item in host.collect(hook))

    def test_it_writes_nothing_by_being_loaded(self, repo: Repo) -> None:
        before = repo.git("status", "--porcelain", "--ignored", "-uall")

        with self._loaded(repo):
            pass

        assert repo.git("status", "--porcelain", "--ignored", "-uall") == before

    def test_its_commands_are_there_and_say_what_they_do(self, repo: Repo) -> None:
        with self._loaded(repo) as (_, plugin):
            assert plugin.manifest is not None
            for command in plugin.manifest.commands:
                module, _, name = command.target.partition(":")
                function = getattr(importlib.import_module(module), name)
                assert callable(function), command.target
                assert command.help.strip() or inspect.getdoc(function), (
                    f"{' '.join(command.words)} has no help"
                )

    def test_its_methods_say_what_they_do(self, repo: Repo) -> None:
        with self._loaded(repo) as (host, plugin):
            for method in host.loaded[plugin].added.get("thrum_methods", ()):
                assert method.summary.strip(), f"{method.name} has no summary"
                assert inspect.getdoc(method.params), f"the parameters of {method.name} have no docstring"

    def test_messages_go_on_with_it_in_a_real_daemon(self, cli: Cli, repo: Repo) -> None:
        if self.file is not None:  # a team's file is loaded by name, from the repository it lies in
            folder = repo.path / ".thrum-plugins"
            folder.mkdir()
            (folder / self.file.name).write_bytes(self.file.read_bytes())
        daemon = cli.at(repo.path, THRUM_PLUGINS_STRICT="1")
        daemon("init", "--non-interactive")
        if self.file is not None:
            daemon("plugin", "trust", self.plugin)
            daemon("config", "set", "plugins.team", json.dumps([self.plugin]))
            daemon("daemon", "restart")
        alice, bob = (daemon.at(repo.worktree(name).path) for name in ("alice", "bob"))
        for name, agent in (("alice", alice), ("bob", bob)):
            agent("quickstart", name, "--role", "implementer", "--module", "contract")

        sent = alice.json("send", "still there?", "--to", "@bob")

        assert [message["message_id"] for message in bob.json("inbox")["messages"]] == [sent["message_id"]]
        listed = {entry["name"]: entry for entry in daemon.json("daemon", "status")["plugins"]}
        assert listed[self.plugin]["state"] == "active", listed[self.plugin]

    # --- how it is loaded --------------------------------------------------------------------------------------------

    def _sources(self) -> list[Source]:
        from thrum_kernel.plugins import discovery, team

        return [team.judged(self.file)] if self.file is not None else discovery.installed()

    @contextmanager
    def _loaded(self, repo: Repo) -> Iterator[tuple[ProcessHost, Plugin]]:
        """The plugin and those it requires, in this process."""
        from thrum_kernel import paths
        from thrum_kernel.plugins import in_process
        from thrum_kernel.settings.document import SettingsFile

        where = paths.plan(repo.path, env=repo.env)
        with in_process.host(where, SettingsFile(where.config), env={}, sources=self._needed()) as host:
            found = host.named(self.plugin)
            assert found is not None, f"no plugin {self.plugin} is installed"
            yield host, found

    def _needed(self) -> Sequence[Source]:
        """The plugin's source and, transitively, those of the plugins it requires."""
        by_name = {source.name: source for source in self._sources()}
        assert self.plugin in by_name, f"no plugin {self.plugin} is installed"
        wanted: dict[str, Source] = {}
        names = [self.plugin]
        while names:
            name = names.pop()
            if name in by_name and name not in wanted:
                wanted[name] = by_name[name]
                names += getattr(by_name[name].read(), "requires", ())
        return list(wanted.values())


_COLLECTED = (
    "thrum_event_types",
    "thrum_projectors",
    "thrum_methods",
    "thrum_services",
    "thrum_runtime_presets",
    "thrum_init_steps",
    "thrum_checks",
)


def main(argv: Sequence[str]) -> int:
    """Run the contract for a plugin; gives pytest's exit status."""
    if not 1 <= len(argv) <= 2:
        print("usage: python -m thrum_kernel.testing.conformance NAME [FILE]", file=sys.stderr)
        return 2
    env = {**os.environ, NAME_VARIABLE: argv[0], FILE_VARIABLE: argv[1] if len(argv) == 2 else ""}
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(Path(__file__).parent), "-c", os.devnull]
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *words, str(Path(__file__).with_name("contract_of_one.py"))],
        env=env,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
