"""Task files: where they are found, and what is said of those that are wrong."""

from __future__ import annotations

import re
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from rewardgen.errors import MissingPackage, TaskError, UnknownName
from rewardgen.records import State
from rewardgen.sim import MujocoSim
from rewardgen.tasks import (
    Worlds,
    blame,
    files_without_tasks,
    gymnasium_asset,
    load_task,
    loader,
    package_asset,
    register,
    task_fault,
    task_names,
)
from tests.cli.commands import rewardgen

EXAMPLE = Path(__file__).parent / "example"
ENVS = Path(__file__).parents[2] / "envs"
OWN = sorted(
    [name for file in ENVS.glob("*.py") for name in re.findall(r'^@register\("(.+)"\)', file.read_text(), re.M)]
    + [name for file in ENVS.glob("*.yaml") for name in re.findall(r"^ +- task: (\S+)$", file.read_text(), re.M)]
)


def example(*replacements: tuple[str, str], name: str = "slider/park") -> str:
    """The example's text with some of it replaced."""
    text = (EXAMPLE / "my_tasks.py").read_text(encoding="utf-8").replace("slider/park", name)
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def write(folder: Path, text: str, file: str = "mine.py") -> Path:
    path = folder / file
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def line_of(path: Path, part: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if part in line)


def test_our_own_tasks_are_found() -> None:
    assert set(OWN) <= set(task_names())


def test_a_users_folder_is_treated_like_our_own() -> None:
    assert task_names([EXAMPLE]) == sorted([*task_names(), "slider/park"])
    task = load_task("slider/park", [EXAMPLE])
    assert task.name == "slider/park"
    assert (task.observation_size, task.action_size) == (2, 1)
    worlds = Worlds(task, MujocoSim(task.model, 3, 1), torch.arange(3))
    worlds.start()
    assert not worlds.step(torch.ones(3, 1)).terminated.any()


def test_the_example_is_short_enough_for_the_readme() -> None:
    assert len((EXAMPLE / "my_tasks.py").read_text(encoding="utf-8").splitlines()) < 60


def test_the_environment_variable_adds_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, example(name="slider/other"))
    monkeypatch.setenv("REWARDGEN_ENVS", f"{EXAMPLE}:{tmp_path}")
    assert {"slider/park", "slider/other"} <= set(task_names())
    assert task_names([EXAMPLE, EXAMPLE]) == task_names()  # the same folder twice is one folder


def test_entry_points_add_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write(tmp_path, example(name="slider/plugin"), "slider_plugin_for_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("slider", "slider_plugin_for_test", loader.ENTRY_POINTS)
    monkeypatch.setattr(loader, "entry_points", lambda group: [point] if group == loader.ENTRY_POINTS else [])
    assert load_task("slider/plugin").name == "slider/plugin"

    broken = EntryPoint("broken", "no_such_module_for_test", loader.ENTRY_POINTS)
    monkeypatch.setattr(loader, "entry_points", lambda group: [broken])
    with pytest.raises(TaskError, match=r"entry point broken \(no_such_module_for_test\).*ModuleNotFoundError"):
        task_names()


def test_private_modules_keep_out_of_the_way(tmp_path: Path) -> None:
    """A file may bear any name, and be changed between two loads."""
    write(tmp_path, example(name="slider/first"), "torch.py")
    assert "slider/first" in task_names([tmp_path])
    write(tmp_path, example(name="slider/second"), "torch.py")
    names = task_names([tmp_path])
    assert "slider/second" in names
    assert "slider/first" not in names
    assert hasattr(torch, "Tensor")


def test_files_with_a_leading_underscore_are_not_tasks(tmp_path: Path) -> None:
    write(tmp_path, "raise RuntimeError", "_helpers.py")
    assert task_names([tmp_path]) == task_names()


def test_modules_of_declared_environments_are_executed_by_workers_alone(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    write(
        tmp_path,
        """
        task: x/other
        description: Pendulum up.
        environment: {id: Pendulum-v1, imports: [my_env.registration]}
        fields: [{name: up, from: "observation[0]", unit: "1", meaning: cosine}]
        success: {from: "observation[0]"}
        fitness: {from: "observation[0]", over: mean, unit: "1", meaning: share, threshold: 0.5}
        horizon: 50
        """,
        "t.yaml",
    )
    record = f"import pathlib\npathlib.Path({str(trace)!r}).write_text(__name__)\n"
    write(tmp_path, f"{record}import only_in_the_other_python\nimport geometry, math\n", "my_env.py")
    write(tmp_path, f"{record}from shapes import box\nimport my_env\n", "geometry.py")
    write(tmp_path, f"{record}def broken(:\n", "shapes.py")
    write(tmp_path, example(name="slider/beside"), "my_env_tasks.py")
    assert {"x/other", "slider/beside"} <= set(task_names([tmp_path]))
    assert not trace.exists()
    assert files_without_tasks([tmp_path]) == []
    with pytest.raises(TaskError, match="only_in_the_other_python"):
        load_task("x/other", [tmp_path])
    assert trace.read_text() == "my_env"  # in the worker


def test_task_files_that_register_nothing_are_found(tmp_path: Path) -> None:
    path = write(tmp_path, "import math\n", "tools.py")
    write(tmp_path, example(name="slider/beside"))
    write(tmp_path, "raise RuntimeError\n", "_tools.py")
    assert files_without_tasks([tmp_path]) == [path]


def test_an_unknown_task_names_its_neighbours() -> None:
    with pytest.raises(UnknownName, match="no task named 'chetah/run'; did you mean cheetah/run"):
        load_task("chetah/run")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"there is no folder .*nowhere"):
        task_names([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("import torch\n\nraise ValueError('not today')\n", 3, "raises ValueError: not today"),
        ("def broken(:\n    pass\n", 1, "is not Python"),
        ("import no_such_module_for_test\n", 1, "raises ModuleNotFoundError"),
        ("def inner():\n    return 1 / 0\n\ninner()\n", 2, "raises ZeroDivisionError"),
    ],
)
def test_a_file_that_raises_is_named_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TaskError, match=said) as caught:
        task_names([tmp_path])
    assert str(caught.value).startswith(f"{path.resolve()}:{line}: ")


def test_one_name_twice_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path, example() + '\n\n@register("slider/park")\nclass Again(Park):\n    pass\n')
    with pytest.raises(TaskError, match="'slider/park' is registered twice, first at") as caught:
        task_names([tmp_path])
    assert f"{path.resolve()}:{line_of(path, 'class Again') - 1}" in str(caught.value)


def test_one_name_twice_in_two_files(tmp_path: Path) -> None:
    write(tmp_path, example(name="cheetah/run"))
    with pytest.raises(TaskError, match=r"mine.py:\d+: the task 'cheetah/run' is registered twice.*cheetah.py:\d+"):
        task_names([tmp_path])


@pytest.mark.parametrize("name", ["slider", "Slider/Park", "a/b/c", "", "slider/pa rk"])
def test_names_have_one_form(tmp_path: Path, name: str) -> None:
    write(tmp_path, example(name=name))
    with pytest.raises(TaskError, match="a task's name is domain/task in lower-case"):
        task_names([tmp_path])


def test_only_tasks_can_be_registered() -> None:
    with pytest.raises(TaskError, match="no subclass of Task"):
        register("some/thing")(int)  # type: ignore[type-var]


MASS = '        Field("position", (), "m", "position on the rail; the goal is 0"),\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('fitness_unit, success_threshold = "s", 3.0', 'fitness_unit = "s"', "success_threshold is missing"),
        ("frame_skip, horizon = 5, 100", "frame_skip = 5", "horizon is missing"),
        ("frame_skip, horizon = 5, 100", "frame_skip, horizon = 0, 100", "frame_skip must be a whole number from 1"),
        ('success_threshold = "s", 3.0', 'success_threshold = "s", float("nan")', "must be a finite number, not nan"),
        ("    frame_skip,", "    group = 'My tasks'\n    frame_skip,", "group must be one word in lower-case letters"),
        ("    def fitness(", "    def fitnes(", "these methods are missing: fitness"),
        (MASS, MASS + MASS, "the field 'position' is declared twice"),
        ('Field("position", ()', 'Field("position", 1', "the shape of the field 'position' must be a tuple"),
        ('Field("position"', 'Field("my position"', "the field name 'my position' must be a Python name"),
        ('Field("position", (), "m"', 'Field("position", (), ""', "the unit of the field 'position' must be a text"),
        ("    frame_skip,", "    training = {'stepz': 5}\n    frame_skip,", "unknown key 'stepz'; did you mean steps"),
    ],
)
def test_a_wrong_declaration_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, example((old, new)))
    with pytest.raises(TaskError) as caught:
        load_task("slider/park", [tmp_path])
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path.resolve()}:{line_of(path, '@register')}: ")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'Field("position", ()',
            'Field("position", (3,)',
            r"state()['position'] must have shape (n, 3), not (5,) for n = 5",
        ),
        ('"velocity": sim.field("qvel")[:, 0]}', "}", "state() gives no 'velocity', which fields declares"),
        ('return {"position"', 'return {"x": 0, "position"', "state() gives 'x', which fields does not declare"),
        ('sim.field("qpos")[:, 0], "vel', 'sim.field("qpos")[:, 0] / 0, "vel', "state()['position'] is not finite"),
        ('sim.field("qpos")[:, 0], "vel', '[0.0], "vel', "state()['position'] must be a torch tensor, not a list"),
        (
            "[state.position, state.velocity], dim=-1",
            "[state.position, state.velocity]",
            "must have shape (n, size)",
        ),
        (
            "return torch.stack([state.position",
            "return 1 or torch.stack([state.position",
            "observation() must be a torch",
        ),
        (
            'return terms["distance"] + terms["speed"], terms',
            'return terms["distance"]',
            "must give a pair of total and",
        ),
        ("there = (next_state.position.abs()", "there = (next_state.place.abs()", "its fields are: position, velocity"),
        (".sum(0) * self.control_step", ".sum() * self.control_step", "fitness() must have shape (n,), not ()"),
        ("(there & episode.mask).sum(0) *", "there.sum(0) / 0 *", "fitness() is not finite"),
        ('sim.field("qpos")[ids, 0]', 'sim.field("pos")[ids, 0]', "reset() failed: MuJoCo's data has no field 'pos'"),
        ('ctrlrange="-1 1" ctrllimited="true"', "", "needs a ctrlrange"),
        ('<motor joint="rail" gear="5" ctrlrange="-1 1" ctrllimited="true"/>', "", "has no actuators"),
        ("<worldbody>", "<worldbodies>", "make_model() failed"),
        ('ctrlrange="-1 1"', 'ctrlrange="-inf inf"', "the range of rail, -inf to inf, must have two finite ends"),
    ],
)
def test_what_a_task_gives_is_checked(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = write(tmp_path, example((old, new)))
    with pytest.raises(TaskError) as caught:
        load_task("slider/park", [tmp_path])
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{path.resolve()}:")


def test_a_method_that_raises_is_named_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, example(("there = (next_state.position", "there = 1 / 0 * (next_state.position")))
    with pytest.raises(TaskError, match=r"sparse_reward\(\) failed: ZeroDivisionError") as caught:
        load_task("slider/park", [tmp_path])
    assert f":{line_of(path, '1 / 0')}: " in str(caught.value)


THREE_LINKS = (
    'name="rail" type="slide" axis="1 0 0" damping="0.5"/>',
    'name="rail" type="slide" axis="1 0 0"/><joint name="b" type="slide" axis="0 1 0"/><joint type="slide"/>',
)


def test_a_shape_that_is_wrong_does_not_pass_for_the_number_of_worlds(tmp_path: Path) -> None:
    """Three joints, and one number for each world: in three worlds it would broadcast."""
    path = write(tmp_path, example(THREE_LINKS, ('sim.field("qpos")[ids, 0] =', 'sim.field("qpos")[ids] =')))
    with pytest.raises(TaskError, match=r"reset\(\) failed: RuntimeError: .*shape") as caught:
        load_task("slider/park", [tmp_path])
    assert str(caught.value).startswith(f"{path.resolve()}:{line_of(path, 'generator.uniform')}: ")


@pytest.mark.parametrize("folder", [None, "own"])
def test_what_a_task_file_raises_later_is_its_own_error(
    tmp_path: Path, folder: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = ("    def observation(self, state):", "    def observation(self, state):\n        {0: 1}[len(state) // 100]")
    path = write(tmp_path, example(late))
    task = load_task("slider/park", [tmp_path])
    with pytest.raises(KeyError) as caught:
        task.observation(State(task.layout, torch.zeros(100, 2)))
    fault = task_fault(caught.value)
    place = f"{path.resolve()}:{line_of(path, '// 100')}: Park.observation() failed: KeyError: 1; correct that line"
    assert str(fault) == place
    assert task_fault(ValueError("not from there")) is None
    if folder == "own":  # a task of ours is rewardgen itself
        monkeypatch.setattr(blame, "own_envs_dir", lambda: tmp_path.resolve())
        assert task_fault(caught.value) is None


def test_a_command_names_the_task_file_that_raised(tmp_path: Path) -> None:
    late = ("    def observation(self, state):", "    def observation(self, state):\n        assert len(state) != 16")
    path = write(tmp_path, example(late))
    done = rewardgen("train", "slider/park", "--envs", tmp_path, "--steps", 256, "--set", "training.worlds=16",
                     "--set", "training.rollout=16")  # fmt: skip
    assert done.code == 2
    assert f"{path.resolve()}:{line_of(path, '!= 16')}: Park.observation() failed: AssertionError" in " ".join(
        done.err.split()
    )
    assert "bug in rewardgen" not in done.err and "Traceback" not in done.err


def test_a_missing_asset_is_named() -> None:
    with pytest.raises(TaskError, match=r"gymnasium has no file .*dragon.xml"):
        gymnasium_asset("dragon.xml")


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(MissingPackage, match=r"no_such_package, .* pip install 'rewardgen\[zoo\]'"):
        package_asset("no_such_package", "zoo.xml", "rewardgen[zoo]")


def test_assets_are_found_without_importing_gymnasium() -> None:
    assert gymnasium_asset("half_cheetah.xml").is_file()
