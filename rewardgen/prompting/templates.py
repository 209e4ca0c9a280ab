"""Find and render the Jinja2 files of ``prompts/``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

import rewardgen
from rewardgen.errors import ConfigError

Worded = TypeVar("Worded")

ENVIRONMENT_VARIABLE = "REWARDGEN_PROMPTS"
NAMES = (
    *("system.j2", "task.j2", "feedback.j2", "all_failed.j2", "repair.j2", "revise.j2"),
    *("ask_improve.j2", "ask_refine.j2", "ask_prefer.j2", "ask_mutate.j2", "ask_cross.j2"),
    *("form_progress.j2", "form_factors.j2"),
    *("ask_improve_progress.j2", "ask_improve_factors.j2"),
    *("critic.j2", "critic_task.j2", "analyser.j2", "analyser_task.j2"),
    *("legend.j2", "compare.j2"),
)


def default_prompts_dir() -> Path:
    """Return the folder of rewardgen's prompts: beside the package in a checkout, inside it in a wheel.

    Raises:
        ConfigError: neither exists; the installation is damaged.
    """
    package = Path(next(iter(rewardgen.__path__)))
    places = (package.parent / "prompts", package / "_data" / "prompts")
    for place in places:
        if (place / NAMES[0]).is_file():
            return place
    raise ConfigError(f"no prompt templates in {places[0]} or {places[1]}; install rewardgen again")


def in_both_words(prompts_dir: Path | None, word: Callable[[Path | None], Worded]) -> tuple[Worded, Worded]:
    """Call ``word`` with the templates in use and with those that come with rewardgen; return both results.

    Args:
        prompts_dir: see ``render``.
        word: a function of the folder of templates; called once if the two are the same.
    """
    worded = word(prompts_dir)
    return worded, worded if _chosen(prompts_dir) is None else word(default_prompts_dir())


def render(name: str, prompts_dir: Path | None, **values: Any) -> str:
    """Render the template ``name`` with ``values``, stripped.

    Args:
        name: one of ``NAMES``.
        prompts_dir: the user's folder; rewardgen's template is used for those it lacks. None: the folder named by
            ``REWARDGEN_PROMPTS``, or rewardgen's.

    Raises:
        ConfigError: the folder does not exist or has no template, or a template is wrong; the message says where.
    """
    try:
        return _environment(prompts_dir).get_template(name).render(**values).strip()
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{error.filename or name}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateError as error:  # an undefined variable, something the sandbox forbids
        raise ConfigError(f"the prompt template {name} cannot be rendered: {error.message}") from error
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"the prompt template {name} cannot be read: {error}") from error
    # Expressions of a template may raise any of these
    except (TypeError, ValueError, ZeroDivisionError, OverflowError, AttributeError, LookupError) as error:
        raise ConfigError(f"the prompt template {name} cannot be rendered: {error}") from error


def _environment(prompts_dir: Path | None) -> jinja2.Environment:
    chosen = _chosen(prompts_dir)
    folders = [default_prompts_dir()]
    if chosen is not None:
        # A folder without any of our names is most likely a wrong path
        if not any((chosen / name).is_file() for name in NAMES):
            raise ConfigError(f"{chosen} holds no prompt templates; it may hold any of: {', '.join(NAMES)}")
        # The first folder that has a template wins
        folders.insert(0, chosen)
    # A prompt is plain text, so no HTML escaping. The sandbox protects against templates from untrusted folders
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def _chosen(prompts_dir: Path | None) -> Path | None:
    """Return the folder of the user's templates, or None."""
    return prompts_dir or (Path(path) if (path := os.environ.get(ENVIRONMENT_VARIABLE)) else None)
