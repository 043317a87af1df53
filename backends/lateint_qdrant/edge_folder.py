"""Where the in-process engine keeps its indexes: one folder, a sub-folder per index.

    <folder>/<name>/lateint.json    the spec
    <folder>/<name>/shard/          the engine's own files
    <folder>/.<name>.new.<hex>      an index being created
    <folder>/.<name>.old.<hex>      an index being dropped

A sub-folder without `lateint.json` is no index. What a crash leaves of the last two is swept later.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from lateint import errors
from lateint.spec import IndexSpec, check_name

SPEC_FILE = "lateint.json"
SHARD_FOLDER = "shard"

_RESERVE = 32 * 2**20
"""Bytes of disk that must stay free whatever is written: what preallocated files of the engine may yet fill."""

_PER_BYTE = 3
"""Bytes of disk that a byte of vectors or payload may take until the log is cut (measured: at most 2.2)."""


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of one client. It is made by the first creation of an index, not by opening it."""

    path: Path

    def names(self) -> list[str]:
        """Names of the indexes, sorted; anything else that lies in the folder is left out."""
        if not self.path.exists():
            return []
        found = (entry.name for entry in self.path.iterdir() if (entry / SPEC_FILE).is_file())
        return sorted(name for name in found if _is_name(name))

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
        raise errors.IndexNotFound(f"no index {name!r} in {self.path}.", hint="`list_indexes()` says what is there.")

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
        except (ValueError, TypeError, AttributeError) as error:
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
        self._require_absent(spec.name)
        self.path.mkdir(parents=True, exist_ok=True)
        self.sweep(spec.name)
        aside = self.path / f".{spec.name}.new.{uuid4().hex}"
        aside.mkdir()
        try:
            yield aside / SHARD_FOLDER
            _write_spec(aside, spec)
            self._require_absent(spec.name)
            aside.rename(self.path / spec.name)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _sync(self.path)

    def drop(self, name: str) -> None:
        """Delete an index, all or nothing as others see it."""
        aside = self.path / f".{name}.old.{uuid4().hex}"
        (self.path / name).rename(aside)
        _sync(self.path)
        shutil.rmtree(aside)

    def sweep(self, name: str) -> None:
        """Remove what crashes left behind: dropped indexes, and this one half created."""
        for leftover in (*self.path.glob(".*.old.*"), *self.path.glob(f".{name}.new.*")):
            shutil.rmtree(leftover, ignore_errors=True)

    def require_space(self, size: int) -> None:
        """Make sure that so many bytes can be written.

        The engine writes through memory maps of sparse files: where the disk is full, that kills the process.

        Raises:
            StorageFull: the disk is too full for them.
        """
        free = self._free()
        needed = size * _PER_BYTE + _RESERVE
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
