"""`lateint show`."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Any

import click

import lateint
from lateint.cli.answers import answer, json_option
from lateint.cli.doctor import absent_folder
from lateint.cli.output import amount, print_facts, print_table, say


@click.command()
@click.argument("url")
@click.argument("index", required=False)
@json_option
def show(*, url: str, index: str | None, as_json: bool) -> None:
    """List the indexes at URL, or tell what INDEX is and can do."""
    with lateint.connect(url, read_only=True) as client:
        if index is None:
            _show_all(client, absent_folder(url), as_json=as_json)
        else:
            _show_one(client, index, as_json=as_json)


def _show_all(client: lateint.Client, absent: Path | None, *, as_json: bool) -> None:
    server = client.server_info()
    names = client.list_indexes()
    if absent is not None:
        say(f"Note: folder {absent} does not exist yet; the first index makes it.", style="yellow")
    if as_json:
        answer({"engine": server.engine, "version": server.version, "location": server.location, "indexes": names})
        return
    print_table(("index",), [(name,) for name in names])
    say(f"{amount(len(names), 'index', plural='indexes')} at {server.location} ({server.engine} {server.version}).")


def _show_one(client: lateint.Client, name: str, *, as_json: bool) -> None:
    index = client.open(name)
    info, spec, count = index.info, index.spec, index.count()
    capabilities = _capabilities(index.capabilities)
    if as_json:
        answer(
            {
                "name": name,
                "location": client.server_info().location,
                "count": count,
                "managed": info.managed,
                "writable": info.writable,
                "id_mode": info.id_mode.value,
                "spec": spec.to_dict(),
                "capabilities": capabilities,
                "not_carried": list(info.not_carried),
                "warnings": list(info.warnings),
            }
        )
        return
    facts = {
        "index": name,
        "at": client.server_info().location,
        "documents": count,
        "dim": spec.dim,
        "dtype": spec.dtype.value,
        "normalized": _yes(spec.normalize),
        "fields": ", ".join(f"{field}:{kind.value}" for field, kind in spec.fields.items()) or "none",
        "encoder": json.dumps(spec.encoder) if spec.encoder is not None else "unknown",
        "metadata": json.dumps(dict(spec.metadata)) if spec.metadata else "none",
        "made by lateint": _yes(info.managed),
        "ids": info.id_mode.value,
        "can": "; ".join(capabilities["features"]),
        "cannot": "; ".join(sorted({*lateint.Feature} - {*capabilities["features"]})) or "nothing",
        "limits": ", ".join(f"{key} {value:,}" for key, value in capabilities.items() if type(value) is int),
        "not carried": ", ".join(info.not_carried) or "nothing",
    }
    print_facts(facts)
    for warning in info.warnings:
        say(f"Warning: {warning}", style="yellow")


def _capabilities(capabilities: lateint.Capabilities) -> dict[str, Any]:
    """The record as JSON: sets sorted, enums by value."""
    record = {name: getattr(capabilities, name) for name in capabilities.__dataclass_fields__}
    return {
        name: sorted(map(str, value))
        if isinstance(value, frozenset)
        else value.value
        if isinstance(value, Enum)
        else value
        for name, value in record.items()
    }


def _yes(claim: bool) -> str:
    return "yes" if claim else "no"
