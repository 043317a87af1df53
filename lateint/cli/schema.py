"""`lateint schema`."""

from __future__ import annotations

from pathlib import Path

import click

import lateint
from lateint import errors
from lateint.cli.answers import answer, json_option
from lateint.cli.create import spec_options
from lateint.cli.output import amount, say
from lateint.engine import registry


@click.command()
@click.argument("url")
@click.argument("index")
@spec_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="A folder; it may have files already.",
)
@click.option("--force", is_flag=True, help="Replace files of --out that differ.")
@json_option
def schema(*, url: str, spec: lateint.IndexSpec, out: Path, force: bool, as_json: bool) -> None:
    """Write INDEX as files that you deploy yourself.

    For engines that hold an index only once files were deployed to them, which `lateint create` does for you. Nothing
    is connected to: URL may leave out the host. Field types: see `lateint create --help`.
    """
    package = registry.packaged(url, spec, lambda path: _read(out / path))
    written = {path: text for path, text in package.files.items() if _read(out / path) != text}
    other = [path for path in written if (out / path).exists()]
    if other and not force:
        raise errors.ConfigurationError(
            f"{out} has other files at {', '.join(other)}; nothing was written.",
            hint="Compare them, and replace them with --force.",
        )
    for path, text in written.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text(text, "utf-8", newline="\n")
    if as_json:
        answer(
            {"spec": spec.to_dict(), "out": str(out), "files": dict(package.files), "written": list(written)}
            | {"todo": list(package.todo)}
        )
    say(f"Wrote {amount(len(written), 'file')} of index {spec.name!r} to {out}.")
    for sentence in package.todo:
        say(sentence)


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.is_file() else None
