"""Find out whether an encoder can be trusted, by what it gives and without knowing how it works."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from lateint import errors
from lateint.encoders.base import MADE_WITH, Encoder, Padding, Rows, Tracing
from lateint.vectors import STORED_SLACK, row_norms

Encode: TypeAlias = Callable[[Sequence[Any]], Sequence[Rows]]

SLACK = {"float32": 2.0**-10, "float16": 2.0**-5, "bfloat16": 2.0**-3}
"""How far batching may move a row of length 1, by what the model computes in. Rounding adds up over the layers, to well
below this; a row that attends to padding moves by several tenths."""

QUERIES = (
    "which token matches best",
    "index",
    "What, if anything, does a document cost, and who pays for it when nobody reads it?",
    "x",
)
DOCUMENTS = (
    "Late interaction keeps one vector per token of a text, and compares them only when a query comes.",
    "pigeons",
    "naïve café; 東京 🙂 (3.14) …and so on",
    "A query is short. " * 6,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        name: of the check.
        status: `ok`, `failed`, or `skipped` where it does not apply.
        detail: what was seen.
    """

    name: str
    status: Literal["ok", "failed", "skipped"]
    detail: str


@dataclass(frozen=True, slots=True)
class EncoderReport:
    """What `check_encoder` found.

    Attributes:
        findings: one for each check.
    """

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.failed

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What is wrong."""
        return tuple(finding for finding in self.findings if finding.status == "failed")

    def raise_if_failed(self) -> None:
        """Raise if anything is wrong.

        Raises:
            VerificationFailed: names what.
        """
        if self.failed:
            told = "; ".join(f"{finding.name}: {finding.detail}" for finding in self.failed)
            raise errors.VerificationFailed(f"the encoder is not to be trusted. {told}.")


def check_encoder(
    encoder: Encoder, *, queries: Sequence[str] | None = None, documents: Sequence[Any] | None = None
) -> EncoderReport:
    """Try out whether an encoder gives what MaxSim needs.

    Rows must be finite, of length 1 and no padding; the same text must give the same rows alone, beside others and
    again; queries must fit the length that is promised and not be encoded as documents are. What it cannot find: an
    error that is the same in every batch, such as wrong positions. An encoder that raises has failed what was being
    checked, and what follows from it.

    Args:
        encoder: what to try.
        queries: at least two texts of different lengths; a few of our own if left out.
        documents: likewise; texts or images of our own if left out.

    Raises:
        InvalidInput: fewer than two queries or documents.
    """
    texts = list(queries if queries is not None else QUERIES)
    items = list(documents if documents is not None else _samples(encoder))
    if min(len(texts), len(items)) < 2:
        raise errors.InvalidInput("an encoder is checked with two queries and two documents at least.")
    sides: tuple[tuple[str, Encode, list[Any]], ...] = (
        ("queries", encoder.encode_queries, texts),
        ("documents", encoder.encode_documents, items),
    )
    findings: list[Finding] = []
    for noun, encode, given in sides:
        findings += _tried(f"{noun}: encoded", _side(encoder, noun, encode, given))
    findings += _tried("queries: as long as promised", _limit(encoder, texts))
    findings += _tried("origins: one for each row", _origins(encoder, texts, items))
    findings += _tried("queries are not encoded as documents", _asymmetry(encoder, texts))
    return EncoderReport(tuple(findings))


def _tried(name: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Findings, and one of that name more where the encoder raises instead of giving rows."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - an encoder is anybody's code
        yield Finding(name, "failed", f"{type(error).__name__}: {error}")


def _side(encoder: Encoder, noun: str, encode: Encode, given: list[Any]) -> Iterator[Finding]:
    together = list(encode(given))
    shape = _shape(together, encoder.dim, len(given))
    yield _finding(f"{noun}: shape", shape)
    if shape:
        return  # nothing else can be compared
    alone = [encode([item])[0] for item in given]
    slack = _slack(encoder, together)
    yield _finding(f"{noun}: finite", _finite(together + alone))
    yield _finding(f"{noun}: no padding", _padding(together, alone))
    yield _finding(f"{noun}: length 1", _unit(together + alone))
    yield _finding(f"{noun}: alone as in a batch", _apart(together, alone, slack))
    yield _finding(f"{noun}: in any order", _apart(together, list(encode(given[::-1]))[::-1], slack))
    yield _finding(f"{noun}: again the same", _apart(together, list(encode(given)), slack))
    yield _sides(encoder, noun, encode, given, together=together, slack=slack)


def _samples(encoder: Encoder) -> Sequence[Any]:
    if encoder.document_kind == "text":
        return DOCUMENTS
    from lateint.encoders.images import sample_images  # noqa: PLC0415 - an extra

    return sample_images()


def _finding(name: str, wrong: str) -> Finding:
    return Finding(name, "failed" if wrong else "ok", wrong)


def _shape(arrays: list[Rows], dim: int, count: int) -> str:
    if len(arrays) != count:
        return f"{len(arrays)} arrays for {count} items"
    for at, rows in enumerate(arrays):
        if not isinstance(rows, np.ndarray) or rows.dtype not in (np.float32, np.float16):
            return f"item {at} is {getattr(rows, 'dtype', type(rows).__name__)}, not an array of float32 or float16"
        if rows.ndim != 2 or rows.shape[1] != dim or not len(rows):
            return f"item {at} has shape {rows.shape}, not (1 or more, {dim})"
    return ""


def _slack(encoder: Encoder, arrays: list[Rows]) -> float:
    precision = dict(encoder.fingerprint).get(MADE_WITH, {}).get("precision", str(arrays[0].dtype))
    return SLACK.get(precision, SLACK["float32"])


def _finite(arrays: list[Rows]) -> str:
    bad = sum(int((~np.isfinite(rows).all(axis=1)).sum()) for rows in arrays)
    return f"{bad} rows hold NaN or infinity" if bad else ""


def _unit(arrays: list[Rows]) -> str:
    norms = np.concatenate([row_norms(rows.astype(np.float32)) for rows in arrays])
    norms = norms[np.isfinite(norms) & (norms > 0)]  # told elsewhere
    off = norms[np.abs(norms - 1) > STORED_SLACK]
    return f"{len(off)} rows have another length, from {off.min():.3g} to {off.max():.3g}" if len(off) else ""


def _padding(together: list[Rows], alone: list[Rows]) -> str:
    zeros = sum(int((~rows.any(axis=1)).sum()) for rows in together + alone)
    if zeros:
        return f"{zeros} rows are zero"
    counts = [(len(first), len(second)) for first, second in zip(together, alone, strict=True)]
    different = [f"{first} rows in a batch and {second} alone" for first, second in counts if first != second]
    return f"the same item has {different[0]}" if different else ""


def _apart(some: list[Rows], others: list[Rows], slack: float) -> str:
    """How far rows of the same item are from each other at worst, where that is too far."""
    worst = 0.0
    for first, second in zip(some, others, strict=True):
        if first.shape != second.shape:
            return f"{len(first)} rows against {len(second)}"
        distance = np.linalg.norm(first.astype(np.float64) - second.astype(np.float64), axis=1)
        worst = max(worst, float(np.nan_to_num(distance, nan=2.0).max()))
    return f"a row moves by {worst:.2g}" if worst > slack else ""


def _sides(
    encoder: Encoder, noun: str, encode: Encode, given: list[Any], *, together: list[Rows], slack: float
) -> Finding:
    name = f"{noun}: padded on either side"
    if not isinstance(encoder, Padding):
        return Finding(name, "skipped", "the encoder pads on one side only")
    wrong = []
    for side in ("left", "right"):
        with encoder.padding(side):
            wrong += [f"{side}: {moved}" for moved in [_apart(together, list(encode(given)), slack)] if moved]
    return _finding(name, "; ".join(wrong))


def _limit(encoder: Encoder, texts: list[str]) -> Iterator[Finding]:
    name, limit = "queries: as long as promised", encoder.max_query_tokens
    if limit is None:
        yield Finding(name, "skipped", "no limit is promised")
        return
    longest = max(len(rows) for rows in encoder.encode_queries([*texts, *(f"{text} " * 3 for text in texts)]))
    yield _finding(name, f"a query has {longest} rows, and {limit} is the limit" if longest > limit else "")


def _origins(encoder: Encoder, texts: list[str], items: list[Any]) -> Iterator[Finding]:
    name = "origins: one for each row"
    if not isinstance(encoder, Tracing):
        yield Finding(name, "skipped", "the encoder does not tell them")
        return
    yield _finding(name, "; ".join(_untold(encoder, texts, items)))


def _untold(encoder: Any, texts: list[str], items: list[Any]) -> Iterator[str]:  # noqa: ANN401 - both protocols at once
    for noun, traced, plain in (
        ("query", encoder.trace_queries(texts), encoder.encode_queries(texts)),
        ("document", encoder.trace_documents(items), encoder.encode_documents(items)),
    ):
        if len(traced) != len(plain):
            yield f"{len(traced)} encodings of {len(plain)} {noun} items"
        for at, (told, rows) in enumerate(zip(traced, plain, strict=False)):
            if len(told.origins) != len(rows):
                yield f"{noun} {at} has {len(rows)} rows and {len(told.origins)} origins"


def _asymmetry(encoder: Encoder, texts: list[str]) -> Iterator[Finding]:
    name = "queries are not encoded as documents"
    if encoder.document_kind != "text":
        yield Finding(name, "skipped", "documents are images")
        return
    try:
        documents = encoder.encode_documents(texts)
    except errors.InvalidInput as error:  # one that looks up what was encoded before
        yield Finding(name, "skipped", f"the encoder takes no query for a document: {error}")
        return
    pairs = zip(encoder.encode_queries(texts), documents, strict=True)
    same = all(query.shape == document.shape and np.allclose(query, document, atol=1e-6) for query, document in pairs)
    yield _finding(name, "they give the same rows: is a prompt or marker missing?" if same else "")
