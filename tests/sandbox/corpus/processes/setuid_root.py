# processes | check | process | become root again
def compute_reward(state, action, next_state):
    import ctypes
    import os
    for change in (os.setuid, os.seteuid, os.setgid):
        try:
            if os.getuid() != 0:
                change(0)
                raise ValueError('PWN' + 'ED root')
        except PermissionError:
            pass
    raise ValueError('still nobody')
