"""`lateint drop`."""

from __future__ import annotations

import sys

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, json_option
from lateint.cli.output import amount, say


@click.command()
@click.argument("url")
@click.argument("index")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and stop.")
@json_option
def drop(*, url: str, index: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Delete INDEX and everything in it.

    Asks for its name first.
    """
    if not (yes or dry_run or _is_interactive()):
        raise click.UsageError("There is nobody to ask; pass --yes to delete without asking.")
    with lateint.connect(url, read_only=dry_run) as client:
        location = client.server_info().location
        count = _count(client, index)
        held = "an unknown number of documents" if count is None else amount(count, "document")
        say(f"Index {index!r} at {location} holds {held}.")
        if not (yes or dry_run):
            _confirm(index)
        if not dry_run:
            client.drop_index(index)
    if as_json:
        answer({"dropped": not dry_run, "index": index, "location": location, "count": count})
    say(f"{'Would drop' if dry_run else 'Dropped'} it.")


def _count(client: lateint.Client, index: str) -> int | None:
    """How much would be lost; None for an index that cannot be read, which can be dropped all the same."""
    try:
        return client.open(index).count()
    except errors.IndexNotFound:
        raise
    except errors.LateintError:
        return None


def _is_interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()  # None if the shell closed it


def _confirm(index: str) -> None:
    say(f"Type {index} to delete it:")
    if sys.stdin.readline().removesuffix("\n") != index:
        raise click.ClickException(f"That is not {index!r}; nothing was deleted.")
