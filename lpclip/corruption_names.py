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
OTHER = "other"  # in the place of a family: corruptions of plugins, each in a pass of its name
SEVERITIES = (1, 2, 3, 4, 5)


def family_of(name: str) -> str:
    """Return the family of a corruption; ``OTHER`` for one that is not among the 19.

    >>> family_of("frost"), family_of("sepia")
    ('weather', 'other')
    """
    return next((family for family, names in FAMILIES.items() if name in names), OTHER)
