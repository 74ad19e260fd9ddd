"""The runtime ``fake-agent``, as a plugin: its preset says how its screens are read.

Of no use to anybody but tests and the demo, so it is no entry point: `driver.add_plugin` makes it one of a
repository's team plugins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from thrum_kernel.api import API_LEVEL, PluginContext, PluginManifest, RuntimePreset, hookimpl
from thrum_kernel.testing.fake_runtime import reading

MANIFEST: Final = PluginManifest(
    name="fake_runtime",
    summary="A full-screen agent for tests and the demo",
    api=API_LEVEL,
    hooks="thrum_kernel.testing.fake_runtime.plugin",
)

FAKE_AGENT: Final = RuntimePreset(
    name="fake-agent",
    display_name="Fake agent",
    command="fake-agent",
    processes=("fake-agent",),
    hooks_supported=True,
    has_session_start_hook=True,
    queues_input=True,
    enter_delay_s=0.05,
    bracketed_paste=True,
    prompt={
        "line": r"^(?:│ > |❯\xa0|› |│ >$|❯$|›$)(?P<text>.*?)\s*│?$",
        "more": r"^(?:│ +|  |$)(?P<text>.*?)\s*│?$",
        "below": r"^(?:╰─+╯|─{10,})?$",
        "footer": r"^ {2}\? for shortcuts$",
        "placeholder": r"Try \".*\"",
    },
    busy={"spinner": r"^[✻✳✢·] [\w ]+… \(\d+s"},
    dialog={
        "tool_confirmation": r"^ Do you want to proceed\?$",
        "trust": r"trust this folder",
        "selection": r"^ +❯ \d\. .*\n +\d\. |^ +\d\. .*\n +❯ \d\. ",
    },
    keys={"tool_confirmation.approve": "1", "tool_confirmation.deny": "3"},
    find_transcript=reading.find,
    read_transcript=reading.read,
    read_context=reading.context,
)


@hookimpl
def thrum_runtime_presets(ctx: PluginContext) -> Sequence[RuntimePreset]:
    """The one runtime."""
    return (FAKE_AGENT,)
