"""Hooks put into a settings file of somebody else's."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thrum_runtimes.hook_merge import merged, missing
from thrum_runtimes.presets import BUILT_IN
from thrum_runtimes.presets.claude import CLAUDE

from thrum_kernel.errors import FileDamaged
from thrum_kernel.testing.harness import Repo

SETTINGS = Path("/w/.claude/settings.json")
WANTED = next(file.content for file in CLAUDE.files if file.merge == "hooks")
EVENTS = ("SessionStart", "Stop", "PostToolUse", "UserPromptSubmit", "PreCompact")


def commands(text: str | bytes, event: str) -> list[str]:
    return [hook["command"] for group in json.loads(text)["hooks"][event] for hook in group["hooks"]]


STARTUP = '"${CLAUDE_PROJECT_DIR}/scripts/thrum-startup.sh"'
INBOX = '"${CLAUDE_PROJECT_DIR}/scripts/thrum-check-inbox.sh"'


def test_the_hooks_are_those_of_the_reference_where_the_script_is() -> None:
    assert commands(WANTED, "SessionStart") == [f"[ ! -f {STARTUP} ] || bash {STARTUP}"]
    for event in EVENTS[1:]:
        assert commands(WANTED, event) == [f"[ ! -f {INBOX} ] || HOOK_EVENT={event} bash {INBOX}"]
    assert json.loads(WANTED)["hooks"].keys() == set(EVENTS)


def every_hook() -> list[tuple[str, str]]:
    kits = [(preset.name, file) for preset in BUILT_IN for file in preset.files if file.merge == "hooks"]
    return [
        (name, command)
        for name, file in kits
        for event in json.loads(file.content)["hooks"]
        for command in commands(file.content, event)
    ]


@pytest.mark.parametrize(("runtime", "command"), every_hook())
def test_a_hook_whose_script_is_absent_does_nothing_and_succeeds(
    repo: Repo, runtime: str, command: str
) -> None:
    env = {**repo.env, "CLAUDE_PROJECT_DIR": str(repo.path), "AUGMENT_PROJECT_DIR": str(repo.path)}

    def ran() -> tuple[int, bytes, bytes]:
        done = subprocess.run(["sh", "-c", command], cwd=repo.path, env=env, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert ran() == (0, b"", b"")
    preset = next(each for each in BUILT_IN if each.name == runtime)
    for file in preset.files:
        if file.path == ".codex/hooks/session-start":  # tracked by git, unlike the script that it runs
            write(repo.path / file.path, file.content)
            assert ran() == (0, b"", b"")
    for file in preset.files:
        if file.path.startswith("scripts/"):
            write(repo.path / file.path, 'cat; echo "ran ${HOOK_EVENT:-}"; exit 3\n')
    status, out, err = ran()
    assert (status, out[:3], err) == (3, b"ran", b"")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def older(text: str) -> str:
    """*text* as kits had it that ran a script without a look whether it is there."""
    return re.sub(r'\[ ! -f \\".*?\\" \] \|\| ', "", text)


def test_the_commands_of_an_older_kit_are_renewed_where_they_stand() -> None:
    wanted = json.dumps(json.loads(WANTED), indent=4)
    present = wanted.replace('"hooks"', '"a": 1.50, "hooks"', 1).replace("SessionStart", "PreToolUse")
    assert commands(older(present), "Stop") == [f"HOOK_EVENT=Stop bash {INBOX}"]
    assert set(missing(SETTINGS, older(present).encode(), WANTED)) == set(EVENTS)
    result = merged(SETTINGS, older(present).encode(), WANTED).decode()
    for event in EVENTS:
        assert commands(result, event) == commands(WANTED, event)
    assert commands(result, "PreToolUse") == [f"bash {STARTUP}"], "not an event of ours"
    assert '"a": 1.50, "hooks"' in result
    assert merged(SETTINGS, older(wanted).encode(), WANTED).decode() == wanted


def test_a_command_that_was_changed_by_hand_stays_beside_ours() -> None:
    present = json.dumps(
        {"hooks": {"Stop": [{"hooks": [{"command": f"nice bash {INBOX}"}, {"command": 3}]}]}}
    )
    result = merged(SETTINGS, present.encode(), WANTED)
    assert commands(result, "Stop") == [f"nice bash {INBOX}", 3, *commands(WANTED, "Stop")]


FOREIGN = """{
    "permissions": {"allow": ["Bash(ls:*)", "Read"],   "deny": []},
    "number": 1.50,
    "hooks": {
        "Stop": [
            {"hooks": [{"type": "command", "command": "say done"}]}
        ],
        "PreToolUse": [ ]
    },
    "text": "caf\\u00e9 – {[,]} \\"}"
}
"""


def test_everything_else_stays_byte_for_byte() -> None:
    result = merged(SETTINGS, FOREIGN.encode(), WANTED).decode()
    kept = [line for line in FOREIGN.splitlines() if line.strip() not in ("}", "},", "]", "],")]
    for line in kept:
        assert line in result or f"{line}," in result
    assert commands(result, "Stop")[0] == "say done"
    assert commands(result, "Stop")[1:] == commands(WANTED, "Stop")
    assert json.loads(result)["hooks"]["PreToolUse"] == []
    assert '\n        "PostToolUse": [\n            {\n' in result  # indented as its surroundings are
    assert result.endswith('\\"}"\n}\n')


def test_a_second_time_changes_nothing() -> None:
    once = merged(SETTINGS, FOREIGN.encode(), WANTED)
    assert merged(SETTINGS, once, WANTED) == once
    assert missing(SETTINGS, once, WANTED) == ()
    assert missing(SETTINGS, FOREIGN.encode(), WANTED) == EVENTS


@pytest.mark.parametrize(
    "present", ["{}", "{ }\n", '{"hooks": {}}', '{"hooks":{"Stop":[]}}', "", " \n", "\ufeff{}"]
)
def test_small_files(present: str) -> None:
    result = merged(SETTINGS, present.encode(), WANTED).decode()
    assert json.loads(result.removeprefix("\ufeff")) == json.loads(WANTED)
    assert result.startswith("\ufeff") == present.startswith("\ufeff")


def test_line_ends_and_tabs_are_those_of_the_file() -> None:
    present = b'{\r\n\t"a": 1\r\n}\r\n'
    result = merged(SETTINGS, present, WANTED)
    assert b"\n" not in result.replace(b"\r\n", b"")
    assert b'\r\n\t"hooks": {\r\n\t\t"SessionStart": [' in result


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ("{", "line 1, column 2"),
        ('{"hooks": []}', '"hooks" is not an object'),
        ('{"hooks": {"Stop": {}}}', '"hooks.Stop" is not a list'),
        ("[]", "not an object"),
        ('{"a": 1,}', "not valid JSON"),
        ("{} x", "not valid JSON"),
    ],
)
def test_a_file_of_another_shape_is_a_clear_error(present: str, said: str) -> None:
    with pytest.raises(FileDamaged, match=r"settings\.json") as raised:
        merged(SETTINGS, present.encode(), WANTED)
    assert said in str(raised.value)
    with pytest.raises(FileDamaged):
        merged(SETTINGS, b"\xff{}", WANTED)


def test_two_keys_of_one_name_do_not_lose_a_hook() -> None:
    present = b'{"hooks": {"Stop": []}, "hooks": {"Stop": [{"hooks": [{"command": "last counts"}]}]}}'
    result = merged(SETTINGS, present, WANTED)
    assert commands(result, "SessionStart")
    assert [hook.get("command") for hook in json.loads(result)["hooks"]["Stop"][0]["hooks"]] == [
        "last counts"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
GROUPS = st.lists(
    st.fixed_dictionaries({"hooks": st.lists(st.fixed_dictionaries({"command": st.text()}), max_size=2)})
    | JSON,
    max_size=2,
)
DOCUMENTS = st.builds(
    lambda other, hooks: other | ({"hooks": hooks} if hooks is not None else {}),
    st.dictionaries(st.text().filter(lambda key: key != "hooks"), JSON, max_size=3),
    st.none() | st.dictionaries(st.sampled_from([*EVENTS, "PreToolUse"]), GROUPS, max_size=4),
)


@given(DOCUMENTS, st.sampled_from([None, 1, 2, 4, "\t"]), st.booleans())
def test_whatever_is_there_stays_and_what_is_missing_comes(value: Any, indent: Any, ascii_only: bool) -> None:
    present = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        present.decode()
    except UnicodeDecodeError:
        return
    result = merged(SETTINGS, present, WANTED)
    after = json.loads(result)
    assert {key: each for key, each in after.items() if key != "hooks"} == {
        key: each for key, each in value.items() if key != "hooks"
    }
    before = value.get("hooks") or {}
    for event, groups in after["hooks"].items():
        assert groups[: len(before.get(event, []))] == before.get(event, [])
    assert missing(SETTINGS, result, WANTED) == ()
    assert merged(SETTINGS, result, WANTED) == result
