# exits | check | process | GeneratorExit past every except Exception
def compute_reward(state, action, next_state):
    raise GeneratorExit('x')
