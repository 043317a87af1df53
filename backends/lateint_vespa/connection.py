"""Where an application is and how it is reached: from a URL, or a client of pyvespa, to what opens connections."""

from __future__ import annotations

import json
import os
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lateint import errors
from lateint.engine.keys import check_sealed, check_sendable
from lateint.engine.registry import Settings
from lateint.engine.url import EngineURL, integer_option, require_host
from lateint_vespa.answers import Answer
from lateint_vespa.calls import SEARCH, Call, Door, Steps
from lateint_vespa.deployment import Deployer
from lateint_vespa.errors import Refused, said
from lateint_vespa.schema import ENGINE, SINCE
from lateint_vespa.transport import Site
from lateint_vespa.verbs import Verbs

PORT = 8080
CONFIG_PORT = 19071
TLS_PORT = 443
KEY_VARIABLES = ("VESPA_CLOUD_SECRET_TOKEN", "VESPA_API_KEY")
TLS_VARIABLE = "VESPA_CLI_DATA_PLANE_"
"""With `CERT`, `KEY` and `CA_CERT` for the text of a certificate, and with `_FILE` after these for its file: as for
Vespa's own command line."""

_GREETING_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """A certificate or a key.

    Attributes:
        file: where it is.
        text: or what it is; never shown.
    """

    file: str | None = None
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An application.

    Attributes:
        scheme: of its URL.
        host: of both servers.
        port: of the container.
        config_port: of the config server; None if there is none to speak to.
        tls: both speak TLS.
        timeout_s: seconds for one call.
        cluster: content cluster of the documents; None where there is only one.
        token: a bearer token, never shown; for the container only.
        headers: more for the container, never shown.
        authorities: to trust, beside those of the system.
        certificate: to show, if any.
        key: of that certificate, if not in the same file.
    """

    scheme: str
    host: str
    port: int
    config_port: int | None
    tls: bool
    timeout_s: float
    cluster: str | None = None
    token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    authorities: Pem | None = None
    certificate: Pem | None = None
    key: Pem | None = None

    @property
    def location(self) -> str:
        """What to show of it."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def config_place(self) -> str:
        """What to show of the config server."""
        return "none" if self.config_port is None else f"{self._bracketed}:{self.config_port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def shows(self) -> str:
        """What it identifies itself by."""
        found = ("a token" if self.token else "", "a certificate" if self.certificate else "")
        return " and ".join(filter(None, found)) or "nothing"


def endpoint(url: EngineURL, settings: Settings) -> Endpoint:
    """The application that a URL names, with token and certificates from the settings or else from the environment.

    Raises:
        InvalidURL: no host, a path, or an option that makes no sense.
        ConfigurationError: a token that cannot be sent, or that would travel unencrypted to another machine.
    """
    host, port = require_host(url)
    tls = url.variant == "https"
    token = settings.api_key or next(filter(None, map(os.environ.get, KEY_VARIABLES)), None)
    if token is not None:
        check_sendable(token, variable=KEY_VARIABLES[0])
        remedy = f"Use {ENGINE}+https://…; in a network that you trust, add insecure=1 to the URL."
        insecure = bool(integer_option(url, name="insecure", default=0))
        check_sealed(host, tls=tls or insecure, variable=KEY_VARIABLES[0], remedy=remedy)
    return Endpoint(
        scheme=url.scheme,
        host=host,
        port=port or (TLS_PORT if tls else PORT),
        # Where the container is open to others, behind TLS, the config server mostly is not.
        config_port=integer_option(url, name="config_port", default=0 if tls else CONFIG_PORT) or None,
        tls=tls,
        timeout_s=settings.timeout_s,
        cluster=url.options.get("cluster"),
        token=token,
        authorities=_from_environment("CA_CERT"),
        certificate=_from_environment("CERT") if tls else None,
        key=_from_environment("KEY") if tls else None,
    )


def lent(client: Any, settings: Settings) -> Endpoint:  # noqa: ANN401 - of a package that may be absent
    """The application of a `vespa.application.Vespa`, with its token, headers and certificates.

    Its own connections are not used: it makes them for each session, and shows neither headers nor half answers.

    Raises:
        ConfigurationError: its URL names no server; or its token would travel unencrypted to another machine.
    """
    parts = urlsplit(client.end_point)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise errors.ConfigurationError(f"{client.end_point!r:.200} is no URL of a Vespa container.")
    tls = parts.scheme == "https"
    headers = {name: text for name, text in client.base_headers.items() if name.lower() != "user-agent"}
    for secret in headers.values():
        check_sendable(secret, variable=KEY_VARIABLES[0])
    if headers:
        check_sealed(parts.hostname, tls=tls, variable=KEY_VARIABLES[0], remedy="Give the client an https URL.")
    return Endpoint(
        scheme=f"{ENGINE}+https" if tls else ENGINE,
        host=parts.hostname,
        port=parts.port or (TLS_PORT if tls else 80),
        config_port=None if tls else CONFIG_PORT,
        tls=tls,
        timeout_s=settings.timeout_s,
        token=client.vespa_cloud_secret_token,
        headers=headers,
        certificate=_pem(client.cert, client.cert_content),
        key=_pem(client.key, client.key_content),
    )


def sites(place: Endpoint) -> dict[Door, Site]:
    """Where to connect to; reads certificates.

    Raises:
        ConfigurationError: one of them cannot be read.
    """
    context = _context(place) if place.tls else None
    token = {} if place.token is None else {"Authorization": f"Bearer {place.token}"}
    found = {
        Door.CONTAINER: Site(host=place.host, port=place.port, context=context, headers={**place.headers, **token})
    }
    if place.config_port is not None:
        # A deployment is not made twice because a connection that was kept turned out to be dead.
        found[Door.CONFIG] = Site(host=place.host, port=place.config_port, context=context, kept=False)
    return found


def opened(place: Endpoint) -> Steps[Verbs]:
    """The verbs of an application that answers: its container, or, before anything was deployed, its config server.

    Raises:
        ConnectionFailed: nothing answers there.
        AuthenticationFailed, PermissionDenied: not to this client.
        UnsupportedFeature: the server is too old.
        UnexpectedResponse: it is not Vespa.
    """
    try:
        version = yield from _version(Door.CONTAINER, place)
    except errors.ConnectionFailed:
        if place.config_port is None:
            raise
        version = yield from _version(Door.CONFIG, place)
    return Verbs(
        backend=place.scheme,
        location=place.location,
        version=version,
        details={"config server": place.config_place, "identified by": place.shows},
        timeout_s=place.timeout_s,
        cluster=place.cluster,
        deployer=None
        if place.config_port is None
        else Deployer(backend=place.scheme, place=place.config_place, timeout_s=place.timeout_s),
    )


def _version(door: Door, place: Endpoint) -> Steps[str]:
    """Of the server behind a door; `unknown` behind a gate that lets through searches and documents only."""
    timeout_s = min(_GREETING_S, place.timeout_s)
    answer: Answer = yield Call("GET", "/state/v1/version", timeout_s=timeout_s, door=door)
    if answer.status in {403, 404} and door is Door.CONTAINER:
        asked = json.dumps({"yql": "select * from sources * where false", "hits": 0}).encode()
        answer = yield Call("POST", SEARCH, asked, timeout_s=timeout_s)
        if answer.status == 200 and isinstance(_json(answer).get("root"), dict):
            return "unknown"
    if answer.status != 200:
        raise Refused(answer.status, answer.body, headers=answer.headers)
    version = str(_json(answer).get("version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not numbers:
        raise _strange(answer)
    if numbers < SINCE:
        since = ".".join(map(str, SINCE))
        raise errors.UnsupportedFeature(
            f"Vespa {version} at {place.location} is too old: lateint reads documents as JSON lines.",
            backend=place.scheme,
            feature="visiting as JSON lines",
            since=since,
            alternative=f"Upgrade it to {since} or later.",
        )
    return version


def _json(answer: Answer) -> dict[str, Any]:
    try:
        data = json.loads(answer.body)
    except ValueError as error:
        raise _strange(answer) from error
    if not isinstance(data, dict):
        raise _strange(answer)
    return data


def _strange(answer: Answer) -> errors.UnexpectedResponse:
    return errors.UnexpectedResponse(
        f"{said(answer.body)!r:.80} is no answer of Vespa.", hint="Is this the container of a Vespa application?"
    )


def _from_environment(name: str) -> Pem | None:
    return _pem(os.environ.get(f"{TLS_VARIABLE}{name}_FILE"), os.environ.get(f"{TLS_VARIABLE}{name}"))


def _pem(file: str | None, text: str | None) -> Pem | None:
    return Pem(file=file or None, text=text or None) if file or text else None


def _context(place: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if place.authorities is not None:
            context.load_verify_locations(cafile=place.authorities.file, cadata=place.authorities.text)
        if place.certificate is not None:
            with tempfile.TemporaryDirectory() as folder:  # which only its owner can read: ssl takes no text
                key = None if place.key is None else _file(place.key, Path(folder) / "key")
                context.load_cert_chain(_file(place.certificate, Path(folder) / "cert"), key)
    except (OSError, ssl.SSLError) as error:
        raise errors.ConfigurationError(
            f"the certificates from {TLS_VARIABLE}… cannot be used: {error}.",
            hint="Give the files of a certificate and of its key, in PEM, without a password.",
        ) from error
    return context


def _file(pem: Pem, place: Path) -> str:
    if pem.file is not None:
        return pem.file
    place.write_text(pem.text or "")
    return str(place)
