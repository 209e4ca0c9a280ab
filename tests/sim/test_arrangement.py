"""Where a run takes place: what each wish comes to, with and without a card. The card is told of, not there."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import pytest
import torch

from rewardgen.errors import ConfigError, SimulationFailed
from rewardgen.sim import Arrangement, EnvironmentSpec, MujocoSim, arrange, arrangement
from rewardgen.sim.arrangement import ON_CPU

MODEL = "<mujoco><worldbody><body><joint type='slide'/><geom size='0.1'/></body></worldbody></mujoco>"


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch says that there are two; nothing is done with them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card {torch.device(device).index}")


@pytest.fixture
def no_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrangement, "find_spec", lambda name: None)


def place(found: Arrangement) -> tuple[str, str, str]:
    return found.sim, str(found.physics_device), str(found.device)


ON_TWO_CARDS = {
    ("auto", "auto"): ("warp", "cuda:0", "cuda:0"),
    ("auto", "cpu"): ("mujoco", "cpu", "cpu"),
    ("auto", "cuda:1"): ("warp", "cuda:1", "cuda:1"),
    ("mujoco", "auto"): ("mujoco", "cpu", "cpu"),
    ("mujoco", "cuda"): ("mujoco", "cpu", "cuda:0"),
    ("warp", "auto"): ("warp", "cuda:0", "cuda:0"),
    ("warp", "cpu"): ("warp", "cpu", "cpu"),
}


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(("sim", "device"), ON_TWO_CARDS)
def test_with_cards(sim: str, device: str) -> None:
    found = arrange(sim, device)
    assert place(found) == ON_TWO_CARDS[sim, device]
    assert found.why


@pytest.mark.usefixtures("no_card")
@pytest.mark.parametrize(
    ("sim", "device", "expected"),
    [
        ("auto", "auto", ("mujoco", "cpu", "cpu")),
        ("mujoco", "auto", ("mujoco", "cpu", "cpu")),
        ("warp", "auto", ("warp", "cpu", "cpu")),
    ],
)
def test_without_a_card(sim: str, device: str, expected: tuple[str, str, str]) -> None:
    found = arrange(sim, device)
    assert place(found) == expected
    assert "sees no CUDA device" in found.why or sim == "mujoco"


@pytest.mark.usefixtures("two_cards", "no_warp")
def test_a_card_without_mujoco_warp_is_left_alone_unless_it_is_asked_for() -> None:
    left_alone = arrange()
    assert place(left_alone) == ("mujoco", "cpu", "cpu")
    assert "mujoco_warp is not installed" in left_alone.why
    assert place(arrange("auto", "cuda")) == ("mujoco", "cpu", "cuda:0")
    with pytest.raises(ConfigError, match="mujoco_warp is not installed"):
        arrange("warp", "auto")


@pytest.mark.usefixtures("two_cards")
def test_a_model_that_mujoco_warp_refuses_goes_to_mujoco(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise SimulationFailed("mujoco_warp cannot simulate this model: flex")

    monkeypatch.setattr(arrangement, "make_simulator", refuse)
    found = arrange(model=mujoco.MjModel.from_xml_string(MODEL))
    assert place(found)[:2] == ("mujoco", "cpu")
    assert "flex" in found.why


@pytest.mark.usefixtures("two_cards")
def test_what_only_the_processor_can_do_stays_there() -> None:
    found = arrange(cpu_only="the reference works there")
    assert (place(found), found.why) == (("mujoco", "cpu", "cpu"), "the reference works there")
    for sim, device in (("warp", "auto"), ("auto", "cuda")):
        with pytest.raises(ConfigError, match="the reference works there"):
            arrange(sim, device, cpu_only="the reference works there")


@pytest.mark.usefixtures("two_cards")
@pytest.mark.parametrize(
    ("sim", "device", "said"),
    [("auto", "cuda:2", "no cuda:2"), ("bullet", "auto", "mujoco"), ("auto", "tpu", "cuda:N")],
)
def test_what_is_not_to_be_had_is_refused(sim: str, device: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        arrange(sim, device)


@pytest.mark.usefixtures("no_card")
def test_a_card_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sees no CUDA device; use --device cpu or auto"):
        arrange("auto", "cuda")


def test_by_default_mujoco_simulates_on_the_processor() -> None:
    sim = ON_CPU.simulator(mujoco.MjModel.from_xml_string(MODEL), 3)
    assert isinstance(sim, MujocoSim)
    assert (sim.num_worlds, sim.device_bytes) == (3, 0)
    assert str(ON_CPU) == "physics by MuJoCo on cpu, learning on cpu"
    pendulum = arrange(model=EnvironmentSpec("Pendulum-v1"))
    assert str(pendulum) == "physics by the package of Pendulum-v1 on cpu, learning on cpu"
    assert pendulum == replace(ON_CPU, why=pendulum.why)
