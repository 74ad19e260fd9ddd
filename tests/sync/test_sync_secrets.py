"""The patterns of the secret scan: what they find, what they leave alone, and that no text makes them slow."""

from __future__ import annotations

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thrum_kernel.settings.bounded_regex import compile_bounded, found_in, steps_of
from thrum_kernel.sync.secrets import NEVER_HELD, Pattern, Scanner, entropy, shipped

SCANNER = Scanner(shipped())
SECRET = "AKIA" + "IOSFODNN7EXAMPLE"


def line_of(text: str, *, kind: str = "message.create", **more: object) -> bytes:
    return json.dumps({"type": kind, "sequence": 7, "body": {"content": text, **more}}).encode()


def matched(text: str) -> tuple[str, ...]:
    return SCANNER.matched(line_of(text))


@pytest.mark.parametrize("pattern", shipped(), ids=lambda pattern: pattern.id)
def test_a_pattern_finds_its_examples_and_nothing_else(pattern: Pattern) -> None:
    assert pattern.examples and pattern.others and pattern.description
    for text in pattern.examples:
        for around in (text, f"so here it is: {text}\nthanks", f"({text})", f'"{text}"'):
            assert pattern.id in matched(around), around
    for text in pattern.others:
        for around in (text, f"look: {text} there"):
            assert pattern.id not in matched(around), around


def test_every_id_is_there_once() -> None:
    ids = [pattern.id for pattern in shipped()]
    assert len(ids) == len(set(ids)) >= 20


INNOCENT = [
    hashlib.sha1(b"x").hexdigest(),
    hashlib.sha256(b"x").hexdigest(),
    f"commit {hashlib.sha1(b'y').hexdigest()} fixes it",
    "550e8400-e29b-41d4-a716-446655440000",
    "01JABCDEFGHJKMNPQRSTVWXYZ0",
    "msg_01JAKIA5FODNN7EXAMPLEQ2Z3 answers evt_01JASIA5FODNN7EXAMPLEQ2Z3",
    "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    "sha512:z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
    "/home/me/work/.git/worktrees/feature-123/index.lock",
    "src/thrum_kernel/sync/cutter.py:120",
    "https://example.com/a/b?x=1#L20-L44",
    "git@example.com:team/repo.git",
    "http://127.0.0.1:8080/health",
    "def token_of(call: Call) -> Token: return call.token",
    "password = input('password: ')",
    "secrets.token_hex(16)",
    "the secret is in the vault; ask @ops for the token",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1v7Yq2mYt4m3nqk3q0s8c6z5qvJ4Z2qv1l0y3s3q9X me@host",
    "tokens used: 182734, cost: 0.27",
    "2026-03-15T09:30:00.123456Z",
]


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_random_travels(text: str) -> None:
    assert matched(text) == ()


def test_a_secret_is_found_wherever_a_message_has_text() -> None:
    assert SCANNER.matched(line_of("", structured={"deep": [{"api_key": "A1b2C3d4E5f6G7h8"}]})) == (
        "assigned-secret",
    )
    assert SCANNER.matched(line_of("", structured='{"note": "' + SECRET + '"}')) == ("aws-access-key",)
    labelled = {
        "type": "message.create",
        "refs": [{"type": "key", "value": SECRET}],
        "body": {"content": "x"},
    }
    assert SCANNER.matched(json.dumps(labelled).encode()) == ("aws-access-key",)
    assert SCANNER.matched(line_of(SECRET, kind="message.edit")) == ("aws-access-key",)
    assert SCANNER.matched(line_of(SECRET, kind="thread.create")) == ("aws-access-key",)


@pytest.mark.parametrize("kind", sorted(NEVER_HELD))
def test_what_must_reach_every_clone_is_never_held(kind: str) -> None:
    assert SCANNER.matched(line_of(SECRET, kind=kind)) == ()


def test_a_line_that_is_no_event_is_looked_at_as_text() -> None:
    assert SCANNER.matched(b"not json " + SECRET.encode()) == ("aws-access-key",)


def test_an_excerpt_shows_what_stands_before_and_nothing_of_the_secret() -> None:
    key = "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQIBADANBg"
    excerpt = SCANNER.excerpt(line_of(f"{'long ago ' * 20}here is\nmy key: {key} and {SECRET}"))
    assert excerpt.startswith("…") and excerpt.endswith("here is my key: [private-key]…")
    assert "MIIE" not in excerpt and SECRET not in excerpt
    assert SCANNER.excerpt(line_of("nothing here")) == ""


def test_an_excerpt_begins_at_the_first_of_several() -> None:
    assert SCANNER.excerpt(line_of(f"{SECRET} and hf_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7")) == (
        "[aws-access-key]…"
    )


def test_a_team_allows_and_adds() -> None:
    own = Pattern("aws-access-key", "ours", compile_bounded(r"ACME-[0-9]{6}"))
    scanner = Scanner([*shipped(), own], allowed=[compile_bounded(r"-000000$")])
    assert scanner.matched(line_of("ACME-123456")) == ("aws-access-key",)
    assert scanner.matched(line_of("ACME-000000")) == ()
    assert scanner.matched(line_of(SECRET)) == ()  # ours took the place of the one that ships


def test_entropy_is_bits_a_character() -> None:
    assert entropy("aaaa") == 0
    assert entropy("abcd") == 2


SIZE = 1 << (20 if os.environ.get("THRUM_SOAK") == "1" else 17)
EVIL = [
    "a",
    "eyJaaaaaaaaaaaa.",
    "a://",
    "a://b:",
    "://:",
    "api_key=",
    "secret  =  '",
    "secret   ",
    "-----BEGIN ",
    "-----BEGIN AB CD EF ",
    "authorization: bearer ",
    "sk-",
    "sk-a1",
    "1234567890:AA",
    "xoxb-",
    "aws_secret_access_key = ",
    "discord.com/api/webhooks/11111111111111111111/",
]
EVIL_HEADS = ["", "eyJ", "a" * 24 + "://", "token=", "sk-", "authorization: bearer ", "-----BEGIN "]


@pytest.mark.parametrize("piece", EVIL)
def test_evil_text_is_gone_through_to_its_end(piece: str) -> None:
    """All patterns see the worst here; one with work that is not bounded would not come to an end (see below)."""
    for head in EVIL_HEADS:
        text = (head + piece * (SIZE // len(piece)))[:SIZE]
        for pattern in shipped():
            for _ in pattern.search(text):
                break  # what matches is told at once; what does not is what takes long


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("(", "is no regular expression"),
        ("a?", "matches the empty text"),
        (r"(a+)+b", "repeats without a bound"),
        (r"a*b", "repeats without a bound"),
        (r"a{1,200}b{0,200}c", "may need more than 4096 steps"),
        (r"(a|aa){1,30}b", "may need more than 4096 steps"),
        (r"(a)\1", "refers back to a group"),
        (r"(?i)(a)\1", "refers back to a group"),
        (r"(a)(?(1)b|c)", "depends on a group"),
    ],
)
def test_a_pattern_that_may_take_long_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_bounded(text)


@pytest.mark.parametrize(
    "text",
    [
        r"acme_[0-9a-f]{32}",
        r"x{1,64}+y{1,64}+",
        r"(?>a{1,9}|b)c",
        r"(?=a)b|c",
        r"ab+?".replace("+?", "{1,9}?"),
    ],
)
def test_a_bounded_pattern_is_taken(text: str) -> None:
    assert compile_bounded(text).pattern == text


BOUNDED = (
    "ab?",
    "(?i)a{1,6}b",
    r"(?<=b)a{2,9}",
    r"\ba[ab ]{0,12}\b",
    "a(?=b{1,3}c)",
    "^a|c$",
    "(?:ab|ba){2,5}+",
    "a.{0,20}c",
)


@given(st.sampled_from(BOUNDED), st.text("aAbc \n", max_size=400), st.integers(1, 500))
def test_a_text_in_pieces_has_the_matches_that_it_has_as_a_whole(regex: str, text: str, work: int) -> None:
    pattern = compile_bounded(regex)
    whole = [match.span() for match in pattern.finditer(text)]
    assert [match.span() for match in found_in(pattern, text, work=work)] == whole
    assert all(end - start <= steps_of(regex) for start, end in whole)


def test_a_secret_across_the_pieces_of_a_long_text_is_found() -> None:
    slow = Pattern("slow", "a team's", compile_bounded("k[a-z0-9]{1,16}-[a-z0-9]{1,16}-[a-z0-9]{4}"))
    assert steps_of(slow.regex.pattern) > 100
    filler = "kx-" * 30_000
    text = f"{filler} kab12-cd34-ef56 {filler}"
    assert Scanner([slow]).matched_in([text]) == ("slow",)
    assert Scanner([slow]).matched_in([filler]) == ()
