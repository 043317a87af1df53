"""What `--json` prints: one object on stdout, whatever becomes of the command.

ok       all that was asked was done, and nothing was found wrong
error    null, or kind, message, hint and notes
…        what the command has to tell, as far as it got
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from typing import Any

import click

from lateint import errors

_EXPECTED, _ANSWER = "lateint.cli.expected", "lateint.cli.answer"

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object with stable keys instead of a table."
)


def answer(data: Mapping[str, Any]) -> None:
    """Note what the command has to tell; it is printed when the command ends, well or not."""
    click.get_current_context().meta[_ANSWER] = data


def expect(context: click.Context, arguments: Sequence[str]) -> None:
    """Look for `--json` before the arguments are parsed: an answer is due also when they turn out to be wrong."""
    context.meta[_EXPECTED] = "--json" in takewhile("--".__ne__, arguments)


@contextmanager
def answered(context: click.Context) -> Iterator[None]:
    """Print the answer of the command that runs inside, if one is expected."""
    try:
        yield
    except BrokenPipeError:
        raise  # nobody reads
    except click.exceptions.Exit as stop:
        if _ANSWER in context.meta:  # --help has none
            _print(context, ok=stop.exit_code == 0)
        raise
    except BaseException as error:
        _print(context, ok=False, error=described(error))
        raise
    _print(context, ok=True)


def described(error: BaseException) -> dict[str, Any]:
    """An error in parts: kind, message, what to do about it, and what else is known."""
    hint = error.hint if isinstance(error, errors.LateintError) else ""
    message = error.format_message() if isinstance(error, click.ClickException) else str(error).removesuffix(hint)
    return {
        "kind": type(error).__name__,
        "message": "Interrupted." if isinstance(error, KeyboardInterrupt) else message.rstrip(),
        "hint": hint,
        "notes": list(getattr(error, "__notes__", ())),
    }


def jsonable(value: object) -> str:
    """For `json.dumps`: the one kind of value in a payload that JSON lacks."""
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _print(context: click.Context, *, ok: bool, error: Mapping[str, Any] | None = None) -> None:
    """In ASCII, so that no terminal, pipe or encoding can spoil it."""
    if not context.meta.get(_EXPECTED):
        return
    data = {"ok": ok, "error": error, **context.meta.get(_ANSWER, {})}
    click.echo(json.dumps(data, indent=2, default=jsonable))
