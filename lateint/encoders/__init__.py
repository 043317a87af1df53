"""Encoders: text or page images in, multi-vectors out. What needs torch is imported when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lateint.encoders.adapters import AdaptedEncoder, from_arrays, from_colpali_engine, from_fastembed, from_pylate
from lateint.encoders.base import DocumentKind, Encoder, Encoding, Origin, Padding, Patch, Rows, Score, Token, Tracing
from lateint.encoders.check import EncoderReport, Finding, check_encoder
from lateint.encoders.hashing import HashingEncoder
from lateint.encoders.names import encoder

if TYPE_CHECKING:
    from lateint.encoders.sentence_transformers import SentenceTransformersEncoder
    from lateint.encoders.vision import VisionEncoder

__all__ = [
    "AdaptedEncoder",
    "DocumentKind",
    "Encoder",
    "EncoderReport",
    "Encoding",
    "Finding",
    "HashingEncoder",
    "Origin",
    "Padding",
    "Patch",
    "Rows",
    "Score",
    "SentenceTransformersEncoder",
    "Token",
    "Tracing",
    "VisionEncoder",
    "check_encoder",
    "encoder",
    "from_arrays",
    "from_colpali_engine",
    "from_fastembed",
    "from_pylate",
]


def __getattr__(name: str) -> object:
    if name == "SentenceTransformersEncoder":
        from lateint.encoders.sentence_transformers import SentenceTransformersEncoder  # noqa: PLC0415 - not before use

        return SentenceTransformersEncoder
    if name == "VisionEncoder":
        from lateint.encoders.vision import VisionEncoder  # noqa: PLC0415 - not before use

        return VisionEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
