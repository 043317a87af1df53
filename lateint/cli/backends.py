"""`lateint backends`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from lateint.cli.answers import answer, json_option
from lateint.cli.output import print_table, say
from lateint.engine import registry


@click.command()
@json_option
def backends(*, as_json: bool) -> None:
    """List the engines, their URLs, and what each needs installed."""
    rows = list(_rows())
    if as_json:
        answer({"backends": rows})
        return
    print_table(
        ("url", "what it is", "ready"),
        [(row["example"] or f"{row['scheme']}://", row["summary"], _state(row)) for row in rows],
    )
    if any(row["install"] for row in rows):
        say("Install what is not ready with the command beside it.")


def _rows() -> Iterator[dict[str, Any]]:
    for scheme in registry.entry_points():
        try:
            plugin = registry.plugin(scheme)
            variants = [(name, variant, registry.missing(variant)) for name, variant in plugin.variants.items()]
        except Exception as error:  # noqa: BLE001 - somebody else's broken plugin must not hide the others
            yield _row(scheme, error=f"{type(error).__name__}: {error}")
            continue
        for name, variant, missing in variants:
            install = f'pip install "{variant.install}"' if missing else None
            yield _row(
                f"{scheme}+{name}" if name else scheme,
                summary=variant.summary,
                example=variant.example,
                ready=not missing,
                missing=missing,
                install=install,
            )


def _row(scheme: str, **known: object) -> dict[str, Any]:
    unknown = {"summary": "", "example": "", "ready": False, "missing": [], "install": None, "error": None}
    return {"scheme": scheme, **unknown, **known}


def _state(row: dict[str, Any]) -> str:
    return "yes" if row["ready"] else row["install"] or f"broken: {row['error']}"
