"""Weaviate without a server: what is created, what a class is taken for, where a URL leads, what an error means."""

from __future__ import annotations

import copy
import json
from collections.abc import Generator
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("lateint_weaviate.protocol", reason="the client comes with lateint[weaviate]")

from lateint import Feature, IndexSpec, errors
from lateint.engine.registry import Settings
from lateint.engine.url import parse
from lateint.types import Document
from lateint_weaviate import collection, connection, properties, schema, selfcheck
from lateint_weaviate.calls import Http
from lateint_weaviate.careful import Memory
from lateint_weaviate.errors import Refused, of_object, translated
from lateint_weaviate.verbs import Verbs

SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"}, metadata={"owner": "日本"})


def definition(spec: IndexSpec = SPEC, **changed: Any) -> dict[str, Any]:
    """A class as the server describes it."""
    made = copy.deepcopy(schema.class_definition("Pages", spec, properties.definitions(spec.fields)))
    index = made["vectorConfig"][schema.VECTOR]["vectorIndexConfig"]
    index |= {"bq": {"enabled": False}, **changed}
    return made


class TestCreated:
    def test_exact_whatever_the_server_has_by_default(self) -> None:
        """Metric, quantizer and cutoff are all said: the cloud quantizes where nothing is said."""
        index = definition()["vectorConfig"][schema.VECTOR]["vectorIndexConfig"]
        assert index["distance"] == "dot"
        assert index["skipDefaultQuantization"] is True
        assert index["flatSearchCutoff"] == schema.CUTOFF
        assert index["multivector"]["enabled"] is True
        assert (index["maxConnections"], index["efConstruction"]) == (4, 4)

    def test_spec_comes_back(self) -> None:
        info = collection.kept("pages", definition(), schema.CAPABILITIES, vector=None)
        assert info is not None
        assert info.spec == SPEC

    def test_options(self) -> None:
        spec = SPEC.replace(engine_options={"weaviate": {"ef": 300, "max_connections": 16}})
        index = definition(spec)["vectorConfig"][schema.VECTOR]["vectorIndexConfig"]
        assert (index["ef"], index["maxConnections"]) == (300, 16)

    @pytest.mark.parametrize("value", [True, 3, 2.5, "16", 10**9])
    def test_options_out_of_bounds(self, value: object) -> None:
        with pytest.raises(errors.InvalidInput, match="max_connections"):
            definition(SPEC.replace(engine_options={"weaviate": {"max_connections": value}}))


class TestTakenFor:
    @pytest.mark.parametrize(
        ("changed", "words"),
        [
            ({"distance": "cosine"}, "another index"),
            ({"multivector": {"enabled": False}}, "another index"),
            ({"multivector": {"enabled": True, "muvera": {"enabled": True}}}, "MUVERA"),
            ({"bq": {"enabled": True}}, "quantizer"),
            ({"flatSearchCutoff": 40_000}, "40000"),
        ],
        ids=["metric", "single-vector", "muvera", "quantized", "cutoff"],
    )
    def test_changed_behind_our_back(self, changed: dict[str, Any], words: str) -> None:
        """An index that would no more be exact is refused: its searches would go on claiming that they are."""
        with pytest.raises(errors.SchemaMismatch, match=words):
            collection.kept("pages", definition(**changed), schema.CAPABILITIES, vector=None)

    def test_edited_description(self) -> None:
        made = definition()
        made["description"] = made["description"].replace('"dim": 4', '"dim": 5')
        with pytest.raises(errors.SchemaMismatch, match="fingerprint"):
            collection.kept("pages", made, schema.CAPABILITIES, vector=None)

    def test_newer_spec(self) -> None:
        text = json.dumps({**SPEC.to_dict(), "version": 99}, sort_keys=True)
        made = definition()
        head = made["description"].partition("{")[0].rsplit(" ", 2)[0]
        made["description"] = f"{head} {schema._fingerprint(text)} {text}"
        with pytest.raises(errors.SchemaMismatch, match="upgrade"):
            collection.kept("pages", made, schema.CAPABILITIES, vector=None)

    def test_somebody_elses(self) -> None:
        made = definition() | {"description": "Pages of a book"}
        assert collection.kept("pages", made, schema.CAPABILITIES, vector=None) is None
        assert collection.listed(made) == "Pages"
        assert collection.listed(definition()) == "pages"


class TestSelfcheck:
    """Drift of the server is told from documents that lost entries of the index."""

    ROWS = np.eye(3, 4, dtype=np.float32)

    def info(self, *, managed: bool = True) -> Any:
        if managed:
            return collection.created(SPEC, schema.CAPABILITIES, "Pages")
        made = definition() | {"description": ""}
        return collection.found("Pages", made, schema.CAPABILITIES, vector=schema.VECTOR, dim=4)

    def seen(self, score: float | None, larger: float | None = None) -> selfcheck.Comparison:
        return selfcheck.Comparison("an-object", self.ROWS, score, larger)

    def test_right(self) -> None:
        info = self.info()
        assert selfcheck.judged(info, [self.seen(3.0)]) is info
        assert selfcheck.judged(info, []) is info

    @pytest.mark.parametrize(
        ("score", "larger"), [(0.0, 6.0), (1.0, 2.0), (1.0, 1.0), (6.0, 24.0)], ids=["|Q|-cos", "cosine", "mean", "sum"]
    )
    def test_drift(self, score: float, larger: float) -> None:
        """Other ways to score: an index of lateint is refused, another one is read and not searched."""
        with pytest.raises(errors.SchemaMismatch, match="MaxSim is 3"):
            selfcheck.judged(self.info(), [self.seen(score, larger)] * 3)
        info = selfcheck.judged(self.info(managed=False), [self.seen(score, larger)] * 3)
        assert Feature.EXACT_SEARCH not in info.capabilities.features
        assert "not searched" in info.warnings[-1]

    @pytest.mark.parametrize("lost", [[(None, None)] * 3, [(2.0, 8.0)] * 3, [(None, None), (1.0, 4.0), (3.0, None)]])
    def test_lost_entries(self, lost: list[tuple[float | None, float | None]]) -> None:
        """Documents that were cut short: the index opens, to write them again, and every result says so."""
        info = selfcheck.judged(self.info(), [self.seen(*each) for each in lost])
        assert "again" in info.warnings[-1]
        assert collection.access(info).score_warnings == info.warnings


class TestConnection:
    def endpoint(self, url: str, **settings: Any) -> connection.Endpoint:
        return connection.endpoint(parse(url), Settings(**settings))

    def test_ports(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("WEAVIATE_API_KEY", raising=False)
        place = self.endpoint("weaviate://localhost")
        assert (place.location, place.grpc_target) == ("weaviate://localhost:8080", "localhost:50051")
        place = self.endpoint("weaviate+https://w.example:8443?grpc_port=9&grpc_host=g.example")
        assert (place.location, place.grpc_target) == ("weaviate+https://w.example:8443", "g.example:9")
        assert self.endpoint("weaviate://[::1]").grpc_target == "[::1]:50051"

    @pytest.mark.parametrize(
        ("host", "target"),
        [
            ("abc.c0.europe-west3.gcp.weaviate.cloud", "grpc-abc.c0.europe-west3.gcp.weaviate.cloud:443"),
            ("abc.weaviate.network", "abc.grpc.weaviate.network:443"),
        ],
    )
    def test_cloud(self, host: str, target: str) -> None:
        assert self.endpoint(f"weaviate+https://{host}", api_key="k").grpc_target == target

    def test_key_is_not_shown(self) -> None:
        place = self.endpoint("weaviate://localhost", api_key="very-secret")
        assert "very-secret" not in repr(place)
        assert place.metadata == (("authorization", "Bearer very-secret"),)

    def test_a_key_that_cannot_be_sent(self) -> None:
        """It is refused before any client has it, who would show it."""
        with pytest.raises(errors.ConfigurationError, match="WEAVIATE_API_KEY") as caught:
            self.endpoint("weaviate://localhost", api_key="very-secret\n")
        assert "very-secret" not in str(caught.value)

    def test_patience_with_the_grpc_port(self) -> None:
        """A port that swallows everything is given up on long before a call would be."""
        assert self.endpoint("weaviate://localhost", timeout_s=60).probe_s < 10
        assert self.endpoint("weaviate://localhost", timeout_s=1).probe_s == 1

    @pytest.mark.parametrize("version", ["1.32.9", "", "1.29.0"])
    def test_old_server(self, version: str) -> None:
        with pytest.raises(errors.UnsupportedFeature, match=r"1\.33"):
            connection.verbs(
                backend="weaviate", location="weaviate://x", meta={"version": version}, timeout_s=1, key="none"
            )

    def test_message_size(self) -> None:
        """What a server says of its messages bounds a document."""
        meta = {"version": "1.39.0", "grpcMaxMessageSize": 8 * 2**20}
        verbs = connection.verbs(backend="weaviate", location="", meta=meta, timeout_s=1, key="none")
        assert verbs.capabilities.max_values == 7 * 2**20 // 4
        assert 2 * verbs.capabilities.max_batch_bytes < 8 * 2**20


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "error"),
        [
            (Refused(401, b'{"code":401,"message":"anonymous access not enabled"}'), errors.AuthenticationFailed),
            (Refused(403, b'{"error":[{"message":"forbidden"}]}'), errors.PermissionDenied),
            (Refused(404, b""), errors.IndexNotFound),
            (Refused(422, b'{"error":[{"message":"class name X already exists"}]}'), errors.IndexExists),
            (Refused(500, b"<html>"), errors.UnexpectedResponse),
            (httpx.ConnectError("refused"), errors.ConnectionFailed),
            (httpx.ReadTimeout("slow"), errors.Timeout),
        ],
        ids=lambda value: getattr(value, "__name__", type(value).__name__),
    )
    def test_table(self, raised: Exception, error: type[errors.BackendError]) -> None:
        with pytest.raises(error) as caught, translated("search", "pages", backend="weaviate"):
            raise raised
        assert (caught.value.operation, caught.value.index, caught.value.__cause__) == ("search", "pages", raised)

    def test_secret_in_a_text(self) -> None:
        with pytest.raises(errors.BackendError) as caught, translated("x", backend="weaviate", secret="s3cret"):
            raise Refused(500, b'{"error":[{"message":"Bearer s3cret"}]}')
        assert "s3cret" not in str(caught.value)

    def test_of_one_object_or_of_all(self) -> None:
        """What is wrong with the key or the disk is no fault of a document."""
        assert isinstance(of_object("authorization, forbidden action"), errors.PermissionDenied)
        assert isinstance(of_object("store is read-only due to: disk usage"), errors.StorageFull)
        assert of_object("new node has a vector with length 5. Existing nodes have vectors with length 4") is None


class TestVerbs:
    """Decisions of the verbs, without a server: what goes out for what comes back."""

    @pytest.fixture
    def verbs(self) -> Verbs:
        return Verbs(backend="weaviate", location="", details={}, capabilities=schema.CAPABILITIES, timeout_s=1.0)

    def test_nothing_is_created_beside_another(self, verbs: Verbs) -> None:
        """A class that somebody else made under the name is in the way, and nothing is sent."""
        steps: Generator[Any, Any, Any] = verbs.create_index(SPEC.replace(name="MyArticles"))
        assert next(steps) == Http("GET", "/schema")
        with pytest.raises(errors.IndexExists):
            steps.send({"classes": [{"class": "MyArticles"}]})

    def test_a_time_out_makes_requests_smaller_and_documents_doubtful(self, verbs: Verbs) -> None:
        info = collection.created(SPEC, schema.CAPABILITIES, "Pages")
        verbs.memory.journal = True
        steps: Generator[Any, Any, Any] = verbs.write(info, [Document("a", np.ones((2**16, 4), np.float32)[:60_000])])
        assert next(steps).path == "/objects"  # into the journal
        assert steps.send({}).method == "Search"  # whether somebody else writes the same
        assert steps.send([]).method == "Search"  # whether it is there
        assert steps.send([]).method == "BatchObjects"
        with pytest.raises(errors.Timeout):
            steps.throw(errors.Timeout("slow"))
        assert verbs.memory.doubtful["Pages"] == {schema.object_id("a")}
        assert len(verbs.memory.left) == 1
        assert verbs.memory.most_bytes["Pages"] < 60_000 * 16

    def test_memory_of_a_dropped_class(self) -> None:
        memory = Memory(doubtful={"Pages": {"x"}}, trusted={"Pages"}, most_bytes={"Pages": 1}, marks={"Pages": "x"})
        memory.forget("Pages")
        assert memory == Memory()
