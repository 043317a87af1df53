"""URLs name a server or a folder, never an index and never a key: `engine[+variant]://host[:port][?option=value]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from lateint import errors
from lateint.spec import suggestion

_SECRET = re.compile(r"key|token|secret|password|auth|credential", re.IGNORECASE)
_HARMLESS = re.compile(r"[A-Za-z0-9+./:\[\]_~-]*")
_SCHEME = re.compile(r"([a-z][a-z0-9]*)(?:\+([a-z0-9]+))?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class EngineURL:
    """A parsed URL, free of secrets.

    Attributes:
        engine: the part of the scheme before `+`.
        variant: the part after it; empty if there is none.
        host: host name; empty for a folder or for memory.
        port: port; None if not given.
        folder: path of a folder; None if not given.
        options: what follows `?`.
    """

    engine: str
    variant: str = ""
    host: str = ""
    port: int | None = None
    folder: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """`engine` or `engine+variant`."""
        return f"{self.engine}+{self.variant}" if self.variant else self.engine

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        folder = quote(str(self.folder)) if self.folder is not None else ""
        options = "&".join(f"{name}={quote(value)}" for name, value in self.options.items())
        return f"{self.scheme}://{host}{port}{folder}{'?' if options else ''}{options}"


def parse(url: str) -> EngineURL:
    """Take a URL apart.

    Raises:
        InvalidURL: not a URL, holds a user name, key or fragment, or a bad port.
    """
    if not isinstance(url, str):
        raise errors.InvalidURL(f"a {type(url).__name__} is not a URL.", hint="Pass text, such as memory://.")
    match = _SCHEME.match(url)
    if match is None:
        raise errors.InvalidURL(
            f"{_redacted(url)!r} is not a URL of an engine.",
            hint="Write engine://host:port, engine+variant:///folder or memory://; `lateint backends` lists them.",
        )
    engine, variant = match[1].lower(), (match[2] or "").lower()
    rest = url[match.end() :]
    query = rest.partition("?")[2]
    names = [part.partition("=")[0] for part in re.split("[?#&]", rest)[1:]]
    if (not rest.startswith("/") and "@" in rest) or any(map(_SECRET.search, names)):
        raise errors.InvalidURL(
            f"URL {match[0]}… holds a key or a user name.",
            hint=f"Keys never go into URLs: set {engine.upper()}_API_KEY, or pass connect(url, api_key=…).",
        )
    if "#" in rest:
        raise errors.InvalidURL(
            f"URL {_redacted(url)!r} has a fragment.", hint="Write %23 for a '#' in the name of a folder."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:  # its text repeats parts of the URL
        raise errors.InvalidURL(
            f"URL {_redacted(url)!r}: its host, port or options are malformed.",
            hint="Write engine://host:port?option=value, with a port up to 65535.",
        ) from None
    names = [name for name, _ in options]
    for name in names:
        if names.count(name) > 1:
            raise errors.InvalidURL(f"URL option {name!r} comes twice.", hint="Give it once.")
    folder = Path(unquote(parts.path)) if parts.path not in {"", "/"} else None
    return EngineURL(engine, variant, parts.hostname or "", port, folder, dict(options))


def check_options(url: EngineURL, *, known: Iterable[str]) -> None:
    """Refuse options that nobody would read.

    Raises:
        InvalidURL: names the option, with a suggestion.
    """
    names = list(known)
    for name in url.options:
        if name not in names:
            raise errors.InvalidURL(f"{url.scheme} takes no option {name!r}.", hint=suggestion(name, names))


def integer_option(url: EngineURL, *, name: str, default: int) -> int:
    """The value of an option that is a whole number.

    Raises:
        InvalidURL: it is not.
    """
    text = url.options.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise errors.InvalidURL(f"{url.scheme} option {name}={text!r} is not a whole number.") from None


def require_host(url: EngineURL) -> tuple[str, int | None]:
    """Host and port of an engine that is a server.

    Raises:
        InvalidURL: there is no host, or there is a path.
    """
    if not url.host:
        raise errors.InvalidURL(f"{url} names no host.", hint=f"Write {url.scheme}://host:port.")
    if url.folder is not None:
        raise errors.InvalidURL(
            f"{url} has a path; {url.scheme} names a server.", hint="Name the index in open(…) or create_index(…)."
        )
    return url.host, url.port


def require_folder(url: EngineURL) -> Path:
    """The folder of an engine that keeps its data in one.

    Raises:
        InvalidURL: there is none, it is not absolute, or a host was given.
    """
    if url.host or url.port is not None:
        path = Path.cwd() / url.host
        raise errors.InvalidURL(
            f"{url} names a host {url.host!r}; {url.scheme} keeps its data in a folder.",
            hint=f"Use three slashes and an absolute path, such as {url.scheme}://{path}.",
        )
    if url.folder is None:
        raise errors.InvalidURL(f"{url} names no folder.", hint=f"Write {url.scheme}:///absolute/path/of/a/folder.")
    return url.folder


def require_nothing(url: EngineURL) -> None:
    """For an engine that has neither host nor folder.

    Raises:
        InvalidURL: one was given.
    """
    if url.host or url.port is not None or url.folder is not None:
        raise errors.InvalidURL(f"{url} names a place; {url.scheme} has none.", hint=f"Write {url.scheme}://.")


def _redacted(url: str) -> str:
    """The URL, or no more than its scheme if a key could be in it."""
    if _HARMLESS.fullmatch(url):
        return url
    match = _SCHEME.match(url)
    return f"{match[0] if match else ''}…"
