"""The remote that the branch travels to: which one it is, looking at it, fetching, pushing.

The remote is one of the user's own, reached as they would reach it: what their repository's configuration says about
credentials, addresses, proxies and ssh is passed on to each git process in its environment, where no list of processes
shows it. Nothing is asked and nothing hangs: there is no terminal, and every process has its time.

Source: DESIGN.md D1 "Git"; spec/kernel.md §7.1, §10 item 26.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from thrum_kernel import git
from thrum_kernel.errors import GitFailed, ThrumError
from thrum_kernel.git.process import Answer
from thrum_kernel.gitdir import Place
from thrum_kernel.sync.process import Runner, first_line
from thrum_kernel.sync.repository import BRANCH, REF

NO_REMOTE: Final = "the repository has no remote"
LOOK_S: Final = 20.0
TRANSFER_S: Final = 900.0
"""Long enough for a first fetch over a slow line; one that stands still ends sooner, see `_UNLESS_SET`."""

_UNLESS_SET: Final = (
    (
        "core.sshCommand",
        "ssh -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=10 -oServerAliveCountMax=3",
    ),
    ("http.lowSpeedLimit", "100"),
    ("http.lowSpeedTime", "30"),
)
"""What holds where the person's configuration says nothing: no questions, and no connection that stands still."""

_PASSED_ON: Final = re.compile(
    r"credential\.|url\.|https?\.|ssh\.|protocol\.|core\.(sshcommand|gitproxy)$",
    re.IGNORECASE,
)
_OF_REMOTE: Final = re.compile(
    r"(url|pushurl|proxy|proxyauthmethod|uploadpack|receivepack|serveroption)", re.IGNORECASE
)
_RACED: Final = re.compile(
    r"non-fast-forward|fetch first|stale info|cannot lock ref|failed to update ref|incorrect old value",
    re.IGNORECASE,
)
_LOCKED: Final = re.compile(r"cannot lock ref|failed to update ref|incorrect old value", re.IGNORECASE)
_DENIED: Final = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|terminal prompts disabled"
    r"|returned error: 40[13]|access denied|invalid credentials|host key verification failed",
    re.IGNORECASE,
)
_LIMITED: Final = re.compile(r"returned error: 429|rate limit|too many requests", re.IGNORECASE)
_PROGRESS: Final = re.compile(
    r"(enumerating|counting|compressing|resolving|unpacking|processing|total|checking)\b.*\d", re.IGNORECASE
)
_PROTECTED: Final = re.compile(
    r"protected branch|hook declined|denied by|prohibited|not allowed to push|GH0\d\d|deny updating|aborted by hook",
    re.IGNORECASE,
)


class RemoteFailed(ThrumError):
    """The remote could not be asked, or did not take what was pushed.

    Attributes:
        remote: its name.
        kind: ``offline``; ``auth`` it wants to know who we are, or does not let us; ``limited`` it asks us to wait;
            ``protected`` it does not take the branch; ``refused`` it fails to store what is pushed.
    """

    def __init__(self, remote: str, kind: str, reason: str, *, hint: str = "") -> None:
        what = {
            "offline": f"cannot reach {remote}",
            "auth": f"{remote} does not let us in",
            "limited": f"{remote} asks us to wait",
            "protected": f"{remote} does not take the branch {BRANCH}",
            "refused": f"{remote} did not take what was pushed",
        }
        super().__init__(f"{what[kind]}: {reason}", hint=hint)
        self.remote = remote
        self.kind = kind


class Raced(Exception):
    """Somebody else pushed between our fetch and our push: fetch again."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which remote there is to travel to.

    Attributes:
        name: of the remote; empty when there is none to choose.
        urls: where a push goes, as git resolves it.
        why_not: why there is none, one sentence without its full stop; empty when there is one.
        settings: configuration to pass on.
        object_format: of the user's repository.
    """

    name: str = ""
    urls: tuple[str, ...] = field(default=(), repr=False)  # may hold a password
    why_not: str = ""
    settings: Sequence[tuple[str, str]] = field(default=(), repr=False)
    object_format: str = "sha1"


def choose(place: Place | None, wanted: str = "") -> Choice:
    """The remote of the user's repository at *place*; blocking.

    Args:
        wanted: the name that the configuration asks for; else ``origin``, else the only one.

    Raises:
        GitFailed: the configuration cannot be read.
    """
    if place is None:
        return Choice(why_not="this project is not in a git repository")
    found = _configuration(place)
    names = list(dict.fromkeys(name for name in map(_remote_of, found) if name))
    name = wanted or ("origin" if "origin" in names else names[0] if len(names) == 1 else "")
    if not names:
        return Choice(why_not=NO_REMOTE)
    if name not in names:
        which = (
            f"there is no remote {name}" if name else "there are several remotes and none is called origin"
        )
        return Choice(why_not=f"{which} ({', '.join(names)}): thrum config set daemon.sync.remote NAME")
    settings = [(key, value) for key, value, scope in found if _is_passed_on(key, scope, name)]
    present = {key.lower() for key, _, _ in found}
    settings += [(key, value) for key, value in _UNLESS_SET if key.lower() not in present]
    formats = [value for key, value, _ in found if key.lower() == "extensions.objectformat"]
    return Choice(
        name,
        _addresses(place, name),
        settings=tuple(settings),
        object_format=formats[-1] if formats else "sha1",
    )


class Remote:
    """One remote, asked through our own repository; blocking.

    Args:
        choice: which.
        runner: of our repository.
        cwd: the user's repository, where relative addresses count from.
        look_s: how long it may take to tell its branch.
    """

    def __init__(self, choice: Choice, *, runner: Runner, cwd: Path, look_s: float = LOOK_S) -> None:
        self.name = choice.name
        self._look_s = look_s
        self._choice = choice
        self._runner = runner
        self._cwd = cwd
        self._settings = [
            (key, value)
            for key, value in choice.settings
            if not (runner.has_ssh and key == "core.sshCommand")
        ]

    @property
    def ref(self) -> str:
        """Where what was fetched is kept in our repository."""
        return f"refs/remotes/{self.name}/{BRANCH}"

    def look(self) -> str:
        """The commit of the remote's branch; empty when it has none.

        Raises:
            RemoteFailed: it cannot be asked.
        """
        answer = self._asked("ls-remote", "--quiet", self.name, REF, timeout_s=self._look_s)
        if not answer.ok:
            raise self._failed(answer.error)
        for line in answer.text.splitlines():
            commit, _, ref = line.partition("\t")
            if ref == REF:
                return commit
        return ""

    def fetch(self) -> None:
        """Bring the remote's branch to `ref`, whatever that was before: its newest commit, nothing below it.

        Raises:
            RemoteFailed: it cannot be had.
        """
        words = (
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--refmap=",
        )
        what = (self.name, f"+{REF}:{self.ref}")
        answer = self._asked(*words, "--depth=1", *what, timeout_s=TRANSFER_S)
        if not answer.ok and "shallow" in answer.error:  # a plain file server cannot leave the rest out
            answer = self._asked(*words, *what, timeout_s=TRANSFER_S)
        if not answer.ok:
            raise self._failed(answer.error)

    def push(self, commit: str, *, branch: str = BRANCH) -> None:
        """Make *commit* the remote's branch, or another *branch* of it, if it follows what is there.

        Raises:
            Raced: it does not, for somebody else has pushed.
            RemoteFailed: the remote cannot be reached, or does not take it.
        """
        said = self._push(f"{commit}:refs/heads/{branch}")
        if said and _RACED.search(said):
            raise Raced
        if said:
            raise self._failed(said)

    def push_over(self, commit: str, tip: str) -> None:
        """Make *commit*, which follows *tip*, the remote's branch, if *tip* is still what is there.

        Raises:
            Raced: it is not: somebody else has pushed, or the branch was taken away.
            RemoteFailed: the remote cannot be reached, or does not take it.
        """
        said = self._push(f"--force-with-lease={REF}:{tip}", f"{commit}:{REF}")
        if said and _RACED.search(said):
            raise Raced
        if said:
            raise self._failed(said)

    def begin_anew(self, commit: str, tip: str) -> None:
        """Make *commit*, which has no parent, the remote's branch instead of *tip*, if that is still what is there.

        Raises:
            Raced: it is not, for somebody else has pushed.
            RemoteFailed: the remote cannot be reached, or does not take it: of the kind ``protected`` when it says no
                to replacing the branch, whatever its reason.
        """
        said = self._push(f"--force-with-lease={REF}:{tip}", f"{commit}:{REF}")
        if not said:
            return
        if "[remote rejected]" in said and not _LOCKED.search(said):
            raise self._protected(_reason(said))
        if _RACED.search(said):
            raise Raced
        raise self._failed(said)

    def _push(self, *what: str) -> str:
        """Push; empty when it was taken, else what git said."""
        option, refspec = what[:-1], what[-1]
        words = ("push", "--porcelain", "--no-verify", "--no-recurse-submodules", *option, self.name, refspec)
        answer = self._asked(*words, timeout_s=TRANSFER_S)
        return "" if answer.ok else f"{answer.text}\n{answer.error}"

    def _asked(self, *words: str, timeout_s: float) -> Answer:
        try:
            return self._runner.run(*words, cwd=self._cwd, settings=self._settings, timeout_s=timeout_s)
        except GitFailed as error:
            raise self._failed(error.reason) from error

    def _failed(self, said: str) -> RemoteFailed:
        reason = _reason(said)
        if _LIMITED.search(said):
            return RemoteFailed(self.name, "limited", reason)
        if _DENIED.search(said):
            hint = f"make `git fetch {self.name}` work without asking: a credential helper, or a key in ssh-agent"
            return RemoteFailed(self.name, "auth", reason, hint=hint)
        if _PROTECTED.search(said):
            return self._protected(reason)
        if "[remote rejected]" in said:
            return RemoteFailed(self.name, "refused", reason, hint="messages wait here until it takes them")
        return RemoteFailed(
            self.name, "offline", reason, hint="messages wait here and travel when it answers"
        )

    def _protected(self, reason: str) -> RemoteFailed:
        hint = f"let everybody who works here push the branch {BRANCH}"
        return RemoteFailed(self.name, "protected", reason, hint=hint)


def _reason(said: str) -> str:
    """The line that tells most, without addresses' passwords: what the host says itself before what git makes of it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    by_host = [text for line in lines if (text := _host_said(line))]
    told = next(filter(_is_telling, by_host), "")
    if not told and "[remote rejected]" in said:
        told = next(iter(by_host), "")
    told = told or next(filter(_is_telling, lines), "") or first_line(said) or "git told no reason"
    told = told.removeprefix("fatal: ").removeprefix("error: ")
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", told)


def _is_telling(line: str) -> bool:
    return any(pattern.search(line) for pattern in (_LIMITED, _DENIED, _PROTECTED))


def _host_said(line: str) -> str:
    """What a line says that the host wrote and not git; empty for others, for progress and for lines that only adorn."""
    if not line.startswith("remote:"):
        return ""
    text = line.removeprefix("remote:").strip()
    for label in ("error: ", "fatal: ", "ERROR: "):
        text = text.removeprefix(label)
    return text if any(map(str.isalpha, text)) and not _PROGRESS.match(text) else ""


def _configuration(place: Place) -> list[tuple[str, str, str]]:
    """Every setting that holds in the user's repository, with the scope it comes from."""
    answer = git.run(place, "config", "--list", "--show-scope", "-z")
    if not answer.ok:
        raise GitFailed("config", first_line(answer.error) or f"exit status {answer.status}")
    fields = answer.fields
    found = []
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = entry.partition("\n")
        found.append((key, value, scope))
    return found


def _addresses(place: Place, name: str) -> tuple[str, ...]:
    answer = git.run(place, "remote", "get-url", "--push", "--all", name)
    if not answer.ok:
        raise GitFailed("remote", first_line(answer.error) or f"exit status {answer.status}")
    return tuple(answer.text.splitlines())


def _remote_of(entry: tuple[str, str, str]) -> str:
    """The name of the remote whose address *entry* is; empty when it is something else."""
    key = entry[0]
    return key[len("remote.") : -len(".url")] if key.startswith("remote.") and key.endswith(".url") else ""


def _is_passed_on(key: str, scope: str, remote: str) -> bool:
    """Whether a setting of the user's repository is needed to reach *remote*; what is global holds anyway."""
    if scope not in ("local", "worktree"):
        return False
    prefix = f"remote.{remote}."
    if key.startswith(prefix):
        return _OF_REMOTE.fullmatch(key[len(prefix) :]) is not None
    return _PASSED_ON.match(key) is not None
