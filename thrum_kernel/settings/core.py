"""The keys of config.json that the kernel knows, with types and defaults.

Source: spec/kernel.md §8.6; spec/features.md §17; spec/decisions.md "init, prime…"; DESIGN.md D3, D4, D6.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from thrum_kernel.settings.bounded_regex import compile_bounded
from thrum_kernel.settings.sections import Section, SectionModel, Sections

DEFAULT_MAX_BODY: Final = 1024 * 1024
"""Bytes; what ``max_message_body_bytes`` 0 means."""


def _port(value: Any) -> Any:
    """``auto`` or a port; numbers become text, as the reference writes them."""
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if text == "auto" or (text.isdigit() and int(text) <= 65535):
        return text
    raise ValueError("must be auto or a port from 0 to 65535")


def _level(value: Any) -> Any:
    return {"warning": "warn"}.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _bounded(text: str) -> str:
    compile_bounded(text)
    return text


Port = Annotated[str, BeforeValidator(_port)]
BoundedRegex = Annotated[str, AfterValidator(_bounded)]
"""A regular expression whose work on any text is bounded; see `bounded_regex`."""


class Runtime(SectionModel):
    """Which runtime agents use.

    Attributes:
        primary: name of the preset; empty: what is detected.
    """

    primary: str = ""


class Mechanism(SectionModel):
    """One way for the log to travel."""

    mechanism: Literal["a-sync", "peer", "email"]
    scope: Literal["full", "directed"] = "full"


class SecretPattern(SectionModel):
    """A team's own kind of credential; one with the id of a pattern that ships takes its place.

    Attributes:
        id: what people are told.
        regex: finds it; group 1, where there is one, is what is judged by its entropy.
        description: what it is.
        entropy: bits a character that the value must have at least, with a letter and a digit in it; 0: any value.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    regex: BoundedRegex
    description: str = ""
    entropy: float = Field(default=0.0, ge=0, le=8)


class Sync(SectionModel):
    """How the log travels.

    Attributes:
        enabled: whether it travels at all.
        mechanisms: absent: ``a-sync`` in full; empty: none.
        remote: the git remote to travel to; empty: ``origin``, else the only one there is.
        detected_visibility, detected_remote: what the last look at the remote said, kept for when it is offline.
        public_exposure_override: the remote (``host/owner/repo``) that may be pushed to although it is public.
        reroot_commits: the history of the branch begins anew about every so many commits; 0: only when asked to.
        reroot_after_purge: it also does after a purge, so that older commits do not keep the text.
        budget_mb: MiB that the log may take up in a clone before that is told; 0: never told.
        secret_scan: what looks like a credential is held back from the files that travel.
        secret_patterns: what does, besides the patterns that ship.
        secret_allow: regular expressions; what one of them finds something in is no secret although a pattern fits.
    """

    enabled: bool = True
    mechanisms: list[Mechanism] = Field(
        default_factory=lambda: [Mechanism(mechanism="a-sync", scope="full")],
    )
    remote: str = ""
    detected_visibility: str = ""
    detected_remote: str = ""
    public_exposure_override: str = ""
    reroot_commits: int = Field(default=1000, ge=0)
    reroot_after_purge: bool = True
    budget_mb: int = Field(default=512, ge=0)
    secret_scan: bool = True
    secret_patterns: list[SecretPattern] = Field(default_factory=list)
    secret_allow: list[BoundedRegex] = Field(default_factory=list)

    @property
    def budget_bytes(self) -> int:
        """What the log may take up in a clone; 0 without limit."""
        return self.budget_mb << 20

    @model_validator(mode="after")
    def _scopes_fit(self) -> Self:
        scopes = {entry.scope for entry in self.mechanisms}
        if any(entry.scope == "directed" and entry.mechanism == "a-sync" for entry in self.mechanisms):
            raise ValueError("scope directed is for the mechanisms peer and email only")
        if scopes == {"full", "directed"}:
            raise ValueError("scope directed cannot be used together with scope full")
        return self


class Daemon(SectionModel):
    """The daemon.

    Attributes:
        local_only: nothing is fetched from or pushed to the remote. Absent means true.
        autostart: a command starts the daemon when it does not run and was not stopped on purpose.
        sync_interval: seconds between publishes under traffic.
        ws_port, peer_port: ``auto`` or a port.
        single_agent_mode: no messaging in the briefing. A second agent turns it off, unless
            `single_agent_mode_by_hand` says that a person chose it.
        max_message_body_bytes: 0 means 1 MiB, negative no limit.
        retention_days: messages and ended sessions older than so many days are purged, everywhere; 0: they stay.
        events_retention_days, compaction_size_threshold_mb: read for the reference's files; our log keeps all.
    """

    local_only: bool = True
    autostart: bool = True
    sync: Sync = Field(default_factory=Sync)
    sync_interval: int = Field(default=60, ge=1)
    ws_port: Port = "auto"
    peer_port: Port = "auto"
    single_agent_mode: bool = False
    single_agent_mode_by_hand: bool = False
    log_level: Annotated[Literal["debug", "info", "warn", "error"], BeforeValidator(_level)] = "info"
    events_retention_days: int = 2
    compaction_size_threshold_mb: int = 10
    max_message_body_bytes: int = 0
    retention_days: int = Field(default=0, ge=0)

    @property
    def body_limit(self) -> int | None:
        """The most bytes a message body may have; None without limit."""
        if self.max_message_body_bytes < 0:
            return None
        return self.max_message_body_bytes or DEFAULT_MAX_BODY


class Store(SectionModel):
    """The log.

    Attributes:
        allow_network_fs: keep it on a network file system, whose locks and syncs may not hold.
    """

    allow_network_fs: bool = False


class Messaging(SectionModel):
    """The send quota of each agent, so that one in a loop cannot fill the disk; 16 KiB of text count as a message.

    Attributes:
        send_per_minute: messages that an agent may send in the long run; 0 or less: no quota.
        send_burst: messages that it may send at once.
    """

    send_per_minute: int = 600
    send_burst: int = 3000


class Plugins(SectionModel):
    """Plugins.

    Attributes:
        hook_timeout: seconds a hook may take.
        messaging_guards: guards that judge kernel messaging too.
        disabled: names of plugins that are not loaded.
        team: plugins of ``.thrum-plugins/`` that may be loaded once trusted, by file name without ``.py``.
    """

    hook_timeout: float = Field(default=5.0, gt=0)
    messaging_guards: list[str] = Field(default_factory=list)
    disabled: list[str] = Field(default_factory=list)
    team: list[str] = Field(default_factory=list)


class Worktrees(SectionModel):
    """Where worktrees of agents are made, and what is wired into them."""

    base_path: str = ""
    beads_enabled: bool = True
    thrum_enabled: bool = True


class Orchestration(SectionModel):
    """What the orchestrator role goes by; `merge_target` empty: the branch checked out at init."""

    merge_target: str = ""
    default_autonomy: Literal["end_only", "per_epic"] = "end_only"


class DaemonBlock(SectionModel):
    """Which daemon this is, shown; the truth lies in T."""

    daemon_id: str = ""
    repo_name: str = ""
    hostname: str = ""
    repo_path: str = ""
    git_origin_url: str = ""
    init_at: str = ""


class KernelSettings(BaseSettings):
    """The kernel's sections together; values come only from what is passed in, never from our own environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    runtime: Runtime = Field(default_factory=Runtime)
    daemon: Daemon = Field(default_factory=Daemon)
    store: Store = Field(default_factory=Store)
    messaging: Messaging = Field(default_factory=Messaging)
    plugins: Plugins = Field(default_factory=Plugins)
    worktrees: Worktrees = Field(default_factory=Worktrees)
    orchestration: Orchestration = Field(default_factory=Orchestration)
    identity: DaemonBlock = Field(default_factory=DaemonBlock)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: a daemon must not take its settings from whoever happened to start it."""
        return (init_settings,)


RESTART: Final = frozenset(
    {"daemon.ws_port", "daemon.peer_port", "daemon.sync.enabled", "daemon.sync.mechanisms"}
)
"""Keys whose change holds only from the daemon's next start on."""

ENVIRONMENT: Final = {
    "THRUM_LOCAL": "daemon.local_only",
    "THRUM_WS_PORT": "daemon.ws_port",
    "THRUM_SYNC_INTERVAL": "daemon.sync_interval",
}
"""What the environment of an explicit ``daemon start`` sets."""

_CLAIMABLE: Final = frozenset({"worktrees", "orchestration"})


def core_sections() -> Sections:
    """A new registry with the kernel's sections in it."""
    sections = Sections()
    for name, field in KernelSettings.model_fields.items():
        sections.register(
            Section(
                name=name,
                model=field.annotation,
                owner="kernel",
                claimable=name in _CLAIMABLE,
                read_only=name == "identity",
            )
        )
    return sections
