"""Approximate search may miss documents; it may not make up scores."""

from __future__ import annotations

from lateint.engine.capabilities import Feature
from lateint.testing.data import ragged
from lateint.testing.lab import Lab
from lateint.testing.suite.base import Suite
from lateint.testing.truth import Truth


class TestSearchApproximate(Suite):
    """`exact=False`: honest about being approximate, right in every score, and good enough to use."""

    requires = frozenset({Feature.APPROXIMATE_SEARCH})

    async def test_says_that_it_is_not_exact(self, lab: Lab) -> None:
        """A caller must be able to tell an approximation from the truth.

        Breaks when: `exact` is set from what was wanted instead of from what was done.
        """
        documents = ragged(50)
        index = await lab.shared(documents)
        assert not (await index.search(documents[0].vectors, 5, exact=False)).exact

    async def test_scores_are_true(self, lab: Lab) -> None:
        """Each hit carries its MaxSim: candidates may be approximate, scores are not.

        Breaks when: the score of the first stage is handed on.
        """
        documents = ragged(200)
        index = await lab.shared(documents)
        for document in documents[:10]:
            result = await index.search(document.vectors, 10, exact=False)
            Truth.of(document.vectors, documents, index).check_scores(result)
            assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)

    async def test_finds_most_of_the_top(self, lab: Lab) -> None:
        """On a few hundred documents at least eight of the true ten are found, on average over 20 queries.

        Breaks when: the first stage looks at another vector than the one that was written.
        """
        documents = ragged(300)
        index = await lab.shared(documents)
        found = 0
        for document in documents[:20]:
            scores = Truth.of(document.vectors, documents, index).scores
            top = sorted(scores, key=lambda name: -scores[name])[:10]
            result = await index.search(document.vectors, 10, exact=False)
            found += len({hit.id for hit in result} & set(top))
        assert found >= 160
