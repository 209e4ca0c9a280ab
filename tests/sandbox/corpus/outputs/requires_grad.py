# outputs | check | harmless | a tensor that asks for gradients
def compute_reward(state, action, next_state):
    return next_state.height.clone().requires_grad_() * 2.0, {}
