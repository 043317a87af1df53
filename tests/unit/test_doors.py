"""Why a port does not answer, told from what bare sockets and the environment say."""

from __future__ import annotations

import pytest

from lateint import errors
from lateint.engine import doors, ports
from lateint.engine.doors import Door
from lateint.engine.ports import Speech

TIMEOUT = errors.Timeout("doctor on db: too slow.", backend="db", operation="doctor")
CUT = errors.ConnectionFailed("doctor on db: cut off.", backend="db", operation="doctor")
UNTRUSTED = errors.ConnectionFailed("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate")


def door(speech: Speech = Speech.HTTP, *, tls: bool = False) -> Door:
    return Door(
        product="Db",
        scheme="db",
        host="192.0.2.1",
        port=7,
        speech=speech,
        tls=tls,
        within_s=5,
        open_it="Open it.",
    )


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "getproxies", dict)


@pytest.mark.parametrize(
    ("at", "heard", "error", "seen", "remedy"),
    [
        (door(), Speech.CLOSED, CUT, "is closed", "Open it."),
        (door(), Speech.UNREACHABLE, TIMEOUT, "cannot be reached", "firewalls"),
        (door(), Speech.TLS, CUT, "speaks TLS", "db+https://"),
        (door(tls=True), Speech.HTTP, CUT, "does not speak TLS", "db://"),
        (door(), Speech.HTTP2, CUT, "speaks HTTP/2, not HTTP/1", "swapped"),
        (door(Speech.HTTP2), Speech.HTTP, CUT, "speaks HTTP/1, not HTTP/2", "swapped"),
        (door(), Speech.SILENT, CUT, "does not answer within 5 s", "Db"),
        (door(), Speech.HTTP, TIMEOUT, "does not answer within 5 s", "Db"),
        (door(tls=True), Speech.TLS, UNTRUSTED, "not trusted: self-signed", " SSL_CERT_FILE"),
        (door(Speech.HTTP2, tls=True), Speech.TLS, UNTRUSTED, "not trusted", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"),
        (door(), Speech.OTHER, CUT, "cut off", "Db"),
    ],
)
def test_why(
    monkeypatch: pytest.MonkeyPatch, at: Door, heard: Speech, error: errors.LateintError, seen: str, remedy: str
) -> None:
    monkeypatch.setattr(ports, "spoken", lambda *_, **__: heard)
    found = doors.explained(at, error)
    assert seen in found[0]
    assert remedy in found[1]


def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked was then another host than the one in the URL; its password is not shown."""
    monkeypatch.setattr(ports, "spoken", lambda *_, **__: Speech.CLOSED)
    monkeypatch.setattr(doors, "getproxies", lambda: {"http": "http://me:s3cret@proxy"})
    monkeypatch.setattr(doors, "proxy_bypass", lambda _: False)
    _, remedy = doors.explained(door(), CUT)
    assert "HTTP_PROXY" in remedy
    assert "NO_PROXY=192.0.2.1" in remedy
    assert "s3cret" not in remedy


@pytest.mark.parametrize("place", ["db", "db://192.0.2.1:7", "index 'pages of mine'"])
def test_said(place: str) -> None:
    """Whoever reads a finding knows who was asked."""
    error = errors.ConnectionFailed(f"list on {place}: broken: twice.", hint="Mend it.", operation="list")
    assert doors.said(error) == "broken: twice"
