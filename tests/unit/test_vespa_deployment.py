"""Deployments to Vespa without a server: what goes out for what comes back at moments that are hard to meet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any

import pytest

from lateint import errors
from lateint.engine.steps import carried_out
from lateint.spec import IndexSpec
from lateint_vespa import package
from lateint_vespa.answers import Answer
from lateint_vespa.application import Application
from lateint_vespa.calls import Call, Door, Pause, Steps, T, Together
from lateint_vespa.config_server import APPLICATION
from lateint_vespa.deployment import Deployer
from lateint_vespa.errors import translated
from lateint_vespa.readiness import Readiness
from lateint_vespa.schema import layout_of

SMALL, LARGE = IndexSpec("small", 16), IndexSpec("large", 32)
OURS = package.files({"small": package.schema_text(SMALL)})


class Told:
    """A config server that has an application, and answers to activations as it is told to."""

    def __init__(self, files: Mapping[str, str | bytes], *, activation: int = 200) -> None:
        self.files = {path: text if isinstance(text, bytes) else text.encode() for path, text in files.items()}
        self.activation = activation
        self.generation = 2
        self.asked: list[str] = []
        self.vanishing: Iterator[str] = iter(())
        self.lost = ""

    def __call__(self, call: Any) -> Any:
        match call:
            case Pause():
                return None
            case Together(calls):
                return [self(each) for each in calls]
        assert isinstance(call, Call)
        assert call.door is Door.CONFIG
        self.asked.append(f"{call.method} {call.target.rpartition('/')[2]}")
        if call.target == APPLICATION:
            return answered(200, {"generation": self.generation})
        if call.target.endswith("?recursive=true"):
            listing = [f"http://config{APPLICATION}/content/{path}" for path in self.files]
            if gone := next(self.vanishing, None):
                del self.files[gone]
                self.generation += 1
            return answered(200, [*listing, f"http://config{APPLICATION}/content/schemas/"])
        if "/content/" in call.target:
            path = call.target.partition("/content/")[2]
            body = None if path == self.lost else self.files.get(path)
            return Answer(404, b'{"error-code": "NOT_FOUND"}') if body is None else Answer(200, body)
        if call.target.endswith("/active"):
            return answered(self.activation, {"error-code": "ACTIVATION_CONFLICT", "message": "overtaken"})
        return answered(200, {"session-id": "3", "configChangeActions": {"restart": [], "refeed": [], "reindex": []}})


def answered(status: int, data: Any) -> Answer:
    return Answer(status, json.dumps(data).encode())


def deployer(*, seconds: float = 300.0) -> Deployer:
    """By a clock that goes on by a second each time it is looked at."""
    ticks = count()
    return Deployer(backend="vespa", place="config", timeout_s=1.0, within_s=seconds, clock=lambda: float(next(ticks)))


def run(steps: Steps[T], server: Told) -> T:
    return carried_out(steps, server)


class TestActive:
    def test_is_read_again_if_another_one_became_active_meanwhile(self) -> None:
        """Half of one and half of another application must not become a third."""
        server = Told(package.files({spec.name: package.schema_text(spec) for spec in (SMALL, LARGE)}))
        server.vanishing = iter(["schemas/small.sd"])
        active = run(deployer().application(), server)
        assert active is not None
        assert (active.generation, active.indexes) == (3, ["large"])

    def test_of_which_a_file_cannot_be_had(self) -> None:
        server = Told(OURS)
        server.lost = "schemas/small.sd"
        with pytest.raises(errors.UnexpectedResponse, match="does not give the files that it lists"):
            run(deployer().application(), server)

    def test_with_a_file_that_is_no_text(self) -> None:
        """It could not be put into the next deployment, which would take it away."""
        server = Told({**OURS, "models/model.onnx": b"\xff\xfe"})
        with pytest.raises(errors.UnsupportedFeature, match="no text"):
            run(deployer().created(LARGE), server)
        assert not [asked for asked in server.asked if not asked.startswith("GET")]

    def test_of_somebody_else_is_not_read_whole(self) -> None:
        """Its models may be large, and none of them is lateint's business."""
        foreign: dict[str, str | bytes] = {
            **package.additions(SMALL),
            package.SERVICES: "<services/>",
            "models/model.onnx": b"\xff\xfe",
        }
        server = Told(foreign)
        active = run(deployer().application(), server)
        assert active is not None
        assert active.files.keys() == {package.SERVICES, "schemas/small.sd"}
        assert active.indexes == ["small"]

    def test_a_schema_with_a_damaged_description_is_listed(self) -> None:
        """So that somebody sees that there is something to mend."""
        text = package.schema_text(SMALL).replace('"dim": 16', '"dim": 17')
        assert Application(generation=2, files=package.files({"small": text})).indexes == ["small"]

    def test_whose_files_have_odd_names(self) -> None:
        """Their addresses are escaped once."""
        server = Told({**OURS, "models/of%20mine.json": "{}"})
        active = run(deployer().application(), server)
        assert active is not None
        assert active.files["models/of mine.json"] == "{}"

    def test_never_the_same_twice(self) -> None:
        """It ends."""
        server = Told(OURS)

        def restless(call: Any) -> Any:
            server.generation += 1
            return server(call)

        with pytest.raises(errors.Timeout, match="another one was active"):
            carried_out(deployer().application(), restless)


class TestCopied:
    """Breaks when: a schema is taken for the index whose comment it was copied with."""

    SERVER = Told(package.files({"small": package.schema_text(SMALL), "other": package.schema_text(SMALL)}))

    def test_it_is_not_opened(self) -> None:
        assert run(deployer().spec_of("small"), self.SERVER) == SMALL
        with pytest.raises(errors.SchemaMismatch, match="copied"):
            run(deployer().spec_of("other"), self.SERVER)

    def test_it_is_not_dropped(self) -> None:
        """The documents of the other one would be removed first."""
        self.SERVER.asked.clear()
        with pytest.raises(errors.SchemaMismatch, match="copied"):
            run(deployer().dropped("other"), self.SERVER)
        assert not [asked for asked in self.SERVER.asked if not asked.startswith("GET")]

    def test_it_is_listed(self) -> None:
        """So that somebody sees that there is something to mend."""
        assert run(deployer().listed(), self.SERVER) == ["other", "small"]


def test_an_edited_expression_is_not_opened() -> None:
    """Breaks when: its order is handed out as that of MaxSim."""
    text = package.schema_text(SMALL).replace("max, token", "avg, token")
    with pytest.raises(errors.SchemaMismatch, match="rank-profile lateint_float"):
        run(deployer().spec_of("small"), Told(package.files({"small": text})))


class Container:
    """One that counts down what it has: each entry is the documents left, and whether the visit goes on."""

    def __init__(self, *left: tuple[int, bool]) -> None:
        self.left = iter(left)
        self.now = (0, False)
        self.calls: list[Call] = []
        self.fails: Callable[[Call], bool] = lambda _: False

    def __call__(self, call: Any) -> Any:
        if isinstance(call, Pause):
            return None
        assert isinstance(call, Call)
        self.calls.append(call)
        if self.fails(call):
            raise ConnectionResetError
        if call.method == "DELETE" and "docid" not in call.target:
            self.now = next(self.left, self.now)
            return answered(200, {"continuation": "AAAA"} if self.now[1] else {})
        if call.target.startswith("/search/"):
            coverage = {"coverage": 100, "documents": 9, "full": True, "nodes": 1}
            return answered(200, {"root": {"fields": {"totalCount": self.now[0]}, "coverage": coverage}})
        return answered(412 if call.method == "PUT" else 200, {"id": "id:lateint:small::x", "pathId": "/"})


def readiness(*, seconds: float, clock: Callable[[], float] | None = None) -> Readiness:
    ticks = count()
    clock = clock or (lambda: float(next(ticks)))
    return Readiness(backend="vespa", timeout_s=1.0, within_s=seconds, deadline=seconds, clock=clock)


def waited(steps: Steps[T], container: Container) -> T:
    return carried_out(steps, container, partial(translated, "deploy", backend="vespa"))


class TestEmptying:
    def test_goes_on_while_documents_become_fewer(self) -> None:
        """An index of some hundred millions takes longer than any one deployment."""
        container = Container(*((left, left > 0) for left in range(50, -1, -1)))
        container.fails = lambda _: len(container.calls) == 40
        hurried = readiness(seconds=5, clock=lambda: len(container.calls))
        waited(hurried.emptied(layout_of(SMALL), "small"), container)
        assert len([call for call in container.calls if call.method == "DELETE"]) > 50

    def test_ends_where_they_do_not(self) -> None:
        container = Container((5, False), (4, False), (4, False))
        with pytest.raises(errors.Timeout, match="4 documents"):
            waited(readiness(seconds=10).emptied(layout_of(SMALL), "small"), container)

    def test_starts_anew_after_a_failure(self) -> None:
        """With the token of an answer that nobody has seen, documents would be left out."""
        container = Container((5, True), (0, False))
        container.fails = lambda call: len(container.calls) == 3 and "continuation" in call.target
        waited(readiness(seconds=10).emptied(layout_of(SMALL), "small"), container)
        visits = ["continuation" in call.target for call in container.calls if call.method == "DELETE"]
        assert visits == [False, True, False]


class TestReady:
    def test_every_field_is_filtered_by(self) -> None:
        """Breaks when: an index is said to be ready while the container still refuses its filters."""
        fields = {"n": "integer", "Lang": "keyword", "at": "datetime", "x": "float[]", "yes": "boolean", "t": "text"}
        layout = layout_of(SMALL.replace(fields=fields))
        container = Container()
        waited(readiness(seconds=10).known(layout), container)
        (asked,) = (call for call in container.calls if call.target.startswith("/search/"))
        yql = json.loads(asked.body or b"")["yql"]
        assert [name in yql for name in ("n in", "Lang__1 contains", "at in", "x = ")] == [True] * 4

    @pytest.mark.parametrize("broken", ["/search/", "POST /document"])
    def test_the_canary_does_not_stay_where_it_failed(self, broken: str) -> None:
        """Breaks when: a document that nobody wrote is a hit of every search."""
        container = Container()
        container.fails = lambda call: f"{call.method} {call.target}".find(broken) >= 0
        with pytest.raises(errors.Timeout):
            waited(readiness(seconds=5).found(layout_of(SMALL)), container)
        last = container.calls[-1]
        assert (last.method, "lateint-canary-" in last.target) == ("DELETE", True)


class TestOvertaken:
    def test_again_and_again(self) -> None:
        """It ends, and says that nothing was changed."""
        server = Told(OURS, activation=409)
        with pytest.raises(errors.Timeout, match="others deployed again and again") as caught:
            run(deployer(seconds=5).created(LARGE), server)
        assert not caught.value.retryable
        assert server.asked.count("PUT active") > 1

    def test_the_comparison_comes_between_preparation_and_activation(self) -> None:
        server = Told(OURS, activation=409)
        with pytest.raises(errors.Timeout):
            run(deployer(seconds=0).created(LARGE), server)
        assert server.asked[-4:] == ["POST session", "PUT prepared", "GET default", "PUT active"]
