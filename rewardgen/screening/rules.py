"""Screen a reply as a search does: check its program, refuse copies, and try it on stored episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

from rewardgen.config import Config
from rewardgen.errors import RewardFailed
from rewardgen.records import Forecast, Form, Problem, Reply, RewardProgram
from rewardgen.sandbox import Sandbox
from rewardgen.screening.checks import Transitions, Trial, screen_source
from rewardgen.screening.foresight import Foresight
from rewardgen.tasks import Task
from rewardgen.text import percent


class Screening:
    """Screens the replies of one generation.

    Args:
        transitions: simulated transitions that programs are run on.
        config: ``sandbox.smoke_seconds`` and ``search.screening`` are used.
        form: what programs return.
        make_foresight: loads the stored episodes when they are first needed; None if none has a finite fitness.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        task: Task,
        transitions: Transitions,
        config: Config,
        form: Form,
        make_foresight: Callable[[], Foresight | None],
    ) -> None:
        self._sandbox, self._task, self._transitions, self._form = sandbox, task, transitions, form
        self._seconds, self._settings = config.sandbox.smoke_seconds, config.search.screening
        self._make_foresight = make_foresight

    @cached_property
    def _foresight(self) -> Foresight | None:
        return self._make_foresight()

    def screen(self, reply: Reply, accepted: Mapping[str, RewardProgram], *, may_repair: bool, audit: bool) -> Trial:
        """Run a reply through all checks.

        Args:
            accepted: key → program, of the candidates that were accepted before it.
            may_repair: whether the author may still repair a program that orders stored episodes badly; on its last
                attempt such a program is accepted.
            audit: accept the program even if it pays for the same as an earlier one, to check that rule.

        Returns:
            The trial, with a forecast if the program was tried on stored episodes.

        Raises:
            SandboxError: no worker can be started.
        """
        # Static checks and simulated transitions
        trial = screen_source(
            self._sandbox, self._task, self._transitions, reply, call_seconds=self._seconds, form=self._form
        )
        program = trial.program
        if program is None:
            return trial
        trial = replace(trial, source=program.source)

        # A copy is not worth a training
        twin = next((key for key, other in accepted.items() if other.digest == program.digest), None)
        if twin is not None:
            message = f"this is the same program as {twin}, which is tried already; write another one"
            return replace(trial, program=None, problems=(Problem("copy", message),))

        # Stored episodes. They get a worker of their own: a program's time is limited per worker
        if not self._settings.enabled or self._foresight is None:
            return trial
        try:
            forecast = self._foresight.forecast(program, accepted)
        except RewardFailed as failure:
            problem = Problem("screen", f"on whole episodes: {failure}", failure.line)
            return replace(trial, program=None, problems=(problem,))
        forecast, wrong = self._judge(forecast, may_repair, audit)
        if wrong is not None:
            return replace(trial, program=None, problems=(wrong,), forecast=forecast)
        return replace(trial, forecast=forecast)

    def _judge(self, forecast: Forecast, may_repair: bool, audit: bool) -> tuple[Forecast, Problem | None]:
        """Return the forecast, marked if the program is accepted as an audit, and what is wrong with the program."""
        settings = self._settings
        # Does its return order episodes as their fitness does?
        share = forecast.agreement
        if share is not None and share < settings.agreement and may_repair:
            message = (
                f"on {forecast.pairs} pairs of stored episodes its return is higher for the better episode in "
                f"{percent(share)} of cases, and {percent(settings.agreement)} are asked for: what does it pay for in "
                "the worse ones?"
            )
            return forecast, Problem("preference", message)

        # Is it new? Some copies are trained anyway, to check the rule
        if forecast.distance is None or forecast.distance > settings.copy_distance:
            return forecast, None
        if audit:
            return replace(forecast, audit=True), None
        message = (
            f"this pays for the same as {forecast.nearest}, which is tried already: up to a positive factor and "
            f"potential shaping the two agree (distance {forecast.distance:.2g}); change what is paid for, not how much"
        )
        return forecast, Problem("copy", message)
