"""A page image becomes the pixels that a person would see, or an error that names the file; never a wrong page."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lateint import errors
from lateint.encoders.ahead import ahead
from lateint.encoders.images import list_images, name_of, read_image, sample_images
from lateint.encoders.stream import encoded
from lateint.encoders.vision import VisionEncoder

SIZE = (48, 32)
COLOUR = (200, 30, 60)


def plain(colour: Any = COLOUR, mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.new(mode, size, colour)


def file_of(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def read(source: Any, **options: Any) -> Image.Image:
    return read_image(source, name_of(source, 7), **options)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def declared(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says to be of any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


class TestRightPixels:
    @pytest.mark.parametrize("form", ["image", "path", "text path", "bytes"])
    def test_every_way_to_pass_one(self, form: str, tmp_path: Path) -> None:
        path = tmp_path / "a page.png"
        plain().save(path)
        source = {"image": plain(), "path": path, "text path": str(path), "bytes": path.read_bytes()}[form]
        page = read(source)
        assert (page.mode, page.size, page.getpixel((5, 5))) == ("RGB", SIZE, COLOUR)

    @pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
    def test_cmyk(self, kind: str) -> None:
        """Printers' files: read as RGBA, or with JPEG's inversion forgotten, a page is a negative."""
        page = read(file_of(plain((0, 200, 100, 20), "CMYK"), kind))
        expected = [round((255 - ink) * (255 - 20) / 255) for ink in (0, 200, 100)]
        assert np.abs(np.asarray(page, int) - expected).max() <= (3 if kind == "JPEG" else 1)

    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_16_bit_grey(self, kind: str) -> None:
        """Pillow clips at 255, which makes of a scan a white page."""
        ramp = np.linspace(0, 65_535, SIZE[0] * SIZE[1]).astype(np.uint16).reshape(SIZE[1], SIZE[0])
        page = np.asarray(read(file_of(Image.fromarray(ramp), kind)), float)
        assert np.abs(page - ramp[..., None] / 257).max() <= 0.5

    def test_16_bit_colour(self) -> None:
        """Pillow cannot write them, and scanners do."""
        row = b"\0" + struct.pack(">HHH", *(value * 257 for value in COLOUR)) * 2
        header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
        data = zlib.compress(row * 2)
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        assert read(content).getpixel((1, 1)) == COLOUR

    @pytest.mark.parametrize(
        "image",
        [plain((0, 0, 0, 0), "RGBA"), plain((0, 0), "LA"), plain(0, "P"), plain(0, "L"), plain(0, "RGB")],
        ids=lambda image: image.mode,
    )
    def test_transparent_is_white(self, image: Image.Image) -> None:
        """Black text on a transparent page would be black on black."""
        options: dict[str, dict[str, Any]] = {
            "P": {"transparency": 0},
            "L": {"transparency": 0},
            "RGB": {"transparency": (0, 0, 0)},
        }
        assert read(file_of(image, **options.get(image.mode, {}))).getpixel((5, 5)) == (255, 255, 255)

    def test_transparent_16_bit_grey_is_white(self) -> None:
        grey = Image.fromarray(np.full(SIZE[::-1], 1000, np.uint16))
        assert read(file_of(grey, transparency=1000)).getpixel((0, 0)) == (255, 255, 255)

    @pytest.mark.parametrize("image", [plain(COLOUR), plain(90, "L")], ids=["8 bits", "grey"])
    def test_upright_as_the_camera_says(self, image: Image.Image) -> None:
        """Phones store the page lying on its side, with a note of it."""
        exif = Image.Exif()
        exif[0x0112] = 6
        assert read(file_of(image, "JPEG", exif=exif)).size == SIZE[::-1]

    def test_upright_in_16_bits(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        assert read(file_of(Image.fromarray(np.zeros(SIZE[::-1], np.uint16)), exif=exif)).size == SIZE[::-1]

    def test_of_a_photograph_with_previews_the_photograph(self) -> None:
        page = read(file_of(plain(), "MPO", save_all=True, append_images=[plain((0, 0, 0), size=(8, 8))]))
        assert page.size == SIZE
        assert np.abs(np.asarray(page, int) - COLOUR).max() <= 3

    def test_the_image_passed_is_left_as_it_is(self) -> None:
        image = plain((1, 2, 3, 4), "RGBA")
        before = image.tobytes()
        read(image)
        assert (image.mode, image.tobytes()) == ("RGBA", before)

    def test_a_url_where_a_way_to_fetch_it_is_given(self) -> None:
        asked: list[str] = []

        def fetch(url: str) -> bytes:
            asked.append(url)
            return file_of(plain())

        assert read("https://example.org/p.png", fetch=fetch).getpixel((0, 0)) == COLOUR
        assert asked == ["https://example.org/p.png"]


WRONG: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "is not an image"),
    "text": (lambda: b"not a page", "is not an image"),
    "half a PNG": (lambda: half(file_of(sample_images()[1])), "cannot be read"),
    "half a JPEG": (lambda: half(file_of(sample_images()[1], "JPEG")), "cannot be read: image file is truncated"),
    "50,000 pixels a side": (lambda: declared(50_000, 50_000), "2500000000 pixels.* Scale it down"),
    "twice what is allowed": (lambda: declared(12_000, 12_000), "144000000 pixels.* Scale it down"),
    "a bomb in a comment": (lambda: with_comment(bytes(200 * 2**20)), "(?i:too large)"),
    "animated GIF": (lambda: frames("GIF"), "holds 2 frames"),
    "animated PNG": (lambda: frames("PNG"), "holds 2 frames"),
    "TIFF of two pages": (lambda: frames("TIFF"), "holds 2 frames"),
    "floats": (lambda: file_of(plain(0.5, "F"), "TIFF"), "white is not defined"),
    "PostScript": (lambda: file_of(plain(), "EPS"), "is not an image"),
}


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def frames(kind: str) -> bytes:
    return file_of(plain(0, "L"), kind, save_all=True, append_images=[plain(99, "L")])


def with_comment(text: bytes) -> bytes:
    content = file_of(plain())
    return content[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text)) + content[33:]


class TestErrors:
    @pytest.mark.parametrize("wrong", WRONG)
    def test_names_the_file(self, wrong: str, tmp_path: Path) -> None:
        make, reason = WRONG[wrong]
        path = tmp_path / "scan 12.png"
        path.write_bytes(make())
        with pytest.raises(errors.InvalidInput, match=reason) as raised:
            read(path)
        assert str(path) in str(raised.value)
        with pytest.raises(errors.InvalidInput, match=f"^image 7.*{reason}"):
            read(path.read_bytes())

    @pytest.mark.parametrize("wrong", [name for name in WRONG if name.startswith("half a")])
    def test_opened_by_the_caller(self, wrong: str) -> None:
        """Pillow decodes when it is asked for pixels: a torn file looks whole until then."""
        content = WRONG[wrong][0]()
        with pytest.raises(errors.InvalidInput, match=r"^image 7 cannot be read: "):
            read(Image.open(io.BytesIO(content)))

    def test_closed_by_the_caller(self, tmp_path: Path) -> None:
        path = tmp_path / "scan 12.png"
        plain().save(path)
        with Image.open(path) as image:
            pass
        with pytest.raises(errors.InvalidInput, match=r"^image 7 \(.*scan 12\.png.*cannot be read"):
            read(image)

    @pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
    def test_too_large_where_pillow_only_warns(self) -> None:
        with pytest.warns(Image.DecompressionBombWarning), pytest.raises(errors.InvalidInput, match="12,000 × 12,000"):
            read(declared(12_000, 12_000))

    def test_missing_folder_or_no_image(self, tmp_path: Path) -> None:
        for source, reason in (
            (tmp_path / "none.png", "there is no such file"),
            (tmp_path, "cannot be read"),
            (5, "image 7 is a int"),
            (plain(size=(0, 9)), "0 × 9 pixels"),
        ):
            with pytest.raises(errors.InvalidInput, match=reason):
                read(source)

    @pytest.mark.parametrize("url", ["https://example.org/a.png", "file:///etc/a.png", "data:image/png;base64,AA=="])
    def test_urls_are_refused(self, url: str) -> None:
        """Whoever can name a document could else make this machine ask any server it reaches."""
        with pytest.raises(errors.InvalidInput, match=r"is a URL, and none is fetched on its own\. Pass the bytes"):
            read(url)

    @given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]), st.data())
    @pytest.mark.filterwarnings("ignore")
    def test_damage(self, kind: str, data: st.DataObject) -> None:
        """Decoders of damaged files raise nearly everything; a page is read whole, or `InvalidInput` says not."""
        content = bytearray(file_of(sample_images()[0], kind))
        for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
            content[at] = data.draw(st.integers(0, 255))
        said = "image 7"
        try:
            assert read(bytes(content)).mode == "RGB"
        except errors.InvalidInput as error:
            said = str(error)
        assert said.startswith("image 7")


class TestFolders:
    def test_lists_pages_in_order(self, tmp_path: Path) -> None:
        names = ["b.png", "a/2.JPG", "a/1.jpeg", "c.txt", ".hidden.png", ".cache/d.png", "e.png.part"]
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "folder.png").mkdir()
        assert list_images(tmp_path) == [tmp_path / name for name in ("a/1.jpeg", "a/2.JPG", "b.png")]

    def test_nothing_to_list(self, tmp_path: Path) -> None:
        with pytest.raises(errors.InvalidInput, match="holds no page images"):
            list_images(tmp_path)
        with pytest.raises(errors.InvalidInput, match="is not a folder"):
            list_images(tmp_path / "none")

    def test_imports_nothing_heavy(self) -> None:
        """The command line lists a folder before it knows what will read it."""
        code = "import sys, lateint.encoders.vision, lateint.encoders.images as i; i.list_images"
        code += "; print([m for m in ('torch', 'PIL', 'transformers') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def encoder(page_models: dict[str, Path]) -> VisionEncoder:
    return VisionEncoder(page_models["colqwen2"], batch_size=2, workers=2)


class TestInTheEncoder:
    def test_a_bad_page_among_good_ones_is_named(self, encoder: VisionEncoder, tmp_path: Path) -> None:
        path = tmp_path / "torn.png"
        path.write_bytes(half(file_of(sample_images()[1])))
        with pytest.raises(errors.InvalidInput, match=r"torn\.png"):
            encoder.encode_documents([*sample_images(), path, *sample_images()])

    def test_is_encoded_beside_the_good_ones_once(
        self, encoder: VisionEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its neighbours cost seconds each; and their rows are those that they have without it."""
        path = tmp_path / "torn.png"
        path.write_bytes(half(file_of(sample_images()[1])))
        expected = encoder.encode_documents(sample_images())
        encoded_pages, work = [], encoder._rows

        def counted(inputs: Any, kept: Any) -> Any:
            encoded_pages.append(len(inputs["input_ids"]))
            return work(inputs, kept)

        monkeypatch.setattr(encoder, "_rows", counted)
        pages = sample_images()
        results = dict(encoded(encoder, enumerate([pages[0], path, *pages[1:]])))
        assert "torn.png" in str(results.pop(1))
        for rows, wanted in zip(results.values(), expected, strict=True):
            np.testing.assert_array_equal(rows, wanted)
        assert sum(encoded_pages) == 4

    def test_a_shape_that_the_model_cannot_take(self, encoder: VisionEncoder, tmp_path: Path) -> None:
        plain(size=(50_000, 1)).save(tmp_path / "line.png")
        with pytest.raises(errors.InvalidInput, match=r"line\.png', 50000 × 1 pixels, is not for this model: .*ratio"):
            encoder.encode_documents([tmp_path / "line.png"])

    def test_the_widest_and_the_smallest_it_can_take(self, encoder: VisionEncoder, tmp_path: Path) -> None:
        plain(size=(50_000, 400)).save(tmp_path / "wide.png")
        pages = encoder.trace_documents([tmp_path / "wide.png", plain(size=(1, 1))])
        assert [page.grid is not None and page.grid[0] for page in pages] == [1, 2]

    def test_one_image_is_no_sequence(self, encoder: VisionEncoder) -> None:
        for one in ("page.png", Path("page.png"), b"page"):
            with pytest.raises(errors.InvalidInput, match="not a sequence"):
                encoder.encode_documents(one)  # type: ignore[arg-type]

    def test_pages_are_prepared_while_the_model_works(
        self, encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Prepared in between, pages would leave a GPU idle for most of the time."""
        prepared = threading.Semaphore(0)
        prepare, work, batches = encoder._prepared, encoder._rows, []

        def counted(numbered: Any) -> Any:
            page = prepare(numbered)
            prepared.release()
            return page

        def working(*given: Any) -> Any:
            batches.append(len(given[0]["input_ids"]))
            # This batch, and while it is here the next one.
            for _ in range(2 if len(batches) in {2, 3} else 4 if len(batches) == 1 else 0):
                assert prepared.acquire(timeout=30)
            return work(*given)

        monkeypatch.setattr(encoder, "_prepared", counted)
        monkeypatch.setattr(encoder, "_rows", working)
        assert len(encoder.encode_documents(sample_images() * 2)) == 8
        assert batches == [2, 2, 2, 2]


class TestAhead:
    def test_in_order_and_bounded(self) -> None:
        """A corpus in memory at once would be the other way never to wait."""
        pulled: list[int] = []
        release = threading.Event()

        def items() -> Iterator[int]:
            for at in range(100):
                pulled.append(at)
                yield at

        def work(item: int) -> int:
            if item == 0:
                release.wait(30)
            return item * item

        results = ahead(work, items(), workers=3, depth=5)
        release.set()
        for at in range(100):
            assert next(results) == at * at
            assert len(pulled) <= at + 5

    def test_an_error_at_its_place(self) -> None:
        results = ahead(lambda item: 1 // item, [2, 1, 0, 4], workers=2, depth=4)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)

    def test_stopping_early_leaves_nothing_behind(self) -> None:
        before = threading.active_count()
        results = ahead(abs, range(50), workers=4, depth=8)
        next(results)
        results.close()
        assert threading.active_count() == before
