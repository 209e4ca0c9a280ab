# neighbours | check | process | bpf, perf events and userfault descriptors
import ctypes


def compute_reward(state, action, next_state):
    libc = ctypes.CDLL(None)
    room = ctypes.create_string_buffer(256)
    room[4:8] = (128).to_bytes(4, 'little')
    for number, given in ((321, (0, room, 128)), (298, (room, 0, -1, -1, 0)), (323, (1,)), (447, (0,)), (319, (b'x', 0)), (284, (0,)), (290, (0, 0)), (253, ())):
        if libc.syscall(number, *given) >= 0:
            raise ValueError('PWN' + f'ED {number}')
    raise ValueError('none')
