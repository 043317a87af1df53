"""Deployments to Vespa without a server: what goes out for what comes back at moments that are hard to meet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
