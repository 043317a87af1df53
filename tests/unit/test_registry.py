"""Plugins: found by entry point, told apart, and explained when they are missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lateint
from lateint import errors
from lateint.engine import memory, registry
from lateint.engine.findings import Finding
from lateint.engine.memory import MemoryBackend
from lateint.engine.registry import Plugin, Settings, Variant
from lateint.engine.threaded import ThreadedBackend
from lateint.engine.url import EngineURL

SEEN: list[tuple[EngineURL, Settings]] = []


def connect(url: EngineURL, settings: Settings) -> MemoryBackend:
    """A backend of the plugin below."""
    SEEN.append((url, settings))
    return MemoryBackend()


async def aconnect(url: EngineURL, settings: Settings) -> ThreadedBackend:
    """Its asynchronous form."""
    return ThreadedBackend(connect(url, settings))


def examine(url: EngineURL, settings: Settings) -> list[Finding]:
    """Its doctor."""
    SEEN.append((url, settings))
    return [Finding(part="port", seen="open")]


def variant(**changes: Any) -> Variant:
    return Variant(summary="for tests", example="engine://host", connect=f"{__name__}:connect", **changes)


PLUGIN = Plugin(
    scheme="engine",
    variants={
        "": variant(options=("grpc_port",), api_key=True),
        "async": variant(aconnect=f"{__name__}:aconnect"),
        "bare": variant(),
        "doctor": variant(options=("grpc_port",), doctor=f"{__name__}:examine"),
        "extra": variant(requires=("json", "module_that_is_absent"), install="lateint[engine-extra]"),
        "inner": variant(requires=("module_that_is_absent.inner",), install="lateint[engine-extra]"),
    },
)


class Distribution(metadata.Distribution):
    """An installed distribution, as far as an error message looks at it."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def read_text(self, filename: str) -> None:
        return None

    def locate_file(self, path: Any) -> Any:
        return path


def entry_point(name: str, value: str, *, owner: str) -> metadata.EntryPoint:
    point = metadata.EntryPoint(name, value, registry.GROUP)
    vars(point)["dist"] = Distribution(owner)  # as importlib.metadata itself sets it
    return point


class Installed:
    """The entry points of an imagined environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._points: list[metadata.EntryPoint] = []
        monkeypatch.setattr(metadata, "entry_points", self._found)

    def _found(self, *, group: str) -> tuple[metadata.EntryPoint, ...]:
        return tuple(point for point in self._points if point.group == group)

    def add(self, name: str, value: str, *, owner: str) -> None:
        self._points.append(entry_point(name, value, owner=owner))
        registry.entry_points.cache_clear()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """`engine` and `memory`; the cache of the registry is emptied before and after."""
    environment = Installed(monkeypatch)
    environment.add("engine", f"{__name__}:PLUGIN", owner="lateint-engine")
    environment.add("memory", "lateint.engine.memory:plugin", owner="lateint")
    SEEN.clear()
    yield environment
    monkeypatch.undo()
    registry.entry_points.cache_clear()


class TestConnect:
    """From a URL to a backend."""

    def test_url_and_settings_reach_the_plugin(self, installed: Installed) -> None:
        """The key goes beside the URL, never in it."""
        registry.connect("engine://h:1?grpc_port=2", Settings(timeout_s=3, api_key="s3cret"))
        ((url, settings),) = SEEN
        assert url == EngineURL("engine", "", "h", 1, None, {"grpc_port": "2"})
        assert (settings.timeout_s, settings.api_key) == (3, "s3cret")

    def test_scheme_in_capitals(self, installed: Installed) -> None:
        """Schemes have no case."""
        registry.connect("ENGINE+Bare://h", Settings())
        assert SEEN[0][0].scheme == "engine+bare"

    @pytest.mark.parametrize("url", ["engine+async://h", "engine+bare://h"])
    def test_async(self, installed: Installed, url: str) -> None:
        """An engine without an asynchronous client works in threads; the user sees no difference."""

        async def main() -> str:
            backend = await registry.aconnect(url, Settings())
            info = await backend.server_info()
            await backend.close()
            return info.engine

        assert asyncio.run(main()) == "memory"

    def test_time_for_a_call(self, installed: Installed) -> None:
        """A minute unless said otherwise: a batch of multi-vectors takes longer than engines' clients allow for."""
        lateint.connect("engine://h").close()

        async def main() -> None:
            await (await lateint.aconnect("engine+async://h")).close()

        asyncio.run(main())
        assert [settings.timeout_s for _, settings in SEEN] == [60.0, 60.0]

    def test_memory(self) -> None:
        """The real entry point, through the public door."""
        with lateint.connect("memory://") as client:
            assert client.list_indexes() == []

    @pytest.mark.parametrize("url", ["memory:///x", "memory://localhost", "memory://?x=1", "memory+other://"])
    def test_memory_takes_nothing(self, url: str) -> None:
        """Who writes memory:///data believes that it is kept."""
        with pytest.raises((errors.InvalidURL, errors.UnknownBackend)):
            lateint.connect(url)


class TestExamine:
    """What an engine's own doctor finds."""

    def test_url_and_settings_reach_the_doctor(self, installed: Installed) -> None:
        """And nothing is connected to: it may be dead."""
        found = list(registry.examine("engine+doctor://h?grpc_port=2", Settings(timeout_s=3)))
        assert found == [Finding(part="port", seen="open")]
        ((url, settings),) = SEEN
        assert (url.scheme, url.options, settings.timeout_s) == ("engine+doctor", {"grpc_port": "2"}, 3)

    def test_engine_without_one(self, installed: Installed) -> None:
        assert list(registry.examine("engine://h", Settings())) == []
        assert SEEN == []

    def test_url_is_checked_as_for_connecting(self, installed: Installed) -> None:
        with pytest.raises(errors.InvalidURL, match="Did you mean 'grpc_port'"):
            list(registry.examine("engine+doctor://h?grcp_port=1", Settings()))
        with pytest.raises(errors.MissingDependency):
            list(registry.examine("engine+extra://h", Settings()))


class TestUnknown:
    """What was meant, and how to get it."""

    def test_typo_in_the_scheme(self, installed: Installed) -> None:
        """The nearest scheme is suggested."""
        with pytest.raises(errors.UnknownBackend, match=r"no backend for 'enigne'\. Did you mean 'engine'\?"):
            registry.connect("enigne://h", Settings())

    def test_nothing_near(self, installed: Installed) -> None:
        """Otherwise all of them."""
        with pytest.raises(errors.UnknownBackend, match="Known: engine, memory"):
            registry.connect("zzzzz://h", Settings())

    def test_variant(self, installed: Installed) -> None:
        """The engine is there, this way to it is not."""
        with pytest.raises(errors.UnknownBackend, match=r"'engine\+asinc'\. Did you mean 'engine\+async'\?"):
            registry.connect("engine+asinc://h", Settings())

    def test_option(self, installed: Installed) -> None:
        """Refused before anything is opened."""
        with pytest.raises(errors.InvalidURL, match="Did you mean 'grpc_port'"):
            registry.connect("engine://h?grcp_port=1", Settings())
        assert SEEN == []

    def test_option_of_another_variant(self, installed: Installed) -> None:
        """Options belong to a variant, not to the engine."""
        with pytest.raises(errors.InvalidURL, match=r"engine\+bare takes no option 'grpc_port'"):
            registry.connect("engine+bare://h?grpc_port=1", Settings())

    def test_missing_extra(self, installed: Installed) -> None:
        """The message holds the line to paste, and names what is absent only."""
        with pytest.raises(errors.MissingDependency) as raised:
            registry.connect("engine+extra://h", Settings())
        assert 'pip install "lateint[engine-extra]"' in str(raised.value)
        assert "module_that_is_absent" in str(raised.value)
        assert "json" not in str(raised.value)
        assert isinstance(raised.value, ImportError)

    def test_missing_module_within_a_missing_package(self, installed: Installed) -> None:
        """`find_spec("a.b")` raises when there is no `a`: that must not get out."""
        with pytest.raises(errors.MissingDependency, match=r"module_that_is_absent\.inner"):
            registry.connect("engine+inner://h", Settings())


class TestApiKey:
    """A key that is not used is a mistake, and no key is ever shown."""

    def test_refused_where_not_taken(self, installed: Installed) -> None:
        """Who passes a key believes that the data are protected by it."""
        with pytest.raises(errors.ConfigurationError, match=r"engine\+bare takes no api_key"):
            registry.connect("engine+bare://h", Settings(api_key="x"))
        with pytest.raises(errors.ConfigurationError, match="memory takes no api_key"):
            lateint.connect("memory://", api_key="x")

    @given(st.text(min_size=1, max_size=8).map(lambda text: f"{text}Tr0ub4dor"))
    def test_never_shown(self, key: str) -> None:
        """Neither in the settings' repr nor in an error."""
        assert "Tr0ub4dor" not in repr(Settings(api_key=key))
        with pytest.raises(errors.ConfigurationError) as raised:
            lateint.connect("memory://", api_key=key)
        assert "Tr0ub4dor" not in f"{raised.value}{raised.value!r}{vars(raised.value)}"


class TestPlugins:
    """One owner for each scheme."""

    def test_two_distributions(self, installed: Installed) -> None:
        """Which of the two answered would depend on the order of folders; both are named."""
        installed.add("engine", "other_module:plugin", owner="rival")
        with pytest.raises(errors.DuplicatePlugin) as raised:
            registry.plugin("engine")
        assert "lateint-engine" in str(raised.value)
        assert "rival" in str(raised.value)

    def test_others_still_work(self, installed: Installed) -> None:
        """A quarrel about one engine is no reason to lose the rest."""
        installed.add("engine", "other_module:plugin", owner="rival")
        assert registry.plugin("memory") is memory.plugin

    def test_one_distribution_seen_twice(self, installed: Installed) -> None:
        """An editable install beside a wheel, or a folder twice on the path, is no quarrel."""
        installed.add("engine", f"{__name__}:PLUGIN", owner="lateint-engine")
        assert registry.plugin("engine") is PLUGIN

    def test_listing_loads_nothing(self, installed: Installed) -> None:
        """`lateint backends` must work beside a plugin that is broken."""
        installed.add("broken", "module_that_is_absent:plugin", owner="somebody")
        assert list(registry.entry_points()) == ["broken", "engine", "memory"]

    def test_looked_up_once(self, installed: Installed) -> None:
        """Reading the metadata of every installed distribution takes long; connect is called in loops."""
        assert registry.entry_points() is registry.entry_points()

    def test_real_entry_points_are_plugins(self) -> None:
        """What pyproject.toml declares exists, and each scheme is that of its plugin."""
        for scheme, points in registry.entry_points().items():
            if any(point.dist is not None and point.dist.name == "lateint" for point in points):
                plugin = registry.plugin(scheme)
                assert isinstance(plugin, Plugin)
                assert plugin.scheme == scheme
                assert plugin.variants


class TestMissing:
    """Which modules are absent, without importing any."""

    @pytest.mark.parametrize(
        ("requires", "absent"),
        [
            ((), []),
            (("json", "email.mime"), []),
            (("module_that_is_absent", "json"), ["module_that_is_absent"]),
            (("json.absent",), ["json.absent"]),
        ],
    )
    def test_missing(self, requires: tuple[str, ...], absent: list[str]) -> None:
        """Engines' clients are slow to import; looking is enough."""
        assert registry.missing(variant(requires=requires)) == absent
