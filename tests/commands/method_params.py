"""What the methods that commands call take: a command that sends anything else fails its test."""

from __future__ import annotations

from typing import Any

from thrum_kernel.agents import requests
from thrum_kernel.bus import token_methods
from thrum_kernel.context import model as context
from thrum_kernel.daemon import status
from thrum_kernel.messaging import model, push, threads
from thrum_kernel.settings import methods as settings
from thrum_kernel.sync import gc as sync_gc
from thrum_kernel.sync import log, releasing
from thrum_kernel.sync import purge as purging
from thrum_kernel.sync import status as sync

PARAMS: dict[str, type[Any]] = {
    "agent.adopt": requests.Adopt,
    "agent.cleanup": requests.Cleanup,
    "agent.delete": requests.Delete,
    "agent.list": requests.ListAgents,
    "agent.listContext": requests.ListContext,
    "agent.lookup": requests.Lookup,
    "agent.move": requests.Move,
    "agent.register": requests.Register,
    "agent.set-status": requests.SetStatus,
    "agent.whoami": requests.WhoAmI,
    "config.set": settings.SetParams,
    "config.show": settings.ShowParams,
    "context.clear": context.AgentParams,
    "context.preamble.save": context.PreambleSaveParams,
    "context.preamble.show": context.AgentParams,
    "context.save": context.SaveParams,
    "context.show": context.ShowParams,
    "context.sync": context.SyncParams,
    "daemon.adopt": status.AdoptParams,
    "daemon.status": status.NoParams,
    "health": status.NoParams,
    "log.replay": log.ReplayParams,
    "log.show": log.ShowParams,
    "log.verify": log.VerifyParams,
    "message.delete": model.DeleteParams,
    "message.edit": model.EditParams,
    "message.get": model.GetParams,
    "message.list": model.ListParams,
    "message.markRead": model.MarkReadParams,
    "message.outbox": model.OutboxParams,
    "message.search": model.SearchParams,
    "message.send": model.SendParams,
    "message.wait": model.WaitParams,
    "purge.execute": purging.PurgeParams,
    "session.end": requests.EndSession,
    "session.heartbeat": requests.Heartbeat,
    "session.list": requests.ListSessions,
    "session.setIntent": requests.SetIntent,
    "session.setTask": requests.SetTask,
    "session.start": requests.StartSession,
    "subscribe": push.SubscribeParams,
    "subscriptions.list": push.ListSubscriptionsParams,
    "sync.force": sync.SyncParams,
    "sync.gc": sync_gc.GcParams,
    "sync.held": releasing.HeldParams,
    "sync.release": releasing.ReleaseParams,
    "sync.status": sync.SyncParams,
    "team.list": requests.ListTeam,
    "thread.create": threads.ThreadCreateParams,
    "thread.get": threads.ThreadGetParams,
    "thread.list": threads.ThreadListParams,
    "token.list": token_methods.ListParams,
    "token.mint": token_methods.MintParams,
    "token.revoke": token_methods.RevokeParams,
    "unsubscribe": push.UnsubscribeParams,
}
