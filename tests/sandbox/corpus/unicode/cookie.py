# unicode | check | process | a coding cookie that hides code
# -*- coding: utf-7 -*-
+AG8AcABlAG4-('@canary@/PWNED_cookie', 'w')


def compute_reward(state, action, next_state):
    return next_state.height, {}
