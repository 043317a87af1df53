"""Where a model lies: a folder, or a name on the hub; what its configuration says; what tells its weights apart."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias
from zipfile import is_zipfile

from lateint import errors

Precision: TypeAlias = Literal["float32", "float16", "bfloat16"]

ADAPTER = "adapter_config.json"

BLOCK = 4 * 1024
"""Bytes at either end of each tensor that weights are told by; tokens that were added stand at the end of theirs."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
COLPALI_ENGINE_HINT = (
    "Models saved by colpali-engine are loaded by it: lateint.encoders.from_colpali_engine(model, processor, name=…). "
    "Of many there is one for transformers as well, whose name ends in -hf."
)
ADAPTER_HINT = (
    "Merge it into its base (merge_and_unload() of peft) and save that, with its tokenizer or processor. "
    + COLPALI_ENGINE_HINT
)
_OFFLINE_HINT = (
    "Load it once with the network at hand (HF_HUB_OFFLINE unset), set HF_HOME to a cache that holds it, or pass the "
    "folder that it lies in."
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that has been found.

    Attributes:
        name: its name on the hub, or that of its folder.
        source: what a library loads it by.
        folder: where its files are, as far as they have been downloaded.
        revision: the commit, for a model of the hub.
        config: its config.json; empty if it has none.
    """

    name: str
    source: str
    folder: Path
    revision: str | None
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """The class it was saved from."""
        names = self.config.get("architectures") or [""]
        return str(names[0])

    @property
    def of_colpali_engine(self) -> bool:
        """It was saved from a class of colpali-engine: ColPali, ColQwen2, … with nothing behind."""
        return self.architecture.startswith("Col") and not self.architecture.endswith(("ForRetrieval", "BERT"))

    @property
    def adapter(self) -> str | None:
        """What an adapter in its folder says of its base; None if there is no adapter, as far as is downloaded."""
        config = self.read_json(ADAPTER)
        if config is None:
            return None
        base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
        return f"{base!r}" if base else "a model that its settings do not name"

    def read_json(self, name: str) -> Any:  # noqa: ANN401
        """A JSON file of it that is on this machine; None if it has none.

        Raises:
            ConfigurationError: it is not JSON.
        """
        path = self.folder / name
        try:
            return json.loads(path.read_bytes()) if path.is_file() else None
        except ValueError as error:
            raise errors.ConfigurationError(
                f"{path} is not JSON: {error}.", hint="Download or save the model again."
            ) from error


def resolve(model: str | Path, *, revision: str | None = None) -> Checkpoint:
    """Find a model, downloading no more than its configuration.

    Args:
        model: a folder, or a name on the hub such as `lightonai/LateOn`.
        revision: branch, tag or commit on the hub.

    Raises:
        ConfigurationError: there is no such folder or model, it cannot be reached, or it is gated.
        MissingDependency: the packages that download models are not installed.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
            if (adapter := Checkpoint(folder.name, str(folder), folder, None, {}).adapter) is not None:
                raise errors.ConfigurationError(
                    f"folder {str(model)!r} holds an adapter of {adapter}, and no model.", hint=ADAPTER_HINT
                )
            raise errors.ConfigurationError(
                f"folder {str(model)!r} holds no model: there is neither config.json nor modules.json in it.",
                hint="Pass the folder it was saved to.",
            )
        folder = folder.resolve()  # a relative one can read like a name on the hub, and be asked for there
        return _found(folder.name, str(folder), folder, None)
    name = str(model)
    if isinstance(model, Path) or not _HUB_NAME.fullmatch(name) or name.startswith("."):
        raise errors.ConfigurationError(
            f"there is no folder {name!r}.",
            hint="Pass a folder that holds a model, or a name such as lightonai/LateOn.",
        )
    folder = _downloaded(name, revision)
    commit = folder.name if _COMMIT.fullmatch(folder.name) else revision
    return _found(name, name, folder, commit)


def digest(checkpoint: Checkpoint) -> str | None:
    """What tells the weights from any others, by a little of every tensor.

    The same for a model on the hub and a copy of it in a folder, and however its tensors are spread over files.

    Returns:
        None if its files do not tell: there are none on this machine, or they are an adapter of another model.
    """
    parts = [str(module.get("path", "")) for module in checkpoint.read_json("modules.json") or [{"path": ""}]]
    tensors: set[str] = set()
    for part in dict.fromkeys(("", *parts)):
        found = (checkpoint.folder / part).rglob if part else checkpoint.folder.glob  # modules can lie within modules
        if any(found(ADAPTER)):
            return None
        # Safetensors where there are any: they are what is loaded then.
        for file in sorted(found("*.safetensors")) or sorted(found("pytorch_model*.bin")):
            place = file.parent.relative_to(checkpoint.folder).as_posix()
            tensors.update(f"{place} {tensor}" for tensor in _tensors(file))
    return hashlib.sha256("\n".join(sorted(tensors)).encode()).hexdigest()[:32] if tensors else None


def needs(*packages: str, extra: str, or_extra: str | None = None) -> None:
    """See that packages are installed before they are imported.

    Args:
        packages: as they are imported.
        extra: of lateint, that brings them.
        or_extra: another that brings them too, where it is not known yet which is wanted.

    Raises:
        MissingDependency: names those that are not, and the extra that brings them.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        raise errors.MissingDependency(
            f"this encoder needs {' and '.join(absent)}, not installed here.",
            hint=f'Install it: pip install "lateint[{extra}]"'
            + (f', or "lateint[{or_extra}]" for page images' if or_extra else ""),
        )


@cache
def installed(package: str) -> str:
    """The version of an installed distribution."""
    return version(package)


def _tensors(file: Path) -> Iterator[str]:
    """What tells each tensor in a file: name, type, shape and either end of its values."""
    if file.suffix != ".safetensors":
        yield from _pickled(file)
        return
    with file.open("rb") as opened:
        start = 8 + int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(start - 8))
        header.pop("__metadata__", None)
        for name, about in header.items():
            begin, end = about["data_offsets"]
            told = hashlib.sha256()
            for at in (begin, max(begin, end - BLOCK)):
                opened.seek(start + at)
                told.update(opened.read(min(BLOCK, end - at)))
            yield f"{name} {about['dtype']} {about['shape']} {told.hexdigest()}"


def _pickled(file: Path) -> Iterator[str]:
    """The same of a file that only torch can read."""
    import torch  # noqa: PLC0415 - an extra

    types = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
    values = torch.load(file, map_location="cpu", weights_only=True, mmap=is_zipfile(file))
    for name, tensor in values.items():
        flat = tensor.contiguous().flatten().view(torch.uint8) if tensor.numel() else tensor
        told = hashlib.sha256(flat[:BLOCK].numpy().tobytes())
        told.update(flat[-BLOCK:].numpy().tobytes())
        yield f"{name} {types.get(tensor.dtype, tensor.dtype)} {list(tensor.shape)} {told.hexdigest()}"


def _found(name: str, source: str, folder: Path, revision: str | None) -> Checkpoint:
    empty = Checkpoint(name, source, folder, revision, {})
    config = empty.read_json("config.json")
    return replace(empty, config=config) if isinstance(config, dict) else empty


def _downloaded(name: str, revision: str | None) -> Path:
    """The folder of the hub's cache that holds a model's configuration."""
    needs("huggingface_hub", extra="text", or_extra="vision")
    from huggingface_hub import errors as hub  # noqa: PLC0415 - an extra
    from huggingface_hub import hf_hub_download, list_repo_files  # noqa: PLC0415

    try:
        try:
            return Path(hf_hub_download(name, "config.json", revision=revision)).parent
        except hub.RemoteEntryNotFoundError:
            if "modules.json" not in list_repo_files(name, revision=revision):
                raise
            return Path(hf_hub_download(name, "modules.json", revision=revision)).parent
    except hub.GatedRepoError as error:
        raise errors.ConfigurationError(
            f"model {name!r} is gated.", hint="Ask for access on its page, then set HF_TOKEN."
        ) from error
    except hub.RevisionNotFoundError as error:
        raise errors.ConfigurationError(f"model {name!r} has no revision {revision!r}.") from error
    except hub.RepositoryNotFoundError as error:
        raise errors.ConfigurationError(
            f"the hub has no model {name!r}, or it is private.",
            hint="Look at the spelling; set HF_TOKEN for a private one; pass a folder for one of your own.",
        ) from error
    except hub.RemoteEntryNotFoundError as error:
        raise errors.ConfigurationError(
            f"model {name!r} has neither config.json nor modules.json.", hint=ADAPTER_HINT
        ) from error
    except hub.HFValidationError as error:
        raise errors.ConfigurationError(
            f"{name!r} is not the name of a model.", hint="Look at the spelling."
        ) from error
    except (hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError, OSError) as error:
        raise errors.ConfigurationError(
            f"model {name!r} is not on this machine, and the hub cannot be reached.", hint=_OFFLINE_HINT
        ) from error
