"""Real workers: what they give, and what comes of programs that fail in every way. No program here was checked."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from rewardgen.errors import RewardFailed
from rewardgen.records import State
from rewardgen.sandbox import Sandbox, SandboxLimits
from tests.sandbox.conftest import LAYOUT, ROWS
from tests.sandbox.processes import children, server_of, wait_for_the_end_of

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel features are Linux's")

GOOD = "up = next_state.height - state.height\nreturn up - action.square().sum(-1), {'up': up, 'none': 0.0}"


def call(worker, transitions):
    worker.submit(*transitions)
    return worker.result()


def failure(worker, transitions):
    with pytest.raises(RewardFailed) as caught:
        call(worker, transitions)
    return caught.value


def test_labels_are_those_of_the_same_code_run_here(start, transitions):
    worker = start(GOOD)
    states, actions, next_states = transitions
    up = State(LAYOUT, next_states).height - State(LAYOUT, states).height
    for rows in (ROWS, 1, 7):
        labels = call(worker, [matrix[:rows] for matrix in transitions])
        assert torch.equal(labels.reward, (up - actions.square().sum(-1))[:rows])
        assert torch.equal(labels.components, torch.stack([up, 0 * up], dim=1)[:rows])
        assert labels.reward.dtype == labels.components.dtype == torch.float32
        assert labels.names == worker.names == ("up", "none")
        assert not worker.inputs_changed


def test_fields_have_the_shapes_that_the_layout_declares(start, transitions):
    worker = start(
        "n = len(state)\nassert state.height.shape == (n,) and next_state.velocity.shape == (n, 3)\n"
        "assert action.shape == (n, 2)\nreturn tolerance(state.height, margin=1.0), {}"
    )
    labels = call(worker, transitions)
    assert labels.components.shape == (ROWS, 0)
    assert labels.names == ()


def test_labels_stay_when_the_worker_goes_on(start, transitions):
    worker = start(GOOD)
    first = call(worker, transitions)
    kept = first.reward.clone()
    call(worker, [matrix * 2 for matrix in transitions])
    worker.close()
    assert torch.equal(first.reward, kept)


def test_many_are_submitted_before_the_first_is_collected(start, transitions):
    workers = [start(f"return {k}.0 * next_state.height, {{}}") for k in range(1, 7)]
    for worker in workers:
        worker.submit(*transitions)
    for k, worker in reversed(list(enumerate(workers, start=1))):
        torch.testing.assert_close(worker.result().reward, k * transitions[2][:, 0])


@pytest.mark.parametrize(
    ("program", "kind", "message"),
    [
        ("return next_state.heigth, {}", "exception", "has no field 'heigth'; its fields are: height, velocity"),
        ("return next_state.height[99999], {}", "exception", "IndexError"),
        ("return next_state.height + next_state.velocity, {}", "exception", "in: return next_state.height +"),
        ("return 1 / 0, {}", "exception", "ZeroDivisionError"),
        ("raise SystemExit(0)", "exception", "SystemExit"),
        ("raise KeyboardInterrupt", "exception", "KeyboardInterrupt"),
        ("def f(): return f()\nreturn f(), {}", "exception", "RecursionError"),
        ("import nonsense_module", "exception", "nonsense_module"),
        ("return next_state.height / 0, {}", "output", "the reward is "),
        (
            "return next_state.height, {'a': next_state.height.abs() * -1e60}",
            "output",
            "component a is infinite in 64 of 64",
        ),
        ("return torch.sqrt(-1 - next_state.height ** 2), {}", "output", "the reward is NaN in 64 of 64"),
        ("return next_state.height", "output", "must return (total, dictionary of components); it returned a Tensor"),
        ("return next_state.height, {}, 1", "output", "a tuple of 3"),
        ("return next_state.height, ['a']", "output", "must return (total, dictionary"),
        ("return 1.0, {}", "output", "the total reward must be a tensor of shape (64,), not a float"),
        ("return next_state.height.mean(), {}", "output", "it has ()"),
        ("return next_state.height[:, None], {}", "output", "use .squeeze(-1)"),
        ("return next_state.velocity, {}", "output", "it has (64, 3)"),
        ("return next_state.height[:10], {}", "output", "it has (10,)"),
        ("return next_state.height > 0, {}", "output", "it is bool: use .float()"),
        ("return next_state.height.long(), {}", "output", "it is int64: use .float()"),
        ("return next_state.height.to(torch.complex64), {}", "output", "complex64"),
        ("return next_state.height.to_sparse(), {}", "output", "dense"),
        ("return next_state.height, {'a': 'text'}", "output", "component a must be a tensor"),
        ("return next_state.height, {'a': next_state.velocity}", "output", "component a must have shape"),
        ("return next_state.height, {'to goal': 1.0}", "output", "'to goal' must be an identifier"),
        ("return next_state.height, {'x' * 99: 1.0}", "output", "must be an identifier"),
        ("return next_state.height, {3: 1.0}", "output", "of type int must be an identifier"),
        ("return next_state.height, {f'c{i}': 1.0 for i in range(33)}", "output", "33 components; at most 32"),
        ("x = torch.zeros(10**10)\nreturn x, {}", "memory", "1 GiB"),
        ("x = bytearray(3 * 2**30)\nreturn x, {}", "memory", "1 GiB"),
        ("import os\nos._exit(0)", "crash", "exit status 0"),
        ("import os\nos._exit(7)", "crash", "exit status 7"),
        ("import os\nos.abort()", "crash", "SIGABRT"),
        ("import os\nos.kill(os.getpid(), 11)", "crash", "SIGSEGV"),
        ("import os\nos.kill(0, 9)", "exception", "reach no process"),
        ("import ctypes\nctypes.string_at(8)", "crash", "SIGSEGV"),
        ("import os\nos.closerange(0, 1000)\nreturn next_state.height, {}", "crash", "ended without giving a reward"),
        ("open('/tmp/x', 'w')", "exception", "can open no files"),
        ("import socket\nsocket.socket()", "crash", "what no reward needs"),
        ("import os\nos.fork()\nreturn next_state.height, {}", "crash", "what no reward needs"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_each_failure_is_told_and_is_that_programs_alone(start, transitions, program, kind, message):
    other, bad = start(GOOD), start(program)
    expected = call(other, transitions)
    other.submit(*transitions)
    told = failure(bad, transitions)
    assert told.kind == kind
    assert message in str(told)
    assert torch.equal(other.result().reward, expected.reward)
    again = failure(bad, transitions)  # and so it stays
    assert (again.kind, str(again), again.line) == (told.kind, str(told), told.line)
    assert torch.equal(call(start(GOOD), transitions).reward, expected.reward)


def test_the_line_of_an_exception_is_the_programs_own(start, transitions):
    told = failure(start("a = 1\ndef helper(x):\n    return x.heigth\nreturn helper(next_state), {}"), transitions)
    assert told.line == 4
    assert "in: return x.heigth" in str(told)


def test_what_is_wrong_at_the_top_level_comes_with_the_first_result(start, transitions):
    told = failure(start("X = undefined\ndef compute_reward(state, action, next_state): ..."), transitions)
    assert (told.kind, told.line) == ("exception", 1)
    told = failure(start("# def compute_reward"), transitions)
    assert told.kind == "output"
    assert "there is no function compute_reward" in str(told)
    told = failure(start("def compute_reward(:"), transitions)
    assert (told.kind, told.line) == ("exception", 1)


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time\nwhile True:\n    try: time.sleep(1000)\n    except BaseException: pass",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass",
        "x = 'a' * 40 + 'b'\nimport re\nre.match('(a+)+$', x)",
    ],
)
def test_a_hang_ends_at_the_deadline_and_others_label_on(start, impatient, transitions, program):
    worker, other = start(program, box=impatient), start(GOOD)
    call(other, transitions)
    worker.submit(*transitions)
    for _ in range(20):
        call(other, transitions)
    with pytest.raises(RewardFailed, match="one call took longer than 1 s") as caught:
        worker.result()
    assert caught.value.kind == "timeout"
    call(other, transitions)


def test_a_program_has_a_time_for_all_its_calls(start, transitions):
    with Sandbox(SandboxLimits(call_seconds=5.0, program_seconds=0.5, memory_gb=1.0)) as box:
        worker = start("import time\ntime.sleep(0.3)\nreturn next_state.height, {}", box=box)
        with pytest.raises(RewardFailed, match=r"longer than the 0\.5 s that a program has") as caught:
            for _ in range(5):
                call(worker, transitions)
        assert caught.value.kind == "timeout"


@linux
def test_processor_time_is_limited_by_the_kernel_too(start, transitions):
    """Even while nobody waits for the result."""
    with Sandbox(SandboxLimits(call_seconds=60.0, program_seconds=0.5, memory_gb=1.0)) as box:
        worker = start("while True: pass", box=box)
        worker.submit(*transitions)
        (pid,) = children(server_of(box))
        wait_for_the_end_of([pid])
        with pytest.raises(RewardFailed, match="of CPU time") as caught:
            worker.result()
        assert caught.value.kind == "timeout"


def test_text_from_a_worker_is_bounded_and_clean(start, transitions):
    told = str(failure(start("raise ValueError('a\\x1b[31m\\n\\u202eb\\0c' + 'x' * 10**6)"), transitions))
    assert told.startswith("ValueError: a[31m bcxxx")
    assert told.isprintable()
    assert len(told) < 2500
    told = str(failure(start("raise ValueError('\\ud800')"), transitions))
    assert told.isprintable()
    worker = start("class E(Exception):\n    def __str__(self): raise SystemExit\ndef compute_reward(s, a, n): raise E")
    assert failure(worker, transitions).kind == "exception"


def test_printing_reaches_no_terminal(start, transitions, capfd):
    worker = start("import sys\nprint('x' * 10**6)\nsys.stderr.write('y' * 10**6)\n" + GOOD)
    call(worker, transitions)
    assert capfd.readouterr() == ("", "")


def test_writing_to_inputs_is_reported_and_changes_nothing(start, transitions):
    worker = start("p = next_state.height\np[:] = 0.0\nreturn p + state.height, {}")
    before = [matrix.clone() for matrix in transitions]
    for _ in range(2):
        assert torch.equal(call(worker, transitions).reward, transitions[0][:, 0])
        assert worker.inputs_changed
    assert all(torch.equal(a, b) for a, b in zip(before, transitions, strict=True))


def test_rewriting_an_input_bit_for_bit_is_no_change(start, transitions):
    worker = start("state.height.mul_(1.0)\nreturn state.height, {}")
    call(worker, transitions)
    assert not worker.inputs_changed


def test_names_must_not_change_between_calls(start, transitions):
    worker = start(
        "N = []\ndef compute_reward(s, a, n):\n    N.append(1)\n    return n.height, {f'c{len(N)}': n.height}\n"
    )
    call(worker, transitions)
    assert "differ from call to call" in str(failure(worker, transitions))


def test_components_come_in_the_order_of_the_first_call(start, transitions):
    worker = start(
        "N = []\ndef compute_reward(s, a, n):\n    N.append(1)\n    parts = {'a': n.height, 'b': 2 * n.height}\n"
        "    return n.height, parts if len(N) == 1 else dict(reversed(parts.items()))\n"
    )
    assert torch.equal(call(worker, transitions).components, call(worker, transitions).components)


def test_gradients_asked_for_do_no_harm(start, transitions):
    worker = start("x = next_state.height.clone().requires_grad_()\nreturn x * 2, {'x': x}")
    torch.testing.assert_close(call(worker, transitions).reward, 2 * transitions[2][:, 0])


def test_misuse_is_an_error_of_the_caller(sandbox, start, transitions):
    worker = start(GOOD)
    with pytest.raises(RuntimeError, match="without a submit"):
        worker.result()
    with pytest.raises(ValueError, match="1 to 64"):
        worker.submit(*(matrix.repeat(2, 1) for matrix in transitions))
    with pytest.raises(ValueError, match="1 to 64"):
        worker.submit(*(matrix[:0] for matrix in transitions))
    with pytest.raises(ValueError, match=r"actions must be \(64, 2\)"):
        worker.submit(transitions[0], transitions[0], transitions[2])
    worker.submit(*transitions)
    with pytest.raises(RuntimeError, match="before the result"):
        worker.submit(*transitions)
    worker.result()
    worker.close()
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(*transitions)
    with pytest.raises(ValueError, match="capacity"):
        start(GOOD, capacity=0)


def test_no_action_and_a_worker_closed_before_its_first_call(start, transitions):
    worker = start("return next_state.height, {}", action_size=0)
    worker.submit(transitions[0], torch.zeros(ROWS, 0), transitions[2])
    assert torch.equal(worker.result().reward, transitions[2][:, 0])
    start("return next_state.height, {}").close()


# --------------------------------------------------------------------------------------------------------------------
# what a worker can see and do


def seen(start, transitions, expression):
    """A Python value as the worker sees it, told through an exception."""
    return str(failure(start(f"import os, sys\nraise ValueError(repr({expression}))"), transitions)).split(", in:")[0]


def test_the_environment_is_empty(start, transitions, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert seen(start, transitions, "dict(os.environ)") == "ValueError: {}"


def test_neither_simulator_nor_the_rest_of_rewardgen_is_loaded(start, transitions):
    told = seen(
        start, transitions, "sorted(m for m in sys.modules if m.startswith(('rewardgen', 'mujoco', 'gymnasium')))"
    )
    assert "rewardgen.sandbox.child" in told
    for absent in ("mujoco", "gymnasium", "rewardgen.cli", "rewardgen.search", "rewardgen.tasks", "rewardgen.config"):
        assert absent not in told


@linux
def test_only_the_workers_own_descriptors_are_open(start, transitions):
    count = "sum(1 for fd in range(4096) if not isinstance(_try(fd), OSError))"
    program = (
        "import fcntl\ndef _try(fd):\n    try: return fcntl.fcntl(fd, fcntl.F_GETFD)\n"
        "    except OSError as error: return error\n"
        f"def compute_reward(s, a, n): raise ValueError({count})\n"
    )
    # three of /dev/null, two areas, two pipes
    assert str(failure(start(program), transitions)).startswith("ValueError: 7")


@linux
def test_the_input_area_cannot_be_written(start, transitions):
    program = """
import os, mmap, ctypes
def compute_reward(s, a, n):
    gained = []
    for line in LINES: pass
    for fd in range(3, 64):
        try: size = os.lseek(fd, 0, os.SEEK_END)
        except OSError: continue
        if not size: continue
        for what in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 1 << 20)):
            try: what(); gained.append((fd, size))
            except OSError: pass
    raise ValueError(gained)
""".replace("    for line in LINES: pass\n", "")
    told = str(failure(start(program), transitions))
    # only the output area may be written (pwrite), and neither can change its size
    assert told.count("(") <= 1


@linux
def test_confinement_is_reported(sandbox, start, transitions):
    worker = start(GOOD)
    call(worker, transitions)
    ours = {"no new privileges", "dies with the server", "limits", "no capabilities"}
    assert ours | {"landlock", "system-call filter"} <= set(worker.confinement)
    assert ("own user" in worker.confinement) == (os.geteuid() == 0)
    assert worker.confinement == sandbox.confinement


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only a server that is root can give each worker its own user")
def test_a_worker_of_root_can_signal_neither_server_nor_parent(start, transitions):
    for pid in (os.getpid(), "os.getppid()"):
        told = failure(start(f"import os\nos.kill({pid}, 9)"), transitions)
        assert "PermissionError" in str(told)


def test_every_allowed_function_works_where_nothing_can_be_opened(start, transitions):
    """Whatever torch loads at first use must be there before the worker loses the right to open files."""
    from rewardgen.program.allowlist import METHODS, MODULES

    names = [f"{module}.{name}" for module in MODULES if module.startswith("torch") for name in sorted(MODULES[module])]
    program = f"""
import torch, math, warnings
NAMES = {names!r}
METHODS = {sorted(METHODS)!r}
def compute_reward(state, action, next_state):
    x = torch.rand(4, 4) + 0.1
    i = torch.tensor([0, 1, 2, 3])
    many = torch.rand(2, 3, 3)
    tries = (
        (x,), (x, x), (x, x, x), (x, 1), (x, 0, 1), (x, 0, i), (x, 1.0, 2.0), ("ij,jk->ik", x, x), ([x, x],), (4,),
        (1.0, 4.0, 4), (i,), (i, i), (x, 0, i, x), (x, x > 0, x), (x, x > 0, 1.0), (x, x > 0), (x[0], x[0]),
        (x, 0, (2, 2)), ((2, 2), 1.0), (x, 2, 0), (x, x[0]), (many, many), (many, many, many), (x, (4, 4)), (x, (0,)),
        (x, 0, 1, 2), (x, 0, i[:, None], x), (many[0], many[0]), (x[0, 0],), (x, (2, 2), 1.0),
        (x, 0, i[:, None]), (x, (0, 1)), (x, (1, 1)),
    )
    wrong, silent = set(), []
    callables = []
    for name in NAMES:
        module, _, attribute = name.rpartition(".")
        found = torch
        for part in module.split(".")[1:]:
            found = getattr(found, part)
        callables.append((name, getattr(found, attribute), tries))
    for name in METHODS:
        if hasattr(x, name) and name != "index":  # a list's; the tensor method of that name belongs to another feature
            own = [t for t in tries if isinstance(t[0], torch.Tensor)]
            callables.append(("." + name, getattr(torch.Tensor, name, None), own))
    for name, function, given in callables:
        if not callable(function):
            continue
        worked = False
        for arguments in given:
            try:
                function(*arguments)
                worked = True
            except (ImportError, OSError) as error:
                wrong.add(name + " " + type(error).__name__)
            except Exception:
                pass
        if not worked:
            silent.append(name)
    raise ValueError(f"wrong {{sorted(wrong)}} silent {{len(silent)}} {{silent[:40]}}")
"""
    told = str(failure(start(program), transitions))
    assert told.startswith("ValueError: wrong [] silent "), told
    assert int(told.split("silent ")[1].split(" ")[0]) < 10, told  # what none of the argument lists fits
