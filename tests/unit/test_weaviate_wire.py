"""What goes over the wire to Weaviate: byte for byte what the client's own messages say, and back bit for bit."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("lateint_weaviate.protocol", reason="the messages come with lateint[weaviate]")

from lateint import errors
from lateint.engine import url
from lateint.engine.findings import Severity
from lateint.engine.registry import Settings
from lateint.vectors import MultiVector
from lateint_weaviate import doctor, wire
from lateint_weaviate.protocol import (
    aggregate_pb2,
    base_pb2,
    batch_delete_pb2,
    batch_pb2,
    properties_pb2,
    search_get_pb2,
)
from lateint_weaviate.wire import Object

ID = "6f3c1f5e-0000-5000-8000-000000000001"
MULTI = base_pb2.Vectors.VECTOR_TYPE_MULTI_FP32

matrices = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)
names = st.sampled_from(["lateint", "größe", "x" * 230])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
doubles = st.floats(allow_nan=False, allow_infinity=False)
scalars = texts | st.booleans() | doubles | st.integers(-(2**53), 2**53)
lists = (
    st.lists(texts, max_size=3)
    | st.lists(st.booleans(), max_size=3)
    | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3)
    | st.lists(doubles, max_size=3)
)


def theirs(vectors: MultiVector) -> bytes:
    """As weaviate-client packs lists of floats."""
    floats = [value for row in vectors.tolist() for value in row]
    return len(vectors[0]).to_bytes(2, "little") + np.array(floats, "<f4").tobytes()


def reply(*vectors: base_pb2.Vectors, **values: Any) -> search_get_pb2.SearchReply:
    made = search_get_pb2.SearchReply()
    result = made.results.add()
    result.metadata.id_as_bytes = UUID(ID).bytes
    result.metadata.vectors.extend(vectors)
    for name, value in values.items():
        result.properties.non_ref_props.fields[name].CopyFrom(value)
    return made


class TestOut:
    @given(matrices, names, scalars | lists)
    def test_batch_is_byte_identical(self, vectors: MultiVector, vector: str, value: Any) -> None:
        """The server cannot tell who built the message. More than one scalar has no order to compare."""
        objects = [Object(ID, vectors, {"a": value}), Object(ID, None, {}), Object(ID, vectors[:1], {})]
        made = wire.batch("Pages", objects, vector=vector)
        message = batch_pb2.BatchObjectsRequest.FromString(made)
        for found, expected in zip(message.objects, objects, strict=True):
            assert (found.uuid, found.collection) == (ID, "Pages")
            assert [(each.name, each.type, each.vector_bytes) for each in found.vectors] == (
                [] if expected.rows is None else [(vector, MULTI, theirs(expected.rows))]
            )
        assert message.SerializeToString() == made

    @given(st.dictionaries(st.sampled_from("abcd"), scalars | lists))
    def test_properties(self, properties: dict[str, Any]) -> None:
        """Numbers of a list must not change their type with the first element."""
        made = wire.batch("Pages", [Object(ID, None, properties)], vector="v")
        message = batch_pb2.BatchObjectsRequest.FromString(made).objects[0].properties
        found: dict[str, Any] = dict(message.non_ref_properties.items())
        for name in message.empty_list_props:
            found[name] = []
        for group in (message.text_array_properties, message.boolean_array_properties, message.int_array_properties):
            found |= {each.prop_name: list(each.values) for each in group}
        for each in message.number_array_properties:
            found[each.prop_name] = np.frombuffer(each.values_bytes, "<f8").tolist()
        assert found == properties
        lists_of = {
            name: [type(element) for element in value] for name, value in properties.items() if isinstance(value, list)
        }
        assert {name: [type(element) for element in found[name]] for name in lists_of} == lists_of

    def test_mixed_numbers(self) -> None:
        """A list that begins with a whole number is a list of numbers still."""
        made = wire.batch("Pages", [Object(ID, None, {"a": [1, 0.5]})], vector="v")
        message = batch_pb2.BatchObjectsRequest.FromString(made).objects[0].properties
        assert not message.int_array_properties
        assert np.frombuffer(message.number_array_properties[0].values_bytes).tolist() == [1, 0.5]

    @pytest.mark.parametrize("shape", [(1, 65_535), (8191, 128), (70_000, 1)])
    def test_large(self, shape: tuple[int, int]) -> None:
        """Lengths of five bytes, the largest dimension, more rows than 16 bits count."""
        vectors = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
        message = batch_pb2.BatchObjectsRequest.FromString(wire.batch("Pages", [Object(ID, vectors, {})], vector="v"))
        assert np.array_equal(wire.unpacked(message.objects[0].vectors[0].vector_bytes), vectors)

    def test_search(self) -> None:
        rows = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
        filters = base_pb2.Filters(operator=base_pb2.Filters.OPERATOR_EQUAL, value_boolean=True)
        made = wire.search(
            "Pages", vector="v", rows=rows, limit=7, filters=filters, properties=["a"], with_vectors=True
        )
        assert (made.collection, made.limit, made.filters) == ("Pages", 7, filters)
        assert made.near_vector.targets.target_vectors == ["v"]
        assert [(each.vector_bytes, each.type) for each in made.near_vector.vectors] == [(theirs(rows), MULTI)]
        assert (made.metadata.uuid, made.metadata.distance, made.metadata.vectors) == (True, True, ["v"])
        assert made.properties.non_ref_properties == ["a"]
        assert not made.properties.return_all_nonref_properties

    def test_fetch(self) -> None:
        made = wire.fetch("Pages", vector=None, limit=7, after="", filters=None, properties=None)
        assert made.properties.return_all_nonref_properties
        assert not made.metadata.vectors
        assert not made.metadata.distance
        assert not made.HasField("near_vector")
        assert wire.fetch("Pages", vector="v", limit=1, after=ID, filters=None, properties=[]).after == ID

    def test_no_properties_is_not_all(self) -> None:
        """The server reads a missing message as a wish for everything."""
        made = wire.fetch("Pages", vector=None, limit=1, after="", filters=None, properties=[])
        assert made.HasField("properties")
        assert not made.properties.return_all_nonref_properties


class TestBack:
    @given(matrices, names)
    def test_bit_for_bit(self, vectors: MultiVector, vector: str) -> None:
        other = base_pb2.Vectors(name="other", type=MULTI, vector_bytes=theirs(vectors[:1]))
        message = reply(other, base_pb2.Vectors(name=vector, type=MULTI, vector_bytes=theirs(vectors)))
        found = wire.records(message, vector=vector)[0].rows
        assert found is not None
        assert found.dtype == np.float32
        assert found.shape == vectors.shape
        assert found.tobytes() == vectors.tobytes()
        assert found.flags.writeable
        assert found.flags.aligned
        assert found.flags.c_contiguous

    @given(matrices)
    def test_packed(self, vectors: MultiVector) -> None:
        assert wire.packed(vectors) == theirs(vectors)
        assert wire.packed(np.asfortranarray(vectors)) == theirs(vectors)

    def test_missing(self) -> None:
        """An object without the vector, or with a single one of that name, has no rows."""
        single = base_pb2.Vectors(name="v", type=base_pb2.Vectors.VECTOR_TYPE_SINGLE_FP32, vector_bytes=b"\0" * 8)
        for message in (reply(), reply(single)):
            record = wire.records(message, vector="v")[0]
            assert record.rows is None
            assert record.uuid == ID
            assert math.isnan(record.distance)
            assert record.properties == {}

    def test_not_asked_for(self) -> None:
        message = reply(base_pb2.Vectors(name="v", type=MULTI, vector_bytes=theirs(np.ones((1, 2), np.float32))))
        assert wire.records(message, vector=None)[0].rows is None

    @pytest.mark.parametrize("data", [b"\x00\x00", b"\x02\x00" + b"\0" * 12, b"\x02\x00" + b"\0" * 7])
    def test_damaged(self, data: bytes) -> None:
        """Cutting such bytes into rows would give numbers that nobody wrote."""
        with pytest.raises(errors.UnexpectedResponse, match="no multi-vector"):
            wire.unpacked(data)

    def test_distance(self) -> None:
        """A distance of zero is one, too."""
        message = reply()
        message.results[0].metadata.distance_present = True
        assert wire.records(message, vector=None)[0].distance == 0

    def test_values(self) -> None:
        value = properties_pb2.Value
        list_value = properties_pb2.ListValue
        message = reply(
            text=value(text_value=""),
            truth=value(bool_value=False),
            whole=value(int_value=-(2**63)),
            number=value(number_value=5e-324),
            date=value(date_value="2024-02-29T18:00:15.123456+05:30"),
            uuid=value(uuid_value=ID),
            null=value(null_value=0),
            nothing=value(),
            place=value(geo_value=properties_pb2.GeoCoordinate(longitude=1, latitude=2)),
            inside=value(object_value=properties_pb2.Properties(fields={"a": value(int_value=1)})),
            wholes=value(list_value=list_value(int_values=properties_pb2.IntValues(values=(7).to_bytes(8, "little")))),
            numbers=value(
                list_value=list_value(number_values=properties_pb2.NumberValues(values=np.array([0.1]).tobytes()))
            ),
            texts=value(list_value=list_value(text_values=properties_pb2.TextValues(values=["a", ""]))),
            none=value(list_value=list_value()),
        )
        assert wire.records(message, vector=None)[0].properties == {
            "text": "",
            "truth": False,
            "whole": -(2**63),
            "number": 5e-324,
            "date": "2024-02-29T18:00:15.123456+05:30",
            "uuid": ID,
            "place": {"longitude": 1, "latitude": 2},
            "inside": {"a": 1},
            "wholes": [7],
            "numbers": [0.1],
            "texts": ["a", ""],
            "none": [],
        }

    def test_numbers_of_replies(self) -> None:
        error = batch_pb2.BatchObjectsReply.BatchError(index=3, error="no")
        assert wire.failures(batch_pb2.BatchObjectsReply(errors=[error])) == {3: "no"}
        assert wire.deleted(batch_delete_pb2.BatchDeleteReply(matches=5, successful=4, failed=1)) == (5, 1)
        single = aggregate_pb2.AggregateReply.Single(objects_count=9)
        assert wire.counted(aggregate_pb2.AggregateReply(single_result=single)) == 9


@pytest.fixture
def other_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As with a client whose messages have other field numbers."""
    monkeypatch.setattr(wire, "_BYTES", b"\x2a")
    wire.fits.cache_clear()
    yield
    wire.fits.cache_clear()


class TestProbe:
    def test_installed_client(self, caplog: pytest.LogCaptureFixture) -> None:
        wire.probe()
        assert wire.fits()
        assert not caplog.records

    def test_other_messages_to_write(self, other_client: None, caplog: pytest.LogCaptureFixture) -> None:
        """A collection must not be filled with wrong vectors: the client writes what it has names for."""
        vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
        objects = [Object(ID, vectors, {"a": ["b"]}), Object(ID, None, {})]
        made = wire.batch("Pages", objects, vector="größe")
        wire.probe()
        assert [record.message for record in caplog.records] == [wire.SLOW]
        assert not wire.fits()
        message = batch_pb2.BatchObjectsRequest.FromString(made)
        assert [(each.name, each.type, each.vector_bytes) for each in message.objects[0].vectors] == [
            ("größe", MULTI, theirs(vectors))
        ]
        assert message.objects[0].properties.text_array_properties[0].values == ["b"]
        assert not message.objects[1].vectors

    def test_doctor_says_so(self, other_client: None) -> None:
        findings = doctor.examine(url.parse("weaviate://localhost:1"), Settings())
        assert (finding := next(findings)).severity is Severity.WARNING
        assert (finding.seen, finding.remedy) == (wire.SLOW, wire.CLIENTS)

    def test_both_ways_write_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """So that what is shown of one, on a server, holds for the other."""
        objects = [Object(ID, np.ones((3, 4), np.float32), {"a": 1.5}), Object(ID, None, {"a": [True]})]
        made = wire.batch("Pages", objects, vector="v")
        monkeypatch.setattr(wire, "fits", lambda: False)
        assert wire.batch("Pages", objects, vector="v") == made

    def test_other_messages_to_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client with other messages is refused at connect, not when vectors come back wrong."""
        monkeypatch.setattr(wire, "_rows", lambda *_: None)
        with pytest.raises(errors.MissingDependency, match="other messages"):
            wire.probe()

    def test_names_that_are_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A client whose messages have no field for a multi-vector is refused too."""
        monkeypatch.setattr(wire, "batch_pb2", object())
        with pytest.raises(errors.MissingDependency, match="other messages"):
            wire.probe()


def test_no_lists_of_floats() -> None:
    """One `tolist()` makes a hundred thousand objects of a page, and the adapter as slow as any other."""
    source = Path(wire.__file__).read_text("utf-8")
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert not names & {"tolist", "item", "extend"}
