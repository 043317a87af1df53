"""Capabilities are true: what is declared missing is refused and does not work, what is declared there is tested."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.engine.capabilities import Feature
from lateint.testing.data import ragged
from lateint.testing.lab import Lab
from lateint.testing.payloads import fields_for, filterable
from lateint.testing.probes import PROBES, Subject
from lateint.testing.suite.base import Suite, cases


class TestDeclaredMissing(Suite):
    """A declared "no" raises `UnsupportedFeature`, and is a true "no"."""

    @cases("feature", {feature.name.lower(): feature for feature in PROBES})
    async def test_is_refused_and_does_not_work(self, lab: Lab, feature: Feature) -> None:
        """Refused through the client; tried on the backend itself, it fails or answers wrongly.

        Breaks when: a feature is denied out of caution, or was added and the record was forgotten.
        """
        if feature in lab.capabilities.features:
            pytest.skip("declared: can; the tests that require it prove it")
        fields = fields_for(lab.capabilities)
        documents = filterable(fields)
        subject = Subject(await lab.index(documents, fields=fields), lab.backend, documents)
        with pytest.raises(errors.UnsupportedFeature) as caught:
            await PROBES[feature].refused(subject)
        assert caught.value.backend == lab.backend.name
        assert caught.value.feature in {other.value for other in set(Feature) - lab.capabilities.features}
        try:
            works = await PROBES[feature].works(subject)
        except Exception:  # noqa: BLE001 - however it fails, it does not work
            works = False
        assert not works, f"denied but works: {feature.value}"

    async def test_not_persistent(self, lab: Lab) -> None:
        """Where data are said to die with the client, they do.

        Breaks when: an engine keeps them after all, and tests of one run meet those of another.
        """
        if Feature.PERSISTENT in lab.capabilities.features:
            pytest.skip("declared: can; the tests that require it prove it")
        index = await lab.index(ragged(2))
        await lab.reconnect()
        works = index.name in await lab.client.list_indexes()
        assert not works, f"denied but works: {Feature.PERSISTENT.value}"


class TestCapabilities(Suite):
    """The record fits together, and numbers mean what they say."""

    async def test_some_kind_of_search(self, lab: Lab) -> None:
        """An engine searches exactly, approximately, or both.

        Breaks when: features are listed by hand and one is forgotten.
        """
        assert {Feature.EXACT_SEARCH, Feature.APPROXIMATE_SEARCH} & lab.capabilities.features

    async def test_fields_are_added_by_updating_payload(self, lab: Lab) -> None:
        """Declaring a field later projects every payload again, which takes updates without vectors.

        Breaks when: `ADD_FIELD` is declared alone.
        """
        features = lab.capabilities.features
        assert Feature.ADD_FIELD not in features or Feature.UPDATE_PAYLOAD in features

    async def test_numbers_are_possible(self, lab: Lab) -> None:
        """Limits are above zero and leave room for one document.

        Breaks when: a limit is given in another unit (bytes for values, megabytes for bytes).
        """
        capabilities = lab.capabilities
        assert capabilities.dtypes
        assert capabilities.max_dim >= 1
        assert capabilities.max_k >= 1
        assert capabilities.max_in_flight >= 1
        assert capabilities.max_batch_bytes >= 2**16
        assert capabilities.max_values is None or capabilities.max_values >= capabilities.max_dim
        assert capabilities.max_exact_integer is None or 1 <= capabilities.max_exact_integer <= 2**63
