"""Training: PPO over a population of rewards and seeds, labelled after each rollout.

    reward = TaskReward(task.expert_reward, task.layout)
    results = train(task, [Member("expert", seed, reward) for seed in range(3)], config)
    policies = Population.from_weights([result.weights for result in results], task)

The training loop is in ``trainer``, the algorithm in ``advantages``, ``ppo`` and ``networks``. ``train_sb3`` is the
reference: it trains one member with Stable-Baselines3 on the same simulator and rewards. ``make_trainer`` chooses
between these two and remote training, behind the interface ``Trainer``. A ``Watcher`` receives a training's progress.
"""

from rewardgen.training.arrangement import arrangement_of
from rewardgen.training.credit import credit_of
from rewardgen.training.interface import MakeTrainer, Trainer, TrainingSetup, TrainingSpec
from rewardgen.training.labelling import Member, Reward, TaskReward, label_rows, task_rewards
from rewardgen.training.local import make_trainer
from rewardgen.training.population import Population
from rewardgen.training.saves import Saves
from rewardgen.training.sb3 import train_sb3
from rewardgen.training.schedule import checkpoint_steps
from rewardgen.training.timings import Timings
from rewardgen.training.trainer import train
from rewardgen.training.watcher import Watcher

__all__ = [
    "MakeTrainer",
    "Member",
    "Population",
    "Reward",
    "Saves",
    "TaskReward",
    "Timings",
    "Trainer",
    "TrainingSetup",
    "TrainingSpec",
    "Watcher",
    "arrangement_of",
    "checkpoint_steps",
    "credit_of",
    "label_rows",
    "make_trainer",
    "task_rewards",
    "train",
    "train_sb3",
]
