"""Films of Gymnasium environments, compared with what Gymnasium itself draws of the same states."""

from __future__ import annotations

import io
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from PIL import Image

from rewardgen.errors import ReplayError
from rewardgen.replay import check_shown, ensure, find, load_replay, stills
from rewardgen.replay.filming import record_film
from rewardgen.sim import make_simulator
from rewardgen.tasks import EnvironmentTask, Task, WorldRandom, load_task, play_episodes
from rewardgen.training import Population
from rewardgen.training.seeds import streams
from tests.replay.made import make_run, policy
from tests.tasks.test_adapter import SPRING, SPRING_TASK

DECLARED = """
task: {task}
description: Something.
environment: {{id: {name}}}
fields: [{{name: first, from: "observation[0]", unit: "1", meaning: first}}]
success: {{from: reward, at_least: 1}}
fitness: {{from: reward, over: sum, unit: "1", meaning: reward, threshold: 1}}
horizon: {horizon}
"""
STARTS = 2
SEED = 3


def declare(folder: Path, name: str, horizon: int) -> EnvironmentTask:
    folder.mkdir(exist_ok=True)
    (folder / "task.yaml").write_text(DECLARED.format(task="drawn/here", name=name, horizon=horizon))
    task: Task = load_task("drawn/here", [folder])
    assert isinstance(task, EnvironmentTask)
    return task


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize(("name", "horizon"), [("Pendulum-v1", 12), ("CartPole-v1", 200)])
def test_frames_are_what_the_environment_draws(name: str, horizon: int, tmp_path: Path) -> None:
    task = declare(tmp_path / "envs", name, horizon)
    weights = policy(task, 1)
    filmed = record_film(task, weights, STARTS, SEED, threads=2)
    played = play_episodes(
        task,
        make_simulator(task.model, STARTS, threads=1),
        Population.from_weights([weights], task).act,
        streams(STARTS, "replay", SEED),
    )
    drawn = WorldRandom(streams(STARTS, "replay", SEED), torch.zeros(STARTS, dtype=torch.int64))
    seeds = drawn.uniform(0, 2**31, 1)[:, 0].to(torch.int64).tolist()
    reference = gymnasium.make(name, render_mode="rgb_array")
    try:
        for world, episode in enumerate(filmed):
            length = int(played.length[world])
            reference.reset(seed=seeds[world])
            pictures = [reference.render()]
            for action in played.actions[:length, world]:
                own = action.numpy() if name == "Pendulum-v1" else int(action.argmax())
                reference.step(own)
                pictures.append(reference.render())
            # Pendulum: 20 steps a second, each drawn. CartPole: 50, of which every second one, and the last
            seconds, stride = (0.05, 1) if name == "Pendulum-v1" else (0.02, 2)
            steps = sorted({*range(0, length + 1, stride), length})
            np.testing.assert_allclose(episode.replay.times, np.array(steps) * seconds, rtol=1e-5)
            assert episode.replay.length == length
            assert episode.replay.fitness == pytest.approx(float(task.fitness(played)[world]))
            assert episode.replay.cause == ("time limit" if length == horizon else "the environment ended it")
            for step, picture in zip(steps, episode.pictures, strict=True):
                assert np.array_equal(pixels(picture), pictures[step]), f"world {world}, step {step}"
            assert not np.array_equal(pictures[0], pictures[-1])
    finally:
        reference.close()
    assert not np.array_equal(pixels(filmed[0].pictures[0]), pixels(filmed[1].pictures[0]))


def test_a_run_on_an_environment_has_films(tmp_path: Path) -> None:
    task = declare(tmp_path / "envs", "CartPole-v1", 200)
    run_dir = make_run(tmp_path / "run", task="drawn/here", envs=[tmp_path / "envs"])
    first, second = ensure(run_dir, "r0g0c0", starts=2)
    assert first.note == "" and first.geometry is None
    assert first.video is not None and first.thumbnail is not None
    assert not find(run_dir, "r0g0c1")  # others are not played along
    replay = load_replay(run_dir, first.id)
    assert replay.filmed and replay.task == task.name and first.seconds == pytest.approx(replay.length * 0.02)
    # The film shows the frames; H.264 changes pixels a little
    last = record_film(task, policy(task, 0), 1, SEED)[0].pictures[-1]
    shown = stills(run_dir, first.id, 3)
    assert [pixels(png).shape for png in shown] == [(240, 320, 3)] * 3
    wanted = np.asarray(Image.open(io.BytesIO(last)).convert("RGB").resize((320, 212)), np.int16)
    assert np.abs(pixels(shown[-1])[14:226].astype(np.int16) - wanted).mean() < 4
    assert np.abs(pixels(shown[0]).astype(np.int16) - pixels(shown[-1])).max() > 100
    # What is there is not made again; a replay without its film is
    before = first.poses.stat().st_mtime_ns
    assert ensure(run_dir, "r0g0c0", starts=2) == (first, second) and first.poses.stat().st_mtime_ns == before
    first.video.unlink()
    assert find(run_dir, "r0g0c0", starts=2) == (second,)
    assert ensure(run_dir, "r0g0c0", video=True)[0].video is not None


@pytest.mark.parametrize(
    ("modes", "render", "says"),
    [
        ("[]", "return None", 'no render mode "rgb_array"; its metadata["render_modes"] are []'),
        ('["human"]', "return None", "are ['human']"),
        (
            '["rgb_array"]',
            "return None",
            "render() gives NoneType None; rgb_array is",
        ),
        ('["rgb_array"]', "import a_package_for_drawing", "No module named 'a_package_for_drawing'"),
        ('["rgb_array"]', "return np.zeros((4, 6, 3), np.uint8)", ""),
    ],
)
def test_an_environment_that_cannot_be_drawn_is_refused_with_its_reason(
    tmp_path: Path, modes: str, render: str, says: str
) -> None:
    methods = f"""
    metadata = {{"render_modes": {modes}}}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def render(self):
        {render}

    def reset("""
    (tmp_path / "springs.py").write_text(SPRING.replace("    def reset(", methods, 1))
    (tmp_path / "springs.yaml").write_text(SPRING_TASK)
    task = load_task("spring/rest", [tmp_path])
    if not says:
        check_shown(task)
        return
    with pytest.raises(ReplayError) as refused:
        check_shown(task)
    told = str(refused.value)
    assert told.startswith("there is no replay for spring/rest: its environment cannot be drawn") and says in told
