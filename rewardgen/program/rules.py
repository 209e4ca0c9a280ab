"""The rules of the static check: a visitor of the syntax tree that collects problems.

Names are resolved roughly as in Python: a function sees the names that it binds anywhere in its body, those around it,
the module, the shaping library, ``torch``, ``math`` and the allowed builtins.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import re
from collections.abc import Iterable

from rewardgen.program import shaping
from rewardgen.program.advice import METHOD_ADVICE, NAME_ADVICE, REFUSED_SYNTAX, near, no_member, refused_module
from rewardgen.program.allowlist import BUILTINS, KEYWORDS, METHODS, MODULES, PASSAGES, RANDOM, TYPES
from rewardgen.program.components import MAX_COMPONENTS, is_component_name, name_message, number_message
from rewardgen.program.normalise import is_main_block
from rewardgen.records import Layout, Problem

ENTRY = "compute_reward"
SIGNATURE = f"{ENTRY}(state, action, next_state)"
MAX_FOUND = 200  # problems after which the check stops

# Statements that rewards may use
_STATEMENTS = (
    ast.FunctionDef,
    ast.Return,
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.For,
    ast.If,
    ast.With,
    ast.Expr,
    ast.Pass,
    ast.Assert,
    ast.Break,
    ast.Continue,
    ast.Import,
    ast.ImportFrom,
)

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

# Expressions that may evaluate to a dictionary of components
_MAY_BE_COMPONENTS = (ast.Name, ast.Call, ast.IfExp, ast.Dict, ast.DictComp, ast.Subscript, ast.BinOp)

# Decorators that ``normalise`` removes
_DROPPED_DECORATORS = {
    "torch.jit.script",
    "torch.jit.export",
    "torch.jit.ignore",
    "torch.no_grad",
    "torch.inference_mode",
    "torch.compile",
    "staticmethod",
}


class Checker:
    """Collects the problems of one program. ``layout`` declares the fields of a state."""

    def __init__(self, layout: Layout) -> None:
        self.fields = list(layout.shown.columns)
        self.problems: list[Problem] = []
        self.modules = {"torch": "torch", "math": "math"}  # name in the program → module
        self.refused: set[str] = set()  # names of refused imports, reported once
        self.states: set[str] = set()  # names that certainly hold a state in the current scope
        self.inputs: set[str] = set()  # names that certainly hold an input in the current scope

    def check(self, tree: ast.Module) -> list[Problem]:
        """Return the problems of a program."""
        # Imports first: they decide which names are modules
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
        # Then every statement, and what is required of the entry function
        visible = set(shaping.__all__) | self._bound(tree.body)
        for node in tree.body:
            self._top_level(node, visible)
        self._entry(tree)
        return self.problems

    def _say(self, node: ast.AST, message: str) -> None:
        """Record a problem at a node."""
        self.problems.append(Problem("check", message, getattr(node, "lineno", None)))

    # ---------------------------------------------------------------------------------------------------------------
    # the module

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        """Record what an import binds, or why it is refused."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                if alias.name in MODULES or alias.name in PASSAGES:
                    # "import torch.nn.functional" binds torch, "... as F" the module itself
                    self.modules[name] = alias.name if alias.asname else name
                else:
                    self.refused.add(name)
                    self._say(node, refused_module(alias.name))
            return
        module = node.module or ""
        for alias in node.names:
            name, dotted = alias.asname or alias.name, f"{module}.{alias.name}"
            if dotted in MODULES or dotted in PASSAGES:
                self.modules[name] = dotted
            elif module in MODULES and alias.name in MODULES[module]:
                continue  # a plain name; _bound knows it
            else:
                self.refused.add(name)
                if module in MODULES and alias.name != "*":
                    self._say(node, no_member(module, alias.name))
                elif alias.name in shaping.__all__:
                    self._say(node, f"{alias.name} is there already: remove the import")
                elif module in MODULES:
                    self._say(node, f"import * is not available: write import {module}")
                else:
                    self._say(node, refused_module(module or "."))

    def _top_level(self, node: ast.stmt, visible: set[str]) -> None:
        """Check a statement of the module."""
        if isinstance(node, ast.FunctionDef | ast.Assign | ast.AnnAssign | ast.Import | ast.ImportFrom):
            self._statement(node, visible)
        elif type(node) in REFUSED_SYNTAX:
            self._say(node, REFUSED_SYNTAX[type(node)])
        elif not is_main_block(node) and not _is_docstring(node):
            self._say(node, "only imports, constants and functions may stand at the top level: move this into one")

    def _entry(self, tree: ast.Module) -> None:
        """Check that ``compute_reward`` is there, with its arguments and return values."""
        entries = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == ENTRY]
        if not entries:
            others = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
            if any(isinstance(node, ast.AsyncFunctionDef) and node.name == ENTRY for node in tree.body):
                return  # reported already
            like = [node.name for node in others if "reward" in node.name.lower() or len(node.args.args) == 3]
            hint = f": rename {like[-1]} to {ENTRY}" if like else ""
            self.problems.append(Problem("check", f"there is no function {SIGNATURE}{hint}"))
            return
        if len(entries) > 1:
            self._say(entries[1], f"{ENTRY} is defined twice: keep one")
        # It must accept three positional arguments and require no others
        entry = entries[-1]
        arguments = entry.args
        positional = arguments.posonlyargs + arguments.args
        required = len(positional) - len(arguments.defaults)
        missing_keywords = [None for default in arguments.kw_defaults if default is None]
        if arguments.vararg or arguments.kwarg or missing_keywords or required > 3 or len(positional) < 3:
            self._say(entry, f"the function must be def {SIGNATURE}")
        returns = list(_returns(entry.body))
        if not returns:
            self._say(entry, f"{ENTRY} returns nothing: end it with 'return total, {{\"name\": component}}'")
        for node in returns:
            self._return(node)

    def _return(self, node: ast.Return) -> None:
        """Check a return statement as far as it can be known before it runs."""
        value = node.value
        message = "return the total and a dictionary of components: 'return total, {\"name\": component}'"
        if isinstance(value, ast.Name | ast.Call | ast.IfExp | ast.Subscript):
            return  # what it holds is checked when it runs
        if not isinstance(value, ast.Tuple) or len(value.elts) != 2:
            self._say(node, message)
            return
        components = value.elts[1]
        if not isinstance(components, _MAY_BE_COMPONENTS):
            self._say(node, message)
        if isinstance(components, ast.Dict):
            if len(components.keys) > MAX_COMPONENTS:
                self._say(node, number_message(len(components.keys)))
            for key in components.keys:
                if isinstance(key, ast.Constant) and not is_component_name(key.value):
                    self._say(key, name_message(key.value))

    # ---------------------------------------------------------------------------------------------------------------
    # statements

    def _function(self, node: ast.FunctionDef, visible: set[str], top: bool) -> None:
        """Check a function; ``top``: at the top level, where the entry function's arguments are the inputs."""
        for decorator in node.decorator_list:
            name = _dotted(decorator.func if isinstance(decorator, ast.Call) else decorator)
            if name not in _DROPPED_DECORATORS:
                self._say(decorator, "decorators are not available: remove it")
        # Defaults are evaluated outside, the body sees its own names
        arguments = node.args
        for default in [*arguments.defaults, *(item for item in arguments.kw_defaults if item is not None)]:
            self._expression(default, visible)
        names = [item.arg for item in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
        names += [item.arg for item in (arguments.vararg, arguments.kwarg) if item is not None]
        stored = self._bound(node.body)
        for name in [*names, node.name]:
            self._may_bind(node, name)
        states, inputs = self.states, self.inputs
        if top and node.name == ENTRY and len(names) >= 3:
            self.states = {names[0], names[2]} - stored
            self.inputs = set(names[:3]) - stored
        else:  # parameters and locals hide outer names
            self.states = states - set(names) - stored
            self.inputs = inputs - set(names) - stored
        inner = visible | set(names) | stored
        for statement in node.body:
            self._statement(statement, inner)
        self.states, self.inputs = states, inputs

    def _statement(self, node: ast.stmt, visible: set[str]) -> None:
        """Check a statement, given the names that are visible to it."""
        if type(node) in REFUSED_SYNTAX:
            self._say(node, REFUSED_SYNTAX[type(node)])
            return
        if not isinstance(node, _STATEMENTS):
            self._say(node, f"{type(node).__name__} statements are not available: use assignments, if, for and return")
            return
        if isinstance(node, ast.FunctionDef):
            self._function(node, visible, top=node.col_offset == 0)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            return
        elif isinstance(node, ast.With):
            for item in node.items:
                call = item.context_expr
                name = _dotted(call.func) if isinstance(call, ast.Call) else None
                if name not in ("torch.no_grad", "torch.inference_mode"):
                    self._say(node, "with is not available: remove it")
            self._block(node.body, visible)
        elif isinstance(node, ast.AnnAssign):  # annotations are never evaluated
            self._expression(node.target, visible)
            if node.value is not None:
                self._expression(node.value, visible)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.stmt):
                    self._statement(child, visible)
                elif isinstance(child, ast.expr):
                    self._expression(child, visible)

    def _block(self, body: Iterable[ast.stmt], visible: set[str]) -> None:
        """Check the statements of a block."""
        for statement in body:
            self._statement(statement, visible)

    def _may_bind(self, node: ast.AST, name: str) -> None:
        """Check that a name may be assigned."""
        if name in self.modules:
            self._say(node, f"{name} is a module here: give the value another name")
        elif name.startswith("__"):
            self._say(node, f"the name {name} is not available: choose one without double underscores")

    def _bound(self, body: Iterable[ast.stmt]) -> set[str]:
        """Return the names that ``body`` binds, without those of inner functions."""
        names: set[str] = set()
        waiting: list[ast.AST] = list(body)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
                continue
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.ImportFrom | ast.Import):
                names |= {item.asname or item.name.partition(".")[0] for item in node.names} - set(self.modules)
            elif isinstance(node, ast.Lambda) or (isinstance(node, ast.AnnAssign) and node.value is None):
                continue
            elif isinstance(node, ast.comprehension):  # its target is local to it; a := inside belongs to the function
                waiting += [node.iter, *node.ifs]
                continue
            waiting.extend(ast.iter_child_nodes(node))
        return names

    # ---------------------------------------------------------------------------------------------------------------
    # expressions

    def _expression(self, node: ast.AST, visible: set[str]) -> None:
        """Check an expression and what it contains."""
        if len(self.problems) >= MAX_FOUND:
            return
        if type(node) in REFUSED_SYNTAX:
            self._say(node, REFUSED_SYNTAX[type(node)])
        elif isinstance(node, ast.Name):
            self._name(node, visible)
        elif isinstance(node, ast.Attribute):
            self._attribute(node, visible)
        elif isinstance(node, ast.Lambda):
            arguments = node.args
            names = {item.arg for item in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
            for default in [*arguments.defaults, *(item for item in arguments.kw_defaults if item is not None)]:
                self._expression(default, visible)
            states, inputs = self.states, self.inputs
            self.states, self.inputs = states - names, inputs - names
            self._expression(node.body, visible | names)
            self.states, self.inputs = states, inputs
        elif isinstance(node, _COMPREHENSIONS):
            self._comprehension(node, visible)
        else:
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Subscript):
                self._subscript(node)
            elif isinstance(node, ast.BinOp):
                self._operation(node)
            elif isinstance(node, ast.FormattedValue):
                self._format(node)
            for child in ast.iter_child_nodes(node):
                self._expression(child, visible)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, visible: set[str]
    ) -> None:
        """Check a comprehension: its targets are visible inside, except in the first iterable."""
        first = node.generators[0].iter
        self._expression(first, visible)
        targets = [item for loop in node.generators for item in ast.walk(loop.target)]
        names = {item.id for item in targets if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store)}
        states, inputs = self.states, self.inputs
        self.states, self.inputs = states - names, inputs - names
        for part in ast.iter_child_nodes(node):
            within = ast.iter_child_nodes(part) if isinstance(part, ast.comprehension) else [part]
            for expression in within:
                if expression is not first:
                    self._expression(expression, visible | names)
        self.states, self.inputs = states, inputs

    def _name(self, node: ast.Name, visible: set[str]) -> None:
        """Check a name that is read or assigned."""
        name = node.id
        if name in self.refused:
            return
        if isinstance(node.ctx, ast.Store):
            self._may_bind(node, name)
        elif name in self.modules:
            self._say(node, f"{name} is a module, not a value: call one of its functions")
        elif name not in visible and name not in BUILTINS and name not in TYPES | {"Tensor"}:
            self._say(node, self._unknown_name(name, visible))

    def _unknown_name(self, name: str, visible: set[str]) -> str:
        """Return what to write instead of an unknown name."""
        if name in NAME_ADVICE:
            return NAME_ADVICE[name]
        if name in self.fields:
            return f"{name} is not defined: write state.{name} or next_state.{name}"
        if hasattr(builtins, name):
            return f"{name} is not available in reward code: use torch, math and plain Python arithmetic"
        return f"{name} is not defined" + near(name, visible | BUILTINS | set(self.modules))

    def _attribute(self, node: ast.Attribute, visible: set[str]) -> None:
        """Check an attribute: of a module, of a state, or a method of a tensor."""
        if not isinstance(node.ctx, ast.Load):
            self._say(node, "attributes cannot be assigned: use a name of your own")
            return
        # Paths that begin with a module, or with an unknown name
        dotted = _dotted(node)
        root = dotted.partition(".")[0] if dotted else None
        if root in self.refused and root is not None:
            return
        if dotted is not None and root in self.modules:
            self._module_path(node, dotted)
            return
        if root is not None and root not in visible and root not in BUILTINS:
            self._say(node, self._unknown_name(root, visible))
            return
        # Fields of a state, then methods
        if root in self.states and isinstance(node.value, ast.Name):
            if node.attr not in self.fields:
                self._say(node, self._no_field(node.attr))
            return
        if node.attr not in METHODS and node.attr not in self.fields:
            self._say(node, self._no_method(node.attr))
        self._expression(node.value, visible)

    def _module_path(self, node: ast.AST, dotted: str) -> None:
        """Check a path such as ``torch.linalg.norm``, part by part."""
        root, *parts = dotted.split(".")
        module = self.modules[root]
        for position, part in enumerate(parts):
            below = f"{module}.{part}"
            if below in MODULES or below in PASSAGES:
                module = below
            elif part in MODULES.get(module, ()):
                for method in parts[position + 1 :]:
                    if method not in METHODS:
                        self._say(node, self._no_method(method))
                return
            else:
                self._say(node, no_member(module, part))
                return
        self._say(node, f"{dotted} is a module, not a value: call one of its functions")

    def _no_field(self, name: str) -> str:
        """Return what to write instead of a field that the state does not have."""
        near = difflib.get_close_matches(name, self.fields, 2, 0.5)
        if near:
            return f"the state has no field {name!r}; did you mean {' or '.join(near)}?"
        if name in ("shape", "size", "device", "dtype"):
            return f"the state has no .{name}, only fields: use action.{name} instead"
        return f"the state has no field {name!r}; its fields are: {', '.join(self.fields)}"

    def _no_method(self, name: str) -> str:
        """Return what to write instead of a method that is not available."""
        if name in METHOD_ADVICE:
            return METHOD_ADVICE[name]
        if name.endswith("_") and name.rstrip("_") in METHODS:
            plain = name.rstrip("_")
            return f".{name}() writes in place: use x = x.{plain}(...)"
        if name in RANDOM or name.rstrip("_") in RANDOM:
            return f".{name} draws random numbers: a reward must be deterministic"
        known = [*self.fields, *METHODS]
        return f".{name} is neither a state field nor an available tensor method" + near(name, known)

    def _call(self, node: ast.Call) -> None:
        """Check the arguments of a call."""
        for keyword in node.keywords:
            if keyword.arg is None and isinstance(keyword.value, ast.Dict):  # **{"out": ...}
                for key in keyword.value.keys:
                    if isinstance(key, ast.Constant) and key.value in KEYWORDS:
                        self._say(key, KEYWORDS[key.value])
            if keyword.arg in KEYWORDS:
                self._say(keyword.value, KEYWORDS[keyword.arg])
            elif keyword.arg == "device" and isinstance(keyword.value, ast.Constant) and keyword.value.value != "cpu":
                self._say(keyword.value, "leave out device=, or write device=action.device")
        if isinstance(node.func, ast.Attribute) and node.func.attr == "to":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith("cuda"):
                    self._say(node, '.to("cuda") is not available: the tensors are where they belong')

    def _operation(self, node: ast.BinOp) -> None:
        """Refuse ``"..." % x``, which can make very long strings."""
        left = node.left
        text = isinstance(left, ast.JoinedStr) or (isinstance(left, ast.Constant) and isinstance(left.value, str))
        if text and isinstance(node.op, ast.Mod):
            self._say(node, 'formatting by % is not available: use an f-string, such as f"joint_{i}"')

    def _format(self, node: ast.FormattedValue) -> None:
        """Refuse formats of f-strings that can make very long strings."""
        parts = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
        for part in parts:
            if isinstance(part, ast.FormattedValue):
                self._say(node, "a width that is computed is not available in an f-string: leave it out")
            elif isinstance(part, ast.Constant) and re.search(r"\d{4}", str(part.value)):
                self._say(node, "a number in the format of an f-string has at most three digits")

    def _subscript(self, node: ast.Subscript) -> None:
        """Check an index: of a state, which has none, and assignments to inputs."""
        if isinstance(node.value, ast.Name) and node.value.id in self.states:
            first = self.fields[0] if self.fields else "field"
            self._say(node, f"a state is not indexed: read its fields by name, such as {node.value.id}.{first}")
        elif isinstance(node.ctx, ast.Store):
            root: ast.expr = node
            while isinstance(root, ast.Subscript | ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in self.inputs:
                self._say(node, "the inputs must stay unchanged: write to a .clone(), or use torch.where")


# --------------------------------------------------------------------------------------------------------------------


def _dotted(node: ast.expr) -> str | None:
    """Return ``a.b.c`` as written; None if the expression is not a plain chain of attributes."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _is_docstring(node: ast.stmt) -> bool:
    """Return whether a statement is a plain string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _returns(body: Iterable[ast.stmt]) -> Iterable[ast.Return]:
    """Yield the return statements of a function, without those of inner functions."""
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
