"""Label-free adapters of the literature, as pure functions on unit-length features.

Each is written from the formulas of its paper, with the paper's defaults. One that has a linear
head has a function ``{name}_head(views, head) -> (weight [C, D], bias [C])``, any other a function
``{name}_probabilities(views, head) -> [N, C]``, which predicts the pool alone.
"""
