"""Where the in-process engine keeps its indexes: one folder, a sub-folder per index.

    <folder>/<name>/lateint.json    the spec
    <folder>/<name>/shard/          the engine's own files
    <folder>/.<name>.new.<hex>      an index being created
    <folder>/.<name>.old.<hex>      an index being dropped

A sub-folder without `lateint.json` is no index. What a crash leaves of the last two is swept later.

Two locks keep clients apart, across processes: one on the folder while an index is created or dropped, one on `shard/`
while it is open. The engine has one too, but takes it too late: an opening that it refuses has changed files already,
and whoever holds the index can no longer write. Windows locks no folders; there the engine's is the only lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from lateint import errors
from lateint.spec import IndexSpec, check_name

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SPEC_FILE = "lateint.json"
SHARD_FOLDER = "shard"

_LEFTOVER = re.compile(r"\.(.+)\.(old|new)\.[0-9a-f]{32}")

_RESERVE = 32 * 2**20
"""Bytes of disk that must stay free whatever is done: what preallocated files of the engine may yet fill."""

_LOG = 64 * 2**20
"""Bytes of disk that opening an index may take for its log, on file systems where reading a sparse file fills it."""

_PER_FIELD = 5 * 2**20
"""Bytes of disk that an indexed field may take when it is declared, and again when first opened (measured: 4.6)."""

_PER_VECTOR_BYTE = 3
"""Bytes of disk that a byte of vectors may take until the log is cut (measured: at most 2.2)."""

_PER_PAYLOAD_BYTE = 8
"""Bytes of disk that a byte of payload may take; short integers in lists take the most (measured: 7.3)."""


class Lock:
    """A folder that one client alone works in, until it closes the lock or its process ends."""

    def __init__(self, place: Path, *, wait: bool = False) -> None:
        """Take the lock, or raise `BlockingIOError` if another has it; `wait` waits for it instead."""
        self._place = place
        self._descriptor: int | None = None if fcntl is None else os.open(place, os.O_RDONLY)
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException:
                os.close(self._descriptor)
                raise

    def holds(self) -> bool:
        """Whether the folder is still there, and is the one that was locked."""
        try:
            found = self._place.stat()
        except FileNotFoundError:
            return False
        return self._descriptor is None or os.path.samestat(found, os.fstat(self._descriptor))

    def close(self) -> None:
        """Let others in. They get in even where a forked child has inherited the lock, hence the explicit unlocking."""
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one client. It is made by the first creation of an index, not by opening it."""

    path: Path

    def names(self) -> list[str]:
        """Names of the indexes, sorted; anything else that lies in the folder is left out."""
        try:
            entries = list(self.path.iterdir())
        except FileNotFoundError:
            return []
        return sorted(entry.name for entry in entries if _is_name(entry.name) and (entry / SPEC_FILE).is_file())

    def shard(self, name: str) -> Path:
        """Folder of the engine's files."""
        return self.path / name / SHARD_FOLDER

    def require(self, name: str) -> None:
        """Make sure that there is an index of that very name, also where the file system ignores case.

        Raises:
            IndexNotFound: there is none.
            SchemaMismatch: there is a shard that lateint did not create.
        """
        place = self.path / check_name(name)
        if name in self.names():
            return
        shard = any((place / file).exists() for file in (SHARD_FOLDER, "edge_config.json"))
        if shard and not (place / SPEC_FILE).exists():
            raise errors.SchemaMismatch(
                f"{place} holds a Qdrant shard without {SPEC_FILE}: lateint did not create it.",
                hint="Read it with qdrant_edge and write its documents to a new index.",
            )
        raise self._not_found(name)

    def lock(self, name: str) -> Lock:
        """Take an index for this client alone.

        Raises:
            IndexNotFound: there is no such index.
            SchemaMismatch: there is a shard that lateint did not create.
            BlockingIOError: another client has it.
            FileNotFoundError: it has no shard.
        """
        self.require(name)
        try:
            lock = Lock(self.shard(name))
        except FileNotFoundError:
            self.require(name)  # dropped this very moment?
            raise
        if not lock.holds():
            lock.close()
            raise self._not_found(name)
        return lock

    def disown(self, name: str) -> None:
        """In a forked child, close its copies of an index's locks, the engine's, which would outlast the parent's."""
        locked = [self.shard(name).stat(), (self.shard(name) / "wal").stat()]
        for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208 - names, not paths
            with suppress(OSError):  # the one that listed them
                if any(os.path.samestat(os.fstat(descriptor), folder) for folder in locked):
                    os.close(descriptor)

    def read(self, name: str) -> IndexSpec:
        """The spec of an index.

        Raises:
            IndexNotFound: there is no such index.
            SchemaMismatch: its spec cannot be read, or is that of another index.
        """
        self.require(name)
        file = self.path / name / SPEC_FILE
        try:
            spec = IndexSpec.from_dict(json.loads(file.read_text("utf-8")))
        except FileNotFoundError:  # dropped this very moment
            raise self._not_found(name) from None
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise errors.SchemaMismatch(
                f"{file} does not describe an index: {error}", hint="Restore that file from a copy, or drop the index."
            ) from error
        if spec.name != name:
            raise errors.SchemaMismatch(
                f"{file} describes index {spec.name!r}.", hint=f"Rename its folder back to {spec.name!r}."
            )
        return spec

    def write(self, spec: IndexSpec) -> None:
        """Replace the spec of an index, all or nothing."""
        _write_spec(self.path / spec.name, spec)

    @contextmanager
    def creating(self, spec: IndexSpec) -> Iterator[Path]:
        """Build an index aside; it appears under its name when all of it is on disk, or not at all.

        Yields:
            The path where the engine should make its shard.

        Raises:
            IndexExists: there is one of that name.
            SchemaMismatch: something else has that name.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._alone():
            self._require_absent(spec.name)
            aside = self.path / f".{spec.name}.new.{uuid4().hex}"
            aside.mkdir()
            try:
                yield aside / SHARD_FOLDER
                _write_spec(aside, spec)
                self._require_absent(spec.name)  # again, for systems without locks
                aside.rename(self.path / spec.name)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
            _sync(self.path)

    def drop(self, name: str) -> None:
        """Delete an index, all or nothing as others see it, also one without a shard; else raises as `lock` does."""
        with self._alone(), ExitStack() as held:
            self.require(name)
            with suppress(FileNotFoundError):  # damaged, and dropping it the way out
                held.enter_context(closing(Lock(self.shard(name))))
            aside = self.path / f".{name}.old.{uuid4().hex}"
            (self.path / name).rename(aside)
            _sync(self.path)
            shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from creating and dropping meanwhile, and sweep what crashes left behind."""
        with closing(Lock(self.path, wait=True)):
            for entry in self.path.iterdir():
                if _is_leftover(entry):
                    shutil.rmtree(entry, ignore_errors=True)
            yield

    def require_space(self, *, vectors: int = 0, payload: int = 0, fields: int = 0, log: bool = False) -> None:
        """Make sure that there is room on the disk.

        The engine works through memory maps of sparse files: where the disk is full, that kills the process.

        Args:
            vectors: bytes of them to be written.
            payload: bytes of it to be written.
            fields: how many indexed fields are to be declared or opened.
            log: an index is to be opened.
        """
        free = self._free()
        needed = vectors * _PER_VECTOR_BYTE + payload * _PER_PAYLOAD_BYTE + fields * _PER_FIELD + log * _LOG + _RESERVE
        if free < needed:
            raise errors.StorageFull(
                f"the disk of {self.path} has {free >> 20} MiB free, this may take {needed >> 20} MiB.",
                hint="Free space on that disk; nothing was written.",
            )

    def has_space_to_rewrite(self, name: str) -> bool:
        """Whether the disk holds all of an index once more."""
        files = (file.stat() for file in self.shard(name).rglob("*"))
        return self._free() > sum(file.st_size for file in files) + _RESERVE

    def _free(self) -> int:
        """Bytes free on the disk that holds the folder, which may not exist yet."""
        return shutil.disk_usage(next(place for place in (self.path, *self.path.parents) if place.exists())).free

    def _not_found(self, name: str) -> errors.IndexNotFound:
        return errors.IndexNotFound(f"no index {name!r} in {self.path}.", hint="`list_indexes()` says what is there.")

    def _require_absent(self, name: str) -> None:
        place = self.path / name
        if (place / SPEC_FILE).exists():
            raise errors.IndexExists(f"index {name!r} exists already.", hint="Open it, drop it, or take another name.")
        if place.exists():
            raise errors.SchemaMismatch(f"{place} exists and is no index.", hint="Move it away, or take another name.")


def _is_name(text: str) -> bool:
    try:
        check_name(text)
    except errors.InvalidInput:
        return False
    return True


def _is_leftover(place: Path) -> bool:
    """Whether a crash of lateint left this behind: the folder may well be somebody's home, full of hidden folders."""
    match = _LEFTOVER.fullmatch(place.name)
    if match is None or not _is_name(match[1]) or (match[2] == "new" and fcntl is None):  # in the making elsewhere
        return False
    try:
        content = {entry.name for entry in place.iterdir()}
    except OSError:  # no folder, or none of ours
        return False
    return not place.is_symlink() and content <= {SPEC_FILE, f"{SPEC_FILE}.new", SHARD_FOLDER}


def _write_spec(place: Path, spec: IndexSpec) -> None:
    aside = place / f"{SPEC_FILE}.new"
    with aside.open("w", encoding="utf-8") as file:
        json.dump(spec.to_dict(), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(place / SPEC_FILE)
    _sync(place)


def _sync(place: Path) -> None:
    """Make renames in a folder durable."""
    if os.name != "posix":  # Windows opens no folders
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
