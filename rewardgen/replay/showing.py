"""Check before a search that its replays can be shown to whoever judges them."""

from __future__ import annotations

from rewardgen.replay.filming import check_filmed
from rewardgen.replay.recording import model_of
from rewardgen.sim.rendering import renderer
from rewardgen.tasks import EnvironmentTask, Task


def check_shown(task: Task, *, pictures: bool = False) -> None:
    """Check that a task has replays: poses of its bodies, or films that its environment draws.

    Args:
        task: the task.
        pictures: whether this machine must draw the bodies, too; the pages draw them in the browser.

    Raises:
        ReplayError: it has none; the message has the reason.
        SimulationFailed: nothing can draw here; the message says what to install.
    """
    if isinstance(task, EnvironmentTask):
        check_filmed(task)
        return
    model_of(task)
    if pictures:
        renderer()
