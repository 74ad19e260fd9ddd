"""The kernel's own steps of ``init``, through the same door as those of plugins.

Orders: core 100 (files, configuration, which daemon this is), identity 200 (who is to be registered), worktrees 300,
migrate 700 (messages of an earlier Thrum), daemon 800, registration 900. Steps below 500 set the project up; a worktree that joins one runs core and what comes
from 500 on.

Source: spec/features.md §12.4; spec/decisions.md "init, prime…".
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from thrum_kernel import git, ids, jsonio
from thrum_kernel.api import InitPlan, InitStep, Question
from thrum_kernel.cli import bringing
from thrum_kernel.cli.arguments import bare_name
from thrum_kernel.cli.command import Run
from thrum_kernel.cli.commands.ready import until_joined, until_ready
from thrum_kernel.cli.lifecycle import Lifecycle, Started
from thrum_kernel.cli.render import counted
from thrum_kernel.cli.setup import Plan, Setup, Wishes, worktrees_root
from thrum_kernel.cli.texts.migrate import report_lines
from thrum_kernel.cli.undertaking import Undertaking
from thrum_kernel.clock import SystemClock, format_us
from thrum_kernel.errors import Refused, ThrumError
from thrum_kernel.identity import files, model
from thrum_kernel.identity.model import AgentName, Identity, check_agent, check_name, sanitize
from thrum_kernel.paths import Paths
from thrum_kernel.settings import daemon_identity
from thrum_kernel.settings.document import SettingsFile
from thrum_kernel.store.filesystem import NetworkFileSystem, refuse_network
from thrum_kernel.sync import joining

PROJECT_BELOW: Final = 500
TMUX: Final = "tmux"


@dataclass(frozen=True, slots=True)
class Agent:
    """Who is to be registered; nobody without a name."""

    name: str = ""
    role: str = ""
    module: str = ""


class KernelSteps:
    """The steps for one run of ``init``.

    Args:
        run: the command that runs.
        plan: what it does.
        wishes: how the project is to be set up.
        with_daemon: whether the daemon is to be started.
        needs_tmux: whether a plugin wants tmux, and somebody is there to install it.
    """

    def __init__(
        self,
        run: Run,
        plan: Undertaking,
        wishes: Wishes,
        *,
        with_daemon: bool = True,
        needs_tmux: bool = False,
    ) -> None:
        self._run = run
        self._plan = plan
        self._where = plan.where
        self._wishes = wishes
        self._with_daemon = with_daemon
        self._needs_tmux = needs_tmux
        self._was_there = plan.where.is_initialized
        self._name_typed = ""
        self._found = joining.Found()

    def all(self) -> list[InitStep]:
        """The steps by order."""
        return [
            InitStep(name="core", order=100, run=self._core),
            InitStep(name="identity", order=200, run=self._identity, questions=self._ask_identity),
            InitStep(name="worktrees", order=300, run=self._worktrees, questions=self._ask_worktrees),
            InitStep(name="migrate", order=700, run=self._migrate, questions=self._ask_migrate),
            InitStep(name="daemon", order=800, run=self._daemon),
            InitStep(name="registration", order=900, run=self._registration),
        ]

    def refuse_place(self) -> None:
        """Refuse a place that the daemon would refuse, while nothing is written and its remedy can be typed.

        Raises:
            Refused: it lies on a file system of another machine, and nobody has allowed that.
        """
        if not self._with_daemon or SettingsFile(self._where.config).store.allow_network_fs:
            return
        try:
            refuse_network(self._where.sync)
        except NetworkFileSystem as error:
            steps = (
                "thrum init --no-daemon && thrum config set store.allow_network_fs true && thrum daemon start"
            )
            raise Refused(
                str(error), hint=f"move the repository to a local disk, or take the risk: {steps}"
            ) from None

    # --- core --------------------------------------------------------------------------------------------------------

    def _core(self, plan: InitPlan) -> None:
        self._look_for_a_log(plan)
        if plan.dry_run:
            self._carry_out(planned(self._run, self._where, self._wishes))
            return
        self._plan.make_folder(self._where.thrum)
        with jsonio.locked(self._where.thrum):
            wanted = planned(self._run, self._where, self._wishes)
            self._carry_out(wanted)
        if wanted.records:
            self._name_daemon()
        if self._where.is_redirected:
            plan.say(f"✓ {self._where.worktree} shares {self._where.thrum}")

    def _look_for_a_log(self, plan: InitPlan) -> None:
        """A project that is new here joins the log that its remote has, unless it is to stay on this machine."""
        if self._where.config.exists() or self._where.daemon_file.exists() or is_kept_local(plan.env):
            return
        self._found = joining.look(self._where.repo, environ=plan.env)
        if self._found.problem:
            self._run.out.note(
                f"Warning: whether there are messages to join cannot be told: {self._found.problem}\n"
                "  to join them later: thrum config set daemon.local_only false"
            )
        self._wishes = replace(self._wishes, travels=self._found.has_branch)

    def _carry_out(self, wanted: Plan) -> None:
        for folder, mode in wanted.folders:
            self._plan.make_folder(folder, mode=mode)
        for change in wanted.files:
            self._plan.apply(change)
        for change in wanted.records:
            self._plan.note(change)

    def _name_daemon(self) -> None:
        """Give this repository's daemon its identity, in T and shown in config.json; one that it has stays."""
        where = self._where
        if daemon_identity.is_copy(where):
            return  # the first start gives a copy its own, and leaves behind what is the original's
        transaction = self._plan.transaction
        transaction.claim(where.sync)
        transaction.protect(where.daemon_file)
        origin = git.origin_url(where.repo) if git.discover(where.repo) is not None else ""
        transaction.change(
            where.config,
            lambda: daemon_identity.load_or_create(
                where,
                SettingsFile(where.config),
                clock=SystemClock(),
                host=daemon_identity.this_host(self._run.inv.env),
                origin_url=origin,
                new_id=ids.HybridClock(SystemClock()).next_ulid,
            ),
        )

    # --- identity ----------------------------------------------------------------------------------------------------

    def _ask_identity(self, plan: InitPlan) -> Sequence[Question]:
        known = self._present_identity()
        usual = usual_agent(self._where)
        return (
            Question(
                key="name",
                prompt="Agent name",
                default=known.name if known else usual.name,
                check=self._check_agent_name,
            ),
            Question(
                key="role",
                prompt="Role",
                default=known.role if known else usual.role,
                check=self._check_role,
            ),
            Question(
                key="module",
                prompt="Module",
                default=known.module if known else usual.module,
                check=_check_module,
            ),
        )

    def _check_agent_name(self, text: str) -> str:
        role = bare_name(str(self._plan.options.get("role") or ""))
        if role:
            check_agent(bare_name(text), role, "any")
        else:
            check_name("agent", bare_name(text))
        self._name_typed = bare_name(text)
        return self._name_typed

    def _check_role(self, text: str) -> str:
        name = (
            self._name_typed
            or bare_name(str(self._plan.options.get("name") or ""))
            or usual_agent(self._where).name
        )
        check_agent(name, bare_name(text), "any")
        return bare_name(text)

    def _present_identity(self) -> Identity | None:
        """The only identity of this worktree; None when there is none, or several."""
        found = files.read_all(self._where.identities).identities
        return found[0] if len(found) == 1 else None

    def _identity(self, plan: InitPlan) -> None:
        """Told before anything else is done: an agent that cannot be."""
        agent = self.agent()
        if agent.name:
            check_agent(agent.name, agent.role, agent.module)

    def agent(self) -> Agent:
        """Who is to be registered, by options and answers; what is not told of somebody has a plain default."""
        options = self._plan.options
        chosen = Agent(*(bare_name(str(options.get(key) or "")) for key in ("name", "role", "module")))
        if not (chosen.name or chosen.role or chosen.module):
            return chosen
        usual = usual_agent(self._where)
        return Agent(chosen.name or usual.name, chosen.role or usual.role, chosen.module or usual.module)

    # --- worktrees ---------------------------------------------------------------------------------------------------

    def _ask_worktrees(self, plan: InitPlan) -> Sequence[Question]:
        if self._run.tree.root.find("worktree") is None:
            return ()  # nothing here makes any
        return (
            Question(
                key="worktrees-root",
                prompt="Where should agent worktrees live?",
                default=str(_base_path(self._where) or usual_base(self._where, home_of(self._run))),
                check=lambda text: str(worktrees_root(text, self._where, home=home_of(self._run))),
            ),
        )

    def _worktrees(self, plan: InitPlan) -> None:
        asked = plan.options.get("worktrees-root")
        if not asked:
            return
        root = worktrees_root(str(asked), self._where, home=home_of(self._run))
        plan.make_folder(root)
        if str(root) != _base_path(self._where):
            plan.configure("worktrees.base_path", str(root))

    # --- messages of an earlier Thrum --------------------------------------------------------------------------------

    def _ask_migrate(self, plan: InitPlan) -> Sequence[Question]:
        if not bringing.offered(self._where):
            return ()
        return (
            Question(
                key="migrate",
                prompt="Messages of an earlier Thrum are here. Bring them over? Nothing of it is removed.",
                default="yes",
                choices=(("yes", "yes"), ("no", "no, later: thrum migrate")),
            ),
        )

    def _migrate(self, plan: InitPlan) -> None:
        """Before the daemon starts, so that the agents it finds are those that the messages are for."""
        if plan.options.get("migrate") != "yes" or plan.dry_run:
            return
        report = bringing.bring(self._where, lambda: bringing.chosen(self._where, "", self._where.repo))
        plan.report("migrated", {row.kind: row.new for row in report.rows})
        for line in report_lines(report):
            plan.say(line)

    # --- daemon ------------------------------------------------------------------------------------------------------

    def _daemon(self, plan: InitPlan) -> None:
        if not self._with_daemon:
            plan.report("daemon", {"running": False})
            plan.say("  skipping daemon start")
            return
        if plan.dry_run:
            return
        if self._needs_tmux and shutil.which(TMUX, path=plan.env.get("PATH")) is None:
            raise Refused(
                "tmux is not installed, and agents live in it",
                hint=f"install it, then retry: {install_tmux()}",
            )
        started = self._start()
        until_ready(self._run)
        plan.report("daemon", {"running": True, "pid": started.pid, "already_running": started.was_running})
        plan.say(f"✓ Daemon {'is running' if started.was_running else 'started'} (PID {started.pid})")
        if self._wishes.travels:
            self._joined(plan)

    def _joined(self, plan: InitPlan) -> None:
        """Wait for what the remote has, and tell it; what takes long or fails goes on in the background."""
        found = until_joined(self._run)
        remote = self._found.remote
        if found.get("last_error") or found.get("local_only"):
            why = found.get("last_error") or found.get("local_only_reason")
            self._run.out.note(f"Warning: the messages of {remote} are not here yet: {why}")
            return
        counts = self._run.call("daemon.status")["counts"]
        plan.report("joined", {"remote": remote, **counts})
        plan.say(
            f"✓ Joined the messages of {remote} ({counted(counts.get('messages', 0), 'message')}, "
            f"{counted(counts.get('agents', 0), 'agent')})"
        )

    def _start(self) -> Started:
        """Have the daemon run; taking back ends one that was started for this, and removes what it made."""
        lifecycle = Lifecycle(self._where, self._run.inv.env)
        transaction = self._plan.transaction
        transaction.claim(self._where.sync)
        transaction.claim(self._where.var)
        transaction.protect(self._where.stopped)
        if lifecycle.running() is None:
            transaction.on_undo(lifecycle.end_quietly)
        return lifecycle.start()

    # --- registration ------------------------------------------------------------------------------------------------

    def _registration(self, plan: InitPlan) -> None:
        agent = self.agent()
        if not agent.name or plan.dry_run:
            return
        if not self._with_daemon:
            self._write_identity(agent)
            return
        identity_file = self._where.identities / files.file_name(agent.name)
        self._plan.transaction.protect(identity_file)
        self._plan.transaction.protect(self._where.config)  # a second agent ends single-agent mode
        if self._was_there and not identity_file.exists():
            self._plan.transaction.on_undo(lambda: self._unregister(agent.name))
        done = self._run.call("agent.register", name=agent.name, role=agent.role, module=agent.module)
        plan.report("agent", done)
        if done["status"] == "conflict":
            raise Refused(
                f"agent {agent.name} lives in another runtime (PID {done['conflict'].get('conflict_pid', '?')})",
                hint="choose another --name, or end that runtime first",
            )
        plan.say(f"✓ Agent registered: {done['agent_id']}")

    def _write_identity(self, agent: Agent) -> None:
        """Without a daemon the identity file is enough: the next start registers everybody who has one."""
        path = self._where.identities / files.file_name(agent.name)
        base = files.read(self._where.identities, agent.name) or Identity(agent=AgentName(name=agent.name))
        display = base.agent.display
        identity = msgspec.structs.replace(
            base,
            agent=AgentName(name=agent.name, role=agent.role, module=agent.module, display=display),
            repo_id=base.repo_id or self._where.repo.name,
            worktree=str(self._where.worktree),
            branch=branch_of(self._where.worktree),
            updated_at=format_us(SystemClock().now_us()),
        )
        self._plan.write(path, jsonio.dump(model.encode(identity)), mode=0o600)
        self._plan.report("agent", {"agent_id": agent.name, "identity_file": str(path)})
        self._plan.say(f"✓ Identity written: {agent.name} (registered when the daemon starts)")

    def _unregister(self, name: str) -> None:
        with contextlib.suppress(ThrumError):
            self._run.call("agent.delete", name=name)


def planned(run: Run, where: Paths, wishes: Wishes) -> Plan:
    """What is to be written: all of it, or only the redirect where the repository is initialised already."""
    setup = Setup(where, home=home_of(run), branch=branch_of(where.repo))
    return setup.plan_worktree() if joins(where) else setup.plan(wishes)


def joins(where: Paths) -> bool:
    """Whether a worktree joins a project that is set up already."""
    return where.is_redirected and where.is_initialized


def is_kept_local(env: Mapping[str, str]) -> bool:
    """Whether the environment asks that the log stays on this machine."""
    return env.get("THRUM_LOCAL", "").strip().lower() not in ("", "0", "false", "no", "off")


def usual_agent(where: Paths) -> Agent:
    """Whom a project gets where nobody says: its coordinator, or in a further worktree somebody who builds."""
    folder = where.worktree if where.is_redirected else where.repo
    plain = sanitize(folder.name)[:50]
    if where.is_redirected:
        return Agent(f"impl_{plain}", "implementer", plain)
    return Agent(f"coord_{plain}", "coordinator", plain)


def home_of(run: Run) -> Path:
    """The home folder of whoever runs a command.

    Raises:
        Refused: the environment does not tell.
    """
    home = run.inv.env.get("HOME", "")
    if not home:
        raise Refused("HOME is not set", hint="thrum needs it for the default place of worktrees")
    return Path(home)


def usual_base(where: Paths, home: Path) -> Path:
    """Where worktrees go unless somebody says otherwise."""
    return home / ".thrum" / "worktrees" / where.repo.name


def branch_of(folder: Path) -> str:
    """The branch that is checked out; empty outside git."""
    return git.branch(folder) if git.discover(folder) is not None else ""


def install_tmux(release: Path = Path("/etc/os-release"), *, platform: str = sys.platform) -> str:
    """The command that installs tmux on this system."""
    if platform == "darwin":
        return "brew install tmux"
    try:
        lines = release.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    told = dict(line.partition("=")[::2] for line in lines)
    words = f"{told.get('ID', '')} {told.get('ID_LIKE', '')}".replace('"', "").split()
    return next((_TMUX_BY[word] for word in words if word in _TMUX_BY), "with your system's package manager")


_TMUX_BY: Final = {
    "debian": "sudo apt install tmux",
    "ubuntu": "sudo apt install tmux",
    "fedora": "sudo dnf install tmux",
    "rhel": "sudo dnf install tmux",
    "centos": "sudo dnf install tmux",
    "arch": "sudo pacman -S tmux",
    "alpine": "sudo apk add tmux",
    "suse": "sudo zypper install tmux",
    "opensuse": "sudo zypper install tmux",
    "nixos": "nix-env -iA nixos.tmux",
}


def _check_module(text: str) -> str:
    check_name("module", bare_name(text))
    return bare_name(text)


def _base_path(where: Paths) -> str:
    try:
        found: Any = SettingsFile(where.config).worktrees.base_path
    except ThrumError:  # a damaged configuration is told by what changes it
        return ""
    return str(found)
