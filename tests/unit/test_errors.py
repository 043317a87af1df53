"""The errors: one tree, drawn once, and every member survives a trip to another process."""

from __future__ import annotations

import copy
import pickle
import re
from typing import Any

import pytest

import lateint
from lateint import errors
from lateint.types import WriteFailure, WriteReport

CLASSES: dict[str, type[errors.LateintError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.LateintError)
}
BACKEND_ERRORS = [kind for kind in CLASSES.values() if issubclass(kind, errors.BackendError)]
REPORT = WriteReport(written=3, failed=(WriteFailure("a", "no", retryable=True),))


class Drawn:
    """The tree as the docstring draws it."""

    def __init__(self, docstring: str) -> None:
        self.bases: dict[str, set[str]] = {"LateintError": {"Exception"}}
        self.attributes: dict[str, list[str]] = {}
        self.retryable: set[str] = set()
        parent = ""
        for line in docstring.splitlines():
            if match := re.match(r"    [├└] (\w+)", line):
                parent = match[1]
                self._read(line, "LateintError")
            elif re.match(r"    │ ", line):
                self._read(line.replace("(* retryable)", ""), parent)
            elif match := re.match(r"    LateintError +", line):
                self._attributes("LateintError", line)

    def _read(self, line: str, parent: str) -> None:
        for part in line.split("·"):
            match = re.search(r"([A-Z]\w+)(\*?)(?: \(([A-Z]\w+)\))?", part)
            if match is None:
                continue
            name, star, second = match.groups()
            self.bases[name] = {parent, second} if second else {parent}
            self._attributes(name, part)
            if star:
                self.retryable.add(name)

    def _attributes(self, name: str, text: str) -> None:
        self.attributes[name] = re.findall(r"\.(\w+)", text)


DRAWN = Drawn(errors.__doc__ or "")


def made(kind: type[errors.LateintError]) -> errors.LateintError:
    """An instance with every attribute set to something that is not its default."""
    values: dict[str, Any] = {"hint": "Do this."}
    if issubclass(kind, errors.InvalidInput):
        values |= {"document": "a-1", "row": 7}
    if issubclass(kind, errors.UnsupportedFeature):
        values |= {"backend": "engine", "feature": "scan", "since": "1.2", "alternative": "Do that."}
    if issubclass(kind, errors.BackendError):
        values |= {"backend": "engine", "operation": "write", "index": "pages", "status": 503}
        values |= {"retryable": not kind.default_retryable}
    error = kind("It went wrong.", **values)
    for name, value in {"report": REPORT, "retry_after": 2.5, "failed": REPORT.failed}.items():
        if hasattr(error, name):
            setattr(error, name, value)
    error.add_note("a note")
    return error


class TestTree:
    """The docstring is what people read; it must be true."""

    def test_every_class_is_drawn_and_exists(self) -> None:
        """A class that is missing in the drawing is never caught; one that exists only there breaks an import."""
        assert sorted(DRAWN.bases) == sorted(CLASSES)

    @pytest.mark.parametrize("name", CLASSES)
    def test_bases(self, name: str) -> None:
        """`except errors.BackendError` catches what the drawing says, and ValueError and ImportError where promised."""
        assert {base.__name__ for base in CLASSES[name].__bases__} == DRAWN.bases[name]

    @pytest.mark.parametrize("name", CLASSES)
    def test_attributes(self, name: str) -> None:
        """Every attribute of the drawing is there on a plain instance."""
        error = CLASSES[name]("It went wrong.")
        assert all(hasattr(error, attribute) for attribute in DRAWN.attributes[name])

    @pytest.mark.parametrize("kind", BACKEND_ERRORS)
    def test_retryable(self, kind: type[errors.BackendError]) -> None:
        """The star decides whether a write is sent again; the engine's word overrides it either way."""
        assert kind("x").retryable is (kind.__name__ in DRAWN.retryable)
        assert kind("x", retryable=True).retryable is True
        assert kind("x", retryable=False).retryable is False

    @pytest.mark.parametrize("kind", CLASSES.values())
    def test_documented_and_public(self, kind: type[errors.LateintError]) -> None:
        """Each says when it is raised, and is reached as `lateint.errors.X`."""
        assert kind.__doc__
        assert kind.__module__ == "lateint.errors"
        assert getattr(lateint.errors, kind.__name__) is kind

    def test_root_is_a_public_name(self) -> None:
        """`except lateint.LateintError` is what an application writes."""
        assert lateint.LateintError is errors.LateintError


class TestMessage:
    """What a tired person reads."""

    def test_ends_with_the_hint(self) -> None:
        """The remedy is in the message, and alone for a user interface."""
        error = errors.InvalidInput("It is wrong.", hint="Do this.")
        assert (str(error), error.hint) == ("It is wrong. Do this.", "Do this.")

    def test_without_a_hint(self) -> None:
        """No blank at the end, and an attribute all the same."""
        error = errors.LateintError("It is wrong.")
        assert (str(error), error.hint) == ("It is wrong.", "")

    def test_alternative_is_the_hint(self) -> None:
        """An unsupported feature says what does work."""
        error = errors.UnsupportedFeature("No.", alternative="Do that.")
        assert (str(error), error.hint) == ("No. Do that.", "Do that.")

    @pytest.mark.parametrize("kind", CLASSES.values())
    def test_message_is_the_only_positional_argument(self, kind: type[errors.LateintError]) -> None:
        """A hint in second place would end up in another attribute of another class."""
        with pytest.raises(TypeError):
            kind("It is wrong.", "Do this.")  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", CLASSES.values())
class TestCopies:
    """Errors cross process boundaries in pools and queues; a broken one hides what went wrong, or hangs the pool."""

    @staticmethod
    def check(error: errors.LateintError, other: errors.LateintError) -> None:
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.args == error.args
        assert vars(other) == vars(error)

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle(self, kind: type[errors.LateintError], protocol: int) -> None:
        """With hint, place, report, notes and all."""
        error = made(kind)
        self.check(error, pickle.loads(pickle.dumps(error, protocol)))

    def test_copy(self, kind: type[errors.LateintError]) -> None:
        """Retry loops and test tools copy exceptions."""
        error = made(kind)
        self.check(error, copy.copy(error))
        self.check(error, copy.deepcopy(error))

    def test_attributes_are_set(self, kind: type[errors.LateintError]) -> None:
        """The two tests above prove nothing of attributes that `made` forgot."""
        plain = kind("It went wrong.")
        error = made(kind)
        for name in vars(plain):
            assert getattr(error, name) != getattr(plain, name)
