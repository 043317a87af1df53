"""Creating, describing, listing and dropping indexes."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.spec import DType, IndexSpec
from lateint.testing.data import DIM, one_token, query, ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import FIELDS, fields_for
from lateint.testing.suite.base import Suite, cases
from lateint.testing.truth import check_contents


class TestCreate(Suite):
    """`create_index`: what was asked for is what is there, or an error."""

    async def test_spec_is_kept(self, lab: Lab) -> None:
        """The spec comes back whole: a copy into another engine is made from it.

        Breaks when: only what the engine's own schema can say is kept (metadata, encoder and options are lost).
        """
        spec = IndexSpec(
            lab.name(),
            DIM,
            fields=fields_for(lab.capabilities),
            normalize=False,
            encoder={"model": "ünïcode/encoder", "revision": "abc", "pooling": {"factor": 2}},
            engine_options={"another-engine": {"shards": 3}},
            metadata={"owner": "日本", "numbers": [1, 2.5, None, True]},
        )
        created = await lab.client.create_index(spec)
        opened = await lab.client.open(spec.name)
        assert created.spec == spec
        assert opened.spec == spec
        assert opened.name == spec.name
        assert opened.info.managed

    async def test_capabilities_of_a_new_index_are_those_declared(self, lab: Lab) -> None:
        """`client.capabilities()` is read to plan an index before it exists; the index then says the same, always.

        Breaks when: the adapter describes its best engine, and the index that it creates can do less.
        """
        index = await lab.index()
        assert index.capabilities.features == lab.capabilities.features
        assert (await lab.client.open(index.name)).capabilities == index.capabilities

    async def test_new_index_is_empty(self, lab: Lab) -> None:
        """A new index holds nothing and answers.

        Breaks when: an engine needs a first document before it can be searched or scanned.
        """
        index = await lab.index()
        assert await index.count() == 0
        assert len(await index.search(query())) == 0
        assert [document async for document in index.scan()] == []
        assert await index.get(["nobody"]) == []

    async def test_existing_name_is_refused(self, lab: Lab) -> None:
        """A second `create_index` neither replaces nor empties the first index, nor passes in silence.

        Breaks when: the engine's "create or replace", or its "create if missing", is used.
        """
        documents = ragged(3)
        index = await lab.index(documents)
        with pytest.raises(errors.IndexExists) as caught:
            await lab.client.create_index(index.spec.replace(dim=DIM + 1))
        assert caught.value.index == index.name
        assert caught.value.backend == lab.backend.name
        assert not caught.value.retryable
        await check_contents(await lab.client.open(index.name), documents)

    async def test_names_that_differ_in_case_or_punctuation(self, lab: Lab) -> None:
        """Names that engines like to fold stay apart.

        Breaks when: the engine capitalises names, or takes `-` and `_` for one.
        """
        base = lab.name()
        names = [f"{base}-a", f"{base}-A", f"{base}_a"]
        for number, name in enumerate(names):
            index = await lab.client.create_index(IndexSpec(name, DIM))
            await index.write(one_token()[: number + 1])
        assert set(names) <= set(await lab.client.list_indexes())
        assert [await (await lab.client.open(name)).count() for name in names] == [1, 2, 3]

    async def test_longest_name(self, lab: Lab) -> None:
        """A name of 64 characters works, since the spec allows it.

        Breaks when: the adapter adds a prefix and the engine cuts or refuses the result.
        """
        name = lab.name().ljust(64, "x")
        index = await lab.client.create_index(IndexSpec(name, DIM))
        await index.write(one_token()[:1])
        assert name in await lab.client.list_indexes()
        assert await (await lab.client.open(name)).count() == 1

    @cases("dtype", {dtype.value: dtype for dtype in DType})
    async def test_dtype_is_kept_or_refused(self, lab: Lab, dtype: DType) -> None:
        """A declared storage format holds exactly what rounding to it gives; another is refused.

        Breaks when: the format is ignored, rounding truncates, or rows are normalised or rounded twice.
        """
        spec = IndexSpec(lab.name(), DIM, dtype=dtype)
        if dtype not in lab.capabilities.dtypes:
            with pytest.raises(errors.UnsupportedFeature, match=dtype.value):
                await lab.client.create_index(spec)
            assert spec.name not in await lab.client.list_indexes()
            return
        documents = [*ragged(12), *one_token()]
        index = await lab.client.create_index(spec)
        await index.write(documents)
        assert index.spec.dtype is dtype
        await check_contents(index, documents)

    async def test_field_types_are_taken_or_refused(self, lab: Lab) -> None:
        """Fields of all declared types can be had; those of others are refused before anything is created.

        Breaks when: an unknown type falls back to the engine's nearest one.
        """
        fields = fields_for(lab.capabilities)
        created = await lab.client.create_index(IndexSpec(lab.name(), DIM, fields=fields))
        assert (await lab.client.open(created.name)).spec.fields == created.spec.fields == fields
        for name, kind in FIELDS.items() - fields.items():
            spec = IndexSpec(lab.name(), DIM, fields={name: kind})
            with pytest.raises(errors.UnsupportedFeature, match=name):
                await lab.client.create_index(spec)
            assert spec.name not in await lab.client.list_indexes()


class TestOpenListDrop(Suite):
    """`open`, `list_indexes`, `drop_index`."""

    async def test_opening_what_is_not_there(self, lab: Lab) -> None:
        """A missing index is `IndexNotFound`, never created on the way.

        Breaks when: the engine answers "not found" with a generic error, or opening creates.
        """
        await lab.index()
        name = lab.name()
        with pytest.raises(errors.IndexNotFound, match=name) as caught:
            await lab.client.open(name)
        assert caught.value.index == name
        assert not caught.value.retryable
        assert name not in await lab.client.list_indexes()

    async def test_opening_with_a_vector_that_is_not_there(self, lab: Lab) -> None:
        """Asking for a multi-vector by a wrong name is an error, not the one that happens to be there.

        Breaks when: `vector` is ignored on indexes that have only one.
        """
        index = await lab.index()
        with pytest.raises(errors.SchemaMismatch):
            await lab.client.open(index.name, vector="no-such-vector")

    async def test_list_is_sorted_and_complete(self, lab: Lab) -> None:
        """Names come sorted, each once, also those made by another client object.

        Breaks when: the list is what this client created, or is one page of the engine's.
        """
        made = [(await lab.index()).name for _ in range(12)]
        listed = await lab.client.list_indexes()
        assert listed == sorted(set(listed))
        assert set(made) <= set(listed)
        assert await lab.twin().list_indexes() == listed

    async def test_drop_deletes_one_index_and_no_other(self, lab: Lab) -> None:
        """A dropped index is gone, its neighbour is whole.

        Breaks when: names are matched by prefix, or an alias is dropped and its data stay.
        """
        documents = ragged(4)
        kept, dropped = await lab.index(documents), await lab.index(documents)
        await lab.client.drop_index(dropped.name)
        assert dropped.name not in await lab.client.list_indexes()
        with pytest.raises(errors.IndexNotFound):
            await lab.client.open(dropped.name)
        await check_contents(kept, documents)

    async def test_dropping_what_is_not_there(self, lab: Lab) -> None:
        """Dropping a missing index is an error: a misspelt name must not look like success.

        Breaks when: the engine's delete is idempotent and nobody looks.
        """
        with pytest.raises(errors.IndexNotFound):
            await lab.client.drop_index(lab.name())

    async def test_names_that_are_paths(self, lab: Lab) -> None:
        """A name that no index can have opens and drops nothing, wherever it would lead.

        Breaks when: names are joined to a folder or to a URL.
        """
        documents = ragged(2)
        index = await lab.index(documents)
        for name in ("..", f"../{index.name}", f"{index.name}/", f"./{index.name}", f"{index.name}?x=1", "*"):
            with pytest.raises((errors.IndexNotFound, errors.InvalidInput)):
                await lab.client.open(name)
            with pytest.raises((errors.IndexNotFound, errors.InvalidInput)):
                await lab.client.drop_index(name)
        await check_contents(index, documents)

    async def test_created_again_under_the_same_name(self, lab: Lab) -> None:
        """An index made under the name of a dropped one is empty and has its own shape.

        Breaks when: the engine drops in the background, or the adapter keeps a cached schema.
        """
        index = await lab.index(ragged(5))
        await lab.client.drop_index(index.name)
        again = await lab.client.create_index(IndexSpec(index.name, 3, fields={}))
        assert await again.count() == 0
        documents = ragged(2, 3)
        await again.write(documents)
        await check_contents(again, documents)

    async def test_verbs_on_a_dropped_index(self, lab: Lab) -> None:
        """A handle whose index was dropped says so: a write must not bring the index back.

        Breaks when: the engine creates on write, or answers zero hits for an index that is not there.
        """
        index = await lab.index(ragged(2))
        await lab.client.drop_index(index.name)
        for verb in (
            lambda: index.write(ragged(1)),
            index.count,
            lambda: index.search(query()),
            lambda: index.get(["ragged-0000"]),
            lambda: index.delete(["ragged-0000"]),
        ):
            with pytest.raises(errors.IndexNotFound):
                await verb()
        assert index.name not in await lab.client.list_indexes()
