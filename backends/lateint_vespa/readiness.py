"""Waiting until what was deployed is in use, with an end, as generators without I/O.

Every service has the generation; then the container takes each field of the schema; then, for a new index, a canary is
written, found with the right score, and removed. Whatever is said until then may be too early, and is asked again.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np

from lateint import errors
from lateint.engine import doors
from lateint.filters import And, Filter, Ids, IsIn
from lateint.spec import FieldType
from lateint_vespa import answers, calls, package
from lateint_vespa.calls import Call, Pause, Steps, T
from lateint_vespa.config_server import ConfigServer, checked
from lateint_vespa.errors import translated
from lateint_vespa.filters import Condition, lowered
from lateint_vespa.probing import EVERYTHING
from lateint_vespa.properties import stored
from lateint_vespa.schema import Layout

_SOME: Mapping[FieldType, Any] = {
    FieldType.KEYWORD: "a",
    FieldType.INTEGER: 0,
    FieldType.FLOAT: 0.0,
    FieldType.DATETIME: datetime.fromtimestamp(0, UTC),
}
"""A value that an attribute is asked for; what else is declared has none that filters look at."""

_EARLY = (
    errors.ConnectionFailed,
    errors.Timeout,
    errors.RateLimited,
    errors.IndexNotFound,
    errors.SchemaMismatch,
    errors.PartialResult,
    errors.UnexpectedResponse,
)
"""What comes of asking a container that is not ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How to wait.

    Attributes:
        backend: name to put into errors.
        timeout_s: seconds for one call.
        within_s: seconds in all, to show.
        deadline: when they are over, by the clock.
        clock: seconds that only go forward.
    """

    backend: str
    timeout_s: float
    within_s: float
    deadline: float
    clock: Callable[[], float]

    def converged(self, server: ConfigServer, generation: int) -> Steps[None]:
        """Wait until all services have a generation, or a later one."""

        def attempt() -> Steps[None]:
            late = yield from server.late(generation)
            if late:
                more = f", and {len(late) - 3} more" if len(late) > 3 else ""
                raise errors.UnexpectedResponse(f"{', '.join(late[:3])}{more}.")

        yield from self._awaited(attempt, f"generation {generation} is active and not yet in use")

    def known(self, layout: Layout) -> Steps[None]:
        """Wait until the container takes every field of a schema, in documents and in filters. Writes nothing."""
        parts: list[Filter] = [
            IsIn(name, (_SOME[kind.element],)) for name, kind in layout.fields.items() if kind.element in _SOME
        ]
        condition = lowered(And(tuple(parts)) if len(parts) > 1 else next(iter(parts), None), layout.fields)

        def attempt() -> Steps[None]:
            answer = yield calls.update(layout, _nobody(), properties={}, digest=None, timeout_s=self.timeout_s)
            if answer.status != 412:  # no such document, and nothing wrong with the fields
                checked(answer)
            answers.counted((yield self._counting(layout, condition)), layout)

        yield from self._awaited(attempt, f"the container does not yet know schema {layout.schema!r}")

    def found(self, layout: Layout) -> Steps[None]:
        """Wait until a document of a new schema is written, found and removed.

        Raises:
            UnexpectedResponse: its score is wrong.
        """
        name = _nobody()
        rows = np.zeros((2, layout.dim), np.float32)
        rows[0, 0] = rows[1, -1] = 1
        put = calls.put(layout, name, rows=rows, properties=stored(name, {}, layout.fields), timeout_s=self.timeout_s)
        search = calls.search(
            layout,
            query=rows * np.array([[0.5], [1]], np.float32),
            limit=1,
            condition=lowered(Ids((name,)), layout.fields),
            with_payload=False,
            with_vectors=False,
            query_profile=True,
            timeout_s=self.timeout_s,
        )

        def written() -> Steps[None]:
            answers.acknowledged((yield put), layout, name)

        def scored() -> Steps[float]:
            records = answers.ranked((yield search), layout, limit=1, with_vectors=False)
            if not records:
                raise errors.PartialResult("the canary is not among the hits.")
            return records[0].score

        def removed() -> Steps[None]:
            answer = yield calls.remove(layout, name, timeout_s=self.timeout_s)
            answers.acknowledged(answer, layout, name)
            if answers.ranked((yield search), layout, limit=1, with_vectors=False):
                raise errors.UnexpectedResponse("the canary is still among the hits.")

        try:
            yield from self._awaited(written, f"schema {layout.schema!r} takes no documents")
            score = yield from self._awaited(scored, f"document {name!r} of schema {layout.schema!r} is not found")
            yield from self._awaited(removed, f"document {name!r} of schema {layout.schema!r} is not gone")
        except (errors.LateintError, KeyboardInterrupt):
            # It would be a hit of every search. What went wrong is more important than whether it can be removed.
            with suppress(Exception):
                yield calls.remove(layout, name, timeout_s=self.timeout_s)
            raise
        if score != 1.5:
            raise errors.UnexpectedResponse(
                f"schema {layout.schema!r} scores a document with {score!r} that has a MaxSim of 1.5.",
                hint="Do not use it, and report this with the version of Vespa.",
            )

    def emptied(self, layout: Layout, index: str) -> Steps[None]:
        """Remove all documents of a schema, those of other namespaces too, until none is left.

        That may take its time as long as they become fewer.
        """
        parameters = {
            "selection": layout.schema,
            "cluster": package.CLUSTER,
            "timeout": f"{max(1, round(1000 * self.timeout_s))}ms",
        }

        token, fewest = "", math.inf

        def attempt() -> Steps[bool]:
            nonlocal token, fewest
            more = {"continuation": token} if token else {}
            token = ""  # from the start, if this goes wrong
            target = f"/document/v1/?{urlencode({**parameters, **more})}"
            answer = checked((yield Call("DELETE", target, timeout_s=self.timeout_s)))
            token = json.loads(answer.body).get("continuation") or ""
            left = answers.counted((yield self._counting(layout, EVERYTHING)), layout)
            if left and left >= fewest:
                raise errors.UnexpectedResponse(f"{left:,} documents are there, or have come since.")
            fewest = left
            return not left and not token

        deadline, missing = self.deadline, f"index {index!r} could not be emptied, and was not dropped"
        while not (yield from self._awaited(attempt, missing, deadline)):
            deadline = self.clock() + self.within_s

    def gone(self, layout: Layout, server: ConfigServer) -> Steps[None]:
        """Wait until a schema that was dropped can no more be searched, unless somebody has made it anew."""

        def attempt() -> Steps[None]:
            try:
                with translated("drop_index", backend=self.backend):
                    answers.counted((yield self._counting(layout, EVERYTHING)), layout)
            except errors.IndexNotFound:
                return
            if (yield from server.file(package.schema_file(layout.schema))) is None:
                raise errors.UnexpectedResponse("it can still be searched.")

        yield from self._awaited(attempt, f"schema {layout.schema!r} is still in use")

    def _counting(self, layout: Layout, condition: Condition) -> Call:
        return calls.passing(layout, condition=condition, limit=0, query_profile=False, timeout_s=self.timeout_s)

    def _awaited(self, attempt: Callable[[], Steps[T]], missing: str, deadline: float | None = None) -> Steps[T]:
        """Try until it goes well.

        Args:
            attempt: raises one of `_EARLY` if it is too early.
            missing: what has not come to pass if it never goes well.
            deadline: until when, if not until that of all.
        """
        pause, deadline = 0.05, self.deadline if deadline is None else deadline
        while True:
            try:
                with translated("deploy", backend=self.backend):
                    return (yield from attempt())
            except _EARLY as error:
                if self.clock() + pause > deadline:
                    raise errors.Timeout(
                        f"after {self.within_s:g} s {missing}: {doors.said(error)}.",
                        hint="See Vespa's own log (vespa-logfmt) for what keeps it.",
                        retryable=False,
                    ) from error
            yield Pause(pause)
            pause = min(1.5 * pause, 0.5)


def _nobody() -> str:
    """An id that no document has."""
    return f"lateint-canary-{secrets.token_hex(8)}"
