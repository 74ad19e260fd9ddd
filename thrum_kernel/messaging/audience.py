"""Who gets a message: resolved once, by the sending daemon, all or nothing. Pure.

``to`` names agents (or everyone); ``mentions`` may also name groups and roles, which fan out; a reply goes to the
author and the recipients of its parent, taken from the parent itself and never looked up by name; a message into a
thread goes to those who take part in it; with none of these it goes to everyone.

The sender gets a copy only when addressed as an agent, a role or a group, never by broadcast, reply or thread.
Source: DESIGN.md D2; spec/kernel.md §5.1; spec/decisions.md, "Messaging".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from thrum_kernel.errors import AmbiguousName, Refused, UnknownRecipient, UsageError
from thrum_kernel.events.core import AgentRef, Label, Recipient
from thrum_kernel.messaging.directory import EVERYONE, Directory
from thrum_kernel.projection.queries import AgentRow

_RANK = {"agent": 0, "reply": 1, "thread": 2, "role": 3, "group": 4, "broadcast": 5}
_SELF_KEPT = {"agent", "role", "group"}
_WIDE = {"role", "group", "broadcast"}

MAX_ADDRESS = 400
"""Characters of a name with its daemon, which may be a host name."""
MAX_NAMED = 1000
"""Recipients that one message may name; roles, groups and everyone may reach more."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Those whom a parent message or a thread reaches.

    Attributes:
        author: who wrote the parent; None for a thread.
        others: its recipients, or everyone who takes part in the thread.
        audience: what the parent was addressed to; empty for a thread.
    """

    author: AgentRef | None
    others: tuple[AgentRef, ...]
    audience: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What a sender asked for; names as typed.

    Attributes:
        parent: the message that is replied to, None when it is no reply.
        thread: who takes part in the thread it is sent into; None for no thread or an empty one.
    """

    sender: AgentRef
    to: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    parent: Reach | None = None
    thread: Reach | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """The answer: recipients sorted by name, each once; what was addressed; what the sender should know."""

    recipients: tuple[Recipient, ...]
    entries: tuple[Label, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Gathered:
    via: dict[AgentRef, str] = field(default_factory=dict)
    entries: set[Label] = field(default_factory=set)
    warnings: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    ambiguous: list[AmbiguousName] = field(default_factory=list)

    def add(self, refs: Iterable[AgentRef], via: str) -> None:
        for ref in refs:
            if ref not in self.via or _rank(via) < _rank(self.via[ref]):
                self.via[ref] = via


def resolve(
    request: Request, directory: Directory, *, claimed: Callable[[str], bool] = lambda name: False
) -> Audience:
    """The audience of a message.

    Args:
        claimed: whether a name belongs to a plugin that hears what is sent to it.

    Raises:
        UsageError: a name is empty or too long, or there are too many.
        UnknownRecipient: a name fits nobody; tells all of them and what may have been meant.
        AmbiguousName: a bare name in ``to`` fits agents of several other daemons.
        Refused: a reply or a message into a thread that would reach nobody.
    """
    if len(request.to) + len(request.mentions) > MAX_NAMED:
        raise UsageError(f"too many recipients are named: at most {MAX_NAMED}", hint="make a group of them")
    gathered = _Gathered()
    for name in request.to:
        _to(_plain(name), directory, gathered, claimed)
    for name in request.mentions:
        _mention(_plain(name), directory, gathered, claimed)
    if gathered.unknown:
        names = list(dict.fromkeys(gathered.unknown))
        kinds = {name: kind for name in names if (kind := directory.kind_of(name))}
        raise UnknownRecipient(names, {name: directory.near(name) for name in names}, wide=kinds)
    if gathered.ambiguous:
        raise min(gathered.ambiguous, key=str)
    if not request.to and not request.mentions:
        _implied(request, directory, gathered, claimed)
    return _finish(request, gathered)


def _plain(name: str) -> str:
    plain = name.strip().removeprefix("@")
    if not plain:
        raise UsageError("a recipient is empty", hint="name it like this: --to @agent_name")
    if len(plain) > MAX_ADDRESS:
        raise UsageError(f"a recipient is too long: {len(plain)} characters, at most {MAX_ADDRESS}")
    return plain


def _to(name: str, directory: Directory, gathered: _Gathered, claimed: Callable[[str], bool]) -> None:
    if name == EVERYONE:
        _broadcast(directory, gathered)
        return
    try:
        agent = directory.find(name)
    except AmbiguousName as error:
        gathered.ambiguous.append(error)
        return
    if agent is not None:
        gathered.add([_ref(agent)], "agent")
        gathered.entries.add(Label("agent", directory.shown_name(agent.name, agent.home, agent.incarnation)))
    elif claimed(name):
        _claimed(name, directory, gathered)
    else:
        gathered.unknown.append(name)


def _mention(name: str, directory: Directory, gathered: _Gathered, claimed: Callable[[str], bool]) -> None:
    if name == EVERYONE:
        _broadcast(directory, gathered)
    elif name in directory.groups:
        _group(name, directory, gathered)
    elif "@" in name:
        _to(name, directory, gathered, claimed)
    else:
        _agents_or_role(name, directory, gathered, claimed)


def _agents_or_role(
    name: str, directory: Directory, gathered: _Gathered, claimed: Callable[[str], bool]
) -> None:
    named, in_role = directory.named(name), directory.with_role(name) if name != "*" else ()
    gathered.add(map(_ref, named), "agent")
    gathered.add(map(_ref, in_role), f"role:{name}")
    if len(named) == 1 and not in_role:
        agent = named[0]
        gathered.entries.add(Label("agent", directory.shown_name(agent.name, agent.home, agent.incarnation)))
    elif named or in_role:
        gathered.entries.add(Label("role", name))
    elif claimed(name):
        _claimed(name, directory, gathered)
    else:
        gathered.unknown.append(name)


def _group(name: str, directory: Directory, gathered: _Gathered) -> None:
    members = directory.members(name)
    gathered.add(map(_ref, members), f"group:{name}")
    gathered.entries.add(Label("group", name))
    gathered.warnings.add(
        f"@{name} resolved to a group, not an individual agent"
        if members
        else f"group @{name} has no members"
    )


def _broadcast(directory: Directory, gathered: _Gathered) -> None:
    gathered.add(map(_ref, directory.agents), "broadcast")
    gathered.entries.add(Label("broadcast", EVERYONE))


def _claimed(name: str, directory: Directory, gathered: _Gathered) -> None:
    gathered.add([pseudo(name, directory.local)], "agent")
    gathered.entries.add(Label("agent", name))


def _implied(
    request: Request, directory: Directory, gathered: _Gathered, claimed: Callable[[str], bool]
) -> None:
    """The audience of a message that names nobody."""
    if request.parent is not None:
        _reached(request, request.parent, "reply", directory, gathered, claimed)
    elif request.thread is not None:
        _reached(request, request.thread, "thread", directory, gathered, claimed)
    else:
        _broadcast(directory, gathered)


def _reached(
    request: Request,
    reach: Reach,
    via: str,
    directory: Directory,
    gathered: _Gathered,
    claimed: Callable[[str], bool],
) -> None:
    def lives(ref: AgentRef) -> bool:
        return ref.incarnation in directory.by_incarnation or (is_pseudo(ref) and claimed(ref.name))

    named = [*([reach.author] if reach.author else []), *reach.others]
    reached = [ref for ref in named if ref != request.sender and lives(ref)]
    if not reached and request.sender in reach.others and reach.author in (None, request.sender):
        reached = [request.sender]  # a note to oneself is answered to oneself
    if not reached:
        _nobody(reach, via, directory)
    gathered.add(reached, "agent" if reached == [request.sender] else via)
    wide = {label for label in reach.audience if label.type in _WIDE}
    gathered.entries |= wide
    for ref in _named_in_reply(reached, reach.author, wide):
        gathered.entries.add(Label("agent", directory.shown_name(ref.name, ref.daemon, ref.incarnation)))


def _named_in_reply(reached: Sequence[AgentRef], author: AgentRef | None, wide: set[Label]) -> list[AgentRef]:
    """Those who get an entry of their own, because no wider entry of the parent stands for them."""
    if any(label.type == "broadcast" for label in wide):
        return []
    return [ref for ref in reached if not wide or ref == author]


def _nobody(reach: Reach, via: str, directory: Directory) -> None:
    author = reach.author
    if via == "thread" or author is None:
        raise Refused("nobody else takes part in this thread", hint="name the recipients: --to @agent_name")
    if is_pseudo(author):
        raise Refused("cannot reply to system messages (no-reply)")
    raise UnknownRecipient([author.name], {author.name: directory.near(author.name)})


def _finish(request: Request, gathered: _Gathered) -> Audience:
    own = gathered.via.get(request.sender)
    if own is not None and own.partition(":")[0] not in _SELF_KEPT:
        del gathered.via[request.sender]
    if not gathered.via and Label("broadcast", EVERYONE) in gathered.entries:
        gathered.warnings.add("no other agent is registered: nobody received this")
    recipients = sorted(
        (Recipient(ref.name, ref.daemon, ref.incarnation, via) for ref, via in gathered.via.items()),
        key=lambda recipient: (recipient.name, recipient.daemon, recipient.incarnation),
    )
    entries = sorted(gathered.entries, key=lambda label: (label.type, label.value))
    return Audience(tuple(recipients), tuple(entries), tuple(sorted(gathered.warnings)))


def pseudo(name: str, daemon: str) -> AgentRef:
    """A sender that is no registered agent: the daemon itself or a plugin's claimed name."""
    return AgentRef(name, daemon, "")


def is_pseudo(ref: AgentRef) -> bool:
    """Whether it is such a sender."""
    return not ref.incarnation


def refs(agents: Sequence[AgentRow]) -> tuple[AgentRef, ...]:
    return tuple(map(_ref, agents))


def _ref(agent: AgentRow) -> AgentRef:
    return AgentRef(agent.name, agent.daemon, agent.incarnation)


def _rank(via: str) -> tuple[int, str]:
    return _RANK[via.partition(":")[0]], via
