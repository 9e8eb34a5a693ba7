r"""Time image features by other packages; started by extraction.py.

    PYTHON benchmarks/speed/extraction_peer.py PEER IMAGES MODEL CHECKPOINT BATCH THREADS DEVICE

``plain-loop`` is the usual loop, in fp32; it needs only open_clip. Each package needs a Python that
has it, but not lpclip. An environment for each:

    python3.11 -m venv clip-benchmark
    clip-benchmark/bin/pip install clip-benchmark==1.6.2 open_clip_torch==3.3.0 requests

    python3.11 -m venv clip-retrieval
    clip-retrieval/bin/pip install clip-retrieval==2.45.0 "setuptools<81"

Both packages read, encode and write with their own code only, and get the checkpoint's path in
place of the name of a download. Three things differ from their command lines: weights are loaded
once, before the timing starts; clip-benchmark, whose linear probe asserts a GPU, is made to run on
a CPU (Python's ``-O``, and ``cuda()`` does not move the model) and is given too few images per
class, so that it ends after the features; clip-retrieval runs without the process that collects
statistics. On a CPU both use fp32, on a GPU their own default precision.

Prints "ready", the precision and versions. Reads lines with a number of worker processes and
replies to each with images per second from the first file to the last feature written, or with
"error: " and the reason.
"""

import contextlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy", "pillow")


@dataclass(frozen=True)
class Task:
    """The images, the open_clip architecture with its weights, and where to run."""

    images: Path
    folder: Path  # for outputs
    model: str
    checkpoint: str
    batch: int
    device: str


# The precision, and a function: (workers, output folder) -> seconds of an extraction.
Prepared = tuple[str, Callable[[int, Path], float]]


def main() -> None:
    peer, images, model, checkpoint, batch, threads, device = sys.argv[1:]
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # clip-retrieval uses any visible GPU
    torch.set_num_threads(int(threads))
    answers = sys.stdout
    with (
        Path(os.devnull).open("w") as unheard,
        contextlib.redirect_stdout(unheard),
        tempfile.TemporaryDirectory() as folder,
    ):
        task = Task(Path(images), Path(folder), model, checkpoint, int(batch), device)
        prepare = {
            "plain-loop": plain_loop,
            "clip-benchmark": clip_benchmark,
            "clip-retrieval": clip_retrieval,
        }[peer]
        precision, seconds = prepare(task)
        named = PACKAGES if peer == "plain-loop" else (peer, *PACKAGES)
        versions = (f"{name} {importlib.metadata.version(name)}" for name in named)
        print("ready", precision, *versions, file=answers, flush=True)
        count = len(list(task.images.iterdir()))
        for turn, line in enumerate(sys.stdin):
            try:
                rate = count / seconds(int(line), task.folder / str(turn))
                print(rate, file=answers, flush=True)
            except Exception as error:  # whatever an old package meets in a new environment
                reason = f"{type(error).__name__}: {error}".replace("\n", " ")
                print(f"error: {reason}", file=answers, flush=True)


class _Files(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, files: list[Path], preprocess: Callable[[Any], torch.Tensor]) -> None:
        self._files, self._preprocess = files, preprocess

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> torch.Tensor:
        from PIL import Image

        return self._preprocess(Image.open(self._files[row]))


def plain_loop(task: Task) -> Prepared:
    """DataLoader, ``encode_image``, ``.cpu()``, append, ``numpy.save``."""
    import numpy as np
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(
        task.model, pretrained=task.checkpoint, device=task.device
    )
    model.eval()
    files = sorted(task.images.iterdir())

    def seconds(workers: int, output: Path) -> float:
        start = perf_counter()
        loader = torch.utils.data.DataLoader(
            _Files(files, preprocess), batch_size=task.batch, num_workers=workers
        )
        features = []
        with torch.no_grad():
            for images in loader:
                features.append(model.encode_image(images.to(task.device)).cpu())
        np.save(output, torch.cat(features).numpy())
        return perf_counter() - start

    return "fp32", seconds


def clip_benchmark(task: Task) -> Prepared:
    """Run its linear probe, up to the features of the training images."""
    from clip_benchmark.datasets.builder import build_dataset  # type: ignore[import-not-found]
    from clip_benchmark.metrics import linear_probe  # type: ignore[import-not-found]
    from clip_benchmark.models import load_clip  # type: ignore[import-not-found]

    on_cpu = task.device == "cpu"
    model, transform, _ = load_clip(
        "open_clip", task.model, task.checkpoint, cache_dir=None, device=task.device
    )
    model.eval()
    (task.folder / "train").mkdir()
    (task.folder / "train" / "class").symlink_to(task.images)
    dataset = build_dataset("imagenet1k-unverified", str(task.folder), transform, split="train")
    if on_cpu:
        torch.nn.Module.cuda = lambda self: self  # type: ignore[assignment, method-assign, misc]
    written = [0.0]
    save = torch.save

    def timed_save(*args: Any, **more: Any) -> None:
        save(*args, **more)
        written.append(perf_counter())

    torch.save = timed_save

    def seconds(workers: int, output: Path) -> float:
        start = perf_counter()
        loader = torch.utils.data.DataLoader(
            dataset, batch_size=task.batch, shuffle=False, num_workers=workers, pin_memory=True
        )
        linear_probe.evaluate(
            model,
            train_dataloader=loader,
            dataloader=None,
            fewshot_k=len(dataset) + 1,
            batch_size=task.batch,
            num_workers=workers,
            lr=0.1,
            epochs=1,
            model_id="model",
            seed=0,
            feature_root=str(output),
            device=task.device,
            amp=not on_cpu,
        )
        return written[-1] - start

    return "fp32" if on_cpu else "fp16", seconds


def clip_retrieval(task: Task) -> Prepared:
    """Run its reader, mapper and writer in its runner."""
    from all_clip import load_clip  # type: ignore[import-not-found]
    from clip_retrieval.clip_inference.mapper import ClipMapper  # type: ignore[import-not-found]
    from clip_retrieval.clip_inference.reader import FilesReader  # type: ignore[import-not-found]
    from clip_retrieval.clip_inference.runner import Runner  # type: ignore[import-not-found]
    from clip_retrieval.clip_inference.writer import NumpyWriter  # type: ignore[import-not-found]

    of_images = {"enable_image": True, "enable_text": False, "enable_metadata": False}
    loading = {
        "clip_model": f"open_clip:{task.model}/{task.checkpoint}",
        "use_jit": False,
        "warmup_batch_size": task.batch,
        "clip_cache_path": None,
    }
    model, preprocess, tokenizer = load_clip(**loading)
    mapper = ClipMapper(**of_images, **loading, use_mclip=False, mclip_model=None)

    def seconds(workers: int, output: Path) -> float:
        runner = Runner(
            reader_builder=lambda sampler: FilesReader(
                sampler,
                preprocess,
                tokenizer,
                str(task.images),
                task.batch,
                workers,
                **of_images,
            ),
            mapper_builder=lambda: mapper,
            writer_builder=lambda part: NumpyWriter(
                part, str(output), **of_images, output_partition_count=1
            ),
            logger_builder=lambda _: _Silent(),
            output_partition_count=1,
        )
        start = perf_counter()
        runner(0)
        return perf_counter() - start

    names = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
    return names[model.dtype], seconds


class _Silent:
    """A logger for its runner that does nothing."""

    def start(self) -> None: ...

    def __call__(self, stats: object) -> None: ...

    def end(self) -> None: ...


if __name__ == "__main__":
    main()
