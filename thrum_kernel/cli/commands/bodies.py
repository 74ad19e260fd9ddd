"""Where the text of a message comes from: the command line, standard input or a file."""

from __future__ import annotations

import json
from typing import Any

from thrum_kernel.cli.arguments import check_argument, decode_body
from thrum_kernel.cli.command import Run
from thrum_kernel.errors import UsageError

_STDIN = "-"


def body_of(run: Run, text: str | None, *, stdin: bool, body_file: str | None, argument: str) -> str:
    """The text that a command was given, from exactly one source; *argument* is what its help calls the word.

    Raises:
        UsageError: no source, or two.
        BodyInvalid: the bytes are not UTF-8.
    """
    sources = [
        name
        for name, given in (
            (argument, text is not None),
            ("--stdin", stdin),
            ("--body-file", body_file is not None),
        )
        if given
    ]
    if sources == [argument, "--stdin"] and text == _STDIN:
        sources = ["--stdin"]
    if len(sources) > 1:
        raise UsageError(f"{sources[0]} and {sources[1]} are mutually exclusive")
    if body_file is not None:
        return decode_body(run.file(body_file))
    if stdin or text == _STDIN:
        return decode_body(run.stdin())
    if text is None:
        raise UsageError(
            f"no message text: give {argument}, `-` or --stdin for standard input, or --body-file FILE"
        )
    return check_argument(text)


def structured_of(text: str | None) -> dict[str, Any] | None:
    """The JSON object of ``--structured``.

    Raises:
        UsageError: it is not JSON, or JSON but no object.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"--structured is not valid JSON: {error}", hint="""for example '{"build": 42}'"""
        ) from None
    except RecursionError:
        raise UsageError(
            "--structured is nested too deeply", hint="""for example '{"build": 42}'"""
        ) from None
    if not isinstance(value, dict):
        raise UsageError("--structured must be a JSON object", hint="""for example '{"build": 42}'""")
    return value
