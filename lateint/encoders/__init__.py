"""Encoders: text in, multi-vectors out."""

from __future__ import annotations

from lateint.encoders.base import Encoder
from lateint.encoders.hashing import HashingEncoder

__all__ = ["Encoder", "HashingEncoder"]
