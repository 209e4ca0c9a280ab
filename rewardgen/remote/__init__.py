"""Trainings on other machines. Nothing here is imported where everything trains on this one."""

from rewardgen.remote.shards import ShardMember, ShardOrder, ShardResult, carry_out, order_for, received, sent
from rewardgen.remote.trainer import RemoteTrainer, ShardRunner

__all__ = [
    "RemoteTrainer",
    "ShardMember",
    "ShardOrder",
    "ShardResult",
    "ShardRunner",
    "carry_out",
    "order_for",
    "received",
    "sent",
]
