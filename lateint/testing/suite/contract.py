"""The suite is run whole, as it is, against a backend of the right shape."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from lateint.engine.backend import AsyncBackend, Backend
from lateint.engine.capabilities import Feature
from lateint.engine.threaded import ThreadedBackend
from lateint.testing.lab import Lab
from lateint.testing.probes import PROBES
from lateint.testing.suite.base import Suite


class TestContract(Suite):
    """Guards: of the author's class, of its marks, of the backend's signatures, and of the suite's own completeness."""

    def test_nothing_of_the_suite_is_left_out(self, author: type, classes: Mapping[str, type[Suite]]) -> None:
        """The author's class runs every class and every test of the suite, unchanged: gaps are marked, not removed.

        Breaks when: a test is overridden or set to None to make a run green.
        """
        missing = [name for name, suite in classes.items() if not _holds(getattr(author, name, None), suite)]
        changed = [
            f"{name}::{test}"
            for name, suite in classes.items()
            if name not in missing
            for test, body in suite.members().items()
            if getattr(getattr(author, name), test, None) is not body
        ]
        quiet = [
            name
            for name, suite in classes.items()
            if name not in missing
            and (getattr(author, name).requires != suite.requires or hasattr(getattr(author, name), "pytestmark"))
        ]
        found = {"left out": missing, "changed": changed, "given other conditions": quiet}
        assert not any(found.values()), (
            f"{author.__name__} does not run the suite as it is: {found}. Mark gaps instead."
        )

    def test_every_mark_names_a_test(self, author: type, classes: Mapping[str, type[Suite]]) -> None:
        """A mark on a test that does not exist excuses nothing and hides a spelling mistake.

        Breaks when: a test was renamed and its mark stayed.
        """
        known = {
            f"{name}::{test}{case}"
            for name, suite in classes.items()
            for test, body in suite.members().items()
            for case in ("", *(f"[{case}]" for case in getattr(body, "cases", ())))
        }
        unknown = sorted(set(author.target.marks) - known)  # type: ignore[attr-defined]
        assert not unknown, f"marks that name no test: {unknown}. Write 'TestX::test_y' or 'TestX::test_y[case]'."

    def test_every_feature_is_proven(self, classes: Mapping[str, type[Suite]]) -> None:
        """Each feature is required by some test, so that a "yes" is tried, and has a probe for a "no".

        Breaks when: a feature is added to the enum only.
        """
        proofs = {
            feature: [
                f"{name}::{test}"
                for name, suite in classes.items()
                for test, body in suite.members().items()
                if feature in suite.required(body)
            ]
            for feature in Feature
        }
        assert [feature for feature, tests in proofs.items() if not tests] == []
        assert set(PROBES) == set(Feature) - {Feature.PERSISTENT}

    async def test_signatures(self, lab: Lab) -> None:
        """The backend's verbs have the names, parameters, kinds and defaults of the contract.

        Breaks when: the contract grows a parameter and a backend swallows it, or takes it by another name.
        """
        backend = getattr(lab.backend, "blocking", lab.backend)
        behind = getattr(backend, "_backend", backend) if isinstance(backend, ThreadedBackend) else backend
        differences = [
            difference
            for candidate in {id(backend): backend, id(behind): behind}.values()
            for difference in drift(type(candidate))
        ]
        assert not differences, "\n".join(differences)


def drift(backend: type) -> list[str]:
    """How the verbs of a backend class differ from those of the contract."""
    contract = AsyncBackend if issubclass(backend, AsyncBackend) else Backend
    found = []
    for name in sorted(contract.__abstractmethods__):
        wanted, there = getattr(contract, name), getattr(backend, name)
        if inspect.iscoroutinefunction(wanted) != inspect.iscoroutinefunction(there):
            found.append(f"{backend.__name__}.{name} is not {'async' if contract is AsyncBackend else 'blocking'}")
        if _shape(wanted) != _shape(there):
            found.append(f"{backend.__name__}.{name}{inspect.signature(there)} is not {inspect.signature(wanted)}")
    return found


def _shape(verb: object) -> list[tuple[str, str, object]]:
    parameters = inspect.signature(verb).parameters.values()  # type: ignore[arg-type]
    return [(parameter.name, parameter.kind.name, parameter.default) for parameter in parameters]


def _holds(candidate: object, suite: type[Suite]) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, suite)
