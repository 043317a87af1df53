"""Exact MaxSim in NumPy: the reference that every engine is compared with, and how far one may be from it.

Pure functions of arrays: no I/O, no global state.
"""

from __future__ import annotations

from lateint.scoring.corpus import Corpus
from lateint.scoring.ranking import Disagreement, Fault, first_disagreement, tie_groups, top_k
from lateint.scoring.reference import maxsim, score_corpus
from lateint.scoring.rounding import (
    from_bfloat16_bits,
    mirrored,
    pack_bits,
    to_bfloat16_bits,
    unit_roundoff,
    unpack_bits,
    widen_float16,
)
from lateint.scoring.tolerance import tolerance

__all__ = [
    "Corpus",
    "Disagreement",
    "Fault",
    "first_disagreement",
    "from_bfloat16_bits",
    "maxsim",
    "mirrored",
    "pack_bits",
    "score_corpus",
    "tie_groups",
    "to_bfloat16_bits",
    "tolerance",
    "top_k",
    "unit_roundoff",
    "unpack_bits",
    "widen_float16",
]
