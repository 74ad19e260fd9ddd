"""THE surface for plugins, and for the kernel's own features, which come through the same doors.

Everything here is frozen data, a Protocol, or a pure function; a module holds what belongs to one subject. A plugin imports this package
(from here, not from its modules), `thrum_kernel.client` and `thrum_kernel.testing`, nothing else of the kernel.
"""

from __future__ import annotations

from thrum_kernel.api.briefing import Hint, HintOption, Moment, PrimeSection
from thrum_kernel.api.callers import (
    KERNEL_CALLER,
    AgentInfo,
    Caller,
    CallerFacts,
    IdentityFacts,
    IdentityView,
    Process,
)
from thrum_kernel.api.checks import Check, Finding
from thrum_kernel.api.clocks import Clock
from thrum_kernel.api.commands import Invocation, PluginCommand
from thrum_kernel.api.context import Authority, Belonging, PluginContext, PluginPaths, WorktreeChange
from thrum_kernel.api.events import Event, EventType
from thrum_kernel.api.git import GIT_SETTINGS, quiet_git
from thrum_kernel.api.guarding import GuardedCall, Verdict
from thrum_kernel.api.manifest import API_LEVEL, PluginManifest, hookimpl
from thrum_kernel.api.methods import Api, Call, Method, Service
from thrum_kernel.api.runtimes import ContextUse, KitFile, RuntimePreset, TranscriptEntry
from thrum_kernel.api.setting_up import InitOption, InitPlan, InitStep, Question
from thrum_kernel.api.tables import Migration, Projector, Tables
from thrum_kernel.api.waking import Evidence, Wake

__all__ = [
    "API_LEVEL",
    "GIT_SETTINGS",
    "KERNEL_CALLER",
    "AgentInfo",
    "Api",
    "Authority",
    "Belonging",
    "Call",
    "Caller",
    "CallerFacts",
    "Check",
    "Clock",
    "ContextUse",
    "Event",
    "EventType",
    "Evidence",
    "Finding",
    "GuardedCall",
    "Hint",
    "HintOption",
    "IdentityFacts",
    "IdentityView",
    "InitOption",
    "InitPlan",
    "InitStep",
    "Invocation",
    "KitFile",
    "Method",
    "Migration",
    "Moment",
    "PluginCommand",
    "PluginContext",
    "PluginManifest",
    "PluginPaths",
    "PrimeSection",
    "Process",
    "Projector",
    "Question",
    "RuntimePreset",
    "Service",
    "Tables",
    "TranscriptEntry",
    "Verdict",
    "Wake",
    "WorktreeChange",
    "hookimpl",
    "quiet_git",
]
