"""The neutral ground between late-interaction models and vector databases.

import lateint

with lateint.connect("qdrant+edge:///var/data/pages") as client:
    pages = client.create_index(lateint.IndexSpec("pages", dim=128, fields={"lang": "keyword"}))
    pages.write(lateint.Document(id=name, vectors=matrix, payload={"lang": "en"}) for name, matrix in encoded)
    for hit in pages.search(query_matrix, k=10, filter=lateint.field("lang") == "en"):
        print(hit.id, hit.score)
"""

from __future__ import annotations

import logging

from lateint import errors, scoring
from lateint.aclient import AsyncClient, AsyncIndex, AsyncScan, aconnect
from lateint.client import Client, Index, Scan, connect
from lateint.encoders import check_encoder, encoder
from lateint.engine.capabilities import Capabilities, Feature
from lateint.engine.pipelines import Progress
from lateint.engine.retry import RetryPolicy
from lateint.errors import LateintError
from lateint.filters import field, ids
from lateint.jobs.report import VerificationReport
from lateint.jobs.verify import averify, verify
from lateint.retriever import Retriever
from lateint.spec import DType, FieldType, IndexSpec
from lateint.types import Document, Hit, SearchResult, ServerInfo, Slice, WriteFailure, WriteReport
from lateint.vectors import as_multivector

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncIndex",
    "AsyncScan",
    "Capabilities",
    "Client",
    "DType",
    "Document",
    "Feature",
    "FieldType",
    "Hit",
    "Index",
    "IndexSpec",
    "LateintError",
    "Progress",
    "Retriever",
    "RetryPolicy",
    "Scan",
    "SearchResult",
    "ServerInfo",
    "Slice",
    "VerificationReport",
    "WriteFailure",
    "WriteReport",
    "aconnect",
    "as_multivector",
    "averify",
    "check_encoder",
    "connect",
    "encoder",
    "errors",
    "field",
    "ids",
    "scoring",
    "verify",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
