"""What the rows of page images are: their length, their origins, and what tells one encoder from another."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file, save_file

import lateint
from lateint import errors
from lateint.encoders import vision
from lateint.encoders.base import MADE_WITH, Patch, Token
from lateint.encoders.check import SLACK, check_encoder
from lateint.encoders.checkpoint import resolve
from lateint.encoders.images import sample_images
from lateint.encoders.vision import VisionEncoder

QUERIES = ["what is the total due?", "tax", "", "a long query: " + "revenue by street and by date, " * 8]


@pytest.fixture(params=["colpali", "colqwen2", "colmodernvbert"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def encoders(page_models: dict[str, Path]) -> dict[str, VisionEncoder]:
    return {family: VisionEncoder(folder, batch_size=3) for family, folder in page_models.items()}


@pytest.fixture
def encoder(encoders: dict[str, VisionEncoder], family: str) -> VisionEncoder:
    return encoders[family]


class TestRows:
    def test_sound(self, encoder: VisionEncoder) -> None:
        """Unit length, finite, none of padding, the same alone and in company."""
        check_encoder(encoder).raise_if_failed()

    @pytest.mark.parametrize(("dtype", "out"), [("float16", np.float16), ("bfloat16", np.float32)])
    def test_half_precision(self, page_models: dict[str, Path], family: str, dtype: Any, out: Any) -> None:
        """bfloat16 rows are up to 0.3 % off unit length as the model gives them; an engine would take that for score."""
        encoder = VisionEncoder(page_models[family], precision=dtype)
        for rows in [*encoder.encode_documents(sample_images()), *encoder.encode_queries(QUERIES)]:
            assert rows.dtype == out
            slack = np.finfo(out).eps * (1 if out is np.float16 else 2)
            assert np.abs(np.linalg.norm(rows.astype(np.float64), axis=1) - 1).max() <= slack

    def test_image_tokens_only(self, page_models: dict[str, Path], family: str, encoder: VisionEncoder) -> None:
        """The rows of patches, bit for bit, and none of the prompt; queries stay whole."""
        only = VisionEncoder(page_models[family], batch_size=3, image_tokens_only=True)
        whole, pages = encoder.trace_documents(sample_images()), only.trace_documents(sample_images())
        for one, other in zip(whole, pages, strict=True):
            of_patches = [isinstance(origin, Patch) for origin in one.origins]
            assert 0 < sum(of_patches) < len(of_patches)
            np.testing.assert_array_equal(one.vectors[of_patches], other.vectors)
            assert other.origins == tuple(origin for origin in one.origins if isinstance(origin, Patch))
        for one_query, other_query in zip(encoder.encode_queries(QUERIES), only.encode_queries(QUERIES), strict=True):
            np.testing.assert_array_equal(one_query, other_query)
        assert encoder.fingerprint != only.fingerprint

    def test_shorter_rows(self, page_models: dict[str, Path], family: str, encoder: VisionEncoder) -> None:
        """The first values at length 1, for models that keep what matters most there."""
        shorter = VisionEncoder(page_models[family], dim=6, batch_size=3)
        for rows, cut in zip(encoder.encode_queries(QUERIES), shorter.encode_queries(QUERIES), strict=True):
            first = rows[:, :6].astype(np.float64)
            np.testing.assert_allclose(cut, first / np.linalg.norm(first, axis=1, keepdims=True), atol=1e-6)
        assert shorter.fingerprint["dim"] == shorter.dim == 6
        with pytest.raises(errors.ConfigurationError, match="dim 17 cannot be had of rows of 16"):
            VisionEncoder(page_models[family], dim=17)

    def test_nothing_to_encode(self, encoder: VisionEncoder) -> None:
        assert encoder.encode_documents([]) == encoder.encode_queries([]) == []


class TestOrigins:
    def test_tracing_changes_no_vector(self, encoder: VisionEncoder) -> None:
        pages, queries = encoder.trace_documents(sample_images()), encoder.trace_queries(QUERIES)
        plain = [*encoder.encode_documents(sample_images()), *encoder.encode_queries(QUERIES)]
        for traced, rows in zip([*pages, *queries], plain, strict=True):
            np.testing.assert_array_equal(traced.vectors, rows)
            assert len(traced.origins) == len(rows)

    def test_every_patch_of_the_grid_once(self, encoder: VisionEncoder) -> None:
        for page in encoder.trace_documents(sample_images()):
            assert page.grid is not None
            rows, columns = page.grid
            places = [(one.row, one.column) for one in page.origins if isinstance(one, Patch) and one.grid == page.grid]
            everywhere = [(row, column) for row in range(rows) for column in range(columns)]
            assert sorted(places)[: len(everywhere)] == everywhere

    @pytest.mark.parametrize("family", ["colqwen2"], indirect=True)
    def test_grid_has_the_shape_of_the_page(self, encoder: VisionEncoder) -> None:
        """Read with rows for columns, every highlight would lie elsewhere on the page."""
        wide, tall = Image.new("RGB", (280, 84)), Image.new("RGB", (84, 280))
        assert [page.grid for page in encoder.trace_documents([wide, tall])] == [(3, 10), (10, 3)]

    @pytest.mark.parametrize("family", ["colmodernvbert"], indirect=True)
    def test_tiles_and_overview(self, encoder: VisionEncoder) -> None:
        """A tile is read before the one to its right, so neighbours on the page are far apart in the rows."""
        (page,) = encoder.trace_documents([Image.new("RGB", (112, 112))])
        patches = [origin for origin in page.origins if isinstance(origin, Patch)]
        assert page.grid == (4, 4)
        assert [(one.row, one.column) for one in patches[:5]] == [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2)]
        assert patches[16:] == [Patch(row, column, (2, 2)) for row in range(2) for column in range(2)]

    def test_patches_lie_where_their_pixels_are(self, encoder: VisionEncoder) -> None:
        """A black spot moves the row of its own patch most, before the layers mix: seen at the vision tower's output."""
        for corner, place in (((0, 0), (0, 0)), ((84, 0), (0, 3)), ((0, 84), (3, 0))):
            page, spotted = Image.new("RGB", (112, 112), "white"), Image.new("RGB", (112, 112), "white")
            spotted.paste("black", (*corner, corner[0] + 28, corner[1] + 28))
            seen = []
            for image in (page, spotted):
                inputs = encoder._prepared((0, image)).inputs
                seen.append(projected_patches(encoder._model, inputs))
            moved = int(np.abs(seen[0] - seen[1]).sum(1).argmax())
            (traced,) = encoder.trace_documents([page])
            patches = [origin for origin in traced.origins if isinstance(origin, Patch)]
            assert patches[moved].grid == (4, 4)
            assert (patches[moved].row, patches[moved].column) == place

    @pytest.mark.parametrize("change", [-1, 1])
    def test_of_other_patches_than_expected(
        self, encoder: VisionEncoder, monkeypatch: pytest.MonkeyPatch, change: int
    ) -> None:
        """Another version of transformers may tile otherwise: every highlight would lie elsewhere, and look right."""
        patches = encoder._kind.patches

        def shifted(*given: Any) -> list[Patch]:
            places = patches(*given)
            return places[:change] if change < 0 else [*places, places[0]]

        monkeypatch.setattr(encoder, "_kind", replace(encoder._kind, patches=shifted))
        with pytest.raises(errors.ConfigurationError, match="rows of patches, and by the processor's settings"):
            encoder.trace_documents(sample_images()[:1])

    def test_tokens_of_a_query(self, encoder: VisionEncoder) -> None:
        text = "tax due?"
        (query,) = encoder.trace_queries([text])
        tokens = [origin for origin in query.origins if isinstance(origin, Token)]
        found = [text[token.start : token.end] for token in tokens if token.start is not None]
        assert "".join(found) == text
        assert tokens[0].start is None
        assert tokens[-1].start is None


def projected_patches(model: Any, inputs: dict[str, Any]) -> NDArray[np.float32]:
    """What the vision tower hands to the language model with its layers taken out: one row for each image token."""
    parts = model.vlm.named_modules()
    layers = next(part for name, part in parts if name.startswith("vis") and isinstance(part, torch.nn.ModuleList))
    kept = list(layers)
    del layers[:]
    pixels, grid = inputs["pixel_values"], inputs.get("image_grid_thw")
    try:
        with torch.no_grad():
            seen = model.vlm.get_image_features(*((pixels,) if grid is None else (pixels[0], grid))).pooler_output
    finally:
        layers.extend(kept)
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in seen]).numpy()


_WRITTEN = """
import json

import numpy as np

from lateint.encoders.images import sample_images
from lateint.encoders.vision import VisionEncoder

encoder = VisionEncoder(sys.argv[1], device="cpu")
np.savez(sys.argv[2], *encoder.encode_documents(sample_images()))
print(json.dumps(dict(encoder.fingerprint)))
"""
"""A program that encodes the sample pages: folder of the model, file for the rows."""


class TestFingerprint:
    def test_is_json_and_says_what_matters(
        self, page_models: dict[str, Path], family: str, encoder: VisionEncoder
    ) -> None:
        mine = dict(encoder.fingerprint)
        assert json.loads(json.dumps(mine)) == mine
        assert mine == dict(VisionEncoder(page_models[family], batch_size=1).fingerprint)
        half = dict(VisionEncoder(page_models[family], precision="bfloat16").fingerprint)
        assert half.pop(MADE_WITH) != mine.pop(MADE_WITH)
        assert half == mine

    def test_names_what_resizes_pages(self, encoder: VisionEncoder) -> None:
        """Pillow and torchvision resize to pixels that differ a little, and which of them does it is an accident."""
        around = encoder.fingerprint[MADE_WITH]
        assert around["pillow"] == version("pillow")
        assert around["torchvision"] == (version("torchvision") if find_spec("torchvision") else None)

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    @pytest.mark.filterwarnings("error")
    def test_what_resizes_pages_locks_nobody_out(self, encoder: VisionEncoder) -> None:
        """An index that was filled with torchvision at hand is searched without it: a warning, which names it."""
        filled = dict(encoder.fingerprint)
        filled[MADE_WITH] = {**filled[MADE_WITH], "torchvision": "0.1.0"}
        with lateint.connect("memory://") as client:
            index = client.create_index(lateint.IndexSpec("pages", encoder.dim, encoder=filled))
            with pytest.warns(UserWarning, match=r"torchvision is .* here and '0\.1\.0' in the index.*by rounding"):
                lateint.Retriever(index, encoder)

    @pytest.mark.skipif(
        find_spec("torchvision") is None, reason="torchvision is not installed: nothing to compare with"
    )
    def test_is_the_same_without_torchvision(self, page_models: dict[str, Path], family: str, tmp_path: Path) -> None:
        """It chooses another class to prepare pages with, of which the settings, and so the index, must not tell."""
        program = "import sys; sys.modules['torchvision'] = None\n" + _WRITTEN
        told = [sys.executable, "-c", program, str(page_models[family]), str(tmp_path / "rows.npz")]
        without = json.loads(subprocess.run(told, check=True, capture_output=True, text=True).stdout)
        encoder = VisionEncoder(page_models[family], device="cpu")
        assert without[MADE_WITH].pop("torchvision") is None
        mine = dict(encoder.fingerprint)
        mine[MADE_WITH] = {key: value for key, value in mine[MADE_WITH].items() if key != "torchvision"}
        assert without == mine
        with np.load(tmp_path / "rows.npz") as rows:
            for name, page in zip(rows, encoder.encode_documents(sample_images()), strict=True):
                assert rows[name].shape == page.shape
                # Both round pixels to 8 bits, and not always to the same: about what half precision does to a row.
                assert np.linalg.norm(rows[name] - page, axis=1).max() < SLACK["float16"]

    @pytest.mark.parametrize("family", ["colqwen2"], indirect=True)
    def test_of_another_prompt_and_another_resolution(self, encoder: VisionEncoder, copied: Path) -> None:
        """Both change every vector, and neither is in the weights."""
        file = copied / "processor_config.json"
        settings = json.loads(file.read_text("utf-8"))
        settings["query_prefix"] = "Search: "
        settings["image_processor"]["size"]["longest_edge"] *= 2
        file.write_text(json.dumps(settings), "utf-8")
        other = VisionEncoder(copied).fingerprint
        different = {part for part in other if other[part] != encoder.fingerprint[part]}
        assert different == {"query", "image", MADE_WITH}
        assert other["weights"] == encoder.fingerprint["weights"]


@pytest.fixture
def copied(page_models: dict[str, Path], family: str, tmp_path: Path) -> Path:
    """A checkpoint of one's own, to damage."""
    copy = tmp_path / "copied"
    copy.mkdir()
    for file in page_models[family].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def test_precision_on_an_accelerator() -> None:
    """A checkpoint that does not say is not run in float16, in which PaliGemma gives NaN."""
    assert [vision._precision("cuda:0", config) for config in ({}, {"dtype": "float16"})] == ["bfloat16", "float16"]
    assert vision._precision("cpu", {"dtype": "float16"}) == "float32"


def test_old_transformers() -> None:
    """The extra for text allows them; ColQwen2 would fail there in the middle of a page, or be another model."""
    vision._check_version("5.18.0")
    vision._check_version("6.0.0.dev0")
    with pytest.raises(errors.MissingDependency, match=r"5\.9\.1 is too old.*Install version 5\.18 or newer"):
        vision._check_version("5.9.1")


class TestUnusableCheckpoints:
    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_lacking_weights(self, copied: Path) -> None:
        """transformers would draw the projection at random and only log it: every score would be noise."""
        weights = load_file(copied / "model.safetensors")
        save_file(
            {name: value for name, value in weights.items() if not name.startswith("embedding_proj")},
            copied / "model.safetensors",
            metadata={"format": "pt"},
        )
        with pytest.raises(errors.ConfigurationError, match=r"'copied' lacks 2 of the weights .* embedding_proj_layer"):
            VisionEncoder(copied)

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_adapter(self, copied: Path) -> None:
        """It does not hold the model under it: two of one recipe would pass for the same."""
        (copied / "adapter_config.json").write_text("{}", "utf-8")
        with pytest.raises(errors.ConfigurationError, match=r"'copied' holds an adapter of .*Merge it into its base"):
            VisionEncoder(copied)

    def test_missing_tokenizer(self, copied: Path) -> None:
        """transformers makes an empty one up for some; what is missing has to be said, and not of a sample page."""
        (copied / "tokenizer.json").unlink()
        (copied / "tokenizer_config.json").unlink()
        with pytest.raises(errors.ConfigurationError, match=r"(?s)'copied'.*(tokenizer\.json|missing or broken files)"):
            VisionEncoder(copied)

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_torchvision_that_does_not_fit(self, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One for another torch breaks when transformers imports it: the cause is said, and no traceback."""

        class Broken:
            __spec__ = None

            def __getattr__(self, _: str) -> Any:
                raise RuntimeError("operator torchvision::nms does not exist")

        monkeypatch.setitem(sys.modules, "transformers", Broken())
        with pytest.raises(errors.ConfigurationError, match=r"'copied' cannot be loaded: .*torchvision::nms.*versions"):
            vision._loaded(resolve(copied), "cpu", "float32")

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_of_another_class(self, copied: Path) -> None:
        config = json.loads((copied / "config.json").read_text("utf-8"))
        (copied / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}), "utf-8")
        with pytest.raises(errors.ConfigurationError, match=r"BertModel\. .*ColPaliForRetrieval"):
            VisionEncoder(copied)

    @pytest.mark.parametrize("family", ["colpali"], indirect=True)
    def test_broken(self, copied: Path) -> None:
        (copied / "model.safetensors").write_bytes(b"no weights")
        with pytest.raises(errors.ConfigurationError, match="'copied' cannot be loaded"):
            VisionEncoder(copied)
