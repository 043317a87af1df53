"""How every command speaks to people: tables on stdout, words on stderr."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

import lateint
from lateint.cli.answers import jsonable

SECONDS_BETWEEN_LINES = 5.0
EXCERPT = 160
"""Characters of a payload shown in a table; a pipe and JSON get all of it."""


def say(text: str, *, style: str = "") -> None:
    """Tell a person something, on stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text(plain(text, keep="\n"), style=style))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows on stdout: drawn on a terminal, tab-separated lines without a header in a pipe."""
    console = Console(highlight=False)
    if not console.is_terminal:
        for row in rows:
            click.echo("\t".join(_exact(value) for value in row))
        return
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for position, name in enumerate(columns):
        numeric = all(isinstance(row[position], int | float) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_readable(value)) for value in row))
    console.print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values on stdout, a pair a line."""
    print_table(("", ""), [(name, value) for name, value in facts.items()])


@contextmanager
def progress() -> Iterator[Callable[[lateint.Progress], None]]:
    """Show how far long work has come: a bar on a terminal, a line every few seconds elsewhere; on stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda step: bar.update(task, description=step.operation, completed=step.done, total=step.total)


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the block began; they stop with it."""
    began = time.perf_counter()
    ended: list[float] = []
    try:
        yield lambda: (ended[0] if ended else time.perf_counter()) - began
    finally:
        ended.append(time.perf_counter())


def plain(text: str, *, keep: str = "") -> str:
    """Text that cannot steer a terminal: what is in an index may come from anybody."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} and character not in keep
        else character
        for character in text
    )


def amount(number: int, noun: str, *, plural: str = "") -> str:
    """`1 hit`, `2,000 hits`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


class _Lines:
    """Progress for a log file."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, step: lateint.Progress) -> None:
        if time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            total = f" of {step.total:,}" if step.total is not None else ""
            say(f"{step.operation}: {step.done:,}{total}")


def _exact(value: object) -> str:
    match value:
        case float():
            return repr(value)
        case dict():
            return json.dumps(value, default=jsonable)
    return plain(str(value))


def _readable(value: object) -> str:
    match value:
        case float():
            return f"{value:,.4f}"
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case dict():
            text = "  ".join(f"{name}={part}" for name, part in value.items())
            return plain(text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…")
    return plain(str(value))
