"""Collections in a folder, by name. One lock: the engine holds the interpreter lock during its calls anyway."""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from tests.servers.qdrant import schema
from tests.servers.qdrant.collection import Collection
from tests.servers.qdrant.limits import (
    Json,
    Kind,
    Refused,
    check_collection_name,
    collection_exists,
    collection_missing,
)


class Store:
    """All collections, and the version that the server claims."""

    def __init__(self, folder: Path, version: str) -> None:
        self.version = version
        self.release = tuple(int(part) for part in version.split(".")[:2])
        self._folder = folder / "collections"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._open: dict[str, Collection] = {}
        for path in sorted(self._folder.iterdir()):
            if (path / "config.json").exists():
                self._open[unquote(path.name)] = Collection(path)
            else:  # killed while it was being created or dropped
                shutil.rmtree(path)

    @property
    def knows_slices(self) -> bool:
        """Slice conditions are new in 1.19."""
        return self.release >= (1, 19)

    def names(self) -> list[str]:
        with self._lock:
            return sorted(self._open)

    def exists(self, name: str) -> bool:
        return name in self._open

    @contextmanager
    def collection(self, name: str) -> Iterator[Collection]:
        """One collection, to the exclusion of other calls; what the engine refuses becomes `Refused`."""
        with self._lock:
            if name not in self._open:
                raise collection_missing(name)
            with _engine_errors():
                yield self._open[name]

    def create(self, name: str, request: Json) -> None:
        check_collection_name(name)
        with self._lock, _engine_errors():
            if name in self._open:
                raise collection_exists(name)
            config = schema.created(request, knows_memory=self.release >= (1, 19))
            self._open[name] = Collection.create(self._path(name), config)

    def update(self, name: str, request: Json) -> None:
        with self.collection(name) as collection:
            collection.configure(schema.updated(collection.config, request))

    def drop(self, name: str) -> bool:
        """False if there was none, which the server does not treat as an error (source)."""
        with self._lock:
            collection = self._open.pop(name, None)
            if collection is None:
                return False
            collection.shard.close()
            path = self._path(name)
            (path / "config.json").unlink()
            shutil.rmtree(path)
            return True

    def close(self) -> None:
        with self._lock:
            while self._open:
                _, collection = self._open.popitem()
                collection.shard.flush()
                collection.shard.close()

    def _path(self, name: str) -> Path:
        return self._folder / quote(name, safe="")


@contextmanager
def _engine_errors() -> Iterator[None]:
    """The engine raises bare exceptions with the server's texts; a panic is no `Exception`."""
    try:
        yield
    except Refused:
        raise
    except (KeyError, TypeError, AttributeError, IndexError) as error:  # not of the engine's: a mistake in here
        traceback.print_exc()
        raise Refused(Kind.INTERNAL, f"Service internal error: the double failed: {error!r}") from error
    except Exception as error:
        raise Refused(Kind.INVALID, f"Wrong input: {error}") from error
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        raise Refused(Kind.INTERNAL, f"Service internal error: {error}") from error
