"""Many searches from one YAML file: compare methods, models, prompts and settings over tasks and seeds.

    plan = make_plan(Path("runs/first-look.yaml"), Path("runs"))    every arm, task and seed, checked, with line numbers
    run_sweep(plan, LocalExecutor(plan.spec.share), …)              runs what is not finished

``spec`` declares the file, ``expand`` makes arms of it and ``plan`` searches; ``rates`` and ``estimate`` predict what
they will take, ``ledger`` decides which searches the budgets allow. An ``Executor`` runs searches, each in a process of
its own: ``local`` on this machine, ``ray`` on a cluster. ``standing`` reads the state of a sweep.
"""

from rewardgen.sweep.estimate import Amounts, of_baselines, of_planned, of_search, total, wall_hours
from rewardgen.sweep.executor import Executor, Finished, Job
from rewardgen.sweep.local import LocalExecutor
from rewardgen.sweep.plan import Plan, Planned, StoredSweep, is_sweep, make_plan, read_plan
from rewardgen.sweep.rates import Rates, measured_rates
from rewardgen.sweep.run import SearchOutcome, Watch, rates_of, run_sweep
from rewardgen.sweep.spec import Share, SweepSpec, read_spec
from rewardgen.sweep.standing import SearchState, sweep_standing
from rewardgen.sweep.work import carry_out

__all__ = [
    "Amounts",
    "Executor",
    "Finished",
    "Job",
    "LocalExecutor",
    "Plan",
    "Planned",
    "Rates",
    "SearchOutcome",
    "SearchState",
    "Share",
    "StoredSweep",
    "SweepSpec",
    "Watch",
    "carry_out",
    "is_sweep",
    "make_plan",
    "measured_rates",
    "of_baselines",
    "of_planned",
    "of_search",
    "rates_of",
    "read_plan",
    "read_spec",
    "run_sweep",
    "sweep_standing",
    "total",
    "wall_hours",
]
