"""What makes a class of tests a part of the suite."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ClassVar, TypeVar

import pytest

from lateint.engine.capabilities import Feature
from lateint.testing.lab import Lab

Test = TypeVar("Test", bound=Callable[..., Any])


class Suite:
    """Tests of one verb. A test is a coroutine that takes a `lab`; it runs once for each colour.

    Attributes:
        requires: features that every test of the class exercises; without them it is skipped, with the reason.
    """

    requires: ClassVar[frozenset[Feature]] = frozenset()

    def __init_subclass__(cls) -> None:
        for name, member in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(member):
                setattr(cls, name, _driven(member))

    @classmethod
    def members(cls) -> dict[str, Callable[..., Any]]:
        """Its tests by name."""
        return {name: test for name, test in inspect.getmembers(cls, inspect.isfunction) if name.startswith("test_")}

    @classmethod
    def required(cls, test: Callable[..., Any]) -> frozenset[Feature]:
        """Features that one of its tests exercises."""
        return cls.requires | getattr(test, "requires", frozenset())


def needs(*features: Feature) -> Callable[[Test], Test]:
    """Say which features a test exercises, beside those of its class."""

    def decorate(test: Test) -> Test:
        test.requires = frozenset(features)  # type: ignore[attr-defined]
        return test

    return decorate


def cases(name: str, values: Mapping[str, Any]) -> Callable[[Test], Test]:
    """Run a test once for each value, under the value's name; of two of these the inner one is named first."""

    def decorate(test: Test) -> Test:
        inner = getattr(test, "cases", None)
        test.cases = list(values) if inner is None else [f"{a}-{b}" for a in inner for b in values]  # type: ignore[attr-defined]
        parameters = [pytest.param(value, id=case) for case, value in values.items()]
        marked: Test = pytest.mark.parametrize(name, parameters)(test)
        return marked

    return decorate


def _driven(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(self: Suite, *, lab: Lab, **cases: Any) -> None:  # noqa: ANN401
        lab.run(test(self, lab=lab, **cases))

    return run
