"""What people and agents do in a story, and what the ledger is told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from simulation_ledger import SECRET, Ledger, Sent, Unsure
from simulation_node import Node
from simulation_story import Refusal, Story, Unknown

from thrum_kernel.clock import format_us
from thrum_kernel.projection import queries
from thrum_kernel.projection.queries import AgentRow

NAMES = ("ada", "bob", "cyd", "dee", "eve", "fay", "gil", "hal")
ROLES = ("planner", "tester")
GROUPS = ("crew", "desk")


PATIENCE = 2000


class Unobserved(Exception):
    """The daemon that answered is gone before its cache could be asked what it had stored."""


class People:
    """Acts on one machine at a time, given by its index."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.rng = story.rng

    @property
    def ledger(self) -> Ledger:
        return self.story.ledger

    # who is there

    def locals(self, at: int) -> list[AgentRow]:
        """Agents that live on a machine, as its daemon knows, by name. Of two with one name, as a copy leaves them that
        registered it as well, the one that the name means."""
        roster = self.story.nodes[at].agents.roster
        found = {agent.name: roster.find_local(agent.name) for agent in roster.locals()}
        return [agent for _, agent in sorted(found.items()) if agent is not None]

    def someone(self, at: int) -> AgentRow | None:
        found = self.locals(at)
        return self.rng.choice(found) if found else None

    def everyone(self, at: int) -> list[AgentRow]:
        return sorted(self.story.nodes[at].agents.roster.everyone(), key=lambda agent: agent.incarnation)

    async def ask(self, at: int, agent: str, method: str, *, request_id: str = "", **params: Any) -> Any:
        node = self.story.nodes[at]
        return await self.story.attempt(at, node.call(agent, method, request_id=request_id, **params))

    # agents

    async def register(self, at: int) -> None:
        name = self.rng.choice(NAMES)
        folder = str(self.story.machines[at].folder)
        done = await self.ask(
            at,
            "",
            "agent.register",
            name=name,
            role=self.rng.choice(ROLES),
            module="m",
            worktree=folder,
            force=True,
        )
        if isinstance(done, Refusal | Unknown):
            return
        agent = self.story.nodes[at].agents.roster.find_local(name)
        assert agent is not None, f"{name} was registered and is not there"
        self.ledger.agents[agent.incarnation] = (name, self.story.machines[at].daemon)
        self.ledger.homes.setdefault(agent.incarnation, self.story.machines[at].daemon)

    async def end(self, at: int) -> None:
        """Delete an agent."""
        agent = self.someone(at)
        if agent is None or len(self.locals(at)) < 2:
            return
        done = await self.ask(at, "", "agent.delete", name=agent.name, force=True)
        if not isinstance(done, Refusal):
            self.ledger.ended[agent.incarnation] = "unsure" if isinstance(done, Unknown) else "yes"

    async def move(self, at: int) -> None:
        agent = self.someone(at)
        to = self.rng.randrange(len(self.story.machines))
        if agent is None or to == at:
            return
        target = self.story.machines[to].daemon
        done = await self.ask(at, "", "agent.move", name=agent.name, to=target)
        self._moved(agent.incarnation, target, done)

    async def adopt(self, at: int) -> None:
        """Take over an agent of a daemon that cannot be reached."""
        daemon = self.story.machines[at].daemon
        others = [agent for agent in self.everyone(at) if agent.home != daemon]
        if not others:
            return
        agent = self.rng.choice(others)
        node = self.story.nodes[at]
        address = queries.long_name(agent, node.agents.roster.names_of_daemons())
        done = await self.ask(at, "", "agent.adopt", name=address, force=True)
        self._moved(agent.incarnation, daemon, done)

    def _moved(self, incarnation: str, home: str, done: Any) -> None:
        if isinstance(done, Refusal):
            return
        again = incarnation in self.ledger.moved  # by somebody who may not know of the first time
        self.ledger.moved.add(incarnation)
        self.ledger.homes[incarnation] = None if again or isinstance(done, Unknown) else home

    # messages

    async def send(self, at: int) -> None:
        """A few messages: to somebody, to everyone, to a group."""
        for _ in range(self.rng.randint(1, 4)):
            agent = self.someone(at)
            if agent is not None:
                await self._send(at, agent, *self._addressed(at, agent))

    async def reply(self, at: int) -> None:
        agent = self.someone(at)
        inbox = self._deliveries(at, agent, "1") if agent is not None else []
        if agent is not None and inbox:
            parent = inbox[-1] if self.rng.random() < 0.5 else self.rng.choice(inbox)
            await self._send(at, agent, {"reply_to": parent}, None)

    async def retry(self, at: int) -> None:
        """Ask again for a send that was not answered, as a client does that knows its request id."""
        mine = [
            unsure for unsure in self.ledger.unsure.values() if unsure.machine == self.story.machines[at].name
        ]
        if not mine:
            return
        unsure = self.rng.choice(mine)
        done = await self.ask(at, unsure.agent, "message.send", request_id=unsure.request_id, **unsure.params)
        if not isinstance(done, Refusal | Unknown):
            del self.ledger.unsure[unsure.request_id]
            await self._note_sent(at, done["message_id"], unsure.token, done["created_at"], None)
            self.ledger.sent[done["message_id"]].retried = True

    async def insist(self, at: int) -> None:
        """Send, lose the answer or the daemon, and ask again with the same request id: it is sent once."""
        agent = self.someone(at)
        if agent is None:
            return
        if self.rng.random() < 0.6:
            self.story.machines[at].dies_in = self.rng.randint(1, 5)
        params, expected = self._addressed(at, agent)
        sent = await self._send(at, agent, params, expected)
        if self.rng.random() < 0.5:
            await self.story.revive(at)
        await self.story.settle()
        if self.rng.random() < 0.3:
            await self.story.restart(at)
        if sent is None:
            await self.retry(at)
            return
        request_id, told, params = sent
        again = await self.ask(at, agent.name, "message.send", request_id=request_id, **params)
        if not isinstance(again, Refusal | Unknown) and again["message_id"] != told:
            self.story.faults.append(f"a retry of {told} was answered with {again['message_id']}")

    async def _send(
        self, at: int, agent: AgentRow, params: dict[str, Any], expected: frozenset[str] | None
    ) -> tuple[str, str, dict[str, Any]] | None:
        """Request id, message id and parameters of a send that was acknowledged."""
        token, request_id = self.new_token(at), self.story.request_id()
        params = {**params, "content": token}
        done = await self.ask(at, agent.name, "message.send", request_id=request_id, **params)
        if isinstance(done, Unknown):
            machine = self.story.machines[at].name
            self.ledger.unsure[request_id] = Unsure(token, request_id, agent.name, machine, params)
            return None
        if isinstance(done, Refusal):
            return None
        with contextlib.suppress(Unobserved):
            await self._note_sent(at, done["message_id"], token, done["created_at"], expected)
        return request_id, done["message_id"], params

    async def _note_sent(
        self, at: int, message_id: str, token: str, created_at: str, expected: frozenset[str] | None
    ) -> None:
        node = self.story.nodes[at]
        await self._projected(node)
        rows = node.cache.read(
            "SELECT a.incarnation, m.reply_to, d.incarnation FROM message m JOIN agent a ON a.id = m.author"
            " LEFT JOIN delivery x ON x.message = m.id LEFT JOIN agent d ON d.id = x.agent WHERE m.ulid = ?",
            (message_id.removeprefix("msg_"),),
        )
        if not rows:
            self.story.faults.append(f"{message_id} was acknowledged and is not in the sender's own cache")
            return
        recipients = frozenset(row[2] for row in rows if row[2] is not None)
        if expected is not None and recipients != expected:
            self.story.faults.append(f"{message_id} went to {sorted(recipients)}, not to {sorted(expected)}")
        self.ledger.sent[message_id] = Sent(
            message_id,
            author=rows[0][0],
            home=self.story.machines[at].name,
            recipients=recipients,
            parent=f"msg_{rows[0][1]}" if rows[0][1] else "",
            created_at=created_at,
            known_cutoff=known_cutoff(node),
            tokens=[token],
            texts=[token],
        )

    async def _projected(self, node: Node) -> None:
        """Wait while the cache of a node is made anew; what its power takes away, nobody can ask any more."""
        for _ in range(PATIENCE):
            if node.keeper.refusal() is None:
                return
            await asyncio.sleep(0)
        raise Unobserved

    def _addressed(self, at: int, sender: AgentRow) -> tuple[dict[str, Any], frozenset[str] | None]:
        """Whom to write to, and the incarnations that must get it; None where that is not for us to say."""
        node, everyone = self.story.nodes[at], self.everyone(at)
        kind = self.rng.random()
        if kind < 0.2:
            return {}, frozenset(a.incarnation for a in everyone if a.incarnation != sender.incarnation)
        groups = queries.groups(node.cache)
        if kind < 0.35 and groups:
            group = self.rng.choice(sorted(group.name for group in groups))
            return {"mentions": [f"@{group}"]}, None
        daemons = node.agents.roster.names_of_daemons()
        chosen = self.rng.sample(everyone, min(len(everyone), self.rng.randint(1, 3)))
        return {"to": [queries.long_name(agent, daemons) for agent in chosen]}, frozenset(
            agent.incarnation for agent in chosen
        )

    async def edit(self, at: int) -> None:
        agent, sent = self._own(at)
        if agent is None or sent is None:
            return
        token = self.new_token(at)
        sent.tokens.append(token)
        done = await self.ask(at, agent.name, "message.edit", message_id=sent.message_id, content=token)
        if isinstance(done, Refusal):
            sent.tokens.pop()
        elif isinstance(done, Unknown) or sent.author in self.ledger.moved:
            sent.texts.append(token)  # an author that moved may not have known of its last edit
        else:
            sent.texts = [token]

    async def delete(self, at: int) -> None:
        agent, sent = self._own(at)
        if agent is None or sent is None:
            return
        done = await self.ask(at, agent.name, "message.delete", message_id=sent.message_id)
        if isinstance(done, Unknown) or (
            isinstance(done, Refusal) and "not gone from all files" in str(done.error)
        ):
            sent.deleted = "yes" if isinstance(done, Refusal) or sent.deleted == "yes" else "unsure"
        elif not isinstance(done, Refusal):
            sent.deleted = "yes"

    def new_token(self, at: int) -> str:
        """A text that nothing else says. None that would be held back where two machines have one id: the one that
        takes a new id keeps such a line and can never let it go."""
        token = self.ledger.new_token()
        while self.story.is_double(at) and SECRET.fullmatch(token.encode()):
            token = self.ledger.new_token()
        return token

    def _own(self, at: int) -> tuple[AgentRow | None, Sent | None]:
        agent = self.someone(at)
        if agent is None:
            return None, None
        rows = self.story.nodes[at].cache.read(
            "SELECT 'msg_' || ulid FROM message WHERE author = ? ORDER BY id", (agent.id,)
        )
        mine = [self.ledger.sent[row[0]] for row in rows if row[0] in self.ledger.sent]
        return agent, self.rng.choice(mine) if mine else None

    async def read(self, at: int) -> None:
        """Read some of what is unread, not always from its beginning."""
        agent = self.someone(at)
        unread = (
            self._deliveries(at, agent, "d.read_us IS NULL AND d.hidden = 0") if agent is not None else []
        )
        if agent is None or not unread:
            return
        chosen = self.rng.sample(unread, self.rng.randint(1, len(unread)))
        done = await self.ask(at, agent.name, "message.markRead", message_ids=chosen)
        for message_id in chosen:
            sent = self.ledger.sent.get(message_id)
            if sent is not None and not isinstance(done, Refusal):
                readers = sent.unsure_readers if isinstance(done, Unknown) else sent.readers
                readers.add(agent.incarnation)

    def _deliveries(self, at: int, agent: AgentRow, where: str) -> list[str]:
        rows = self.story.nodes[at].cache.read(
            "SELECT 'msg_' || m.ulid FROM delivery d JOIN message m ON m.id = d.message"
            f" WHERE d.agent = ? AND {where} ORDER BY m.id",
            (agent.id,),
        )
        return [row[0] for row in rows]

    # what looks like a credential

    async def release(self, at: int) -> None:
        """Let some of what is held back go, by the names of its messages."""
        shown = await self.ask(at, "", "sync.held")
        if isinstance(shown, Refusal | Unknown):
            return
        names = sorted({each["message_id"] for each in shown["held"]} & self.ledger.sent.keys())
        chosen = self.rng.sample(names, min(len(names), self.rng.randint(1, 3)))
        if not chosen:
            return
        for name in chosen:
            self.ledger.released.update(self.ledger.sent[name].tokens)
        await self.ask(at, "", "sync.release", names=chosen)

    # groups, purges

    async def group(self, at: int) -> None:
        agent = self.someone(at)
        if agent is None:
            return
        name = self.rng.choice(GROUPS)
        await self.ask(at, agent.name, "group.create", name=name)
        member = self.rng.choice(self.everyone(at))
        kind, value = ("agent", member.name) if self.rng.random() < 0.7 else ("role", self.rng.choice(ROLES))
        method = "group.member.add" if self.rng.random() < 0.8 else "group.member.remove"
        await self.ask(at, agent.name, method, group=name, member_type=kind, member_value=value)

    async def purge(self, at: int) -> None:
        node = self.story.nodes[at]
        rows = node.cache.read("SELECT created_us FROM message ORDER BY created_us")
        if not rows:
            return
        agent = self.someone(at)
        cutoff = format_us(min(rows[len(rows) // 3][0] + self.rng.randrange(2), node.machine.clock.now_us()))
        done = await self.ask(at, agent.name if agent else "", "purge.execute", before=cutoff)
        is_refused = isinstance(done, Refusal)
        if is_refused and "not finished" not in str(done.error):
            return
        self.ledger.asked_cutoffs.append(cutoff)
        if not isinstance(done, Unknown):
            self.ledger.cutoffs.append(cutoff)


def known_cutoff(node: Node) -> str:
    """The latest purge that a daemon knows of."""
    return format_us(node.projector.cutoff_us) if node.projector.cutoff_us else ""


def later(cutoffs: Sequence[str]) -> str:
    """The latest of them; empty for none."""
    return max(cutoffs, default="")
