# neighbours | check | process | what /proc tells of the others
def compute_reward(state, action, next_state):
    for pid in (@parent@, @server@, @neighbour@):
        for name in ('environ', 'mem', 'maps', 'cmdline'):
            try:
                text = open(f'/proc/{pid}/{name}', 'rb').read(10)
            except OSError:
                continue
            raise ValueError('PWN' + f'ED {name}')
    raise ValueError('none')
