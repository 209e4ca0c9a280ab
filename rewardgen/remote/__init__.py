"""Remote training on other machines. This package is not imported if everything trains on this machine."""

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
