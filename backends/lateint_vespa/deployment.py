"""Indexes added, changed and dropped by deployments, as generators without I/O.

A deployment replaces a whole application. So each is made from what is active, and becomes active only if that still
is: Vespa refuses to activate a session when another one was activated since it was created. It remembers nothing,
though, where nothing was active, so a first application is empty: it takes nothing away, whoever comes first.

What is active is not yet in use: see `readiness`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from lateint import errors
from lateint.spec import IndexSpec
from lateint_vespa import names, package
from lateint_vespa.application import Application, not_found
from lateint_vespa.calls import Pause, Steps
from lateint_vespa.config_server import ConfigServer, text
from lateint_vespa.readiness import Readiness
from lateint_vespa.schema import Layout, layout_of

WITHIN_S = 300.0
"""Seconds for a deployment; a first one starts all of Vespa's services, which takes one or two minutes."""

Files: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployer:
    """What deployments need to know of the place.

    Attributes:
        backend: name to put into errors.
        place: of the config server, to show.
        timeout_s: seconds for one call.
        within_s: seconds for each deployment, until it is in use; a drop has them anew whenever documents went.
        clock: seconds that only go forward.
        today: for how long documents may be dropped.
    """

    backend: str
    place: str
    timeout_s: float
    within_s: float = WITHIN_S
    clock: Callable[[], float] = time.monotonic
    today: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def server(self) -> ConfigServer:
        """The config server that is asked."""
        return ConfigServer(place=self.place, timeout_s=self.timeout_s)

    def created(self, spec: IndexSpec) -> Steps[None]:
        """Add an index, and wait until it takes documents and finds them.

        Raises:
            IndexExists: there is a schema of its name.
            UnsupportedFeature: lateint did not deploy what is active; with the files to merge into it.
            SchemaMismatch: Vespa refuses it, in its own words.
            Timeout: it is not in use in time; says what was missing.
        """
        ready = self._readiness()

        def more(active: Application) -> Steps[Files]:
            yield from ()
            return active.added(spec)

        generation = yield from self._deployed(more, deadline=ready.deadline)
        with _noted(f"Index {spec.name!r} is deployed all the same; drop_index() takes it away."):
            layout = layout_of(spec)
            yield from ready.converged(self.server, generation)
            yield from ready.known(layout)
            yield from ready.found(layout)

    def updated(self, spec: IndexSpec) -> Steps[None]:
        """Change what an index declares, and wait until that is in use.

        Raises:
            IndexNotFound, UnsupportedFeature: see `Application.changed`.
            SchemaMismatch: the schema was edited; or Vespa refuses the change, in its own words.
            Timeout: it is not in use in time; says what was missing.
        """
        ready = self._readiness()

        def other(active: Application) -> Steps[Files | None]:
            yield from ()
            return active.changed(spec)

        generation = yield from self._deployed(other, deadline=ready.deadline, index=spec.name)
        yield from ready.converged(self.server, generation)
        yield from ready.known(layout_of(spec))

    def dropped(self, name: str) -> Steps[None]:
        """Remove all documents of an index, then the index, and wait until it is gone.

        Raises:
            IndexNotFound: there is no such index.
            SchemaMismatch: its description was edited; or somebody else has changed it meanwhile.
            UnsupportedFeature: lateint did not deploy what is active.
            Timeout: it is not empty, or not gone, in time.
        """
        first: tuple[Layout, str] | None = None

        def less(active: Application) -> Steps[Files]:
            """Emptied again in each round: who deployed meanwhile may have made it anew, and written to it."""
            nonlocal first
            schema = active.schema_of(name)
            if schema is None:
                raise not_found(name)
            active.check_may_drop(schema)
            layout = layout_of(active.spec(schema))
            first = first or (layout, active.schemas[schema])
            if active.schemas[schema] != first[1]:
                raise errors.SchemaMismatch(
                    f"somebody else has changed index {name!r} meanwhile.",
                    hint="It was not dropped, though documents of it may be gone. Look at it, and drop it again.",
                )
            yield from self._readiness().emptied(layout, name)
            # A day may be over sooner where the server is. The leave is gone with the next deployment in any case.
            until = (self.today() + timedelta(days=2)).strftime("%Y-%m-%d")
            return active.without(name, schema, until=until)

        generation = yield from self._deployed(less, deadline=self.clock() + self.within_s, index=name)
        assert first is not None
        with _noted(f"Index {name!r} is dropped all the same."):
            ready = self._readiness()
            yield from ready.converged(self.server, generation)
            yield from ready.gone(first[0], self.server)

    def listed(self) -> Steps[list[str]]:
        """Names of the indexes in the active application, sorted, also of those that were merged into another one's."""
        active = yield from self.application()
        return [] if active is None else active.indexes

    def spec_of(self, name: str) -> Steps[IndexSpec | None]:
        """What an index is; None if it is a schema that lateint did not write.

        Raises:
            IndexNotFound: there is no such schema.
            SchemaMismatch: its description or its rank profiles were edited, or are of another version; or it is a
                copy of another index.
        """
        found = False
        for schema in names.schemas(name):
            answer = yield from self.server.file(package.schema_file(schema))
            if answer is not None:
                written = text(answer)
                spec = package.spec_in(schema, written)
                if spec is not None:
                    package.check_essentials(written, layout_of(spec))
                    return spec
                found = schema != package.EMPTY
        if not found:
            raise not_found(name)
        return None

    def application(self) -> Steps[Application | None]:
        """What is active; None if nothing was deployed."""
        return self.server.application()

    def _deployed(
        self, change: Callable[[Application], Steps[Files | None]], *, deadline: float, index: str = ""
    ) -> Steps[int]:
        """Change what is active, whoever else does so too.

        Args:
            change: the files to be made of it; None for nothing to do. Its own time does not count.
            deadline: until when to try.
            index: the index that must be there; empty for one that must not.

        Returns:
            The generation that has the change.
        """
        while True:
            active = yield from self.application()
            if active is None:
                if index:
                    raise not_found(index)
                session = yield from self.server.activated(package.files({}), over=None)
            else:
                began = self.clock()
                files = yield from change(active)
                deadline += self.clock() - began
                if files is None:
                    return active.generation
                session = yield from self.server.activated(files, over=active.generation)
                if session is not None:
                    return session
            if self.clock() > deadline:
                raise errors.Timeout(
                    f"others deployed again and again for {self.within_s:g} s.",
                    hint="Nothing was changed. Try again when they are done.",
                    retryable=False,
                )
            if session is None:
                yield Pause(random.uniform(0, 0.5))  # noqa: S311 - so that those who met do not meet again

    def _readiness(self) -> Readiness:
        return Readiness(
            backend=self.backend,
            timeout_s=self.timeout_s,
            within_s=self.within_s,
            deadline=self.clock() + self.within_s,
            clock=self.clock,
        )


@contextmanager
def _noted(note: str) -> Iterator[None]:
    """Add to an error what was done all the same."""
    try:
        yield
    except errors.LateintError as error:
        error.add_note(note)
        raise
