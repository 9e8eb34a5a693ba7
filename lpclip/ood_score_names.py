"""Names of the scores that detect out-of-distribution (OOD) images."""

# In the order in which reports list them.
SCORES = (
    "msp", "max_logit", "energy", "entropy", "mcm", "half_way_max_logit", "half_way_mcm",
    "nearest_neighbours", "mahalanobis",
)  # fmt: skip
# They compare with the unlabelled images, so they are the same for every method.
WITHOUT_HEAD = ("nearest_neighbours", "mahalanobis")
