"""The exposure gate: message history does not go to a repository that everybody can read, unless somebody said so.

Whether a remote is public is asked the way a stranger would: `git ls-remote` of its https address without credentials,
without the person's configuration, without an ssh agent. What was found is kept in the configuration, for when the
remote cannot be asked; without any finding nothing is pushed.

Source: spec/kernel.md §7.9; issue "Sync", "exposure gate".
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

from thrum_kernel.clock import Clock
from thrum_kernel.errors import GitFailed
from thrum_kernel.settings.core import Sync
from thrum_kernel.sync.process import Runner

Visibility = Literal["public", "private", "undetectable"]

PROBE_S: Final = 5.0
HOLDS_S: Final = 3600.0
"""How long a finding is believed without asking again."""

_URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^/@]*@)?(?P<host>\[[^]]*\]|[^/:]*)(?::(?P<port>\d*))?/(?P<path>.*)"
)
_SCP: Final = re.compile(r"(?:[^/@:]+@)?(?P<host>\[[^]]*\]|[^/:@]+):(?P<path>.+)")
_DENIAL: Final = re.compile(
    r"returned error: 40[134]|not found|authentication failed|could not read username|terminal prompts disabled"
    r"|access denied|forbidden|unauthorized",
    re.IGNORECASE,
)


class Address(NamedTuple):
    """A remote's address, as a stranger would try it.

    Attributes:
        name: ``host/owner/repo``, without user, port and ``.git``, the host in lower case: what an override names.
        url: the anonymous address; empty for one on this machine's disk, which is private.
    """

    name: str
    url: str


def address_of(url: str) -> Address:
    """What *url*, as git takes it, is called and how a stranger would reach it."""
    match = _URL.fullmatch(url)
    if match is None:
        match = None if url.startswith(("/", ".", "~")) else _SCP.fullmatch(url)
        scheme, port = "ssh", ""
    else:
        scheme, port = match["scheme"], match["port"] or ""
    if match is None or scheme == "file":
        return Address(url, "")
    host, path = match["host"].lower(), match["path"].strip("/").removesuffix(".git")
    if scheme in ("http", "https"):
        where = f"{host}:{port}" if port else host
        return Address(f"{host}/{path}", f"{scheme}://{where}/{match['path']}")
    if scheme == "git":  # knows no credentials: whom it answers, it answers everybody
        return Address(f"{host}/{path}", url)
    return Address(f"{host}/{path}", f"https://{host}/{match['path'].lstrip('/')}")


def judge(status: int, said: str) -> Visibility:
    """What the end of an anonymous `ls-remote` tells."""
    if status == 0:
        return "public"
    return "private" if _DENIAL.search(said) else "undetectable"


class Refusal(NamedTuple):
    """Why nothing is pushed.

    Attributes:
        text: the reason; empty when there is none.
        remedy: the command that allows it, where there is one.
    """

    text: str = ""
    remedy: str = ""


def judged(found: Visibility, name: str) -> Refusal:
    """Why a remote called *name* of which that was *found* is not pushed to."""
    if found == "private":
        return Refusal()
    remedy = f"thrum config set daemon.sync.public_exposure_override {name}"
    if found == "public":
        return Refusal(f"a-sync disabled: public repo detected, no exposure override ({remedy})", remedy)
    return Refusal(
        f"a-sync disabled: repo visibility undetectable (offline?), no cached result (or: {remedy})", remedy
    )


def exposed(name: str) -> str:
    """What agents are told when a remote called *name* turns out to be public."""
    return (
        f"The git remote {name} is public: everybody could read what is sent here, so messages stay on this machine."
        f" If they may be read: thrum config set daemon.sync.public_exposure_override {name}"
    )


class Gate:
    """Says whether a remote may be pushed to; blocking.

    Args:
        environ: the daemon's environment; nothing of it but PATH, proxies and certificates is used.
        settings: `daemon.sync` of the configuration as it is now.
        keep: keeps a finding: what it is, and the remote's name.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        settings: Callable[[], Sync],
        keep: Callable[[Visibility, str], None],
    ) -> None:
        self._environ = environ
        self._clock = clock
        self._settings = settings
        self._keep = keep
        self._asked: dict[str, tuple[float, Visibility]] = {}

    def refusal(self, url: str, *, anew: bool = False) -> Refusal:
        """Why nothing is pushed to *url*; one without text when it may be.

        Args:
            anew: ask the remote though it was asked lately.
        """
        address = address_of(url)
        if not address.url:
            return Refusal()
        settings = self._settings()
        if settings.public_exposure_override == address.name:
            return Refusal()
        return judged(self._visibility(address, settings, anew=anew), address.name)

    def _visibility(self, address: Address, settings: Sync, *, anew: bool) -> Visibility:
        now_s = self._clock.monotonic()
        asked_s, found = self._asked.get(address.url, (-HOLDS_S, "undetectable"))
        if anew or now_s - asked_s >= HOLDS_S or found == "undetectable":
            found = self._probe(address.url)
            self._asked[address.url] = (now_s, found)
        cached = (settings.detected_visibility, settings.detected_remote)
        if found == "undetectable":
            is_ours = cached[1] == address.name
            return (
                "public"
                if is_ours and cached[0] == "public"
                else "private"
                if is_ours and cached[0] == "private"
                else found
            )
        if cached != (found, address.name):
            self._keep(found, address.name)
        return found

    def _probe(self, url: str) -> Visibility:
        with tempfile.TemporaryDirectory(prefix="thrum-probe-") as nowhere:
            runner = Runner(Path(nowhere), Path(nowhere), environ=self._stranger(nowhere))
            try:
                answer = runner.run(
                    "ls-remote",
                    "--quiet",
                    url,
                    "HEAD",
                    cwd=Path(nowhere),
                    settings=(("credential.helper", ""),),
                    env={"GIT_DIR": "", "GIT_WORK_TREE": ""},
                    timeout_s=PROBE_S,
                )
            except GitFailed:
                return "undetectable"
        return judge(answer.status, answer.error)

    def _stranger(self, home: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in self._environ.items()
            if name == "PATH"
            or name.lower().endswith("_proxy")
            or name.startswith(("SSL_CERT", "GIT_SSL_CA"))
        }
        return {**kept, "HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
