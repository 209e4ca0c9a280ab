"""A task of one's own: `rewardgen run slider/park --envs tests/tasks/example`."""

import mujoco
import torch

from rewardgen.tasks import Field, Task, register

MODEL = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body name="slider">
      <joint name="rail" type="slide" axis="1 0 0" damping="0.5"/>
      <geom type="box" size="0.1 0.1 0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="rail" gear="5" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""


@register("slider/park")
class Park(Task):
    description = "A slider of 1 kg is pushed along a rail. It should come to rest at position 0 as soon as it can."
    fields = (
        Field("position", (), "m", "position on the rail; the goal is 0"),
        Field("velocity", (), "m/s", "rate of change of position"),
    )
    frame_skip, horizon = 5, 100
    fitness_unit, success_threshold = "s", 3.0
    fitness_meaning = "time of the 5 s spent within 5 cm of the goal"
    expert_source = "the author of this file: minus the distance, minus a tenth of the speed"

    def make_model(self):
        return mujoco.MjModel.from_xml_string(MODEL)

    def reset(self, sim, ids, generator):
        sim.field("qpos")[ids, 0] = generator.uniform(-2.0, 2.0)

    def state(self, sim):
        return {"position": sim.field("qpos")[:, 0], "velocity": sim.field("qvel")[:, 0]}

    def observation(self, state):
        return torch.stack([state.position, state.velocity], dim=-1)

    def fitness(self, episode):
        there = episode.field("position")[1:].abs() <= 0.05
        return (there & episode.mask).sum(0) * self.control_step

    def expert_reward(self, state, action, next_state):
        terms = {"distance": -next_state.position.abs(), "speed": -0.1 * next_state.velocity.abs()}
        return terms["distance"] + terms["speed"], terms

    def sparse_reward(self, state, action, next_state):
        there = (next_state.position.abs() <= 0.05).float()
        return there, {"there": there}
