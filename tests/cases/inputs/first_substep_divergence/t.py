import mujoco
import torch

from rewardgen.tasks import Field, Task, register


@register("units/finger")
class Slide(Task):
    description = "The block should come to rest at zero."
    fields = (Field("angle", (), "m", "place"),)
    frame_skip, horizon = 5, 30
    fitness_unit, success_threshold = "s", 0.1
    fitness_meaning = "time within 0.05 of zero"
    expert_source = "this file"
    training = {"worlds": 4, "rollout": 16, "minibatches": 2, "checkpoints": 1, "checkpoint_episodes": 4}

    def make_model(self):
        return mujoco.MjModel.from_xml_string(
            """<mujoco><option timestep="0.5"/><worldbody><body><joint name="a" type="slide" axis="1 0 0"
            damping="0.5"/><geom size=".1" mass="0.000003"/></body></worldbody><actuator><motor joint="a" gear="1e9"
            ctrlrange="-1 1" ctrllimited="true"/></actuator></mujoco>"""
        )

    def reset(self, sim, ids, generator):
        sim.field("qpos")[ids, 0] = generator.uniform(0.3, 1.0)

    def state(self, sim):
        return {"angle": sim.field("qpos")[:, 0]}

    def observation(self, state):
        return state.angle[:, None]

    def fitness(self, episode):
        return ((episode.field("angle")[1:].abs() <= 0.05) & episode.mask).sum(0) * self.control_step

    def expert_reward(self, state, action, next_state):
        reward = -next_state.angle.abs()
        return reward, {"gap": reward}

    def sparse_reward(self, state, action, next_state):
        reward = (next_state.angle.abs() <= 0.05).to(torch.float32)
        return reward, {"there": reward}
