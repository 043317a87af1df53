"""`lateint create`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, json_option
from lateint.cli.output import say
from lateint.encoders import Encoder
from lateint.engine.prepare import check_spec


def spec_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what INDEX is to be; the command gets the `spec` that they make."""

    @wraps(command)
    def with_spec(
        *,
        index: str,
        dim: int | None,
        dtype: str,
        fields: tuple[str, ...],
        normalize: bool,
        encoder: str | None,
        trust_remote_code: bool,
        **others: Any,  # noqa: ANN401 - what else the command takes
    ) -> None:
        try:
            bound = None if encoder is None else lateint.encoder(encoder, dim=dim, trust_remote_code=trust_remote_code)
            spec = lateint.IndexSpec(
                index,
                _dim(dim, bound),
                dtype=dtype,
                fields=_types(fields),
                normalize=normalize,
                encoder=bound.fingerprint if bound else None,
            )
        except errors.InvalidInput as error:
            raise click.UsageError(str(error)) from error
        command(spec=spec, **others)

    result: Callable[..., None] = with_spec
    for option in reversed(_OPTIONS):
        result = option(result)
    return result


_OPTIONS = (
    click.option("--dim", type=int, help="Values per row."),
    click.option(
        "--dtype", type=click.Choice([kind.value for kind in lateint.DType]), default="float32", show_default=True
    ),
    click.option(
        "--field", "fields", multiple=True, metavar="NAME:TYPE", help="A payload field for filters. Repeatable."
    ),
    click.option("--normalize/--no-normalize", default=True, help="Scale rows and queries to length 1 [default: yes]."),
    click.option(
        "--encoder",
        metavar="NAME",
        help="Bind an encoder: a model on the hub, a folder that holds one, or 'hashing'. It knows --dim.",
    ),
    click.option("--trust-remote-code", is_flag=True, help="Run code that comes with the model."),
)


@click.command()
@click.argument("url")
@click.argument("index")
@spec_options
@click.option("--dry-run", is_flag=True, help="Check that it could be created, and stop.")
@json_option
def create(*, url: str, spec: lateint.IndexSpec, dry_run: bool, as_json: bool) -> None:
    """Create an empty INDEX.

    Field types: keyword, text, integer, float, boolean, datetime, keyword[], integer[], float[].
    """
    with lateint.connect(url, read_only=dry_run) as client:
        location = client.server_info().location
        if dry_run:
            _check(client, spec)
        else:
            client.create_index(spec)
    if as_json:
        answer({"created": not dry_run, "location": location, "spec": spec.to_dict()})
    say(f"{'Could create' if dry_run else 'Created'} index {spec.name!r} at {location}.")


def _dim(dim: int | None, encoder: Encoder | None) -> int:
    if encoder is not None:
        return encoder.dim
    if dim is None:
        raise click.UsageError("Missing option '--dim' (or '--encoder', which knows it).")
    return dim


def _types(fields: Iterable[str]) -> dict[str, str]:
    types: dict[str, str] = {}
    for text in fields:
        name, colon, kind = text.partition(":")
        if not colon:
            raise click.BadParameter(f"{text!r} is not NAME:TYPE.", param_hint="'--field'")
        if name in types:
            raise click.BadParameter(f"{name!r} comes twice.", param_hint="'--field'")
        types[name] = kind
    return types


def _check(client: lateint.Client, spec: lateint.IndexSpec) -> None:
    check_spec(spec, client.capabilities(), engine=client.server_info().engine)
    if spec.name in client.list_indexes():
        raise errors.IndexExists(
            f"index {spec.name!r} exists.", hint="Choose another name, or drop it.", index=spec.name
        )
