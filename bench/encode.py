"""Encoding texts, and encoding them into an index: lateint's streaming beside the loop of sentence-transformers.

    python bench/encode.py [--model bert-small] [--documents 256] [--rounds 5] [--device cpu] [--precision float32]
    python bench/encode.py --model bert-base|modernbert-base|colqwen2-2b --device cuda --precision bfloat16

A model of that size with random weights, the same object for all contestants, interleaved in this process; `--layers`
makes it smaller. On a GPU it also says for how much of the time that was busy. With colqwen2-2b the documents are
letter pages at 150 dpi in PNG files, and the peer is the loop of transformers.

For the others the documents are words with lognormal lengths of about 120 tokens in the mean. sentence-transformers
sorts by length and takes a fixed number of texts per batch; lateint takes a fixed number of padded tokens. Into an
index: all encoded and then written, or `Retriever.add`, which encodes one chunk while the one before is written.
Seconds are of the wall clock, busy ones of the processor: where the machine is shared, the ratio of these is the one to
trust.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

import lateint
from lateint.encoders import SentenceTransformersEncoder, stream
from tests.checkpoints.text import TEXTS, build_bert_colbert

DIM, LONGEST = 128, 300
BERTS = {"bert-small": (384, 6), "bert-base": (768, 12)}
"""Width and layers."""
MODELS = [*BERTS, "modernbert-base", "colqwen2-2b"]
TARGET = 1.2


@dataclass
class Contestant:
    """Something to time; one entry per round."""

    name: str
    run: Callable[[], Any]
    wall: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def time(self) -> None:
        wall, busy = time.perf_counter(), time.process_time()
        self.run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.wall.append(time.perf_counter() - wall)
        self.busy.append(time.process_time() - busy)


def made(folder: Path, options: argparse.Namespace) -> MultiVectorEncoder:
    """A model with random weights; only its size matters here."""
    tokenizer = AutoTokenizer.from_pretrained(build_bert_colbert(folder))
    torch.manual_seed(0)
    backbone = sized(options, tokenizer)
    backbone.save_pretrained(folder)
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(folder)
    kwargs = {"dtype": getattr(torch, options.precision)}
    transformer = Transformer(str(folder), model_kwargs=kwargs, document_length=LONGEST)
    dense = Dense(
        backbone.config.hidden_size,
        DIM,
        bias=False,
        activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings",
    ).to(kwargs["dtype"])
    modules = [transformer, dense, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    return MultiVectorEncoder(modules=modules, device=options.device)


def sized(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The tower: of the published widths, with the tokenizer of the tests."""
    if options.model == "modernbert-base":  # transformers' own settings are that one's
        named = {"pad_token_id": "[PAD]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"}
        ids: dict[str, Any] = {part: tokenizer.convert_tokens_to_ids(text) for part, text in named.items()}
        ids |= {"cls_token_id": ids["bos_token_id"], "sep_token_id": ids["eos_token_id"]}
        return ModernBertModel(ModernBertConfig(num_hidden_layers=options.layers or 22, **ids))
    hidden, layers = BERTS[options.model]
    config = BertConfig(
        hidden_size=hidden,
        num_hidden_layers=options.layers or layers,
        num_attention_heads=12,
        intermediate_size=4 * hidden,
    )
    return BertModel(config, add_pooling_layer=False)


def corpus(count: int) -> list[str]:
    random = np.random.default_rng(0)
    words = " ".join(TEXTS[:6]).split()
    lengths = np.clip(random.lognormal(4.0, 0.7, count).astype(int), 3, LONGEST - 10)
    return [" ".join(random.choice(words, length)) for length in lengths]


def contestants(model: MultiVectorEncoder, texts: list[str], place: str) -> list[Contestant]:
    encoder = SentenceTransformersEncoder(model)
    names = [str(at) for at in range(len(texts))]

    def theirs(batch_size: int) -> Callable[[], Any]:
        return lambda: model.encode_document(texts, batch_size=batch_size, convert_to_numpy=True)

    def written(fill: Callable[[lateint.Index], Any]) -> Callable[[], None]:
        def run() -> None:
            with lateint.connect(place) as client:
                fill(client.create_index(lateint.IndexSpec("bench", DIM, encoder=encoder.fingerprint)))
                client.drop_index("bench")

        return run

    def encode_then_write(index: lateint.Index) -> None:
        rows = model.encode_document(texts, convert_to_numpy=True)
        index.write(lateint.Document(name, one) for name, one in zip(names, rows, strict=True))

    def add(index: lateint.Index) -> None:
        lateint.Retriever(index, encoder).add(zip(names, texts, strict=True))

    return [
        Contestant("sentence-transformers, 32 a batch (default)", theirs(32)),
        Contestant("sentence-transformers, 8 a batch", theirs(8)),
        Contestant("sentence-transformers, 128 a batch", theirs(128)),
        Contestant("lateint, encode_documents", lambda: encoder.encode_documents(texts)),
        Contestant("lateint, streamed", lambda: list(stream.encoded(encoder, zip(names, texts, strict=True)))),
        Contestant("into an index: sentence-transformers, then Index.write", written(encode_then_write)),
        Contestant("into an index: lateint Retriever.add", written(add)),
    ]


def spread(values: list[float]) -> str:
    return f"{min(values):.2f}-{max(values):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--model", default="bert-small", choices=MODELS)
    parser.add_argument("--layers", type=int, help="fewer than the model has")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--threads", type=int, help="of torch; its own choice if left out")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", message=".* were cut there")

    print("python bench/encode.py", *sys.argv[1:])
    versions = ("torch", "transformers", "sentence-transformers", "numpy")
    print(f"Python {platform.python_version()};", "; ".join(f"{name} {version(name)}" for name in versions))
    on_gpu = options.device.startswith("cuda")
    where = torch.cuda.get_device_name(options.device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    size = f"{options.model} cut to {options.layers} layers" if options.layers else options.model
    print(f"{where}; {size}, {options.precision}, random weights, rows of {DIM}")
    if not on_gpu:
        print("no GPU was used: nothing here says how fast one would be, or how busy")
    with TemporaryDirectory() as folder:
        some = of_pages(Path(folder), options) if options.model == "colqwen2-2b" else of_texts(Path(folder), options)
        for _ in range(options.rounds):
            for one in some:
                one.time()
        report(some, options.documents, busy_gpu=options.device if on_gpu else None)


def of_texts(folder: Path, options: argparse.Namespace) -> list[Contestant]:
    texts = corpus(options.documents)
    model = made(folder / "model", options)
    counts = [len(rows) for rows in model.encode_document(texts, convert_to_numpy=True)]
    batch = SentenceTransformersEncoder(model).tokens_per_batch
    stream.BATCHES = max(1, min(stream.BATCHES, sum(counts) // (4 * batch)))  # several chunks, as a corpus has
    print(f"{len(texts)} documents, {sum(counts)} rows (mean {statistics.mean(counts):.0f}); {options.rounds} rounds")
    check(model, texts)
    return contestants(model, texts, f"qdrant+edge://{folder}/data")


def of_pages(folder: Path, options: argparse.Namespace) -> list[Contestant]:
    from bench import page_contestants  # noqa: PLC0415 - not for those who measure texts

    encoder = page_contestants.build(folder / "model", options)
    files = page_contestants.pages(options.documents, folder)
    some = [Contestant(name, run) for name, run in page_contestants.contestants(encoder, files)]
    peer, *own = ([rows.astype(np.float32) for rows in one.run()] for one in some)
    worst = max(float(np.abs(a - b).max()) for mine in own for a, b in zip(peer, mine, strict=True))
    print(f"{len(files)} pages, {sum(map(len, peer))} rows (mean {statistics.mean(map(len, peer)):.0f})")
    print(f"largest difference of a value between transformers and lateint: {worst:.1e}\n", flush=True)
    return some


def check(model: MultiVectorEncoder, texts: list[str]) -> None:
    """Being fast is worth nothing with other vectors."""
    mine = SentenceTransformersEncoder(model).encode_documents(texts[:64])
    theirs = model.encode_document(texts[:64], convert_to_numpy=True)
    worst = max(float(np.abs(a.astype(np.float32) - np.asarray(b)).max()) for a, b in zip(mine, theirs, strict=True))
    print(f"largest difference of a value between the two: {worst:.1e}\n", flush=True)


def report(some: list[Contestant], documents: int, *, busy_gpu: str | None) -> None:
    print(f"{'':<56} docs/s   seconds       spread   busy")
    for one in some:
        wall, busy = statistics.median(one.wall), statistics.median(one.busy)
        print(f"{one.name:<56} {documents / wall:6.1f} {wall:9.2f} {spread(one.wall):>12} {busy:6.2f}")
    print(f"\n{'':<56}   wall       spread   busy")
    for peer, own in compared(some):
        ratios = [theirs / mine for theirs, mine in zip(peer.wall, own.wall, strict=True)]
        busy = statistics.median(peer.busy) / statistics.median(own.busy)
        ratio = statistics.median(ratios)
        aim = f"aim {TARGET} on a GPU" if busy_gpu else ""
        print(f"{own.name} ÷ {peer.name}\n{'':<56} {ratio:6.2f} {spread(ratios):>12} {busy:6.2f}  {aim}")
    if busy_gpu:
        for one in some:
            print(f"device utilisation, {one.name}: {utilisation(one.run, busy_gpu)}")


def compared(some: list[Contestant]) -> list[tuple[Contestant, Contestant]]:
    """Peers and ours; of the sizes of batch that a peer comes in, the default and the best."""
    if len(some) == 3:
        return [(some[0], some[1]), (some[0], some[2])]
    best = min(some[:3], key=lambda one: statistics.median(one.wall))
    others = [] if best is some[0] else [(best, some[3])]
    return [(some[0], some[3]), *others, (some[0], some[4]), *pairwise(some[5:])]


def utilisation(run: Callable[[], Any], device: str) -> str:
    """Share of the time in which a kernel ran, as the driver samples it."""
    import threading  # noqa: PLC0415 - on a GPU only

    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            samples.append(torch.cuda.utilization(device))

    try:
        torch.cuda.utilization(device)
    except (ModuleNotFoundError, RuntimeError) as error:
        return f"not measured ({error}); pip install nvidia-ml-py"
    thread = threading.Thread(target=sample)
    thread.start()
    run()
    done.set()
    thread.join()
    return f"{statistics.mean(samples):.0f} % of {len(samples)} samples" if samples else "too short to be measured"


if __name__ == "__main__":
    main()
