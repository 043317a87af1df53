"""The group of all commands, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import sys
import warnings

import click

import lateint
from lateint import errors
from lateint.cli.answers import answered, described, expect
from lateint.cli.backends import backends
from lateint.cli.create import create
from lateint.cli.demo import demo
from lateint.cli.doctor import doctor
from lateint.cli.drop import drop
from lateint.cli.encoder import encoder
from lateint.cli.output import say
from lateint.cli.push import push
from lateint.cli.schema import schema
from lateint.cli.search import search
from lateint.cli.show import show
from lateint.cli.verify import verify

FAILURE, USAGE, NOT_VERIFIED, PARTLY_WRITTEN, INTERRUPTED = 1, 2, 3, 4, 130


class App(click.Group):
    """Commands in the order in which they are needed; errors of lateint without a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def main(self, *args: object, **extra: object) -> object:  # type: ignore[override]
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):  # a character that the terminal lacks is no reason to fail
                stream.reconfigure(errors="backslashreplace")
        return super().main(*args, **extra)  # type: ignore[call-overload]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        expect(ctx, args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                with answered(ctx):
                    return super().invoke(ctx)
        except (errors.LateintError, OSError, KeyboardInterrupt) as error:
            if ctx.params["debug"] or isinstance(error, BrokenPipeError):
                raise
            _explain(error)
            raise click.exceptions.Exit(exit_code(error)) from error


@click.group(cls=App, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(lateint.__version__, prog_name="lateint")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def app(*, debug: bool) -> None:
    """Late-interaction indexes on the vector database that you already run.

    A URL names a server or a folder (`lateint backends` lists them), never an index and never a key. Data goes to
    stdout, words for people to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not verified, 4 written in part,
    130 interrupted.

    With --json stdout is one JSON object, also when a command fails: "ok", "error" (null, or an object of "kind",
    "message", "hint" and "notes"), and what the command has to tell.
    """


for command in (demo, backends, doctor, create, schema, push, search, show, verify, drop, encoder):
    app.add_command(command)


def exit_code(error: BaseException) -> int:
    """What an error means to a shell."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case errors.VerificationFailed():
            return NOT_VERIFIED
        case errors.ConfigurationError():
            return USAGE
        case errors.PartialWrite():
            return PARTLY_WRITTEN
        case errors.InvalidInput() | errors.BackendError() if error.report is not None and error.report.written:
            return PARTLY_WRITTEN
    return FAILURE


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    say(f"Warning: {message}", style="yellow")


def _explain(error: BaseException) -> None:
    parts = described(error)
    begin = "\n" if isinstance(error, KeyboardInterrupt) else f"{parts['kind']}: "
    say(begin + parts["message"], style="bold red")
    for line in filter(None, (parts["hint"], *parts["notes"])):
        say(line)
