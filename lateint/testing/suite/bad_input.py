"""What is wrong is refused with a message to act on, before anything is sent; and the index is as good as before."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.aclient import AsyncIndex
from lateint.spec import DType, FieldType, IndexSpec
from lateint.testing import bad_documents, bad_requests
from lateint.testing.bad_documents import DIM, Bad
from lateint.testing.bad_requests import BadRequest, BadSpec
from lateint.testing.data import ragged
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite, cases
from lateint.testing.truth import Truth, check_contents
from lateint.types import Document

KEPT = [Document(f"kept-{number}", document.vectors) for number, document in enumerate(ragged(3, DIM))]


class TestBadInput(Suite):
    """Every kind of mistake, on both colours: the right class, the place in the message, nothing sent."""

    @cases("bad", bad_documents.ALL)
    async def test_document(self, lab: Lab, bad: Bad) -> None:
        """A bad document, alone and behind a good one: neither is sent.

        Breaks when: checking is left to the engine, which stores NaN, reads a flat list as one row, or ignores a field.
        """
        lab.skip_unless(bad.spec.get("dtype", DType.FLOAT32) in lab.capabilities.dtypes, "store this format")
        declared = {FieldType(kind) for kind in bad.spec.get("fields", {}).values()}
        lab.skip_unless(declared <= lab.capabilities.field_types, "filter fields of this type")
        index = await lab.shared(KEPT, dim=DIM, **bad.spec)
        for before in ([], [Document("good", bad_documents.ROWS)]):
            with pytest.raises(errors.InvalidInput) as caught:
                await index.write([*before, bad.item()])
            self._check(caught.value, bad.error, bad.words)
            assert caught.value.report is not None
            assert caught.value.report.written == 0
        await self._is_unharmed(index)

    async def test_document_too_large(self, lab: Lab) -> None:
        """A document, or query, beyond the declared size is refused by its name.

        Breaks when: it is truncated, or the engine closes the connection.
        """
        limit = lab.capabilities.max_values
        lab.skip_unless(limit is not None and limit <= 2**20, "say a limit that is worth reaching")
        assert limit is not None
        index = await lab.shared(KEPT, dim=DIM)
        vectors = [[1.0] * DIM] * (limit // DIM + 1)
        with pytest.raises(errors.DocumentTooLarge) as caught:
            await index.write([Document("bad-one", vectors)])
        self._check(caught.value, errors.DocumentTooLarge, ("bad-one", str(limit)))
        with pytest.raises(errors.DocumentTooLarge, match=str(limit)):
            await index.search(vectors)
        await self._is_unharmed(index)

    @cases("bad", bad_requests.REQUESTS)
    async def test_request(self, lab: Lab, bad: BadRequest) -> None:
        """A bad query, number, filter, cursor, list of ids or change.

        Breaks when: a value is coerced (`True` to 1, text to a list of letters), or the engine's message comes through.
        """
        if bad.requires is not None:
            lab.skip_unless(bad.requires in lab.capabilities.features, bad.requires.value)
        kinds = set(map(FieldType, bad_documents.FIELDS.values()))
        lab.skip_unless(kinds <= lab.capabilities.field_types, "filter fields of every type")
        index = await lab.shared(KEPT, dim=DIM, fields=bad_documents.FIELDS)
        with pytest.raises(bad.error) as caught:
            await bad.call(index)
        self._check(caught.value, bad.error, bad.words)
        await self._is_unharmed(index)

    @cases("bad", bad_requests.SPECS)
    async def test_spec(self, lab: Lab, bad: BadSpec) -> None:
        """A spec that no engine can hold is refused when it is made; nothing is created.

        Breaks when: each engine has rules of its own for names, and a copy fails half-way.
        """
        before = await lab.client.list_indexes()
        with pytest.raises(errors.InvalidInput) as caught:
            await lab.client.create_index(bad.make())
        self._check(caught.value, errors.InvalidInput, bad.words)
        assert await lab.client.list_indexes() == before

    async def test_engine_option(self, lab: Lab) -> None:
        """An option that this engine does not know is refused; those of another engine are not its business.

        Breaks when: unknown options are dropped in silence, and a misspelt one is never noticed.
        """
        engine = lab.backend.name.partition("+")[0]
        spec = IndexSpec(lab.name(), DIM, engine_options={engine: {"no-such-option": 1}, "another": {"x": 1}})
        with pytest.raises(errors.InvalidInput, match="no-such-option"):
            await lab.client.create_index(spec)
        assert spec.name not in await lab.client.list_indexes()

    async def test_name_of_an_index(self, lab: Lab) -> None:
        """Opening without a name, or by a thing that is none, is refused.

        Breaks when: an empty name addresses the list of all indexes.
        """
        for name in ("", None, 7):
            with pytest.raises(errors.InvalidInput, match="index name"):
                await lab.client.open(name)  # type: ignore[arg-type]

    async def test_fields_of_an_index_that_knows_its_own(self, lab: Lab) -> None:
        """`open(fields=…)` cannot declare fields on an index that lateint made.

        Breaks when: filters on them go out and find nothing, since nothing was written for them.
        """
        index = await lab.shared(KEPT, dim=DIM, fields={"number": FieldType.INTEGER})
        with pytest.raises(errors.InvalidInput, match="other"):
            await lab.client.open(index.name, fields={"other": "keyword"})
        with pytest.raises(errors.InvalidInput, match="number"):
            await lab.client.open(index.name, fields={"number": "keyword"})
        assert (await lab.client.open(index.name, fields={"number": "integer"})).spec == index.spec

    @staticmethod
    def _check(error: errors.LateintError, kind: type[errors.LateintError], words: tuple[str, ...]) -> None:
        assert type(error) is kind
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"the message says nothing of {missing}: {error}"

    @staticmethod
    async def _is_unharmed(index: AsyncIndex) -> None:
        await check_contents(index, KEPT)
        result = await index.search(KEPT[0].vectors, 5)
        truth = Truth.of(KEPT[0].vectors, KEPT, index)
        truth.check_top(result, 5) if result.exact else truth.check_scores(result)
