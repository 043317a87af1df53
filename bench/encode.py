"""Encoding texts, and encoding them into an index: lateint's streaming beside the loop of sentence-transformers.

    python bench/encode.py [--documents 256] [--hidden 384] [--layers 6] [--rounds 5] [--precision float32]

A BERT of the given size with random weights, the same object for all contestants, interleaved in this process. The
documents are words with lognormal lengths of about 120 tokens in the mean. sentence-transformers sorts by length and
takes a fixed number of texts per batch; lateint takes a fixed number of padded tokens. Into an index: all encoded and
then written, or `Retriever.add`, which encodes one chunk while the one before is written. Seconds are of the wall
clock, busy ones of the processor: where the machine is shared, the ratio of these is the one to trust.
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
from transformers import AutoTokenizer, BertConfig, BertModel

import lateint
from lateint.encoders import SentenceTransformersEncoder, stream
from tests.checkpoints.text import TEXTS, build_bert_colbert

DIM, LONGEST = 128, 300
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
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 32 if options.hidden < 768 else options.hidden // 64,
        intermediate_size=4 * options.hidden,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer.model_max_length = LONGEST
    tokenizer.save_pretrained(folder)
    kwargs = {"dtype": getattr(torch, options.precision)}
    transformer = Transformer(str(folder), model_kwargs=kwargs, document_length=LONGEST)
    dense = Dense(
        options.hidden, DIM, bias=False, activation_function=torch.nn.Identity(), module_input_name="token_embeddings"
    ).to(kwargs["dtype"])
    modules = [transformer, dense, MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    return MultiVectorEncoder(modules=modules, device=options.device)


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
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=6)
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
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}; BERT of {options.layers} × {options.hidden}, {options.precision}, random weights, rows of {DIM}")
    if not torch.cuda.is_available():
        print("no GPU at hand: nothing here says how fast one would be, or how busy")
    texts = corpus(options.documents)
    stream.TEXTS = max(1, min(stream.TEXTS, options.documents // 4))  # several chunks, as a corpus has
    with TemporaryDirectory() as folder:
        model = made(Path(folder) / "model", options)
        some = contestants(model, texts, f"qdrant+edge://{folder}/data")
        counts = [len(rows) for rows in model.encode_document(texts, convert_to_numpy=True)]
        print(
            f"{len(texts)} documents, {sum(counts)} rows (mean {statistics.mean(counts):.0f}); {options.rounds} rounds"
        )
        check(model, texts)
        for _ in range(options.rounds):
            for one in some:
                one.time()
    report(some, len(texts))


def check(model: MultiVectorEncoder, texts: list[str]) -> None:
    """Being fast is worth nothing with other vectors."""
    mine = SentenceTransformersEncoder(model).encode_documents(texts[:64])
    theirs = model.encode_document(texts[:64], convert_to_numpy=True)
    worst = max(float(np.abs(a.astype(np.float32) - np.asarray(b)).max()) for a, b in zip(mine, theirs, strict=True))
    print(f"largest difference of a value between the two: {worst:.1e}\n", flush=True)


def report(some: list[Contestant], documents: int) -> None:
    print(f"{'':<56} docs/s   seconds       spread   busy")
    for one in some:
        wall, busy = statistics.median(one.wall), statistics.median(one.busy)
        print(f"{one.name:<56} {documents / wall:6.1f} {wall:9.2f} {spread(one.wall):>12} {busy:6.2f}")
    print(f"\n{'':<56}   wall       spread   busy")
    best = min(some[:3], key=lambda one: statistics.median(one.wall))
    pairs = [
        (some[0], some[3]),
        *([] if best is some[0] else [(best, some[3])]),
        (some[0], some[4]),
        *pairwise(some[5:]),
    ]
    for peer, own in pairs:
        ratios = [theirs / mine for theirs, mine in zip(peer.wall, own.wall, strict=True)]
        busy = statistics.median(peer.busy) / statistics.median(own.busy)
        ratio = statistics.median(ratios)
        aim = f"aim {TARGET} on a GPU" if torch.cuda.is_available() else ""
        print(f"{own.name} ÷ {peer.name}\n{'':<56} {ratio:6.2f} {spread(ratios):>12} {busy:6.2f}  {aim}")
    if torch.cuda.is_available():
        print(f"device utilisation while lateint encodes: {utilisation(some[3].run)}")


def utilisation(run: Callable[[], Any]) -> str:
    """Share of the time in which a kernel ran, as the driver samples it."""
    import threading  # noqa: PLC0415 - on a GPU only

    samples: list[int] = []
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            samples.append(torch.cuda.utilization())

    try:
        torch.cuda.utilization()
    except (ModuleNotFoundError, RuntimeError) as error:
        return f"not measured ({error})"
    thread = threading.Thread(target=sample)
    thread.start()
    run()
    done.set()
    thread.join()
    return f"{statistics.mean(samples):.0f} % of {len(samples)} samples" if samples else "too short to be measured"


if __name__ == "__main__":
    main()
