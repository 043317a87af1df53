"""What adapters share below the pipelines: the driver of a verb, splitting, keys, and the table of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lateint import errors
from lateint.engine.faults import Fault, Rule, translated
from lateint.engine.keys import check_sealed, check_sendable, is_local
from lateint.engine.splitting import by_number, by_size
from lateint.engine.steps import acarried_out, carried_out


@contextmanager
def translating() -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise errors.IndexNotFound(str(error)) from error


def drive(steps: Generator[str, Any, Any], colour: str) -> Any:
    def send(call: str) -> str:
        if call == "missing":
            raise KeyError(call)
        return call.upper()

    async def asend(call: str) -> str:
        return send(call)

    if colour == "sync":
        return carried_out(steps, send, translating)
    return asyncio.run(acarried_out(steps, asend, translating))


@pytest.mark.parametrize("colour", ["sync", "async"])
class TestSteps:
    def test_replies_and_result(self, colour: str) -> None:
        def verb() -> Generator[str, Any, list[str]]:
            return [(yield "a"), (yield "b")]

        assert drive(verb(), colour) == ["A", "B"]

    def test_a_verb_may_handle_an_error(self, colour: str) -> None:
        """It meets it where it made the call, in the words of lateint, and goes on."""

        def verb() -> Generator[str, Any, str]:
            try:
                yield "missing"
            except errors.IndexNotFound:
                return str((yield "instead"))
            return "not reached"

        assert drive(verb(), colour) == "INSTEAD"

    def test_what_it_does_not_handle_comes_out(self, colour: str) -> None:
        def verb() -> Generator[str, Any, None]:
            yield "missing"

        with pytest.raises(errors.IndexNotFound):
            drive(verb(), colour)

    def test_what_a_verb_does_with_a_reply_is_translated_too(self, colour: str) -> None:
        def verb() -> Generator[str, Any, None]:
            {}[(yield "a")]

        with pytest.raises(errors.IndexNotFound):
            drive(verb(), colour)


class TestSplitting:
    def test_by_size(self) -> None:
        """No part is larger than allowed unless one item is, and none is lost."""
        assert [list(part) for part in by_size("abcdef", [3, 3, 9, 1, 4, 2], 6)] == [
            ["a", "b"],
            ["c"],
            ["d", "e"],
            ["f"],
        ]
        assert list(by_size([], [], 6)) == []

    def test_by_number(self) -> None:
        assert [list(part) for part in by_number("abcde", 2)] == [["a", "b"], ["c", "d"], ["e"]]
        assert [list(part) for part in by_number("abc", None)] == [["a", "b", "c"]]


class TestKeys:
    @pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.8.8", "::1"])
    def test_this_machine(self, host: str) -> None:
        assert is_local(host)
        check_sealed(host, tls=False, variable="KEY", remedy="")

    @pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "::2", "example", "127.0.0.1.example"])
    def test_another(self, host: str) -> None:
        assert not is_local(host)
        check_sealed(host, tls=True, variable="KEY", remedy="")
        with pytest.raises(errors.ConfigurationError, match=r"KEY.*Do this\."):
            check_sealed(host, tls=False, variable="KEY", remedy="Do this.")

    @pytest.mark.parametrize("key", ["s3cret\n", " s3cret", "s3c\0ret", "s3crét", "s3cret\x7f"])
    def test_that_no_header_can_carry(self, key: str) -> None:
        """Clients repeat such a key, escaped, in what they say of it; it comes so out of a file that is read whole."""
        with pytest.raises(errors.ConfigurationError, match="VARIABLE") as caught:
            check_sendable(key, variable="VARIABLE")
        assert "s3c" not in str(caught.value)
        check_sendable("s3cret with a blank", variable="VARIABLE")


class TestFaults:
    TABLE = (
        Rule(status=("404",), text="gone", raises=errors.IndexNotFound, hint="Look."),
        Rule(text="full", raises=errors.StorageFull, message="no room."),
        Rule(status=("429",), raises=errors.RateLimited),
    )

    def raised(self, fault: Fault, secret: str | None = None) -> errors.BackendError:
        cause = ValueError("cause")
        with (
            pytest.raises(errors.BackendError) as caught,
            translated("get", "pages", backend="x", table=self.TABLE, taken_apart=lambda _: fault, secret=secret),
        ):
            raise cause
        hidden = secret is not None and secret in fault.text  # a traceback would show it in the cause
        assert caught.value.__cause__ is (None if hidden else cause)
        assert (caught.value.backend, caught.value.operation, caught.value.index) == ("x", "get", "pages")
        return caught.value

    def test_first_rule_that_fits(self) -> None:
        """Status and text must both fit where both are given."""
        gone = self.raised(Fault(names=frozenset({"404"}), status=404, text="it is gone"))
        assert type(gone) is errors.IndexNotFound
        assert str(gone) == "get on index 'pages': it is gone. Look."
        other = self.raised(Fault(names=frozenset({"404"}), status=404, text="what?"))
        assert type(other) is errors.UnexpectedResponse
        assert "no room." in str(self.raised(Fault(names=frozenset(), status=None, text="disk full")))

    def test_retry_after(self) -> None:
        limited = self.raised(Fault(names=frozenset({"429"}), status=429, text="", retry_after=3.0))
        assert isinstance(limited, errors.RateLimited)
        assert limited.retry_after == 3.0

    def test_secret_and_length(self) -> None:
        text = str(self.raised(Fault(names=frozenset(), status=None, text=f"s3cret {'x' * 1000}"), "s3cret"))
        assert "s3cret" not in text
        assert len(text) < 400

    def test_lateint_errors_pass(self) -> None:
        """What is known is filled in where it is missing, and nothing else is touched."""
        given = errors.StorageFull("full")
        with (
            pytest.raises(errors.StorageFull) as caught,
            translated("get", "pages", backend="x", table=(), taken_apart=lambda _: pytest.fail("not asked")),
        ):
            raise given
        assert caught.value is given
        assert (given.backend, given.operation, given.index) == ("x", "get", "pages")
