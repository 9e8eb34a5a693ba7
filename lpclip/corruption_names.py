"""Names of the 15 + 4 common corruptions (Hendrycks and Dietterich 2019), by family."""

from collections.abc import Mapping
from types import MappingProxyType

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "noise": ("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise"),
        "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "gaussian_blur"),
        "weather": ("snow", "frost", "fog", "brightness", "spatter"),
        "digital": (
            "contrast",
            "elastic_transform",
            "pixelate",
            "jpeg_compression",
            "saturate",
        ),
    }
)
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")  # in no mean
STANDARD = tuple(name for names in FAMILIES.values() for name in names if name not in EXTRA)
SEVERITIES = (1, 2, 3, 4, 5)
