"""Page images: from what a user has to upright RGB pixels on white, or an error that names the file."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lateint import errors

if TYPE_CHECKING:
    from PIL.Image import Image

PageImage: TypeAlias = "Image | str | os.PathLike[str] | bytes"
"""An image of Pillow, the path of a file, or the content of one; a URL only where a way to fetch it is given."""

SUFFIXES = (".png", ".jpg", ".jpeg")
"""What `list_images` takes for a page."""

# Not all that Pillow knows: it runs another program on EPS, and most of the others are no pages.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_WHITE_IS_ZERO = 258, 262, 0


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The PNG and JPEG files of a folder and the folders in it, in the order of their names; not the hidden ones.

    Raises:
        InvalidInput: no folder, or no such file in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise errors.InvalidInput(f"{root} is not a folder.")
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    pages = sorted((path for path in found if not any(part.startswith(".") for part in path.parts)), key=Path.as_posix)
    if not pages:
        raise errors.InvalidInput(f"{root} holds no page images.", hint=f"Files of {', '.join(SUFFIXES)} are read.")
    return [root / page for page in pages]


def sample_images() -> list[Image]:
    """Four small pages with words on them, of different sizes and shapes, to check an encoder with."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - an extra

    pages = []
    for size, words in (
        ((120, 160), "invoice"),
        ((240, 90), "quarterly report"),
        ((64, 64), "map"),
        ((90, 240), "menu"),
    ):
        page = Image.new("RGB", size, "white")
        drawing = ImageDraw.Draw(page)
        drawing.rectangle((4, 4, size[0] // 3, size[1] // 3), fill=(40, 90, 160))
        drawing.text((8, size[1] // 2), words, fill="black")
        pages.append(page)
    return pages


def name_of(source: object, position: int | None = None) -> str:
    """What errors call an image: its file where it has one, else its place among those passed, if there are others."""
    if isinstance(source, (str, os.PathLike)):
        return f"image {os.fspath(source)!r:.300}"
    file = getattr(source, "filename", None)
    named = "the image" if position is None else f"image {position}"
    return named + (f" ({file!r:.300})" if isinstance(file, str) and file else "")


def read_image(source: PageImage, name: str, *, fetch: Callable[[str], bytes] | None = None) -> Image:
    """One page as the models take it: mode RGB, upright as EXIF says, what is transparent white.

    16-bit grey is scaled, not clipped; CMYK is converted without a colour profile; of a photograph that carries
    previews, the photograph is read.

    Args:
        source: a Pillow image, a path, or the bytes of a file.
        name: what errors call it.
        fetch: gets the bytes behind a URL; None refuses URLs.

    Raises:
        InvalidInput: not there, not an image, broken, of several frames, larger than `PIL.Image.MAX_IMAGE_PIXELS`, or
            of a kind whose white is not defined.
    """
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - an extra

    try:
        if isinstance(source, Image.Image):
            return _pixels(source, name)
        with Image.open(_file(source, name, fetch), formats=FORMATS) as image:
            return _pixels(image, name)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise errors.InvalidInput(f"{name}: {error}", hint=_TOO_LARGE) from error
    except FileNotFoundError as error:
        raise errors.InvalidInput(f"{name}: there is no such file.") from error
    except UnidentifiedImageError as error:
        raise errors.InvalidInput(
            f"{name} is not an image, or broken at its head.", hint=f"Read are {', '.join(FORMATS)}."
        ) from error
    except errors.InvalidInput:
        raise
    except Exception as error:  # decoders of broken files raise nearly everything
        raise errors.InvalidInput(f"{name} cannot be read: {error or type(error).__name__}") from error


_TOO_LARGE = "Scale it down; or raise PIL.Image.MAX_IMAGE_PIXELS if you trust the file."


def _file(source: object, name: str, fetch: Callable[[str], bytes] | None) -> Any:  # noqa: ANN401
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if isinstance(source, str) and ("://" in source or source.startswith("data:")):
        if fetch is None:
            raise errors.InvalidInput(
                f"{name} is a URL, and none is fetched on its own.",
                hint="Pass the bytes of the file; or make the encoder with fetch=, a function from URL to bytes.",
            )
        return io.BytesIO(fetch(source))
    if isinstance(source, (str, os.PathLike)):
        return source
    raise errors.InvalidInput(
        f"{name} is a {type(source).__name__}.", hint="Pass a Pillow image, a path, or the bytes of an image file."
    )


def _pixels(image: Image, name: str) -> Image:
    from PIL import Image as images  # noqa: N813, PLC0415
    from PIL import ImageOps  # noqa: PLC0415

    width, height = image.size
    frames = getattr(image, "n_frames", 1)
    if not width * height:
        raise errors.InvalidInput(f"{name} is {width} × {height} pixels: there is nothing in it.")
    if images.MAX_IMAGE_PIXELS is not None and width * height > images.MAX_IMAGE_PIXELS:
        raise errors.InvalidInput(
            f"{name} is {width:,} × {height:,} pixels, more than the {images.MAX_IMAGE_PIXELS:,} allowed.",
            hint=_TOO_LARGE,
        )
    if frames > 1 and image.format != "MPO":
        raise errors.InvalidInput(
            f"{name} holds {frames} frames, and a document is one page.",
            hint="Save a file for each; of an opened image, pass frame.copy().",
        )
    upright = ImageOps.exif_transpose(_eight_bits(image, name))
    if upright.has_transparency_data:
        white = images.new("RGBA", upright.size, "white")
        upright = images.alpha_composite(white, upright.convert("RGBA"))
    return upright.convert("RGB")


def _eight_bits(image: Image, name: str) -> Image:
    """Scale 16-bit grey, which Pillow itself would clip at 255, to 8 bits."""
    from PIL import Image as images  # noqa: N813, PLC0415

    tags = getattr(image, "tag_v2", {})
    odd = tags.get(_TIFF_PHOTOMETRIC) == _TIFF_WHITE_IS_ZERO or tags.get(_TIFF_BITS, (16,)) != (16,)
    if image.mode in {"I", "F"} or (image.mode.startswith("I;16") and odd):
        raise errors.InvalidInput(
            f"{name} has pixels of kind {image.mode!r}, whose white is not defined.", hint="Convert it to 8 bits first."
        )
    if not image.mode.startswith("I;16"):
        return image
    wide = np.asarray(image).astype(np.uint32)
    if isinstance(key := image.info.get("transparency"), int):
        wide[wide == key] = 65_535
    grey = images.fromarray(((wide * 255 + 32_767) // 65_535).astype(np.uint8))
    grey.info["exif"] = image.getexif().tobytes()
    return grey
