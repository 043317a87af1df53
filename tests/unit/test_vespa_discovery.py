"""Tests find a Vespa server where they are told to, and say what they tried if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.discovery import ServerNotFound
from tests.servers.vespa import build
from tests.servers.vespa.discovery import given, own_vespa, vespa


@pytest.mark.parametrize(
    ("url", "http_url", "config_url"),
    [
        ("vespa://db:1234?config_port=5678", "http://db:1234", "http://db:5678"),
        ("vespa+https://db", "https://db:8080", "http://db:19071"),
        ("http://db:81", "http://db:81", "http://db:19071"),
    ],
)
def test_a_url_names_both_ports(url: str, http_url: str, config_url: str) -> None:
    server = given(url)
    assert (server.kind, server.http_url, server.config_url) == ("given", http_url, config_url)
    assert given(server.url) == server


def test_what_was_tried_is_told(tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path), "LATEINT_TEST_VESPA_KIND": "built"}
    with (
        pytest.raises(ServerNotFound, match="container: not wanted; built: Java is not installed"),
        vespa(tmp_path, nothing),
    ):
        pass
    with pytest.raises(ServerNotFound, match="Java is not installed"):
        own_vespa(nothing)


@pytest.mark.parametrize(
    ("said", "reason"),
    [('openjdk version "11.0.2"', "Java 17 or newer"), ('openjdk version "21"', "Maven is not installed")],
)
def test_what_is_missing_is_told(tmp_path: Path, said: str, reason: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    assert reason in build.why_not({"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
