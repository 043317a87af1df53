"""URLs of engines: taken apart and written again without loss, and never a secret in what is shown."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lateint import errors
from lateint.engine.url import EngineURL, check_options, integer_option, parse, require_folder, require_nothing

MARKER = "Tr0ub4dor"
"""The heart of every secret here: no part of it may be shown, whatever surrounds it."""

words = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
hosts = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}", fullmatch=True)
places = st.sampled_from(["", "::1", "2001:db8::7", "127.0.0.1"]) | hosts
folders = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    .map(lambda name: PurePosixPath("/") / name.lstrip("/"))
    .filter(lambda path: str(path) != "/")
    .map(Path)
)
option_names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: not re.search(r"key|token|secret|password|auth|credential", name)
)
options = st.dictionaries(option_names, st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3)
urls = st.builds(
    EngineURL, words, words | st.just(""), places, st.none() | st.integers(0, 65535), st.none() | folders, options
)


class TestParse:
    """`engine[+variant]://host[:port][/folder][?option=value]`."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("memory://", EngineURL("memory")),
            ("engine://localhost", EngineURL("engine", host="localhost")),
            ("engine://localhost:6333", EngineURL("engine", host="localhost", port=6333)),
            ("engine://localhost:6333/", EngineURL("engine", host="localhost", port=6333)),
            ("engine+https://a.example.com", EngineURL("engine", "https", "a.example.com")),
            ("ENGINE+Https://A.Example.com", EngineURL("engine", "https", "a.example.com")),
            ("engine+edge:///var/data", EngineURL("engine", "edge", folder=Path("/var/data"))),
            ("engine:///a%20b/%23c%3F", EngineURL("engine", folder=Path("/a b/#c?"))),
            ("engine://[::1]:80", EngineURL("engine", host="::1", port=80)),
            ("engine://h/collection", EngineURL("engine", host="h", folder=Path("/collection"))),
            (
                "engine://h?grpc_port=50051&x=a%26b",
                EngineURL("engine", host="h", options={"grpc_port": "50051", "x": "a&b"}),
            ),
            ("engine://h?x=", EngineURL("engine", host="h", options={"x": ""})),
            ("engine://h?x=monkey", EngineURL("engine", host="h", options={"x": "monkey"})),
            ("engine:///home@work/key", EngineURL("engine", folder=Path("/home@work/key"))),
            ("engine://keyserver/token", EngineURL("engine", host="keyserver", folder=Path("/token"))),
        ],
    )
    def test_parts(self, text: str, expected: EngineURL) -> None:
        """The forms of the documentation."""
        assert parse(text) == expected

    @given(urls)
    @example(EngineURL("a", folder=Path("//b")))
    @example(EngineURL("a", folder=Path("/b\n%41+é")))
    def test_round_trip(self, url: EngineURL) -> None:
        """A location that is shown can be pasted back, and finds the same place."""
        assert parse(str(url)) == url

    @pytest.mark.parametrize(
        ("text", "scheme"), [("engine://h", "engine"), ("engine+edge:///x", "engine+edge"), ("A+B://", "a+b")]
    )
    def test_scheme(self, text: str, scheme: str) -> None:
        """Engine and variant together are what people call the scheme."""
        assert parse(text).scheme == scheme

    @pytest.mark.parametrize(
        "text",
        ["", "localhost", "localhost:6333", "/var/data", "://h", "1x://h", "a b://h", "a+://h", "a+b+c://h", "a_b://h"],
    )
    def test_not_a_url(self, text: str) -> None:
        """A host alone, a path: the message shows the forms."""
        with pytest.raises(errors.InvalidURL, match="is not a URL of an engine") as raised:
            parse(text)
        assert "engine://host:port" in raised.value.hint

    @pytest.mark.parametrize(
        "text",
        [
            "engine://h:port",
            "engine://h:70000",
            "engine://h:-1",
            "engine://[::1",
            "engine://h?x",
            "engine://h?=&",
            "engine://h#part",
            "engine:///folder#1",
            "engine://h?x=1&x=2",
        ],
    )
    def test_malformed(self, text: str) -> None:
        """Each would lose a part of what was meant."""
        with pytest.raises(errors.InvalidURL):
            parse(text)

    def test_repeated_option_is_named(self) -> None:
        """Which of the two was meant cannot be known."""
        with pytest.raises(errors.InvalidURL, match="'x' comes twice"):
            parse("engine://h?x=1&y=2&x=3")

    @pytest.mark.parametrize("url", [None, 5, b"memory://", Path("/x")])
    def test_not_text(self, url: Any) -> None:
        """`connect(os.environ.get(…))` without the variable."""
        with pytest.raises(errors.InvalidURL):
            parse(url)


def shown(error: BaseException) -> str:
    """Everything of an error that can end up in a log: text, repr, hint, notes and what it was raised from."""
    origin = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return f"{error}{error!r}{vars(error)}{shown(origin) if origin is not None else ''}"


around = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
# Three slashes begin a folder, whose name may hold an "@": no secret begins with one.
secrets = st.builds(lambda left, right: f"{left.lstrip('/')}{MARKER}{right}", around, around)


class TestSecrets:
    """Keys never go into URLs, and one that got there by mistake is not repeated in a log."""

    @pytest.mark.parametrize(
        "pattern",
        [
            pytest.param("engine://user:{}@host:6333", id="password"),
            pytest.param("engine://{}@host", id="user"),
            pytest.param("engine+https://{}:x@host/path?x=1", id="user and more"),
            pytest.param("engine://user:{}@host:port", id="password and a bad port"),
            pytest.param("engine://user:{}@[::1", id="password and a bad host"),
            pytest.param("user:{}@host:6333", id="no scheme"),
            pytest.param("engine:user:{}@host:6333", id="no slashes"),
            pytest.param("engine:/user:{}@host:6333", id="one slash"),
            pytest.param("engine://host?api_key={}", id="api_key"),
            pytest.param("engine://host?x=1&token={}&y=2", id="token among others"),
            pytest.param("engine://host?API-KEY={}", id="other spelling"),
            pytest.param("engine://host?x&api_key={}", id="api_key beside a malformed option"),
            pytest.param("engine://host:port?api_key={}", id="api_key and a bad port"),
            pytest.param("engine://host?api_key={}#x", id="api_key and a fragment"),
            pytest.param("engine://host#api_key={}", id="in the fragment"),
            pytest.param("host:6333?api_key={}", id="api_key without a scheme"),
            pytest.param("engine://host?api_key=1&api_key={}", id="api_key twice"),
        ],
    )
    @given(secret=secrets)
    @example(secret=MARKER)
    @example(secret=f"a/{MARKER}")
    @example(secret=f"{MARKER}/b")
    @example(secret=f"{MARKER}?b")
    @example(secret=f"{MARKER}#b")
    @example(secret=f"{MARKER}@b")
    @example(secret=f"a&{MARKER}")
    @example(secret=f"a\n{MARKER}")
    @example(secret=f"[{MARKER}")
    @example(secret=f"{MARKER}\u2100")
    @example(secret=f"{MARKER}//b")
    def test_never_echoed(self, pattern: str, secret: str) -> None:
        """Refused, and neither the message nor its cause holds any of it, whatever characters a key is made of."""
        with pytest.raises(errors.InvalidURL) as raised:
            parse(pattern.format(secret))
        assert MARKER.lower() not in shown(raised.value).lower()

    @pytest.mark.parametrize(
        "text",
        ["engine://user:x@h", "engine://x@h", "engine://h?api_key=x", "engine+https://h?Access-Token=x"],
    )
    def test_says_where_keys_go(self, text: str) -> None:
        """The message names the environment variable and the argument."""
        with pytest.raises(errors.InvalidURL, match="holds a key or a user name") as raised:
            parse(text)
        assert "ENGINE_API_KEY" in raised.value.hint
        assert "api_key=" in raised.value.hint


class TestOptions:
    """Options that nobody reads are mistakes."""

    def test_unknown_with_suggestion(self) -> None:
        """A typo would silently mean the default port."""
        with pytest.raises(
            errors.InvalidURL, match=r"engine\+x takes no option 'grcp_port'\. Did you mean 'grpc_port'"
        ):
            check_options(parse("engine+x://h?grcp_port=1"), known=["grpc_port", "https"])

    def test_none_known(self) -> None:
        """An engine without options says so."""
        with pytest.raises(errors.InvalidURL, match="There are none"):
            check_options(parse("engine://h?x=1"), known=[])

    def test_known(self) -> None:
        """Also when the names are a generator, which can be read once only."""
        check_options(parse("engine://h?x=1&y=2"), known=(name for name in ("x", "y")))

    def test_integer(self) -> None:
        """Ports and sizes."""
        assert integer_option(parse("engine://h?n=12"), name="n", default=5) == 12
        assert integer_option(parse("engine://h"), name="n", default=5) == 5
        with pytest.raises(errors.InvalidURL, match="option n='x' is not a whole number"):
            integer_option(parse("engine://h?n=x"), name="n", default=5)


class TestPlaces:
    """A folder, or nothing at all."""

    def test_folder(self) -> None:
        """The plain case."""
        assert require_folder(parse("engine:///var/data")) == Path("/var/data")

    @pytest.mark.parametrize("text", ["engine://data", "engine://data/x", "engine://h:1/x"])
    def test_two_slashes_are_a_host(self, text: str) -> None:
        """The commonest slip with folders; the hint shows the URL that was meant."""
        with pytest.raises(errors.InvalidURL, match="names a host") as raised:
            require_folder(parse(text))
        assert "three slashes" in raised.value.hint

    @pytest.mark.parametrize("text", ["engine://", "engine:///"])
    def test_no_folder(self, text: str) -> None:
        """Neither the working directory nor the root of the disk is a default."""
        with pytest.raises(errors.InvalidURL, match="names no folder"):
            require_folder(parse(text))

    @pytest.mark.parametrize("text", ["memory://h", "memory://h:1", "memory:///x", "memory://:1"])
    def test_nothing(self, text: str) -> None:
        """Who writes memory:///data believes that it is kept."""
        with pytest.raises(errors.InvalidURL, match="names a place"):
            require_nothing(parse(text))
        require_nothing(parse("memory://"))
