# escapes | check | process | frames by an exception's traceback
def compute_reward(state, action, next_state):
    try:
        1 / 0
    except ZeroDivisionError as error:
        frame = error.__traceback__.tb_frame
    while frame.f_back is not None:
        frame = frame.f_back
    frame.f_globals['__builtins__']['open']('@canary@/PWNED_traceback', 'w')
