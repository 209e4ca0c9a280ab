"""Made ``rliable.json``: `pip install rliable==1.2.0 'arch<8' 'pandas<3'` in an environment of its own, then run this.

rliable itself is no dependency: with current pandas it cannot be imported, it needs as many seeds of every task, and it
draws from NumPy's global state.
"""

from __future__ import annotations

import json

import numpy as np
from rliable import library, metrics

REPS = 50_000
rng = np.random.default_rng(20211)
x = np.round(rng.normal([0.9, 0.4, 1.6], [0.3, 0.2, 0.5], (5, 3)), 3)
y = np.round(rng.normal([0.7, 0.45, 1.1], [0.3, 0.2, 0.6], (5, 3)), 3)
y[0, 0] = x[1, 0]  # a tie
z = np.round(rng.normal([0.2, 0.3, 0.4, 0.5], 0.2, (10, 4)), 3)
taus = np.array([0.0, 0.3, 0.5, 0.8, 1.0, 1.5])
found: dict[str, object] = {name: scores.T.tolist() for name, scores in (("x", x), ("y", y), ("z", z))}
found["taus"] = taus.tolist()
np.random.seed(7)  # noqa: NPY002  (rliable draws from there)


def improvement(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.array([metrics.probability_of_improvement(a, b)])


for name in ("iqm", "mean", "median"):
    statistic = getattr(metrics, f"aggregate_{name}")
    values, bounds = library.get_interval_estimates(
        {"x": x, "y": y, "z": z},
        lambda scores, of=statistic: np.array([of(scores)]),
        reps=REPS,
    )
    found[name] = {key: [float(values[key][0]), *map(float, bounds[key][:, 0])] for key in values}
values, bounds = library.get_interval_estimates({"xy": (x, y)}, improvement, reps=20_000)
found["improvement"] = [float(values["xy"][0]), *map(float, bounds["xy"][:, 0])]
values, bounds = library.create_performance_profile({"x": x, "z": z}, taus, reps=REPS)
found["profile"] = {key: [values[key].tolist(), *bounds[key].tolist()] for key in values}
print(json.dumps(found, indent=1))
