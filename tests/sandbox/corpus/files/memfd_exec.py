# files | check | process | make a file in memory to run it
import os


def compute_reward(state, action, next_state):
    fd = os.memfd_create('PWNED')
    os.write(fd, b'#!/bin/sh\ntouch @canary@/PWNED_memfd\n')
    os.execve(fd, ['x'], {})
