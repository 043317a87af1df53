"""Page images become the multi-vectors that the models' own recipes make, whatever else is in the batch.

The recipes are written out here, one item at a time and without padding, against tiny checkpoints with random weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image

from lateint.encoders.check import check_encoder
from lateint.encoders.images import sample_images
from lateint.encoders.vision import VisionEncoder

CLOSE = 1e-5
"""Between two ways through the same float32 weights."""

QUERIES = ["what is the total due?", "tax", "", "a long query: " + "revenue by street and by date, " * 8]

Recipe = Callable[[Any, Any], torch.Tensor]


class Plain:
    """A checkpoint opened with nothing but transformers."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        kind = getattr(transformers, config["architectures"][0])
        self.model = kind.from_pretrained(folder).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.images = transformers.AutoImageProcessor.from_pretrained(folder)

    def ids(self, text: str) -> torch.Tensor:
        return torch.tensor([self.tokenizer(text, add_special_tokens=False)["input_ids"]])

    def projected(self, hidden: torch.Tensor) -> NDArray[np.float64]:
        rows = self.model.embedding_proj_layer(hidden)[0].double().numpy()
        unit: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def colpali(plain: Plain, text: str, pixels: torch.Tensor | None) -> NDArray[np.float64]:
    """The whole input is a prefix, in which every token sees every other: token type 0."""
    ids = plain.ids(text)
    mask = torch.ones_like(ids)
    given = {} if pixels is None else {"pixel_values": pixels}
    return plain.projected(plain.model.vlm(input_ids=ids, attention_mask=mask, token_type_ids=0 * ids, **given)[0])


def colpali_query(plain: Plain, text: str) -> NDArray[np.float64]:
    return colpali(plain, f"<bos>Question: {text}{'<pad>' * 10}\n", None)


def colpali_page(plain: Plain, page: Image.Image) -> NDArray[np.float64]:
    prompt = f"{'<image>' * 16}<bos>Describe the image.\n"
    if find_spec("torchvision"):  # rounds some pixels to another grey than Pillow
        return colpali(plain, prompt, plain.images([page], return_tensors="pt")["pixel_values"])
    pixels = np.asarray(page.resize((56, 56), Image.Resampling.BICUBIC), np.float32) / 255 * 2 - 1
    return colpali(plain, prompt, torch.from_numpy(pixels).permute(2, 0, 1)[None])


def colqwen2(plain: Plain, ids: torch.Tensor, hidden: torch.Tensor, positions: Any) -> NDArray[np.float64]:
    places = torch.tensor(positions).T[:, None]
    output = plain.model.vlm.language_model(
        inputs_embeds=hidden, attention_mask=torch.ones_like(ids), position_ids=places
    )
    return plain.projected(output.last_hidden_state)


def colqwen2_query(plain: Plain, text: str) -> NDArray[np.float64]:
    ids = plain.ids(f"Query: {text}{'<|endoftext|>' * 10}\n")
    hidden = plain.model.vlm.get_input_embeddings()(ids)
    return colqwen2(plain, ids, hidden, [(at, at, at) for at in range(ids.shape[1])])


def colqwen2_page(plain: Plain, page: Image.Image) -> NDArray[np.float64]:
    """A patch has the time of the image's first, and its row and column from there; words go on after the longer side."""
    seen = plain.images([page], return_tensors="pt")
    rows, columns = (seen["image_grid_thw"][0, 1:] // 2).tolist()
    before = plain.ids("<|im_start|>user\n<|vision_start|>")
    after = plain.ids("<|vision_end|>Describe the image.<|im_end|><|endoftext|>")
    image = plain.ids("<|image_pad|>" * (rows * columns))
    ids = torch.cat([before, image, after], 1)
    first = before.shape[1]
    positions = [(at, at, at) for at in range(first)]
    positions += [(first, first + row, first + column) for row in range(rows) for column in range(columns)]
    positions += [(first + max(rows, columns) + at,) * 3 for at in range(after.shape[1])]
    hidden = plain.model.vlm.get_input_embeddings()(ids)
    patches = plain.model.vlm.visual(seen["pixel_values"], grid_thw=seen["image_grid_thw"]).pooler_output
    hidden[0, first : first + rows * columns] = patches
    return colqwen2(plain, ids, hidden, positions)


def colmodernvbert(plain: Plain, text: str, pixels: torch.Tensor | None) -> NDArray[np.float64]:
    ids = plain.ids(f"[CLS]{text}[SEP]")
    given = {} if pixels is None else {"pixel_values": pixels}
    return plain.projected(plain.model.vlm(input_ids=ids, attention_mask=torch.ones_like(ids), **given)[0])


def colmodernvbert_query(plain: Plain, text: str) -> NDArray[np.float64]:
    return colmodernvbert(plain, text + "<end_of_utterance>" * 10, None)


def colmodernvbert_page(plain: Plain, page: Image.Image) -> NDArray[np.float64]:
    """Tiles of the enlarged page, row by row, and an overview; every part is announced by what it is."""
    seen = plain.images([page], return_tensors="pt", return_row_col_info=True)
    rows, columns = seen["rows"][0][0], seen["cols"][0][0]
    part = "<image>" * 4
    tiles = "".join(
        "".join(f"<fake_token_around_image><row_{row + 1}_col_{column + 1}>{part}" for column in range(columns)) + "\n"
        for row in range(rows)
    )
    overview = f"\n<fake_token_around_image><global-img>{part}<fake_token_around_image>"
    text = f"<|begin_of_text|>User:{tiles}{overview}Describe the image.<end_of_utterance>\nAssistant:"
    return colmodernvbert(plain, text, seen["pixel_values"])


RECIPES: dict[str, tuple[Callable[..., NDArray[np.float64]], Callable[..., NDArray[np.float64]]]] = {
    "colpali": (colpali_query, colpali_page),
    "colqwen2": (colqwen2_query, colqwen2_page),
    "colmodernvbert": (colmodernvbert_query, colmodernvbert_page),
}


@pytest.fixture(params=RECIPES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def encoder(page_models: dict[str, Path], family: str) -> VisionEncoder:
    return VisionEncoder(page_models[family], batch_size=3)


@pytest.fixture
def recipes(page_models: dict[str, Path], family: str) -> Iterator[tuple[list[Any], list[Any]]]:
    """What the queries and the sample pages must become."""
    plain = Plain(page_models[family])
    of_query, of_page = RECIPES[family]
    with torch.no_grad():
        yield [of_query(plain, text) for text in QUERIES], [of_page(plain, page) for page in sample_images()]


def assert_equal(got: Sequence[Any], expected: Sequence[Any]) -> None:
    assert [rows.shape for rows in got] == [rows.shape for rows in expected]
    worst = max(float(np.abs(one - other).max()) for one, other in zip(got, expected, strict=True))
    assert worst <= CLOSE


class TestTheRecipes:
    @pytest.mark.parametrize("side", ["left", "right"])
    def test_queries(self, encoder: VisionEncoder, recipes: Any, side: Any) -> None:
        with encoder.padding(side):
            assert_equal(encoder.encode_queries(QUERIES), recipes[0])

    @pytest.mark.parametrize("side", ["left", "right"])
    def test_pages(self, encoder: VisionEncoder, recipes: Any, side: Any) -> None:
        """In batches with pages of other sizes, by threads of which each prepares several."""
        with encoder.padding(side):
            assert_equal(encoder.encode_documents(sample_images() * 3), recipes[1] * 3)

    def test_pages_differ(self, recipes: Any) -> None:
        """Weights that let no colour through would make every comparison here true."""
        first, second = recipes[1][0], recipes[1][2]
        shared = min(len(first), len(second))
        assert np.abs(first[:shared] - second[:shared]).max() > 0.1

    @pytest.mark.parametrize("family", ["colqwen2"], indirect=True)
    def test_dropped_position_ids_are_found(self, encoder: VisionEncoder, recipes: Any) -> None:
        """Planted: what transformers does when it is left to count patches as if they were words."""
        encoder._kind = replace(encoder._kind, left_out=lambda _, __: {})
        with pytest.raises(AssertionError, match="1e-05"):
            assert_equal(encoder.encode_documents(sample_images()), recipes[1])

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_dropped_token_type_ids_are_found(self, encoder: VisionEncoder, recipes: Any) -> None:
        """Planted: PaliGemma then lets a query see its padding."""
        encoder._processor = Without(encoder._processor, "token_type_ids")
        with pytest.raises(AssertionError, match="1e-05"):
            assert_equal(encoder.encode_queries(QUERIES), recipes[0])

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_the_check_finds_dropped_token_type_ids(self, encoder: VisionEncoder) -> None:
        """Planted: rows then depend on what else is in the batch, which a user can find without a recipe."""
        encoder._processor = Without(encoder._processor, "token_type_ids")
        assert not check_encoder(encoder).ok

    @pytest.mark.xfail(
        raises=AssertionError, reason="transformers counts the patches of ColQwen2 as if they were words, since 5.3"
    )
    @pytest.mark.parametrize("family", ["colqwen2"], indirect=True)
    def test_transformers_itself(self, page_models: dict[str, Path], recipes: Any) -> None:
        """Turns red when it is mended there: position ids need not be passed any more then, and do no harm."""
        processor = transformers.ColQwen2Processor.from_pretrained(page_models["colqwen2"])
        model = transformers.ColQwen2ForRetrieval.from_pretrained(page_models["colqwen2"])
        inputs = [processor.process_images([page]) for page in sample_images()]
        with torch.no_grad():
            assert_equal([model(**given).embeddings[0].numpy() for given in inputs], recipes[1])


class Without:
    """A processor that forgets an input."""

    def __init__(self, processor: Any, dropped: str) -> None:
        self._processor = processor
        self._dropped = dropped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def process_queries(self, texts: Any, **options: Any) -> Any:
        given = dict(self._processor.process_queries(texts, **options))
        return {key: value for key, value in given.items() if key != self._dropped}

    def process_images(self, pages: Any) -> Any:
        return {key: value for key, value in self._processor.process_images(pages).items() if key != self._dropped}
