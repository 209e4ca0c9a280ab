# escapes | check | process | from () to every class, and to a popen
def compute_reward(state, action, next_state):
    for kind in ().__class__.__mro__[-1].__subclasses__():
        if kind.__name__ == 'Popen' or 'wrap_close' in kind.__name__:
            kind.__init__.__globals__['system']('touch @canary@/PWNED_mro')
    raise ValueError('none')
