"""Compare procedural frost with that of the published pictures.

    python benchmarks/frost.py --pictures FOLDER --images-32 cifar10/test --images-224 photographs

`--pictures` holds the six pictures of the published script (frost1.png to frost6.jpg), for example
from the package imagecorruptions 1.1.2. Every image is overlaid with crops of them and with crops
of the procedural textures, at each severity, with the parameters of its size. The measurements are

- the peak signal-to-noise ratio to the clean image in decibels, mean over images, and
- the high-frequency power of the change (corrupted minus clean, in levels of 0 to 255): the power
  spectrum, under a Hann window, summed over all frequencies above half the Nyquist frequency (a
  quarter of a cycle per pixel), mean over images and colours.

`--show FILE.png` writes a picture of both, one row per size: left published, right procedural.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from lpclip.transforms.corruptions.registry import SEVERITIES, corrupt
from lpclip.utils import rng

RESULTS = Path(__file__).parent / "results"
SETS = {32: "cifar", 224: "imagenet"}
SUFFIXES = {".jpg", ".jpeg", ".png"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--pictures", type=Path, required=True, help="folder of the published pictures"
    )
    for pixels in SETS:
        parser.add_argument(f"--images-{pixels}", type=Path, help="folder of JPEG or PNG")
    parser.add_argument(
        "--count", type=int, default=2000, help="images per size; repeated if there are fewer"
    )
    parser.add_argument(
        "--show", type=Path, help="write a picture for visual comparison to this PNG"
    )
    parser.add_argument("--output", type=Path, default=RESULTS / "frost.csv")
    options = parser.parse_args()
    rows, shown = [], []
    for pixels in SETS:
        folder = getattr(options, f"images_{pixels}")
        if folder is not None:
            images = load(folder, pixels, options.count)
            rows += [compare(images, severity, options.pictures) for severity in SEVERITIES]
            shown.append(gallery(images[:: len(images) // 3][:3], options.pictures))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.2f"))
    options.output.parent.mkdir(exist_ok=True)
    table.to_csv(options.output, index=False, float_format="%.2f")
    if options.show is not None:
        Image.fromarray(np.concatenate(shown)).save(options.show)


def load(folder: Path, pixels: int, count: int) -> Tensor:
    """Load the centre crops, repeated up to ``count``: uint8 [count, 3, pixels, pixels]."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise SystemExit(f"{folder} has no images: expected JPEG or PNG.")
    files = files[:: max(1, len(files) // count)][:count]
    crops = []
    for path in files:
        image = Image.open(path).convert("RGB")
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        crop = image.crop((left, top, left + side, top + side))
        if side != pixels:
            crop = crop.resize((pixels, pixels), Image.Resampling.BICUBIC)
        crops.append(np.asarray(crop))
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return images.repeat(-(-count // len(images)), 1, 1, 1)[:count]


def frosted(images: Tensor, severity: int, pictures: Path | None) -> Tensor:
    """Apply frost from the published pictures, or procedural frost."""
    keys = rng.keys(0, [str(number) for number in range(len(images))], f"frost/{severity}")
    parameters = SETS[images.shape[-1]]
    return corrupt(
        images,
        name="frost",
        severity=severity,
        keys=keys,
        parameters=parameters,
        frost_images=pictures,
    )


def compare(images: Tensor, severity: int, pictures: Path) -> dict[str, float]:
    """Return one row of the table."""
    row: dict[str, float] = {"pixels": images.shape[-1], "severity": severity}
    for name, folder in (("published", pictures), ("procedural", None)):
        measured = [
            measure(before, frosted(before, severity, folder)) for before in images.split(200)
        ]
        ratio, power = np.concatenate(measured, axis=1).mean(axis=1)
        row |= {f"psnr_{name}": ratio, f"high_frequency_{name}": power}
    row["psnr_difference"] = row["psnr_procedural"] - row["psnr_published"]
    row["high_frequency_ratio"] = row["high_frequency_procedural"] / row["high_frequency_published"]
    return row


def measure(clean: Tensor, frosty: Tensor) -> npt.NDArray[np.float64]:
    """Return the signal-to-noise ratio and high-frequency power of every image: [2, N]."""
    change = frosty.float() - clean.float()
    ratio = 10 * torch.log10(255**2 / change.square().mean(dim=(1, 2, 3)).clamp(min=1e-9))
    side = clean.shape[-1]
    hann = torch.hann_window(side)
    window = hann[:, None] * hann
    spectrum = torch.fft.rfft2(change * window).abs().square()
    spectrum /= side**2 * window.square().sum()  # the sum over all frequencies is the mean square
    spectrum[..., 1 : (side + 1) // 2] *= 2  # the conjugate half that rfft omits
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side))
    power = spectrum[..., frequency > 0.25].sum(dim=-1).mean(dim=1)
    return torch.stack([ratio, power]).numpy()


def gallery(images: Tensor, pictures: Path) -> npt.NDArray[np.uint8]:
    """Show severities 1, 3 and 5 on grey and on images: uint8 [H, W, 3], published frost left."""
    images = torch.cat([torch.full_like(images[:1], 128), images])
    halves = []
    for folder in (pictures, None):
        columns = [frosted(images, severity, folder) for severity in (1, 3, 5)]
        halves.append(torch.cat([torch.cat(list(column), dim=1) for column in columns], dim=2))
    page = torch.cat(halves, dim=2).permute(1, 2, 0).numpy()
    wide = Image.fromarray(page).resize((1344, 896), Image.Resampling.NEAREST)
    return np.asarray(wide)


if __name__ == "__main__":
    main()
