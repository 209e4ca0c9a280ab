"""Programs that are not rewards: measures of progress, and factors for a learned decoder."""

from __future__ import annotations

from collections.abc import Sequence

from rewardgen.llm.offline.terms import Program, Term
from rewardgen.records import Form

MEASURES = 3


def in_form(program: Program, form: Form) -> Program:
    """Return ``program`` in the requested form.

    As progress: the terms that pay for the state that was led to, unweighted, three at most, or where none does, those
    that charge for it, turned round. As factors: all terms, unweighted. Nothing may be left. Where it is a reward that
    is asked for, it stays as it is.
    """
    if form == "reward":
        return program
    terms: Sequence[Term] = program
    if form == "progress":
        # Progress: terms of the next state that vary
        telling = [term for term in program if "next_state." in term.code and "ones_like" not in term.code]
        paying = [term for term in telling if term.weight > 0]
        terms = (paying or [Term(term.name, 1.0, f"-({term.code})") for term in telling])[:MEASURES]
    return tuple(Term(term.name, 1.0, term.code) for term in terms)
