# neighbours | check | process | mounts, roots, names and clocks of the whole machine
import ctypes


def compute_reward(state, action, next_state):
    libc = ctypes.CDLL(None)
    for attempt in (
        lambda: libc.mount(b'none', b'@canary@', b'tmpfs', 0, None),
        lambda: libc.umount2(b'@canary@', 2),
        lambda: libc.chroot(b'@canary@'),
        lambda: libc.sethostname(b'PWNED', 5),
        lambda: libc.swapoff(b'@canary@/secret.txt'),
        lambda: libc.acct(b'@canary@/secret.txt'),
        lambda: libc.syscall(175, b'x', 1, b''),
    ):
        if attempt() == 0:
            raise ValueError('PWN' + 'ED administrator')
    raise ValueError('none')
