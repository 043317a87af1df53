"""Which engines there are: plugins found by entry point, loaded only when asked for.

A plugin is an object in the entry-point group `lateint.backends`, named after its URL scheme:

    [project.entry-points."lateint.backends"]
    milvus = "lateint_milvus:plugin"

Importing the module that holds it must not import the engine's client.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lateint import errors
from lateint.engine import url as urls
from lateint.engine.backend import AsyncBackend, Backend
from lateint.engine.findings import Finding
from lateint.engine.packages import Package, Reading
from lateint.spec import IndexSpec, suggestion

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "lateint.backends"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `connect` was given beside the URL; a backend reads what concerns it.

    Attributes:
        timeout_s: seconds for one call.
        api_key: a key, never shown.
    """

    timeout_s: float = 60.0
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to reach an engine.

    Attributes:
        summary: one line for `lateint backends`.
        example: a URL.
        connect: `module:function` of `(EngineURL, Settings) -> Backend`.
        aconnect: the same for asyncio; empty to run the blocking one in threads.
        requires: modules that must be importable.
        install: the requirement that brings them, such as `lateint[edge]`.
        options: URL options that it reads.
        api_key: whether a key can be used.
        declares: `module:name` of the capabilities that a current server has, for the documentation; empty where an
            engine can be opened without a server.
        doctor: `module:function` of `(EngineURL, Settings) -> Iterable[Finding]`, which looks at what only this engine
            has (ports, versions, keys, limits); empty where connecting tells enough. It writes nothing, gives each
            step a bounded time, and raises one of `lateint.errors` where nothing is left to look at.
        package: `module:function` of `(IndexSpec, Reading) -> Package`, for an engine that has to be given files before
            it can hold an index; empty where creating it is all. Nothing is connected to.
    """

    summary: str
    example: str
    connect: str
    aconnect: str = ""
    requires: tuple[str, ...] = ()
    install: str = ""
    options: tuple[str, ...] = ()
    api_key: bool = False
    declares: str = ""
    doctor: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One engine.

    Attributes:
        scheme: its URL scheme, the same as the name of its entry point.
        variants: by the part of the scheme after `+`; the empty name is the plain scheme.
        clients: classes of the engine's own client, by full name, that `connect` takes instead of a URL, each with
            `module:function` of `(client, Settings) -> Backend`. The backend uses such a client and never closes it.
        aclients: the same for asyncio.
    """

    scheme: str
    variants: Mapping[str, Variant]
    clients: Mapping[str, str] = field(default_factory=dict)
    aclients: Mapping[str, str] = field(default_factory=dict)


def connect(target: object, settings: Settings) -> Backend:
    """Open the backend that a URL names, or speak through a client that somebody else made.

    Raises:
        ConfigurationError: an object of which no plugin knows.
        InvalidURL: the URL, or an option in it, is not right.
        UnknownBackend: no plugin answers to its scheme.
        DuplicatePlugin: more than one does.
        MissingDependency: the engine's client is not installed.
    """
    if not isinstance(target, str):
        borrowed: Backend = _lender(target, settings, "clients")(target, settings)
        return borrowed
    parsed, variant = _resolve(target, settings)
    backend: Backend = _load(variant.connect)(parsed, settings)
    return backend


async def aconnect(target: object, settings: Settings) -> AsyncBackend:
    """As `connect`, for asyncio."""
    import asyncio  # noqa: PLC0415 - another fifth, for those who do not use it

    from lateint.engine.threaded import ThreadedBackend  # noqa: PLC0415

    if not isinstance(target, str):
        borrowed: AsyncBackend = await _lender(target, settings, "aclients")(target, settings)
        return borrowed
    parsed, variant = _resolve(target, settings)
    if not variant.aconnect:
        return ThreadedBackend(await asyncio.to_thread(_load(variant.connect), parsed, settings))
    backend: AsyncBackend = await _load(variant.aconnect)(parsed, settings)
    return backend


def examine(url: str, settings: Settings) -> Generator[Finding, None, None]:
    """What the doctor of the engine that a URL names finds out, one thing after the other; nothing if it has none.

    Raises:
        LateintError: it cannot be asked, or nothing is left to look at.
    """
    parsed, variant = _resolve(url, settings)
    if variant.doctor:
        yield from _load(variant.doctor)(parsed, settings)


def packaged(url: str, spec: IndexSpec, read: Reading) -> Package:
    """The files that the engine of a URL has to be given for an index. Nothing is connected to.

    Args:
        url: of the engine; need not name a host.
        spec: what the index is to be.
        read: the folder that the files are for.

    Raises:
        UnsupportedFeature: it takes none; or it cannot hold such an index.
    """
    parsed, variant = _resolve(url, Settings())
    if not variant.package:
        raise errors.UnsupportedFeature(
            f"{parsed.scheme} takes no files.",
            backend=parsed.scheme,
            feature="package",
            alternative="`lateint create`, or Client.create_index(), is all it takes.",
        )
    made: Package = _load(variant.package)(spec, read)
    return made


@lru_cache(maxsize=1)
def entry_points() -> dict[str, list[EntryPoint]]:
    """Installed plugins by scheme, not loaded."""
    from importlib import metadata  # noqa: PLC0415 - a fifth of the time that `import lateint` would take

    found: dict[str, list[EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        known = found.setdefault(point.name, [])
        if all(point.value != other.value for other in known):  # a distribution seen twice on the path is one
            known.append(point)
    return dict(sorted(found.items()))


def plugin(scheme: str) -> Plugin:
    """Load the plugin of a scheme.

    Raises:
        UnknownBackend: there is none.
        DuplicatePlugin: there are several.
    """
    points = entry_points().get(scheme, [])
    if not points:
        raise errors.UnknownBackend(f"no backend for {scheme!r}.", hint=suggestion(scheme, entry_points()))
    if len(points) > 1:
        owners = " and ".join(sorted(_owner(point) for point in points))
        raise errors.DuplicatePlugin(f"{scheme!r} is claimed by {owners}.", hint="Uninstall all but one of them.")
    loaded: Plugin = points[0].load()
    return loaded


def missing(variant: Variant) -> list[str]:
    """Modules that the variant needs and that are not installed."""
    return [name for name in variant.requires if not _is_installed(name)]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False


def _resolve(url: str, settings: Settings) -> tuple[urls.EngineURL, Variant]:
    parsed = urls.parse(url)
    owner = plugin(parsed.engine)
    variant = owner.variants.get(parsed.variant)
    if variant is None:
        schemes = [f"{owner.scheme}+{name}" if name else owner.scheme for name in owner.variants]
        raise errors.UnknownBackend(f"no backend for {parsed.scheme!r}.", hint=suggestion(parsed.scheme, schemes))
    urls.check_options(parsed, known=variant.options)
    if settings.api_key is not None and not variant.api_key:
        raise errors.ConfigurationError(f"{parsed.scheme} takes no api_key.", hint="Leave it out.")
    absent = missing(variant)
    if absent:
        raise errors.MissingDependency(
            f"{parsed.scheme} needs {', '.join(absent)}.", hint=f'Install it: pip install "{variant.install}"'
        )
    return parsed, variant


def _lender(client: object, settings: Settings, kind: str) -> Callable[..., Any]:
    """What makes a backend of a client, without importing any; `kind` is the attribute of `Plugin` to look into."""
    known: dict[str, str] = {}
    for scheme, points in entry_points().items():
        if len(points) == 1:
            known.update(getattr(plugin(scheme), kind))
    names = [f"{base.__module__}.{base.__qualname__}" for base in type(client).__mro__]
    found = next((known[name] for name in names if name in known), None)
    if found is None:
        listed = ", ".join(sorted(known)) or "none"
        raise errors.ConfigurationError(
            f"a {names[0]} is neither a URL nor a client that this takes.",
            hint=f"Pass a URL, such as memory://, or one of: {listed}; connect takes blocking ones, aconnect others.",
        )
    if settings.api_key is not None:
        raise errors.ConfigurationError("a client has its own key.", hint="Leave api_key out.")
    return _load(found)


def _load(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return loaded


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} ({point.value})" if point.dist is not None else point.value
