"""A team that worked with the reference: every kind of event that it wrote, deterministic, as many messages as wanted.

Source: spec/kernel.md §2.3; names, senders and shapes as they are there.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from thrum_kernel.clock import format_us, parse_us
from thrum_kernel.ids import derived_ulid

START_US = parse_us("2026-03-01T09:00:00Z")
MACHINE, OTHER = "d_01HZZZZZZZZZZZZZZZZZZZZZZ1", "d_01HZZZZZZZZZZZZZZZZZZZZZZ2"

Event = dict[str, Any]


@dataclass
class Team:
    """Events in the order in which they were written; `messages` counts the ordinary ones."""

    messages: int = 30
    events: list[Event] = field(default_factory=list)
    us: int = START_US

    def __post_init__(self) -> None:
        self._people()
        self._groups()
        ids = [self._send(number) for number in range(self.messages)]
        self._conversation(ids)
        self._endings()

    # --- what it wrote -----------------------------------------------------------------------------------------------

    def counts(self) -> Counter[str]:
        """How many events of each type."""
        return Counter(event["type"] for event in self.events)

    def of(self, *types: str) -> list[Event]:
        """The events of some types."""
        return [event for event in self.events if event["type"] in types]

    def shard(self, event: Event) -> str:
        """The file that an event lies in on the flat branch."""
        authors = {each["message_id"]: each["agent_id"] for each in self.of("message.create")}
        if event["type"] in ("message.create", "message.edit", "message.delete"):
            return f"messages/{authors[event['message_id']].replace(':', '_')}.jsonl"
        return "events.jsonl"

    @staticmethod
    def line(event: Event) -> bytes:
        """As Go's encoder writes it."""
        text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        for char in "<>&":
            text = text.replace(char, f"\\u00{ord(char):02x}")
        return text.encode() + b"\n"

    # --- how it came about -------------------------------------------------------------------------------------------

    def write(self, type_: str, *, daemon: str = MACHINE, **fields: Any) -> Event:
        """One more event, some seconds after the one before; times lose their trailing zeros, as Go's do."""
        self.us += 7_123_456 if len(self.events) % 3 else 5_000_000
        stamp = format_us(self.us).rstrip("Z").rstrip("0").rstrip(".") + "Z"
        event = {
            "type": type_,
            "timestamp": stamp,
            "event_id": f"evt_{derived_ulid(self.us, 'event', str(len(self.events)))}",
            "v": 1,
            "origin_daemon": daemon,
            "sequence": len(self.events) + 1,
            **fields,
        }
        self.events.append(event)
        return event

    def message_id(self, name: str) -> str:
        """An id that the reference made for a message a moment before its event."""
        return f"msg_{derived_ulid(self.us, 'message', name)}"

    def send(self, author: str, content: str, *, to: list[str], refs: list[Event], **fields: Any) -> str:
        """A message to some recipients; its id."""
        message = self.message_id(f"{author}{content}{len(self.events)}")
        body = {"format": fields.pop("format", "markdown"), "content": content}
        if "structured" in fields:
            body["structured"] = fields.pop("structured")
        if refs:
            fields["refs"] = refs
        self.write(
            "message.create",
            message_id=message,
            agent_id=author,
            session_id=f"ses_{author}",
            body=body,
            recipients=sorted(to),
            **fields,
        )
        return message

    def _people(self) -> None:
        for name, role, daemon in (
            ("coord", "coordinator", MACHINE),
            ("impl_api", "implementer", MACHINE),
            ("rev", "reviewer", OTHER),
            ("old_bot", "tester", MACHINE),
        ):
            self.write(
                "agent.register",
                daemon=daemon,
                agent_id=name,
                kind="agent",
                name=name,
                role=role,
                module="shop",
                worktree="project",
                hostname="box" if daemon == MACHINE else "lap",
                agent_pid=4711,
            )
            self.write("agent.session.start", daemon=daemon, session_id=f"ses_{name}", agent_id=name)
        self.write("agent.register", agent_id="user:leon", kind="user", role="user", module="user")
        self.write(
            "agent.update",
            agent_id="impl_api",
            work_contexts=[
                {
                    "session_id": "ses_impl_api",
                    "branch": "feature/api",
                    "unmerged_commits": [{"sha": "abc", "message": "Add <cart>", "files": ["cart.py"]}],
                    "uncommitted_files": None,
                    "changed_files": ["cart.py"],
                    "git_updated_at": "2026-03-01T09:01:00Z",
                    "intent": "carts",
                }
            ],
        )

    def _groups(self) -> None:
        self.write("group.create", group_id="grp_BACK", name="backend", description="b", created_by="coord")
        for kind, value in (("agent", "impl_api"), ("role", "reviewer"), ("agent", "old_bot")):
            self.write(
                "group.member.add",
                group_id="grp_BACK",
                member_type=kind,
                member_value=value,
                added_by="coord",
            )
        self.write(
            "group.member.remove",
            group_id="grp_BACK",
            member_type="agent",
            member_value="old_bot",
            removed_by="coord",
        )
        self.write(
            "group.update", group_id="grp_BACK", updated_by="coord", fields={"description": "the back end"}
        )
        self.write("group.create", group_id="grp_GONE", name="gone", created_by="coord")
        self.write("group.delete", group_id="grp_GONE", deleted_by="coord")

    def _send(self, number: int) -> str:
        author, reader = (("coord", "impl_api"), ("impl_api", "coord"), ("rev", "coord"))[number % 3]
        message = self.send(
            author,
            f"message {number}: <b>ünïcode</b> & more",
            to=[reader],
            refs=[{"type": "mention", "value": reader}],
            scopes=[{"type": "file", "value": f"src/{number % 4}.py"}],
        )
        if number % 2:
            self.write(
                "message.receipt",
                message_id=message,
                agent_id=reader,
                session_id=f"ses_{reader}",
                receipt_type="read",
            )
        return message

    def _conversation(self, ids: list[str]) -> None:
        everyone = [{"type": "broadcast", "value": "everyone"}]
        self.send(
            "coord",
            "to all",
            to=["impl_api", "rev", "old_bot"],
            refs=everyone,
            scopes=everyone,
            format="plain",
        )
        self.send("coord", "to all, the old way", to=["impl_api", "rev", "old_bot"], refs=[])
        group = [{"type": "group", "value": "backend"}]
        self.send("coord", "to the group", to=["impl_api", "rev"], refs=group, scopes=group)
        self.send("coord", "to a role", to=["rev"], refs=[{"type": "mention", "value": "reviewer"}])
        self.send(
            "impl_api",
            '{"ok": true}',
            to=["coord"],
            refs=[{"type": "mention", "value": "coord"}],
            format="json",
            structured='{"ok":true,"n":[1,2]}',
        )
        self.send(
            "coord",
            "as somebody",
            to=["impl_api"],
            refs=[{"type": "mention", "value": "impl_api"}],
            authored_by="user:leon",
            disclosed=True,
        )
        self.send("system", "welcome", to=["coord"], refs=[{"type": "mention", "value": "coord"}])
        self.send("monitor:ci", "red", to=["coord"], refs=[{"type": "mention", "value": "coord"}])
        thread = f"thr_{derived_ulid(self.us, 'thread')}"
        refs = [{"type": "reply_to", "value": ids[0]}, {"type": "mention", "value": "coord"}]
        answer = self.send("impl_api", "an answer", to=["coord"], refs=refs, thread_id=thread)
        refs = [{"type": "reply_to", "value": answer}, {"type": "mention", "value": "impl_api"}]
        self.send("coord", "an answer to that", to=["impl_api", "coord"], refs=refs, thread_id=thread)
        self.write("message.receipt", message_id=answer, agent_id="coord", receipt_type="seen")
        for text in ("better", "best"):
            body = {"format": "markdown", "content": text}
            self.write("message.edit", message_id=ids[1], body=body)
        self.write("message.delete", message_id=ids[2], reason="mistake")

    def _endings(self) -> None:
        self.write("agent.session.end", session_id="ses_old_bot", reason="crash")
        self.write("agent.cleanup", agent_id="old_bot", reason="done", method="manual")
        self.write("agent.session.end", session_id="ses_rev")
