"""Vespa: an application of schemas, deployed to its config server and used through its HTTP interfaces.

Importing this package imports no client.
"""

from __future__ import annotations

from lateint.engine.registry import Plugin, Variant

__all__ = ["plugin"]

_OPTIONS = ("config_port", "cluster", "insecure")

plugin = Plugin(
    scheme="vespa",
    variants={
        "": Variant(
            summary="a Vespa application",
            example="vespa://localhost:8080",
            connect="lateint_vespa.sync:connect",
            options=_OPTIONS,
            api_key=True,
            declares="lateint_vespa.schema:CAPABILITIES",
            doctor="lateint_vespa.doctor:examine",
            package="lateint_vespa.package:packaged",
        ),
        "https": Variant(
            summary="a Vespa application behind TLS",
            example="vespa+https://vespa.example.com",
            connect="lateint_vespa.sync:connect",
            options=_OPTIONS,
            api_key=True,
            declares="lateint_vespa.schema:CAPABILITIES",
            doctor="lateint_vespa.doctor:examine",
            package="lateint_vespa.package:packaged",
        ),
    },
    clients={"vespa.application.Vespa": "lateint_vespa.sync:borrow"},
    aclients={"vespa.application.Vespa": "lateint_vespa.aio:borrow"},
)
