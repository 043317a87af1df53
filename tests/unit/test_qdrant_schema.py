"""What lateint makes of a collection, of a URL, and of what a server or its client raises. No server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc as grpcio
import httpx
import numpy as np
import pytest

pytest.importorskip("qdrant_client", reason="the client comes with lateint[qdrant]")

from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

import lateint
from lateint import IndexSpec, errors, field, filters
from lateint.engine import prepare
from lateint.engine import url as urls
from lateint.engine.backend import IdMode, IndexInfo
from lateint.engine.capabilities import Feature
from lateint.engine.registry import Settings
from lateint.spec import DType, FieldType
from lateint.types import Document
from lateint_qdrant import collection, connection, schema
from lateint_qdrant.access import access_to
from lateint_qdrant.collection import described
from lateint_qdrant.connection import Reach
from lateint_qdrant.errors import translated
from lateint_qdrant.keeping import Found, native_id
from lateint_qdrant.over_client import OverClient
from lateint_qdrant.over_grpc import OverGrpc
from lateint_qdrant.place import Speech
from tests.servers.qdrant.answers import found, vector

INT8 = models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8))
SPEC = IndexSpec("pages", 4, fields={"year": "integer", "lang": "keyword"}, encoder={"name": "x", "scale": 0.1})
CAN = schema.GRPC_CAPABILITIES


def opened(info: models.CollectionInfo, vector: str | None = None) -> IndexInfo:
    return described("pages", info, CAN, vector=vector)


class TestOwn:
    def kept(self, spec: IndexSpec = SPEC, **changes: Any) -> models.CollectionInfo:
        return found({schema.VECTOR: vector()}, metadata=collection.metadata(spec), **changes)

    def test_spec_comes_back(self) -> None:
        """As text: a server that keeps JSON in its own way changes the last places of floats."""
        index = opened(self.kept())
        assert index.spec == SPEC
        assert index.managed
        assert index.writable
        assert index.id_mode is IdMode.MAPPED
        assert index.capabilities == CAN
        assert isinstance(collection.metadata(SPEC)[schema.SPEC_KEY], str)

    def test_opened_by_an_alias(self) -> None:
        """Switching an alias is how collections are replaced without a pause."""
        assert described("current", self.kept(), CAN, vector=None).spec == SPEC.replace(name="current")

    @pytest.mark.parametrize(
        "info",
        [
            found({schema.VECTOR: vector(8)}, metadata=collection.metadata(SPEC)),
            found({schema.VECTOR: vector(distance="Cosine")}, metadata=collection.metadata(SPEC)),
            found({"other": vector()}, metadata=collection.metadata(SPEC)),
            found({schema.VECTOR: vector()}, metadata={schema.SPEC_KEY: "{}"}),
            found({schema.VECTOR: vector()}, metadata={schema.SPEC_KEY: 7}),
        ],
        ids=["dim", "distance", "vector", "empty", "number"],
    )
    def test_changed_behind_its_back(self, info: models.CollectionInfo) -> None:
        with pytest.raises(errors.SchemaMismatch, match="'pages'"):
            opened(info)

    def test_newer_spec(self) -> None:
        text = collection.metadata(SPEC)[schema.SPEC_KEY].replace('"version": 1', '"version": 9')
        with pytest.raises(errors.SchemaMismatch, match="version 9"):
            opened(found({schema.VECTOR: vector()}, metadata={schema.SPEC_KEY: text}))

    def test_strict_mode(self) -> None:
        """Limits are met before anything is sent."""
        strict = models.StrictModeConfigOutput(
            enabled=True,
            max_query_limit=50,
            max_timeout=5,
            upsert_max_batchsize=10,
            search_max_batchsize=2,
            unindexed_filtering_retrieve=False,
            unindexed_filtering_update=True,
            multivector_config={schema.VECTOR: models.StrictModeMultivectorOutput(max_vectors=100)},
        )
        index = opened(self.kept(strict_mode_config=strict, indexes={"year": "integer"}))
        assert index.capabilities.max_k == 50
        assert index.capabilities.max_values == 400
        speak = access_to(index)
        assert (speak.max_points, speak.max_queries, speak.max_timeout_s) == (10, 2, 5)
        assert speak.filterable == frozenset({"year"})
        assert speak.deletable is None

    def test_strict_mode_off(self) -> None:
        strict = models.StrictModeConfigOutput(enabled=False, max_query_limit=50)
        assert opened(self.kept(strict_mode_config=strict)).capabilities.max_k == CAN.max_k


class TestFound:
    def test_plain(self) -> None:
        info = found(
            {"colbert": vector()}, indexes={"year": "integer", "a.b": "keyword", "place": "geo", "when": "datetime"}
        )
        index = opened(info)
        assert index.spec == IndexSpec("pages", 4, fields={"year": "integer", "when": "datetime"}, normalize=False)
        assert not index.managed
        assert index.writable
        assert index.id_mode is IdMode.NATIVE
        assert index.warnings == ()
        assert access_to(index).vector == "colbert"
        assert Feature.APPROXIMATE_SEARCH not in index.capabilities.features

    def test_unnamed(self) -> None:
        assert access_to(opened(found(vector()))).vector == ""

    def test_choice(self) -> None:
        info = found({"a": vector(), "b": vector(8), "title": vector(16, multi=False)})
        with pytest.raises(errors.SchemaMismatch, match="'a', 'b'") as caught:
            opened(info)
        assert "vector='a'" in caught.value.hint
        assert opened(info, "b").spec.dim == 8
        with pytest.raises(errors.SchemaMismatch, match="'title'"):
            opened(info, "title")
        assert opened(info, "a").not_carried == ("vector 'b' (multi, dimension 8)", "vector 'title' (dimension 16)")

    def test_none(self) -> None:
        info = found({"title": vector(16, multi=False)}, sparse_vectors={"bm25": models.SparseVectorParams()})
        with pytest.raises(errors.SchemaMismatch, match=r"'title' \(dimension 16\), vector 'bm25' \(sparse\)"):
            opened(info)

    @pytest.mark.parametrize(
        ("changes", "approximate"),
        [
            ({}, False),
            ({"m": 16}, True),
            ({"m": 16, "own": models.HnswConfigDiff(m=0)}, False),
            ({"own": models.HnswConfigDiff(m=8)}, True),
            ({"own": models.HnswConfigDiff(payload_m=16)}, True),
            ({"quantization_config": INT8}, True),
        ],
    )
    def test_short_cuts(self, changes: dict[str, Any], approximate: bool) -> None:
        """`exact=False` is offered where it means something."""
        own = changes.pop("own", None)
        index = opened(found({"colbert": vector(hnsw_config=own)}, **changes))
        assert (Feature.APPROXIMATE_SEARCH in index.capabilities.features) is approximate
        assert access_to(index).approximate is approximate
        assert bool(access_to(index).short_cut_warnings) is ("quantization_config" in changes)

    def test_exact_search_forbidden(self) -> None:
        """With a graph there is the other search."""
        strict = models.StrictModeConfigOutput(enabled=True, search_allow_exact=False)
        index = opened(found({"colbert": vector()}, m=16, strict_mode_config=strict))
        assert Feature.EXACT_SEARCH not in index.capabilities.features
        assert Feature.APPROXIMATE_SEARCH in index.capabilities.features
        assert index.warnings == ()

    @pytest.mark.parametrize("shape", ["plain", "quantized", "payload graph"])
    def test_all_search_forbidden(self, shape: str) -> None:
        """Servers refuse every search of a vector without a graph then, also of a quantized one: said when it is opened."""
        shapes: dict[str, dict[str, Any]] = {
            "plain": {},
            "quantized": {"quantization_config": INT8},
            "payload graph": {"hnsw_config": models.HnswConfigDiff(m=0, payload_m=16)},
        }
        strict = models.StrictModeConfigOutput(enabled=True, search_allow_exact=False)
        index = opened(found({"colbert": vector(**shapes[shape])}, strict_mode_config=strict))
        assert not {Feature.EXACT_SEARCH, Feature.APPROXIMATE_SEARCH} & index.capabilities.features
        assert "search_allow_exact" in index.warnings[-1]
        for exact in (None, True, False):
            with pytest.raises(errors.UnsupportedFeature, match="search_allow_exact"):
                prepare.prepared_searches(
                    [np.ones((1, 4))],
                    index,
                    backend="qdrant",
                    k=1,
                    condition=None,
                    exact=exact,
                    payload=True,
                    with_vectors=False,
                    timeout_s=None,
                )

    @pytest.mark.parametrize(
        ("distance", "normalize", "smaller", "words"),
        [
            ("Cosine", True, False, "length 1"),
            ("Euclid", False, True, "not a MaxSim sum"),
            ("Manhattan", False, True, "not a MaxSim sum"),
        ],
    )
    def test_distances(self, distance: str, normalize: bool, smaller: bool, words: str) -> None:
        index = opened(found({"colbert": vector(distance=distance)}))
        assert index.spec.normalize is normalize
        assert access_to(index).smaller_is_better is smaller
        assert bool(access_to(index).score_warnings) is smaller
        assert any(words in warning for warning in index.warnings)

    @pytest.mark.parametrize(
        ("datatype", "dtype", "warned"),
        [(None, "float32", False), ("float16", "float16", False), ("turbo4", "float32", True)],
    )
    def test_datatypes(self, datatype: str | None, dtype: str, warned: bool) -> None:
        params = vector(datatype=None if datatype is None else models.Datatype(datatype))
        index = opened(found({"colbert": params}))
        assert index.spec.dtype is DType(dtype)
        assert index.capabilities.rounds_queries is (dtype == "float16")
        assert bool(index.warnings) is warned

    def test_uint8(self) -> None:
        with pytest.raises(errors.UnsupportedFeature, match="uint8"):
            opened(found({"colbert": vector(datatype=models.Datatype.UINT8)}))

    def test_shard_keys(self) -> None:
        index = opened(found({"colbert": vector()}, sharding_method=models.ShardingMethod.CUSTOM))
        assert not index.writable
        assert "shard key" in index.not_carried[0]

    def test_name_that_no_index_can_have(self) -> None:
        with pytest.raises(errors.SchemaMismatch, match="alias"):
            described("2024.pages", found({"colbert": vector()}), CAN, vector=None)


class TestNative:
    @pytest.mark.parametrize(
        ("text", "point"),
        [
            ("7", 7),
            ("0", 0),
            (str(2**64 - 1), 2**64 - 1),
            (str(2**64), None),
            ("007", None),
            ("-1", None),
            ("٣", None),
            ("6f3c1f5e-0000-5000-8000-00000000000a", "6f3c1f5e-0000-5000-8000-00000000000a"),
            ("6F3C1F5E-0000-5000-8000-00000000000A", None),
            ("6f3c1f5e000050008000000000000000", None),
            ("a-1", None),
        ],
    )
    def test_ids(self, text: str, point: int | str | None) -> None:
        """One text for one point: what is read is what can be written."""
        assert native_id(text) == point

    def lowered(self, condition: filters.Filter, **fields: str) -> Any:
        kinds = {name: FieldType(kind) for name, kind in fields.items()}
        form = Found(kinds).lowered(filters.bound(condition, kinds))
        assert OverGrpc().filter(form) == OverGrpc().filter(form)
        assert OverClient().filter(form) is not None
        return form

    def test_filters(self) -> None:
        assert self.lowered(field("n") == 7, n="integer") == {"must": [{"key": "n", "match": {"value": 7}}]}
        assert self.lowered(field("b") == True, b="boolean") == {"must": [{"key": "b", "match": {"value": True}}]}  # noqa: E712
        assert self.lowered(field("k").exists(), k="keyword") == {"must_not": [{"is_empty": {"key": "k"}}]}
        assert self.lowered(field("n").is_in([]), n="integer") == {"must": [{"has_id": []}]}
        assert self.lowered(lateint.ids(["7", "x"])) == {"must": [{"has_id": [7]}]}
        (price,) = self.lowered(field("p") == 0.1, p="float")["must"]
        assert price["range"]["gte"] < 0.1 < price["range"]["lte"]

    def test_exists_on_a_list(self) -> None:
        """Qdrant's `is_empty` is true for an empty list, which exists."""
        with pytest.raises(errors.UnsupportedFeature, match="empty list"):
            self.lowered(field("tags").exists(), tags="keyword[]")

    def test_instants(self) -> None:
        """Seconds since 1970 and nanoseconds, also before it, at it, and before the year 1."""
        for text in ("1970-01-01T00:00:00+00:00", "1969-12-31T23:59:59.500000+00:00", "0001-01-01T00:00:00+05:00"):
            form = {"must": [{"key": "t", "range": {"gte": text}}]}
            bound = OverGrpc().filter(form).must[0].field.datetime_range
            assert bound.HasField("gte")
            assert not bound.HasField("lt")
            since = datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            offset = datetime.fromisoformat(text).utcoffset()
            assert offset is not None
            assert bound.gte.seconds + bound.gte.nanos / 1e9 == (since - offset).total_seconds()
            assert OverClient().filter(form).must[0].range.gte is not None  # type: ignore[index,union-attr]

    def test_payload(self) -> None:
        kept = Found({"when": FieldType.DATETIME})
        stored = kept.stored("7", {"when": datetime(2024, 1, 2, tzinfo=UTC), "other": [1, {"x": None}]})
        assert stored == {"when": "2024-01-02T00:00:00.000000+00:00", "other": [1, {"x": None}]}
        assert kept.restored(7, {"when": "2024-01-02", "other": "2024-01-02"}) == (
            "7",
            {"when": datetime(2024, 1, 2, tzinfo=UTC), "other": "2024-01-02"},
        )
        assert kept.restored(7, {"when": "yesterday"}) == ("7", {"when": "yesterday"})


class TestNames:
    @pytest.mark.parametrize("name", ["", "..", "a/b", "a\n", "x" * 256, "pages#old", "pages?x", "%70ages"])
    def test_that_would_mean_another_collection(self, name: str) -> None:
        """Clients before 1.20 put names into addresses as they are: to drop `pages#old` dropped `pages`."""
        with pytest.raises(errors.InvalidInput, match="no name of a collection"):
            schema.check_collection(name)


class TestEndpoint:
    @pytest.fixture(autouse=True)
    def _no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("QDRANT_API_KEY", raising=False)

    def endpoint(self, url: str, **settings: Any) -> connection.Endpoint:
        return connection.endpoint(urls.parse(url), Settings(**settings))

    def test_defaults(self) -> None:
        place = self.endpoint("qdrant://example.com")
        assert (place.port, place.grpc_port, place.tls, place.reach) == (6333, 6334, False, Reach.AUTO)
        assert place.timeout_s == 60  # batches of multi-vectors take longer than the 5 of qdrant-client
        options = place.client_options(grpc=True, timeout_s=0.5)
        assert options["timeout"] == 1
        assert options["check_compatibility"] is False

    def test_address_of_six_groups(self) -> None:
        place = self.endpoint("qdrant+https://[::1]:7000?grpc_port=7001&transport=rest")
        assert place.location == "qdrant+https://[::1]:7000"
        assert place.client_options(grpc=False, timeout_s=1)["url"] == "https://[::1]:7000"
        assert (place.grpc_port, place.reach) == (7001, Reach.REST)

    def test_port_of_grpc_follows_that_of_rest(self) -> None:
        """The usual one could be that of another server on the same machine, which would get the documents."""
        assert self.endpoint("qdrant://example.com:7000").grpc_port == 7001

    @pytest.mark.parametrize(
        "url",
        [
            "qdrant://",
            "qdrant://host/pages",
            "qdrant://host?transport=http",
            "qdrant://host?grpc_port=x",
            "qdrant://host?grpc_port=0",
            "qdrant://host?grpc_port=71870",  # gRPC would take it for 6334
        ],
    )
    def test_wrong(self, url: str) -> None:
        with pytest.raises(errors.InvalidURL):
            self.endpoint(url)

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "q.localhost"])
    def test_key_stays_on_the_machine(self, host: str) -> None:
        assert self.endpoint(f"qdrant://{host}", api_key="k").api_key == "k"

    @pytest.mark.parametrize("host", ["example.com", "10.0.0.7", "localhost.example.com"])
    def test_key_does_not_travel_in_the_clear(self, host: str) -> None:
        with pytest.raises(errors.ConfigurationError, match="unencrypted") as caught:
            self.endpoint(f"qdrant://{host}", api_key="s3cret")
        assert "s3cret" not in str(caught.value)
        assert self.endpoint(f"qdrant+https://{host}", api_key="k").tls
        assert self.endpoint(f"qdrant://{host}?insecure=1", api_key="k").api_key == "k"

    def test_key_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QDRANT_API_KEY", "env")
        place = self.endpoint("qdrant+https://example.com")
        assert place.api_key == "env"
        assert "env" not in repr(place)
        assert self.endpoint("qdrant+https://example.com", api_key="own").api_key == "own"


class TestBorrowing:
    def test_local_client(self) -> None:
        """Used, and not closed."""
        own = QdrantClient(":memory:")
        with lateint.connect(own) as client:
            client.create_index(SPEC).write([Document("a", np.ones((1, 4)))])
        assert own.count("pages").count == 1
        with lateint.connect(own) as client:
            assert client.open("pages").count() == 1
        own.close()

    def test_wrong_colour(self) -> None:
        own = AsyncQdrantClient(":memory:")
        with pytest.raises(errors.ConfigurationError, match=r"qdrant_client\.qdrant_client\.QdrantClient.*aconnect"):
            lateint.connect(own)

    @pytest.mark.parametrize("target", [7, None, object(), ["qdrant://localhost"]])
    def test_something_else(self, target: object) -> None:
        with pytest.raises(errors.ConfigurationError, match="neither a URL nor a client"):
            lateint.connect(target)

    def test_key_beside_a_client(self) -> None:
        with pytest.raises(errors.ConfigurationError, match="own key"):
            lateint.connect(QdrantClient(":memory:"), api_key="k")

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"url": "http://user:word@h:1"}, ("qdrant", "qdrant://h:1", Speech.REST)),
            ({"url": "https://h", "prefer_grpc": True}, ("qdrant+https", "qdrant+https://h:6333", Speech.GRPC)),
            ({"host": "h", "port": 2, "api_key": "k"}, ("qdrant+https", "qdrant+https://h:2", Speech.REST)),
            ({"location": "h:3"}, ("qdrant", "qdrant://h:3", Speech.REST)),
            ({"path": "/x"}, ("qdrant+memory", "qdrant+memory://", Speech.LOCAL)),
        ],
    )
    def test_where_it_goes(self, options: dict[str, Any], expected: tuple[str, str, Speech]) -> None:
        place = connection.borrowed(options, Settings())
        assert (place.backend, place.location, place.speech) == expected


class Status(grpcio.RpcError):  # type: ignore[misc]  # gRPC has no types
    """As gRPC's own errors look."""

    def __init__(self, code: str, details: str = "", metadata: tuple[tuple[str, str], ...] = ()) -> None:
        self._parts = (grpcio.StatusCode[code], details, metadata)

    def code(self) -> grpcio.StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._parts[2]


def rest(status: int, text: str = "", headers: dict[str, str] | None = None) -> UnexpectedResponse:
    content = f'{{"status": {{"error": "{text}"}}}}'.encode() if text else b""
    return UnexpectedResponse(status, "reason", content, httpx.Headers(headers or {}))


class TestErrors:
    @pytest.mark.parametrize(
        ("raised", "expected", "retryable"),
        [
            (Status("UNAUTHENTICATED", "Invalid API key or JWT"), errors.AuthenticationFailed, False),
            (rest(401), errors.AuthenticationFailed, False),
            (Status("PERMISSION_DENIED", "Forbidden"), errors.PermissionDenied, False),
            (rest(403, "Forbidden: Global manage access is required"), errors.PermissionDenied, False),
            (Status("NOT_FOUND", "Not found: Collection `x` doesn't exist!"), errors.IndexNotFound, False),
            (rest(404, "Not found: Collection `x` doesn't exist!"), errors.IndexNotFound, False),
            (rest(404, "Not found: No point with id 7 found"), errors.UnexpectedResponse, True),
            (rest(404), errors.UnexpectedResponse, False),
            (rest(409, "Wrong input: Collection `x` already exists!"), errors.IndexExists, False),
            (Status("ALREADY_EXISTS", "Collection `x` already exists!"), errors.IndexExists, False),
            (Status("UNAVAILABLE", "Socket closed"), errors.ConnectionFailed, True),
            (Status("UNAVAILABLE", "Tls handshake failed"), errors.ConnectionFailed, False),
            (rest(502), errors.ConnectionFailed, True),
            (rest(503), errors.ConnectionFailed, True),
            (rest(504), errors.Timeout, True),
            (Status("DEADLINE_EXCEEDED", "Deadline Exceeded"), errors.Timeout, True),
            (ResponseHandlingException(httpx.ReadTimeout("")), errors.Timeout, True),
            (ResponseHandlingException(httpx.ConnectError("Connection refused")), errors.ConnectionFailed, True),
            (ResponseHandlingException(httpx.RemoteProtocolError("disconnected")), errors.ConnectionFailed, True),
            (ResponseHandlingException(ValueError("no JSON")), errors.UnexpectedResponse, False),
            (Status("RESOURCE_EXHAUSTED", "slow down", (("retry-after", "7"),)), errors.RateLimited, True),
            (Status("RESOURCE_EXHAUSTED", "message larger than max"), errors.UnexpectedResponse, False),
            (ResourceExhaustedResponse("slow down", 7), errors.RateLimited, True),
            (rest(429, "slow down", {"retry-after": "7"}), errors.RateLimited, True),
            (rest(429, "slow down", {"retry-after": "soon"}), errors.RateLimited, True),
            (rest(400, "JSON payload (1 bytes) is larger than allowed"), errors.UnexpectedResponse, False),
            (rest(400, "Wrong input: Vector dimension error: expected 4"), errors.SchemaMismatch, False),
            (Status("INVALID_ARGUMENT", "Not existing vector name error: v"), errors.SchemaMismatch, False),
            (rest(507), errors.StorageFull, False),
            (rest(500, "Service internal error: No space left on device"), errors.StorageFull, False),
            (rest(500, "Service internal error"), errors.UnexpectedResponse, True),
            (Status("INTERNAL", "Service internal error"), errors.UnexpectedResponse, True),
            (Status("UNIMPLEMENTED", ""), errors.UnexpectedResponse, False),
            (rest(400, "Index required but not found for year"), errors.UnexpectedResponse, False),
            (
                Status("INTERNAL", "failed to decode Protobuf message: recursion limit reached"),
                errors.UnexpectedResponse,
                False,
            ),
            (RuntimeError("Event loop is closed"), errors.ConnectionFailed, False),
            (RuntimeError("Client was closed. Please create a new one"), errors.ConnectionFailed, False),
            (ValueError("Collection x not found"), errors.IndexNotFound, False),
        ],
    )
    def test_table(self, raised: Exception, expected: type[errors.BackendError], retryable: bool) -> None:
        with pytest.raises(expected) as caught, translated("write", "pages", backend="qdrant"):
            raise raised
        assert type(caught.value) is expected
        assert caught.value.retryable is retryable
        assert caught.value.__cause__ is raised
        assert (caught.value.backend, caught.value.operation, caught.value.index) == ("qdrant", "write", "pages")
        if isinstance(caught.value, errors.RateLimited):
            assert caught.value.retry_after in {7.0, None}

    def test_texts_are_cut(self) -> None:
        with pytest.raises(errors.UnexpectedResponse) as caught, translated("write", backend="qdrant"):
            raise rest(418, "x" * 100_000)
        assert len(str(caught.value)) < 500

    def test_keys_are_not_repeated(self) -> None:
        """Some servers and proxies quote the request that they refuse."""
        with pytest.raises(errors.UnexpectedResponse) as caught, translated("write", backend="qdrant", secret="s3cret"):
            raise rest(400, "header api-key: s3cret is odd")
        assert "s3cret" not in str(caught.value)
