"""``token.*`` and ``user.*``: minting, presenting and revoking tokens, and users who speak with one.

Who may mint what: a caller for itself; a ``user:`` token also any caller of the Unix socket that stands in a worktree
and has no runtime among its ancestors, which is a person as far as the system can tell.

Source: DESIGN.md D5; spec/decisions.md "Identity"; spec/kernel.md §4.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from thrum_kernel.api import Method
from thrum_kernel.bus.call import Call
from thrum_kernel.bus.tokens import DEFAULT_TTL_S, Minted, TokenRow, Tokens
from thrum_kernel.clock import Clock, format_us
from thrum_kernel.errors import AnonymousCaller, GuardFired, NotFound, UsageError
from thrum_kernel.identity.model import check_name, sanitize

MAX_TTL_S = 366 * 24 * 3600
_BOTH = frozenset({"unix", "websocket"})


class _Params(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    caller_agent_id: str = ""


class MintParams(_Params):
    """Mint a token for the caller, or for a user.

    Attributes:
        user: name of a user instead, without ``user:``.
        ttl_s: seconds it is good for.
        label: what it is for, shown in the list.
        link: give a one-time link for a browser instead of the token's text.
    """

    user: str = ""
    ttl_s: int = DEFAULT_TTL_S
    label: str = ""
    link: bool = False


class MintResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The new token. ``token`` is told this once; a link has ``url`` instead."""

    token_id: str
    principal: str
    expires_at: str
    token: str = ""
    url: str = ""


class PresentParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Speak for the principal of *token* on this connection from now on."""

    token: str


class RedeemParams(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Turn the ticket of a one-time link into a token, and speak with it on this connection."""

    ticket: str


class PresentResult(msgspec.Struct, kw_only=True):
    principal: str
    expires_at: str


class ListParams(_Params):
    """List the caller's tokens, or with *all* everybody's (a person only)."""

    all: bool = False


class TokenInfo(msgspec.Struct, kw_only=True, omit_defaults=True):
    token_id: str
    principal: str
    created_at: str
    expires_at: str
    label: str = ""
    last_used_at: str = ""
    one_time: bool = False


class ListResult(msgspec.Struct, kw_only=True):
    tokens: list[TokenInfo]


class RevokeParams(_Params):
    """Revoke one token and close its connections."""

    token_id: str


class RevokeResult(msgspec.Struct, kw_only=True):
    token_id: str
    revoked: bool


class IdentifyParams(_Params):
    """Who commits in this repository."""


class IdentifyResult(msgspec.Struct, kw_only=True):
    username: str
    email: str
    display: str


class RegisterParams(_Params):
    """Register the user whose token this connection presented."""

    username: str
    display: str = ""


class RegisterResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``status`` is ``registered`` or ``existing``; ``token`` is a new one, good as long as the one presented."""

    user_id: str
    username: str
    token: str
    status: str
    display_name: str = ""


class TokenMethods:
    """The methods about tokens and users.

    Args:
        port: the WebSocket's port, 0 while there is none.
        git_user: ``(name, email)`` of whoever commits in this repository; blocking.
        register_user: ``(user id, display) -> whether it is new``.
    """

    def __init__(
        self,
        tokens: Tokens,
        clock: Clock,
        *,
        port: Callable[[], int],
        git_user: Callable[[], tuple[str, str]],
        register_user: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._port = port
        self._git_user = git_user
        self._register_user = register_user

    def methods(self) -> Sequence[Method]:
        """Every method of this room."""
        return (
            Method(
                name="token.mint",
                params=MintParams,
                result=MintResult,
                handler=self.mint,
                summary="Mint a token for the caller, or for a user.",
                mutates=True,
                anonymous=True,
                transports=frozenset({"unix"}),
            ),
            Method(
                name="token.present",
                params=PresentParams,
                result=PresentResult,
                handler=self.present,
                summary="Speak for a token's principal on this connection.",
                anonymous=True,
                transports=_BOTH,
            ),
            Method(
                name="token.redeem",
                params=RedeemParams,
                result=MintResult,
                handler=self.redeem,
                summary="Turn the ticket of a one-time link into a token.",
                anonymous=True,
                transports=_BOTH,
            ),
            Method(
                name="token.list",
                params=ListParams,
                result=ListResult,
                handler=self.list,
                summary="List tokens; never their text.",
                anonymous=True,
                transports=_BOTH,
            ),
            Method(
                name="token.revoke",
                params=RevokeParams,
                result=RevokeResult,
                handler=self.revoke,
                summary="Revoke a token and close its connections.",
                mutates=True,
                anonymous=True,
                transports=_BOTH,
            ),
            Method(
                name="user.identify",
                params=IdentifyParams,
                result=IdentifyResult,
                handler=self.identify,
                summary="Who commits in this repository.",
                anonymous=True,
            ),
            Method(
                name="user.register",
                params=RegisterParams,
                result=RegisterResult,
                handler=self.register,
                summary="Register the user whose token was presented.",
                mutates=True,
                transports=_BOTH,
            ),
        )

    # --- handlers ----------------------------------------------------------------------------------------------------

    async def mint(self, call: Call, params: MintParams) -> MintResult:
        """``token.mint``."""
        if not 0 < params.ttl_s <= MAX_TTL_S:
            raise UsageError(f"ttl_s must be between 1 and {MAX_TTL_S}")
        principal = self._principal(call, params.user)
        if not params.link:
            minted = await self._tokens.mint(principal, ttl_s=params.ttl_s, label=params.label)
            return _told(minted)
        port = self._port()
        if not port:
            raise UsageError("there is no WebSocket to link to", hint="thrum daemon status shows its port")
        ticket = await self._tokens.mint_ticket(principal, ttl_s=params.ttl_s, label=params.label)
        return MintResult(
            token_id=ticket.token_id,
            principal=principal,
            expires_at=format_us(ticket.expires_us),
            url=f"ws://127.0.0.1:{port}/ws?ticket={ticket.text}",
        )

    def present(self, call: Call, params: PresentParams) -> PresentResult:
        """``token.present``."""
        grant = self._tokens.verify(params.token)
        call.connection.present(grant)
        return PresentResult(principal=grant.principal, expires_at=format_us(grant.expires_us))

    async def redeem(self, call: Call, params: RedeemParams) -> MintResult:
        """``token.redeem``."""
        minted, grant = await self._tokens.redeem(params.ticket)
        call.connection.present(grant)
        return _told(minted)

    def list(self, call: Call, params: ListParams) -> ListResult:
        """``token.list``."""
        if params.all and not _is_person(call):
            raise AnonymousCaller("token.list")
        if not params.all and not call.caller.is_known:
            raise AnonymousCaller("token.list")
        rows = self._tokens.rows(principal=None if params.all else call.caller.agent_id)
        return ListResult(tokens=[_info(row) for row in rows])

    async def revoke(self, call: Call, params: RevokeParams) -> RevokeResult:
        """``token.revoke``: one's own; a person any."""
        if not (call.caller.is_known or _is_person(call)):
            raise AnonymousCaller("token.revoke")
        own = {row.token_id for row in self._tokens.rows(principal=call.caller.agent_id)}
        if params.token_id not in own and not _is_person(call):
            raise NotFound("token", params.token_id, hint="thrum daemon token --list shows yours")
        revoked = await self._tokens.revoke(params.token_id)
        return RevokeResult(token_id=params.token_id, revoked=revoked)

    async def identify(self, call: Call, params: IdentifyParams) -> IdentifyResult:
        """``user.identify``."""
        name, email = await asyncio.to_thread(self._git_user)
        if not name:
            raise UsageError("git user.name is not set", hint='git config user.name "Your Name"')
        return IdentifyResult(username=sanitize(name), email=email, display=name)

    async def register(self, call: Call, params: RegisterParams) -> RegisterResult:
        """``user.register``."""
        check_name("user", params.username)
        user_id = f"user:{params.username}"
        if call.caller.agent_id != user_id:
            facts = {
                "expected agent": user_id,
                "detected agent": call.caller.agent_id,
                "remediation": f"present a token of that user: thrum daemon token --user {params.username}",
            }
            raise GuardFired("unauthenticated_rpc", "identity_mismatch", facts=facts)
        is_new = await self._register_user(user_id, params.display)
        grant = call.connection.grant
        left_s = DEFAULT_TTL_S if grant is None else (grant.expires_us - self._clock.now_us()) // 1_000_000
        minted = await self._tokens.mint(user_id, ttl_s=max(1, left_s), label="user.register")
        return RegisterResult(
            user_id=user_id,
            username=params.username,
            display_name=params.display,
            token=minted.text,
            status="registered" if is_new else "existing",
        )

    # --- rules -------------------------------------------------------------------------------------------------------

    def _principal(self, call: Call, user: str) -> str:
        caller = call.caller
        if not user:
            if not caller.is_known:
                raise AnonymousCaller(call.method)
            return caller.agent_id
        check_name("user", user)
        principal = f"user:{user}"
        if caller.agent_id != principal and not _is_person(call):
            facts = {
                "expected agent": principal,
                "detected agent": caller.agent_id or caller.runtime or caller.reason,
                "caller pid": str(caller.pid or ""),
                "remediation": "a person asks for it, in a terminal of their own inside the repository",
            }
            raise GuardFired("unauthenticated_rpc", "user_token_refused", facts=facts)
        return principal


def _is_person(call: Call) -> bool:
    """No runtime above it, in our namespaces, standing in a worktree, and not speaking by token."""
    caller = call.caller
    return (
        call.transport == "unix"
        and caller.source != "token"
        and not caller.asserted
        and caller.pid > 0
        and caller.runtime_pid == 0
        and caller.worktree is not None
    )


def _told(minted: Minted) -> MintResult:
    return MintResult(
        token_id=minted.token_id,
        principal=minted.principal,
        expires_at=format_us(minted.expires_us),
        token=minted.text,
    )


def _info(row: TokenRow) -> TokenInfo:
    return TokenInfo(
        token_id=row.token_id,
        principal=row.principal,
        label=row.label,
        created_at=format_us(row.created_us),
        expires_at=format_us(row.expires_us),
        last_used_at="" if row.used_us is None else format_us(row.used_us),
        one_time=row.ticket_ttl_s is not None,
    )
