"""The class that a backend's author subclasses."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest

from lateint.client import connect
from lateint.testing.colours import COLOURS
from lateint.testing.lab import Lab
from lateint.testing.shelf import Shelf
from lateint.testing.suite import CLASSES
from lateint.testing.suite.base import Suite
from lateint.testing.target import Target


class ConformanceSuite:
    """Every test of the suite against one target, on both colours. Subclass it under a name that pytest collects.

    Attributes:
        target: where to run.
    """

    target: ClassVar[Target]

    @pytest.fixture(scope="class")
    @classmethod
    def shelf(cls) -> Iterator[Shelf]:
        """Indexes that the tests of a class share; dropped behind the last of them."""
        shelf = Shelf()
        yield shelf
        if cls.target.is_shared:
            with connect(cls.target.url, **cls.target.options) as client:
                shelf.drop(client)

    @pytest.fixture(params=COLOURS)
    def lab(self, request: pytest.FixtureRequest, shelf: Shelf) -> Iterator[Lab]:
        """A client of each colour at a fresh location; skips the test where a feature is declared missing."""
        colour = COLOURS[request.param]()
        with TemporaryDirectory(prefix="lateint-", dir=_memory_disk()) as folder:
            lab = Lab(self.target, colour, Path(folder), shelf)
            try:
                lab.run(lab.begin())
                required = request.cls.required(request.function)
                lacking = sorted(feature.value for feature in required - lab.capabilities.features)
                lab.skip_unless(not lacking, ", ".join(lacking))
                yield lab
            finally:
                lab.run(lab.end())
                colour.close()

    @pytest.fixture
    def author(self) -> type:
        """The class that runs the suite."""
        return type(self)

    @pytest.fixture
    def classes(self) -> Mapping[str, type[Suite]]:
        """The classes of the suite by name."""
        return CLASSES

    @pytest.fixture(autouse=True)
    def _known_gaps(self, request: pytest.FixtureRequest) -> None:
        """Turn marked tests into strict expected failures."""
        test = f"{request.cls.__name__}::{request.node.originalname}"
        places = {test}
        if "lab" in request.fixturenames:
            _, _, case = request.node.callspec.id.partition("-")  # behind the colour
            places.add(f"{test}[{case}]")
        for place in places & self.target.marks.keys():
            request.applymarker(self.target.marks[place].decorator())


def _memory_disk() -> Path | None:
    """A disk in memory with room enough, else None for the usual place.

    Engines wait for the disk after every write; a test that does not pull the plug cannot tell.
    """
    place = Path("/dev/shm")
    return place if place.is_dir() and shutil.disk_usage(place).free > 2**30 else None


for _name, _suite in CLASSES.items():
    setattr(ConformanceSuite, _name, _suite)
