"""What a program prints is kept up to a bound, made fit to be shown, and changes nothing else. None was checked."""

from __future__ import annotations

import os
import sys

import pytest
import torch

from rewardgen.errors import ProgramRejected, RewardFailed
from rewardgen.program import check
from rewardgen.sandbox import smoke_test
from rewardgen.sandbox.protocol import OUTPUT_BYTES, parse_output

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel features are Linux's")

QUIET = "return next_state.height * 2 - action[:, 0], {'height': next_state.height}"
CUT = f"\n[the rest was dropped: {OUTPUT_BYTES} bytes are kept]"


def printed(start, transitions, before, calls=1):
    """What is kept of a good program that does ``before`` first, whose labels are those of the same without it."""
    quiet, loud = start(QUIET), start(f"{before}\n{QUIET}")
    for _ in range(calls):
        labels = []
        for worker in (quiet, loud):
            worker.submit(*transitions)
            labels.append(worker.result())
        assert torch.equal(labels[0].reward, labels[1].reward)
        assert torch.equal(labels[0].components, labels[1].components)
        assert labels[0].names == labels[1].names
    assert quiet.output == ""
    return loud.output


def test_prints_and_errors_are_kept_in_their_order(start, transitions, capfd):
    told = printed(start, transitions, "import sys\nprint('one', 2)\nprint('three', file=sys.stderr)\nprint('four')")
    assert told == "one 2\nthree\nfour"
    assert capfd.readouterr() == ("", "")  # and nothing reaches the terminal


def test_every_call_adds_to_it_and_a_closed_worker_still_tells(start, transitions):
    worker = start(
        "N = []\nprint('top')\n"
        "def compute_reward(s, a, n):\n    N.append(1)\n    print(len(N))\n    return n.height, {}"
    )
    for expected in ("top\n1", "top\n1\n2"):
        worker.submit(*transitions)
        worker.result()
        assert worker.output == expected
    worker.close()
    assert worker.output == "top\n1\n2"


@pytest.mark.parametrize(
    "flood",
    [
        "print('x' * 10**7)",
        "for _ in range(50_000): print('x' * 79, end='')",
        "import sys\nfor _ in range(50_000): sys.stdout.buffer.write(b'x' * 79)",
        "import sys\nfor out in (sys.__stdout__, sys.__stderr__):\n    for _ in range(20): out.write('x' * 10**5)",
    ],
)
def test_a_flood_is_cut_and_neither_stops_nor_slows_to_death(start, transitions, flood):
    assert printed(start, transitions, flood, calls=3) == "x" * OUTPUT_BYTES + CUT


@linux
def test_what_is_written_to_the_descriptors_is_kept_too(start, transitions):
    told = printed(start, transitions, "import os\nos.write(1, b'one ')\nprint('two', end=' ')\nos.write(2, b'three')")
    assert told == "one two three"


@linux
def test_more_than_a_pipe_holds_on_the_descriptors_is_that_programs_failure(start, transitions):
    """It gets an error instead of being blocked, and is free to carry on."""
    worker = start(f"import os\nfor _ in range(100): os.write(1, b'y' * 65536)\n{QUIET}")
    worker.submit(*transitions)
    with pytest.raises(RewardFailed, match="BlockingIOError"):
        worker.result()
    assert worker.output == "y" * OUTPUT_BYTES + CUT
    tolerant = (
        "import os\nfor _ in range(100):\n    try: os.write(1, b'y' * 65536)\n    except OSError: pass\nprint('z')"
    )
    assert printed(start, transitions, tolerant, calls=2) == "y" * OUTPUT_BYTES + CUT


@linux
def test_the_last_words_of_a_program_that_dies_are_kept(start, transitions):
    for death in ("import os\nprint('bye')\nos.abort()", "print('bye')\nraise ValueError", "print('bye')\nreturn 1"):
        worker = start(death)
        worker.submit(*transitions)
        with pytest.raises(RewardFailed):
            worker.result()
        assert worker.output == "bye"


def test_a_hanging_program_has_its_say_too(start, impatient, transitions):
    worker = start("print('slow')\nwhile True: pass", box=impatient)
    worker.submit(*transitions)
    with pytest.raises(RewardFailed, match="longer than"):
        worker.result()
    assert worker.output == "slow"


@linux
def test_what_comes_is_made_fit_to_be_shown(start, transitions):
    raw = b"\x1b[31mred\x1b[0m\\n\xff\xfe\x00 a\x07b\x08\rc\xe2\x80\xaed\x9b\\n\\n<script>alert(1)</script>"
    told = printed(start, transitions, f"import os\nos.write(1, {raw!r}.replace(b'\\\\n', b'\\n'))")
    assert told == "[31mred[0m\n�� ab\ncd�\n\n<script>alert(1)</script>"
    assert printed(start, transitions, r"print('\ud800 \x1b]0;title\x07')") == "\\ud800 ]0;title"


def test_it_is_the_same_every_time(start, transitions):
    program = "print(next_state.height.sum(), state)\nfor i in range(2000): print(i)"
    hidden = program.replace(", state", "")  # an object's address is no matter of ours
    told = {printed(start, transitions, hidden, calls=3) for _ in range(3)}
    assert len(told) == 1


def test_warnings_name_a_line_and_no_file_of_this_machine(start, transitions):
    told = printed(start, transitions, "import warnings\nwarnings.warn('careful')", calls=3)
    assert told == "line 3: UserWarning: careful"
    told = printed(start, transitions, "torch.nn.functional.mse_loss(torch.ones(2, 1), torch.ones(2))")
    assert "UserWarning: Using a target size" in told
    assert os.sep not in told.split("UserWarning")[0]


def test_printing_is_no_problem_to_the_smoke_test(start, layout, transitions):
    worker = start(f"print('hello')\n{QUIET}")
    assert smoke_test(worker, layout, *transitions, call_seconds=5.0) == []
    assert worker.output.splitlines() == ["hello"] * 5


def test_the_static_check_refuses_it_and_says_what_to_do(layout):
    source = "def compute_reward(state, action, next_state):\n    print(state)\n    return next_state.height, {}\n"
    with pytest.raises(ProgramRejected, match="print is not available: remove it"):
        check(source, layout)


def test_any_bytes_are_lines_that_may_be_shown():
    assert parse_output(b"") == parse_output(b"\n\x1b\n") == ""
    assert parse_output(b"a\tb\r\nc  \n") == "a   b\nc"
    assert parse_output(b"x" * OUTPUT_BYTES) == "x" * OUTPUT_BYTES
    assert parse_output(b"x" * (OUTPUT_BYTES + 1)) == "x" * OUTPUT_BYTES + CUT
    assert parse_output("é".encode() * OUTPUT_BYTES) == "é" * (OUTPUT_BYTES // 2) + CUT
