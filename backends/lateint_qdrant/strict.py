"""What a collection in strict mode can do less than others. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lateint.engine.backend import IndexInfo
from lateint.engine.capabilities import Feature
from lateint_qdrant.access import access_to


def limited(info: IndexInfo, strict: Any, *, indexed: frozenset[str], graph: bool) -> IndexInfo:  # noqa: ANN401
    """The index under the limits of its collection.

    Args:
        info: it without them.
        strict: the limits, in the model of the client.
        indexed: payload keys that have an index.
        graph: the multi-vector has one.
    """
    old, able = access_to(info), info.capabilities
    forbidden: set[Feature] = set()
    warnings = info.warnings
    if strict.search_allow_exact is False:
        forbidden.add(Feature.EXACT_SEARCH)
        if not graph:  # refused then, exact or not
            forbidden.add(Feature.APPROXIMATE_SEARCH)
            warnings = (*warnings, _UNSEARCHABLE)
    changed = replace(
        old,
        filterable=indexed if strict.unindexed_filtering_retrieve is False else None,
        deletable=indexed if strict.unindexed_filtering_update is False else None,
        max_points=strict.upsert_max_batchsize,
        max_queries=getattr(strict, "search_max_batchsize", None),  # clients before 1.18 do not know it
        max_timeout_s=strict.max_timeout,
    )
    rows = _max_rows(strict, old.vector)
    limits = [limit for limit in (able.max_values, None if rows is None else rows * info.spec.dim) if limit is not None]
    return replace(
        info,
        capabilities=replace(
            able,
            features=able.features - forbidden,
            max_k=min(able.max_k, strict.max_query_limit or able.max_k),
            max_values=min(limits, default=None),
        ),
        warnings=warnings,
        native={**info.native, "access": changed},
    )


_UNSEARCHABLE = (
    "Nothing can be searched: the strict mode of the collection forbids exact searches, and there is no graph for "
    "others. Its owner can allow them (search_allow_exact)."
)


def _max_rows(strict: Any, vector: str) -> int | None:  # noqa: ANN401
    """Most rows of a multi-vector."""
    limit = (strict.multivector_config or {}).get(vector)
    return None if limit is None else limit.max_vectors
