"""Progress that is counted and factors that are decoded: by hand, against least squares, and in small trainings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rewardgen.config import CreditConfig, TrainingConfig
from rewardgen.errors import RewardFailed, UsageError
from rewardgen.records import Episodes, Labels, State
from rewardgen.training import Member, TaskReward, credit_of, train, train_sb3
from rewardgen.training.credit import Rows
from rewardgen.training.factors import Decoder, Factors
from rewardgen.training.progress import CountBonus
from rewardgen.training.seeds import generator
from tests.training.conftest import Point
from tests.training.watchers import Written


def rows(components: Tensor, ended: Tensor | None = None, states: Tensor | None = None, names: int = 0) -> Rows:
    """A rollout of ``components`` ``(T, W, C)``; nothing ends and all states are 0 unless said otherwise."""
    shape = components.shape[:2]
    ended = torch.zeros(shape, dtype=torch.bool) if ended is None else ended
    states = torch.zeros(*shape, 2) if states is None else states
    after = states.roll(-1, 0)
    known = tuple(f"part{i}" for i in range(names or components.shape[2]))
    return Rows(components, known, states, torch.zeros(*shape, 1), after, ended & False, ended)


# ---- progress


def test_bins_and_bonuses_by_hand() -> None:
    progress = CountBonus(CreditConfig(bins=4, count_weight=2.0, sparse_weight=0.0), Point(), 0, 2)
    # ranges 0 to 4 and 0 to 8, so parts of 1 and 2: 0 + 3, 1 + 0, 3 + 2 and 2 + 3; the last two share a bin
    first = torch.tensor([[[0.0, 8.0], [1.0, 0.0]], [[4.0, 4.0], [2.0, 6.0]]])
    paid = progress.pay(rows(first))
    assert progress.counts.tolist() == [0, 1, 0, 1, 0, 2, 0]
    torch.testing.assert_close(paid, torch.tensor([[2.0, 2.0], [2 / 2**0.5, 2 / 2**0.5]]))
    # what was known before counts
    paid = progress.pay(rows(first[:1]))
    torch.testing.assert_close(paid, torch.full((1, 2), 2 / 2**0.5))
    # looking changes nothing; a bin that nobody was in is worth a first visit, and what is beyond the range its end
    seen = torch.tensor([[0.0, 8.0], [0.0, 0.0], [-5.0, 99.0]])
    labels = Labels(seen.sum(1), seen, ("part0", "part1"))
    nothing = torch.zeros(3, 2)
    for _ in range(2):
        value = progress.value(labels, nothing, torch.zeros(3, 1), nothing)
        torch.testing.assert_close(value, torch.tensor([2 / 2**0.5, 2.0, 2 / 2**0.5]))
    assert int(progress.counts.sum()) == 6
    # 9 and -1 are new: 0 to 4 becomes 0 to 16 and 0 to 8 becomes -8 to 8, with parts of 4 each, and counts begin anew
    paid = progress.pay(rows(torch.tensor([[[9.0, 0.0], [0.0, -1.0]]])))
    assert progress.low.tolist() == [0.0, -8.0] and progress.span.tolist() == [16.0, 16.0]
    assert progress.counts.tolist() == [0, 1, 0, 0, 1, 0, 0]
    torch.testing.assert_close(paid, torch.full((1, 2), 2.0))


def test_the_tasks_sparse_reward_is_paid_beside_the_bonus() -> None:
    task = Point()
    states = torch.tensor([[[0.05, 0.0], [1.0, 0.0]], [[0.9, 0.0], [0.02, 0.0]]])
    one = rows(torch.full((2, 2, 1), 0.5), states=states)
    bonus = CountBonus(CreditConfig(sparse_weight=0.0), task, 0, 2).pay(one)
    both = CountBonus(CreditConfig(sparse_weight=3.0), task, 0, 2).pay(one)
    before, after = (State(task.layout, part.flatten(0, 1)) for part in (one.states, one.next_states))
    expected, _ = task.sparse_reward(before, one.actions.flatten(0, 1), after)
    assert 0 < expected.sum() < 4
    torch.testing.assert_close(both - bonus, 3.0 * expected.float().view(2, 2))


@pytest.mark.parametrize("form", ["progress", "factors"])
def test_components_that_cannot_be_used_fail_the_reward(form: str) -> None:
    make = credit_of(form, CreditConfig())  # type: ignore[arg-type]
    assert make is not None and credit_of("reward", CreditConfig()) is None
    with pytest.raises(RewardFailed, match="no components"):
        make(Point(), 0, 2).pay(rows(torch.zeros(1, 2, 0)))
    with pytest.raises(RewardFailed, match="NaN"):
        make(Point(), 0, 2).pay(rows(torch.full((1, 2, 1), float("nan"))))
    credit = make(Point(), 0, 2)
    credit.pay(rows(torch.zeros(1, 2, 1)))
    with pytest.raises(RewardFailed, match="other names"):
        credit.pay(rows(torch.zeros(1, 2, 2)))


# ---- factors


def synthetic(count: int = 96, longest: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    """Factors, lengths and returns of episodes whose true reward is ``2 z₀ − 0.5 z₁ + 0.3``; z₂ is idle."""
    source = generator("a test's episodes")
    factors = torch.randn(count, longest, 3, generator=source) * torch.tensor([0.5, 4.0, 1.0])
    factors += torch.randn(count, 1, 3, generator=source)
    lengths = torch.randint(8, longest + 1, (count,), generator=source)
    present = torch.arange(longest) < lengths[:, None]
    rewards = 2.0 * factors[..., 0] - 0.5 * factors[..., 1] + 0.3
    return factors, lengths, (rewards * present).sum(1)


def test_the_decoder_finds_what_least_squares_finds() -> None:
    factors, lengths, returns = synthetic()
    present = (torch.arange(factors.shape[1]) < lengths[:, None]).float()[..., None]
    sums = torch.cat([(factors * present).sum(1), lengths[:, None].float()], 1).double()
    solution = torch.linalg.lstsq(sums, returns.double()[:, None]).solution[:, 0]
    torch.testing.assert_close(solution, torch.tensor([2.0, -0.5, 0.0, 0.3], dtype=torch.float64), atol=1e-5, rtol=0)

    decoder = Decoder(3, CreditConfig(decoder_rate=1e-2), generator("a test's decoder"))
    assert not decoder.ready and not decoder(factors).any()
    decoder.add(factors, lengths, returns)
    decoder.fit(1500)
    closed_form = factors.double() @ solution[:3] + solution[3]
    decoded = decoder(factors)
    shown = present[..., 0].bool()
    correlation = torch.corrcoef(torch.stack([decoded[shown].double(), closed_form[shown]]))[0, 1]
    assert correlation > 0.99
    worst = ((decoded * present[..., 0]).sum(1) - returns).abs().max()
    assert worst < 0.1 * returns.std()


def test_long_episodes_are_sampled_and_old_ones_make_room() -> None:
    factors, lengths, returns = synthetic(count=64, longest=200)
    decoder = Decoder(3, CreditConfig(decoder_rate=1e-2, decoder_episodes=48), generator("a test's decoder"))
    decoder.add(factors[:32, :100] * 0.0, lengths[:32].clamp(max=100), returns[:32])
    decoder.add(factors[32:], lengths[32:], returns[32:])
    assert len(decoder._lengths) == 48 and decoder._episodes.shape == (48, 200, 3)
    decoder.add(factors[:48], lengths[:48], returns[:48])
    decoder.fit(600)
    present = torch.arange(200) < lengths[:48, None]
    decoded = (decoder(factors[:48]) * present).sum(1)
    assert torch.corrcoef(torch.stack([decoded, returns[:48]]))[0, 1] > 0.95


def test_episodes_are_followed_over_rollouts_and_measured_by_the_task() -> None:
    """Of two worlds one fails after 3 steps and after 5 more, the other after 6; rollouts are cut at other places.

    The time limit cuts the third episode of the first world short after 1 step: it is not whole, and nothing is learned
    from it.
    """
    task, source = Point(), generator("a test's rollouts")
    total = 9
    states = torch.randn(total + 1, 2, 2, generator=source)
    components = torch.randn(total, 2, 1, generator=source)
    ended = torch.zeros(total, 2, dtype=torch.bool)
    ended[2, 0] = ended[7, 0] = ended[5, 1] = True
    terminated = ended.clone()
    ended[8, 0] = True
    factors = Factors(CreditConfig(), task, 0, 2)
    for begin, end in ((0, 4), (4, 5), (5, 9)):
        window = slice(begin, end)
        following = states[begin + 1 : end + 1]
        actions = torch.zeros(end - begin, 2, 1)
        ends = terminated[window], ended[window]
        factors.pay(Rows(components[window], ("z",), states[window], actions, following, *ends))

    def episode(world: int, first: int, last: int) -> Episodes:
        mine = states[first : last + 2, world]
        padded = torch.cat([mine, mine[-1:].expand(task.horizon + 1 - len(mine), -1)])[:, None]
        return Episodes(
            task.layout,
            padded,
            torch.zeros(task.horizon, 1, 1),
            torch.tensor([last + 1 - first]),
            torch.tensor([True]),
            task.control_step,
        )

    decoder = factors._decoder
    assert decoder is not None and decoder._lengths.tolist() == [3, 6, 5]
    places = ((0, 0, 2), (1, 0, 5), (0, 3, 7))  # in the order in which they end
    expected = [float(task.fitness(episode(*place))) / (place[2] + 1 - place[1]) for place in places]
    torch.testing.assert_close(decoder._returns, torch.tensor(expected))
    for number, (world, first, last) in enumerate(places):
        torch.testing.assert_close(decoder._episodes[number, : last + 1 - first], components[first : last + 1, world])


# ---- trainings


def measures(state: State, action: Tensor, next_state: State) -> tuple[Tensor, dict[str, Tensor]]:
    closeness = torch.exp(-next_state.position.abs() / 0.3)
    calm = torch.exp(-next_state.velocity.abs())
    return closeness + calm, {"closeness": closeness, "calm": calm}


SMALL = TrainingConfig(
    steps=2048,
    worlds=8,
    rollout=16,
    epochs=2,
    minibatches=2,
    hidden=(16,),
    checkpoints=4,
    checkpoint_episodes=2,
    score_episodes=2,
)


def members(form: str, keys: str, seeds: tuple[int, ...]) -> list[Member]:
    make = credit_of(form, CreditConfig(decoder_steps=1))  # type: ignore[arg-type]
    reward = TaskReward(measures, Point().layout)
    return [Member(key, seed, reward, make) for key in keys for seed in seeds]


@pytest.mark.parametrize("form", ["progress", "factors"])
def test_a_member_is_the_same_alone_and_among_others_and_after_a_stop(form: str) -> None:
    task = Point()
    together = train(task, members(form, "ab", (1, 2)), SMALL, threads=1)
    again = train(task, members(form, "ab", (1, 2)), SMALL, threads=1)
    for one, other in zip(together, again, strict=True):
        assert one.status == "done" and (one.curve, one.weights) == (other.curve, other.weights)
    (alone,) = train(task, members(form, "a", (2,)), SMALL, threads=1)
    assert (alone.curve, alone.weights) == (together[1].curve, together[1].weights)
    assert together[0].curve != together[1].curve  # and the seed matters

    # those that are left when others stop keep their memory
    raced = train(
        task,
        members(form, "ab", (1, 2)),
        SMALL,
        threads=1,
        watcher=Written(lambda steps, results: {0: "slow", 3: "slow"}),
    )
    assert [result.status for result in raced] == ["stopped", "done", "done", "stopped"]
    assert (raced[1].curve, raced[1].weights) == (together[1].curve, together[1].weights)


@pytest.mark.parametrize("form", ["progress", "factors"])
def test_what_is_paid_is_not_the_total_and_components_are_what_the_program_returned(form: str) -> None:
    task = Point()
    (with_credit,) = train(task, members(form, "a", (2,)), SMALL, threads=1)
    plain = replace(members(form, "a", (2,))[0], credit=None)
    (without,) = train(task, [plain], SMALL, threads=1)
    assert with_credit.weights != without.weights
    for point in with_credit.curve:
        assert set(point.components) == {"closeness", "calm"}
        assert point.own_return != pytest.approx(sum(point.components.values()) * point.episode_length)


class Stay(Point):
    """A sum over the steps, as a decoder takes a fitness to be; nothing more comes after an end."""

    fitness_unit = "s"
    fitness_meaning = "time, weighed by how near to the middle it was spent"

    def fitness(self, episode: Episodes) -> Tensor:
        near = 1.5 - episode.field("position")[1:].abs().clamp(max=1.5)
        return (near * episode.mask).sum(0)


def test_a_decoder_of_the_right_factors_learns_the_task() -> None:
    """Nothing but the fitness of whole episodes is paid, and policies come to do what it asks for."""
    longer = SMALL.model_copy(
        update={
            "steps": 12_288,
            "worlds": 16,
            "rollout": 32,
            "epochs": 4,
            "checkpoints": 6,
            "checkpoint_episodes": 32,
            "score_episodes": 0,
        }
    )
    for result in train(Stay(), members("factors", "a", (1, 2, 3)), longer, threads=1):
        fitness = torch.tensor([point.fitness for point in result.curve])
        assert fitness[1:].max() > fitness[0] + 3.0
        returns = torch.tensor([point.own_return for point in result.curve])
        assert (returns - fitness).abs().mean() < 0.2 * fitness.mean()  # rewards of an episode sum up to its fitness


def test_the_reference_trainer_says_that_it_cannot() -> None:
    with pytest.raises(UsageError, match=r"training\.trainer=population"):
        train_sb3(Point(), members("progress", "a", (1,))[0], SMALL)
