"""The frozen records that pass from stage to stage.

    state        Field, Layout, State, Episodes      what the simulation shows of a task
    programs     Message, Reply                      what goes to a language model and comes back
                 RewardProgram, Form, Problem        what was written, and what is wrong with it
                 Labels                              what a program returned for a batch of transitions
                 Forecast, Outcome                   what stored episodes predict of a program, and how it ended
    trainings    Checkpoint, TrainingResult          what one short training measured
                 Evaluation                          the scores of trained policies on fresh episodes
    judgements   Judgement, Order, Remark            what people said of replays
                 Words, Standing, Verdict            the ranking of a generation that follows from it

Records hold data and answer questions about it; they start no work.
"""

from rewardgen.records.judgements import (
    Answer,
    JudgeKind,
    Judgement,
    Order,
    Remark,
    Standing,
    Verdict,
    Words,
    candidate_of,
)
from rewardgen.records.plain import plain
from rewardgen.records.programs import Forecast, Form, Labels, Message, Outcome, Problem, Reply, RewardProgram
from rewardgen.records.state import Episodes, Field, Layout, State
from rewardgen.records.trainings import Checkpoint, Evaluation, TrainingResult

__all__ = [
    "Answer",
    "Checkpoint",
    "Episodes",
    "Evaluation",
    "Field",
    "Forecast",
    "Form",
    "JudgeKind",
    "Judgement",
    "Labels",
    "Layout",
    "Message",
    "Order",
    "Outcome",
    "Problem",
    "Remark",
    "Reply",
    "RewardProgram",
    "Standing",
    "State",
    "TrainingResult",
    "Verdict",
    "Words",
    "candidate_of",
    "plain",
]
