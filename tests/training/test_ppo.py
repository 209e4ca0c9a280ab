"""The hand-written update against autograd, torch.distributions and torch.optim on one member at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from rewardgen.config import TrainingConfig
from rewardgen.training.networks import Body, Head, Parameters, Shape, initialise, zeros
from rewardgen.training.ppo import Columns, Learner, adapted, clip_gradients, divergence, log_prob, loss_gradient

MEMBERS, ROWS = 3, 40


def generators(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + k) for k in range(count)]


@pytest.fixture(params=[(16,), (16, 8), (8, 16, 12)], ids=str)
def parameters(request: pytest.FixtureRequest) -> Parameters:
    made = zeros(Shape(5, 2, request.param), MEMBERS)
    initialise(made, generators(MEMBERS), 0.7)
    # larger heads and biases than at the start, so that every term counts
    made.flat += 0.1 * torch.randn(made.flat.shape, generator=torch.Generator().manual_seed(9))
    return made


def minibatch(parameters: Parameters, rows: int = ROWS) -> Tensor:
    columns, generator = Columns(parameters.shape), torch.Generator().manual_seed(5)
    batch = torch.randn(parameters.members, rows, columns.width, generator=generator)
    batch[..., columns.log_prob] = -2.5 + 0.5 * batch[..., columns.log_prob]
    return batch


def loose(parameters: Parameters, member: int) -> dict[str, Tensor]:
    return {name: v.clone().contiguous().requires_grad_() for name, v in parameters.named(member).items()}


def forward(named: dict[str, Tensor], net: str, observation: Tensor) -> Tensor:
    flow, i = observation, 0
    while f"{net}.{i}.weight" in named:
        flow = torch.tanh(torch.nn.functional.linear(flow, named[f"{net}.{i}.weight"], named[f"{net}.{i}.bias"]))
        i += 1
    out = "mean" if net == "policy" else "out"
    return torch.nn.functional.linear(flow, named[f"{net}.{out}.weight"], named[f"{net}.{out}.bias"])


def sb3_loss(named: dict[str, Tensor], columns: Columns, rows: Tensor, config: TrainingConfig) -> Tensor:
    """The loss as Stable-Baselines3's PPO.train composes it, for advantages that are normalised already."""
    observation = rows[:, columns.observation]
    distribution = Normal(forward(named, "policy", observation), named["policy.log_std"].exp())
    log_prob = distribution.log_prob(rows[:, columns.action]).sum(1)
    advantage = rows[:, columns.advantage].squeeze(1)
    ratio = torch.exp(log_prob - rows[:, columns.log_prob].squeeze(1))
    first = advantage * ratio
    second = advantage * torch.clamp(ratio, 1 - config.clip_range, 1 + config.clip_range)
    policy_loss = -torch.min(first, second).mean()
    value_loss = torch.nn.functional.mse_loss(rows[:, columns.target], forward(named, "value", observation))
    entropy_loss = -distribution.entropy().sum(1).mean()
    return policy_loss + config.entropy * entropy_loss + config.value_weight * value_loss


def test_gradients_are_those_of_stable_baselines3s_loss(parameters: Parameters) -> None:
    config = TrainingConfig(entropy=0.01, value_weight=0.5, clip_range=0.2)
    rows, gradient = minibatch(parameters), zeros(parameters.shape, MEMBERS)
    loss_gradient(Body(parameters, ROWS), parameters, gradient, rows, config)
    for k in range(MEMBERS):
        named = loose(parameters, k)
        sb3_loss(named, Columns(parameters.shape), rows[k], config).backward()
        for name, ours in gradient.named(k).items():
            torch.testing.assert_close(ours, named[name].grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_the_minibatch_has_rows_on_both_sides_of_the_clip_range(parameters: Parameters) -> None:
    columns, rows = Columns(parameters.shape), minibatch(parameters)
    named = loose(parameters, 0)
    mean = forward(named, "policy", rows[0][:, columns.observation])
    log_prob = Normal(mean, named["policy.log_std"].exp()).log_prob(rows[0][:, columns.action]).sum(1)
    ratio = torch.exp(log_prob - rows[0][:, columns.log_prob].squeeze(1))
    up = rows[0][:, columns.advantage].squeeze(1) > 0
    for outside in (ratio > 1.2, ratio < 0.8):
        assert (outside & up).any()
        assert (outside & ~up).any()


def test_heads_are_the_body_without_its_other_half(parameters: Parameters) -> None:
    observation = minibatch(parameters)[..., :5]
    mean, value = Body(parameters, ROWS).forward(observation)
    torch.testing.assert_close(Head(parameters, "policy", ROWS)(observation), mean, rtol=0, atol=0)
    torch.testing.assert_close(Head(parameters, "value", ROWS)(observation), value, rtol=0, atol=0)
    expected = forward(loose(parameters, 1), "policy", observation[1])
    torch.testing.assert_close(mean[1].T, expected.detach(), rtol=1e-5, atol=2e-6)


def test_clipping_is_per_member_and_network() -> None:
    gradient = zeros(Shape(5, 2, (16, 8)), MEMBERS)
    gradient.flat.normal_(generator=torch.Generator().manual_seed(3))
    gradient.flat[:, 1] *= 1e-3
    gradient.flat[0, :, 300:] = 0.0
    expected = {}
    for net in range(2):
        for k in range(MEMBERS):
            mine = torch.nn.Parameter(torch.zeros_like(gradient.flat[net, k]))
            mine.grad = gradient.flat[net, k].clone()
            expected[net, k] = torch.nn.utils.clip_grad_norm_([mine], 0.5), mine.grad
    norms = clip_gradients(gradient, 0.5)
    for (net, k), (norm, clipped) in expected.items():
        torch.testing.assert_close(norms[net, k], norm)
        torch.testing.assert_close(gradient.flat[net, k], clipped)


def test_the_divergence_is_that_of_the_gaussians() -> None:
    """Against torch's closed form: the estimator's mean over many actions drawn from the former policy."""
    parameters = zeros(Shape(3, 2, (8,)), 2)
    initialise(parameters, generators(2), 0.7)
    columns, count, source = Columns(parameters.shape), 200_000, torch.Generator().manual_seed(4)
    head = Head(parameters, "policy", count)
    rows = torch.zeros(2, count, columns.width)
    rows[..., columns.observation] = torch.randn(2, 1, 3, generator=source)  # one state each
    standard = torch.randn(2, 2, count, generator=source)
    before = head(rows[..., columns.observation]).clone()
    old = Normal(before[:, :, :1], parameters.log_std.exp())
    rows[..., columns.action] = (before + standard * parameters.log_std.exp()).transpose(1, 2)
    rows[..., columns.log_prob] = log_prob(standard, parameters.log_std).transpose(1, 2)
    torch.testing.assert_close(divergence(parameters, head, rows), torch.zeros(2), atol=1e-6, rtol=0)
    parameters.mean_bias += torch.tensor([[[0.1], [0.0]], [[0.0], [-0.2]]])
    parameters.log_std += 0.05
    new = Normal(head(rows[..., columns.observation])[:, :, :1], parameters.log_std.exp())
    expected = torch.distributions.kl_divergence(old, new).sum(1).squeeze(1)
    torch.testing.assert_close(divergence(parameters, head, rows), expected, rtol=0.02, atol=0)


def test_learning_rates_follow_the_divergence_within_their_range() -> None:
    config = TrainingConfig(learning_rate=1e-3, desired_kl=0.01)
    rates = torch.tensor([1e-3, 1e-3, 1e-3, 2.5e-3, 4e-5])
    kl = torch.tensor([0.021, 0.019, 0.004, 0.0, 1.0])
    expected = torch.tensor([1e-3 / 1.5, 1e-3, 1.5e-3, 3e-3, 3e-5])
    torch.testing.assert_close(adapted(rates, kl, config), expected)


def test_an_update_that_went_too_far_slows_the_policy_alone_and_of_its_member_alone() -> None:
    rows = minibatch(zeros(Shape(5, 2, (8,)), 2), 16)
    rows[1, :, Columns(Shape(5, 2, (8,))).advantage] = 0.0  # nothing to learn for the second policy
    made = []
    for desired in (0.0, 1e-4):
        parameters = zeros(Shape(5, 2, (8,)), 2)
        initialise(parameters, generators(2), 1.0)
        mean = Head(parameters, "policy", 16)(rows[..., :5])
        columns = Columns(parameters.shape)
        standard = (rows[..., columns.action].transpose(1, 2) - mean) / parameters.log_std.exp()
        rows[..., columns.log_prob] = log_prob(standard, parameters.log_std).transpose(1, 2)
        learner = Learner(parameters, TrainingConfig(desired_kl=desired, minibatches=2), generators(2, 8), threads=2)
        learner.update(rows, 1.0)
        made.append((learner.rates, parameters.flat.clone()))
        learner.close()
    torch.testing.assert_close(made[0][1], made[1][1], rtol=0, atol=0)  # the rate is that of the next update
    torch.testing.assert_close(made[0][0], torch.full((2,), 1e-3))
    torch.testing.assert_close(made[1][0], torch.tensor([1e-3 / 1.5, 1.5e-3]))


def test_an_update_is_that_of_a_plain_torch_ppo() -> None:
    config = TrainingConfig(epochs=2, minibatches=3, entropy=0.003, learning_rate=3e-3, max_grad_norm=0.5)
    parameters = zeros(Shape(5, 2, (16, 8)), MEMBERS)
    initialise(parameters, generators(MEMBERS), 0.7)
    columns = Columns(parameters.shape)
    rows = minibatch(parameters, 41)
    reference = [loose(parameters, k) for k in range(MEMBERS)]
    learner = Learner(parameters, config, generators(MEMBERS, 70), threads=2)
    finite = learner.update(rows, 1.0)
    learner.close()
    assert finite.tolist() == [True] * MEMBERS
    for k, order in enumerate(generators(MEMBERS, 70)):
        named = reference[k]
        adam = torch.optim.Adam(list(named.values()), lr=config.learning_rate, eps=1e-5)
        for _ in range(config.epochs):
            for part in torch.randperm(41, generator=order)[:39].split(13):
                adam.zero_grad()
                sb3_loss(named, columns, rows[k][part], config).backward()
                for net in ("policy", "value"):
                    own = [values for name, values in named.items() if name.startswith(net)]
                    torch.nn.utils.clip_grad_norm_(own, config.max_grad_norm)
                adam.step()
        for name, ours in parameters.named(k).items():
            torch.testing.assert_close(
                ours, named[name].detach(), rtol=1e-3, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_annealing_reaches_the_optimiser() -> None:
    parameters = zeros(Shape(5, 2, (8,)), 1)
    initialise(parameters, generators(1), 1.0)
    before = parameters.flat.clone()
    made = {}
    for remaining in (0.0, 0.1, 0.2, 0.9):  # of which the last fifth is annealed
        config = TrainingConfig(anneal=0.2, desired_kl=0.0, epochs=1, minibatches=1)
        changed = Parameters(parameters.shape, before.clone())
        Learner(changed, config, generators(1)).update(minibatch(parameters, 16), remaining)
        made[remaining] = changed.flat - before
    assert not made[0.0].any() and made[0.2].any()
    torch.testing.assert_close(made[0.1], 0.5 * made[0.2], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(made[0.9], made[0.2], rtol=0, atol=0)


def test_a_gradient_that_is_not_finite_is_told_and_touches_no_other_member() -> None:
    config = TrainingConfig(epochs=1, minibatches=1)
    shape = Shape(5, 2, (8,))
    results = []
    for poison in (False, True):
        parameters = zeros(shape, 2)
        initialise(parameters, generators(2), 1.0)
        rows = minibatch(parameters, 16)
        if poison:
            rows[1, 3, -1] = float("inf")
        learner = Learner(parameters, config, generators(2, 5))
        finite = learner.update(rows, 1.0)
        results.append((finite.tolist(), parameters.flat[:, 0].clone()))
        learner.forget(1)
        assert torch.isfinite(parameters.flat).all()
    assert results[0][0] == [True, True]
    assert results[1][0] == [True, False]
    torch.testing.assert_close(results[0][1], results[1][1], rtol=0, atol=0)


def test_initialised_as_stable_baselines3_does() -> None:
    parameters = zeros(Shape(5, 2, (64, 32)), 2)
    initialise(parameters, generators(2), 0.5)
    named = parameters.named(1)
    for name, gain in (
        ("policy.0.weight", 2.0),
        ("value.1.weight", 2.0),
        ("policy.mean.weight", 1e-4),
        ("value.out.weight", 1.0),
    ):
        weight = named[name]
        small = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
        torch.testing.assert_close(small, gain * torch.eye(len(small)), rtol=1e-4, atol=1e-5)
    assert all(not named[name].any() for name in named if name.endswith("bias"))
    torch.testing.assert_close(named["policy.log_std"].exp(), torch.full((2,), 0.5))
    assert (parameters.named(0)["policy.0.weight"] != named["policy.0.weight"]).any()
