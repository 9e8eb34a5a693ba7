"""Columns of pool.csv and pool_classes.csv."""

from lpclip.columns.table import METHOD, Column, Table, fraction

_PAIR = METHOD[:2]

POOL = Table(
    "pool",
    row="one row per model and benchmark",
    keys=("model", "benchmark"),
    columns=(
        *_PAIR,
        Column("dataset", "text", description="The unlabelled set."),
        Column("n_images", "integer", description="Images of the unlabelled set."),
        Column("n_classes", "integer", description="Classes of the benchmark."),
        Column("classes_supported", "count", description="Classes with enough images, confirmed by "
               "their neighbours, to be learned; empty where zero-shot distinguishes no classes."),
        fraction("ood_share", description="Estimated share of images that belong to none of the "
                 "classes; empty likewise."),
        fraction("ood_share_low", description="Lower end of its 90 % interval."),
        fraction("ood_share_high", description="Upper end of its 90 % interval."),
        Column("images_per_class", description="Estimated images of the classes per class that is "
               "supported."),
        fraction("balance", description="Estimated total variation of the class frequencies from "
                 "equal ones over all classes of the benchmark: 0 for equally many images of each, "
                 "near 1 for one class of many."),
        Column("is_test_set", "text", description="Whether the unlabelled set is the set that is "
               "evaluated: yes or no."),
        fraction("in_test_set", description="Share of the unlabelled images whose features are "
                 "those of an image of the set that is evaluated."),
        Column("words", "text", description="The same in words."),
    ),
    description="What the unlabelled set is, estimated without a label.",
)  # fmt: skip

POOL_CLASSES = Table(
    "pool_classes",
    row="one row per model, benchmark and class",
    keys=("model", "benchmark", "class_index"),
    columns=(
        *_PAIR,
        Column("class_index", "integer", description="Place in the benchmark's class names."),
        Column("class_name", "text", description="Name of the class."),
        Column(
            "learned",
            "text",
            description="Whether the class is learned, yes or no, unless a "
            "labelling sets classes: all.",
        ),
        fraction(
            "presence", description="Probability that the unlabelled set has images of the class."
        ),
        Column("expected_images", description="Estimated images of the class."),
        Column("expected_images_low", description="Lower end of its 90 % interval."),
        Column("expected_images_high", description="Upper end of its 90 % interval."),
    ),
    description="Which classes the unlabelled set has images of, estimated without a label.",
)
