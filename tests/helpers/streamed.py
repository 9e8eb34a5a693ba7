"""Views in memory, in the order of those that are streamed from a cache."""

from contextlib import nullcontext

import numpy as np

from lpclip.methods.training.streaming import Streamed


def stream_array(views, *, group_rows):
    """Views ``[V, N, D]`` in groups of blocks, as ``stream_cache`` gives them."""
    n_views, n_samples, dim = views.shape

    def read(version, rows):
        return views[version, rows]

    return Streamed(lambda: nullcontext(read), n_views, np.arange(n_samples), dim, group_rows)
