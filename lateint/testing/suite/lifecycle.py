"""Clients: opening, closing, reading only, and what they say of themselves."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.filters import ids
from lateint.spec import IndexSpec
from lateint.testing.data import DIM, query, ragged
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import check_contents


class TestLifecycle(Suite):
    """A client is open, then closed; and it never shows a secret."""

    async def test_closing_twice(self, lab: Lab) -> None:
        """A second `close` does nothing: `with` blocks and explicit closes mix.

        Breaks when: the engine's client raises on a handle that is gone.
        """
        await lab.index(ragged(2))
        await lab.client.close()
        await lab.client.close()

    async def test_backend_closing_twice(self, lab: Lab) -> None:
        """The contract says the same of the backend itself.

        Breaks when: the guard stands in the client only.
        """
        await lab.backend.close()
        await lab.backend.close()

    async def test_verbs_after_closing(self, lab: Lab) -> None:
        """Every verb of a closed client, and of its indexes, says that it is closed.

        Breaks when: a closed client opens its connection again, or fails with the engine's own error.
        """
        index = await lab.index(ragged(2))
        scan = index.scan()
        await lab.client.close()
        for verb in (
            lab.client.list_indexes,
            lab.client.server_info,
            lambda: lab.client.open(index.name),
            lambda: lab.client.create_index(IndexSpec(lab.name(), DIM)),
            lambda: lab.client.drop_index(index.name),
            lambda: index.write(ragged(1)),
            index.count,
            lambda: index.search(query()),
            lambda: index.get(["a"]),
            lambda: index.delete(["a"]),
            lambda: anext(scan),
        ):
            with pytest.raises(errors.ConfigurationError, match="closed"):
                await verb()

    async def test_context_manager(self, lab: Lab) -> None:
        """Leaving the block closes, also by an exception, which comes out as it is.

        Breaks when: leaving swallows the exception.
        """

        async def fails() -> None:
            async with lab.client as client:
                await client.list_indexes()
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await fails()
        with pytest.raises(errors.ConfigurationError, match="closed"):
            await lab.client.list_indexes()

    async def test_read_only(self, lab: Lab) -> None:
        """A read-only client refuses every verb that writes, before anything is sent, and reads as usual.

        Breaks when: one of the writing verbs is forgotten.
        """
        documents = ragged(4)
        index = await lab.index(documents)
        reader = lab.twin(read_only=True)
        opened = await reader.open(index.name)
        new = lab.name()

        def unread() -> object:
            raise AssertionError("a read-only client pulled a document")

        for verb in (
            lambda: reader.create_index(IndexSpec(new, DIM)),
            lambda: reader.drop_index(index.name),
            lambda: opened.write(unread() for _ in range(1)),  # type: ignore[misc]
            lambda: opened.update_payload([documents[0].id], {"x": 1}),
            lambda: opened.delete([documents[0].id]),
            lambda: opened.delete(filter=ids([documents[0].id])),
            lambda: opened.update(metadata={"x": 1}),
        ):
            with pytest.raises(errors.PermissionDenied, match="read_only") as caught:
                await verb()
            assert not caught.value.retryable
        assert new not in await lab.client.list_indexes()
        assert (await lab.client.open(index.name)).spec == index.spec
        await check_contents(opened, documents)
        assert len(await opened.search(query(), 4)) == 4

    async def test_server_info(self, lab: Lab) -> None:
        """It says which engine, which version and where.

        Breaks when: the version is that of the client library, or an unknown.
        """
        info = await lab.client.server_info()
        assert info.engine == lab.backend.name.partition("+")[0]
        assert info.version
        assert info.location == lab.backend.location

    async def test_no_secret_is_shown(self, lab: Lab) -> None:
        """Neither the client nor what it tells shows the key that it was given.

        Breaks when: `repr` shows options or headers.
        """
        index = await lab.index()
        info = await lab.client.server_info()
        shown = f"{lab.client!r} {index!r} {info!r} {lab.backend.location} {index.info!r}"
        assert index.name in repr(index)
        secrets = [str(value) for name, value in lab.target.options.items() if "key" in name]
        assert not any(secret in shown for secret in secrets)

    async def test_timeout_of_a_client(self, lab: Lab) -> None:
        """A client takes seconds above zero and nothing else.

        Breaks when: zero means "no limit" to the engine's client.
        """
        for timeout in (0, -1.0, float("nan")):
            with pytest.raises(errors.ConfigurationError, match="timeout_s"):
                await lab.connect(timeout_s=timeout)

    async def test_two_handles_of_one_index(self, lab: Lab) -> None:
        """What one handle writes, another of the same client sees.

        Breaks when: a handle caches contents or counts.
        """
        index = await lab.index(ragged(2))
        other = await lab.client.open(index.name)
        assert await other.count() == 2
        await index.write(ragged(5))
        await check_contents(other, ragged(5))
        await other.delete([document.id for document in ragged(4)])
        await check_contents(index, ragged(5)[4:])
