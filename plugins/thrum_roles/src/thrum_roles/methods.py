"""The methods ``roles.*``: what templates there are, and bringing them to the agents."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

from thrum_kernel.api import AgentInfo, Call, Method, PluginContext
from thrum_kernel.errors import NotFound, UsageError
from thrum_roles.agents import Resident
from thrum_roles.listing import Listing, listing
from thrum_roles.model import (
    Deployed,
    DeployedAgent,
    DeployParams,
    ListParams,
    RefreshedTemplate,
    RefreshParams,
    RefreshResult,
    SaveConfigParams,
    SavedConfig,
)
from thrum_roles.refreshing import Refreshed, adopt, refresh
from thrum_roles.repository import RepositoryTemplates
from thrum_roles.role_text import DEFAULT_COORDINATOR, fields_of, role_text
from thrum_roles.settings import SECTION, RoleConfig, given
from thrum_roles.shipped import ROLES, Catalogue, catalogue

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RoleMethods:
    """The handlers.

    Args:
        ctx: the plugin's context.
        shipped: the templates that come with the plugin.
    """

    def __init__(self, ctx: PluginContext, *, shipped: Catalogue | None = None) -> None:
        self._ctx = ctx
        self._shipped = catalogue() if shipped is None else shipped
        self._templates = RepositoryTemplates(ctx.paths.thrum)
        self._changing = asyncio.Lock()

    def methods(self) -> Sequence[Method]:
        """All of them."""
        return (
            Method(
                name="roles.list",
                params=ListParams,
                result=Listing,
                handler=self.list_all,
                summary="The role templates of the repository and the agents they are for",
                anonymous=True,
            ),
            Method(
                name="roles.deploy",
                params=DeployParams,
                result=Deployed,
                handler=self.deploy,
                mutates=True,
                summary="Write the preambles of this machine's agents anew from their role templates",
            ),
            Method(
                name="roles.refresh",
                params=RefreshParams,
                result=RefreshResult,
                handler=self.refresh,
                mutates=True,
                summary="Write the role templates anew from the saved answers and the shipped texts",
            ),
            Method(
                name="roles.save-config",
                params=SaveConfigParams,
                result=SavedConfig,
                handler=self.save_config,
                mutates=True,
                summary="Save the answers about roles",
            ),
        )

    async def list_all(self, call: Call, params: ListParams) -> Listing:
        """Templates with their agents.

        Raises:
            FileDamaged: the folder of templates cannot be read.
        """
        agents = await self._residents()
        found: Listing = await self._ctx.in_thread(
            listing, self._templates, self._config, agents, self._shipped
        )
        return found

    async def deploy(self, call: Call, params: DeployParams) -> Deployed:
        """Render every template that is needed, then write; so a template that is damaged leaves all as it was.

        An agent whose role has no template keeps the preamble that it has.

        Raises:
            NotFound: no such agent lives here, or the one that was named has no template.
            FileDamaged: a template cannot be read or understood; names file and line.
        """
        wanted = params.agent.removeprefix("@")
        agents = [agent for agent in await self._residents() if wanted in ("", agent.name)]
        if wanted and not agents:
            raise NotFound("agent", wanted, message=f"agent {wanted} not found", hint="thrum team local")
        coordinator = await coordinator_name(self._ctx)
        texts = await self._ctx.in_thread(
            lambda: [self._text(agent, self._config, coordinator) for agent in agents]
        )
        if wanted and texts[0] is None:
            raise _no_template(agents[0].role, self._templates.path(agents[0].role))
        done = []
        for agent, text in zip(agents, texts, strict=True):
            if text is not None and not params.dry_run:
                encoded = base64.b64encode(text.encode()).decode()
                await self._ctx.call("context.preamble.save", agent_name=agent.name, role_text=encoded)
            done.append(_deployed(agent, text, dry_run=params.dry_run, alone=bool(wanted)))
        updated = sum(text is not None for text in texts)
        return Deployed(updated=updated, total=len(agents), dry_run=params.dry_run, agents=done)

    async def refresh(self, call: Call, params: RefreshParams) -> RefreshResult:
        """Write templates anew; where nothing was ever answered, take over the answers that the templates show.

        Raises:
            NotFound: there are neither answers nor templates.
            FileDamaged: a template cannot be read or written.
        """
        async with self._changing:
            config = self._config
            if config.is_saved:
                config, done = await self._ctx.in_thread(refresh, self._templates, config, self._shipped)
            else:
                config, done = await self._adopted()
            await self._save(config)
        return RefreshResult(schema_version=config.schema_version, templates=[_told(each) for each in done])

    async def save_config(self, call: Call, params: SaveConfigParams) -> SavedConfig:
        """Replace the answers. What a template was written from stays known.

        Raises:
            UsageError: a key is unknown, a value does not fit, or a role has no such form; nothing was saved.
        """
        config = given(params.config)
        self._check_forms(config)
        async with self._changing:
            before = self._config.roles
            roles = {
                role: answer
                if answer.rendered_hash or role not in before
                else answer.model_copy(update={"rendered_hash": before[role].rendered_hash})
                for role, answer in config.roles.items()
            }
            config = self._stamped(config.model_copy(update={"roles": roles}))
            await self._save(config)
        return SavedConfig(role_config=config.plain())

    # --- answers -----------------------------------------------------------------------------------------------------

    @property
    def _config(self) -> RoleConfig:
        config: RoleConfig = self._ctx.settings.role_config
        return config

    async def _adopted(self) -> tuple[RoleConfig, list[Refreshed]]:
        answers, done = await self._ctx.in_thread(adopt, self._templates, self._shipped)
        if not done:
            raise NotFound(
                "role configuration",
                SECTION,
                message="no answers about roles are saved, and there are no templates",
                hint="thrum roles save-config < answers.json, or: thrum init --force --roles enhanced",
            )
        return self._stamped(RoleConfig(roles=answers)), done

    def _check_forms(self, config: RoleConfig) -> None:
        for role, answer in config.roles.items():
            if role in ROLES and self._shipped.find(role, answer.autonomy) is None:
                forms = ", ".join(template.autonomy for template in self._shipped.of_role(role))
                raise UsageError(
                    f'role {role} has no form "{answer.autonomy}"', hint=f"autonomy is one of: {forms}"
                )

    def _stamped(self, config: RoleConfig) -> RoleConfig:
        return config.model_copy(
            update={
                "schema_version": config.schema_version or self._shipped.schema_version,
                "plugin_version": config.plugin_version or plugin_version(),
                "configured_at": config.configured_at or timestamp(self._ctx.clock.now_us()),
            }
        )

    async def _save(self, config: RoleConfig) -> None:
        """Key by key, the version last: a save that is cut short is told as drift, and mended by a refresh."""
        plain = config.plain()
        for key in ("roles", "plugin_version", "configured_at", "schema_version"):
            await self._ctx.call("config.set", key=f"{SECTION}.{key}", value=plain[key])

    # --- agents ------------------------------------------------------------------------------------------------------

    async def _residents(self) -> list[Resident]:
        """The agents of this machine, by name."""
        team = await self._ctx.call("team.list", include_offline=True)
        return [
            Resident(
                name=member["agent_id"],
                role=member["role"],
                module=member["module"],
                worktree=Path(member.get("worktree_path") or self._ctx.paths.repo),
            )
            for member in team["members"]
            if member.get("is_local") and not member.get("reserved")
        ]

    def _text(self, agent: Resident, config: RoleConfig, coordinator: str) -> str | None:
        fields = fields_of(info_of(agent), repo=self._ctx.paths.repo, coordinator=coordinator)
        return role_text(self._templates, config, agent.role, fields)


async def coordinator_name(ctx: PluginContext) -> str:
    """The name of the agent that coordinates: the first that was registered, one of this machine before others."""
    found = (await ctx.call("agent.list", role="coordinator"))["agents"]
    names = [agent["agent_id"] for agent in reversed(found)]
    return min(names, key=lambda name: "@" in name, default=DEFAULT_COORDINATOR)


def info_of(agent: Resident) -> AgentInfo:
    """An agent as templates see it."""
    return AgentInfo(
        name=agent.name,
        role=agent.role,
        module=agent.module,
        worktree=agent.worktree,
        thrum=agent.worktree / ".thrum",
    )


def timestamp(now_us: int) -> str:
    """A time as every timestamp of thrum: UTC, six digits, ``Z``."""
    at = _EPOCH + timedelta(microseconds=now_us)
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def plugin_version() -> str:
    """The version of this distribution."""
    return metadata.version("thrum-roles")


def _deployed(agent: Resident, text: str | None, *, dry_run: bool, alone: bool) -> DeployedAgent:
    return DeployedAgent(
        agent_id=agent.name,
        role=agent.role,
        outcome="no template" if text is None else "would update" if dry_run else "updated",
        path=str(agent.worktree / ".thrum" / "context" / f"{agent.name}_preamble.md"),
        text=text if text is not None and dry_run and alone else "",
    )


def _told(done: Refreshed) -> RefreshedTemplate:
    return RefreshedTemplate(
        role=done.role,
        action=done.action,
        path=str(done.path),
        template=done.template,
        aside="" if done.aside is None else str(done.aside),
    )


def _no_template(role: str, path: Path) -> NotFound:
    return NotFound(
        "role template",
        role,
        message=f"role {role} has no template in .thrum/role_templates/",
        hint=f"write {path}, or take one of ours: thrum roles templates print {role}-strict",
    )
