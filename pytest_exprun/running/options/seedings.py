"""Where sources seed their random numbers, and by which numbers written there: read from the syntax trees, never by running them.

A call is told its seed where the seed can come from outside (an option, a variable, a parameter that a caller gives). Else it is fixed,
by a number in the call itself or by one that its name leads to: `SEED = 1337`, a default, an entry of a dictionary, in whatever file.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_exprun.running.options.patches import Literal
from pytest_exprun.trust.identity.sources import parse

NAMES = frozenset(
    {
        *("seed", "seed_all", "manual_seed", "manual_seed_all", "set_seed", "set_random_seed", "seed_everything"),
        *("set_global_seed", "set_global_seeds", "default_rng", "RandomState", "PRNGKey", "SeedSequence", "Random"),
        "check_random_state",
    }
)
_KEYS = re.compile(r"jax\.random\.key|jr\.key|jrandom\.key")
_GENERATORS = frozenset(
    {"default_rng", "RandomState", "PRNGKey", "SeedSequence", "key", "Random", "check_random_state"}
)
_KEYWORDS = ("seed", "random_state", "random_seed", "rng_seed")
_SEED = re.compile(r"seed|random_state", re.IGNORECASE)
_DATA = re.compile(r"split|fold$|^make_|^load|^fetch|^shuffle$|dataset|sample$", re.IGNORECASE)
_DECLARES = ("add_argument", "set_defaults", "option", "field", "Field")
_DEEPEST = 4


@dataclass(frozen=True)
class Seeding:
    """A call that seeds.

    Attributes:
        path: its file.
        line: where it begins.
        text: the call as Python writes it.
        fixed: the number that is its seed whatever is said from outside, None if it is told one.
        given: what the call is given as its seed, None if nothing.
        makes_data: it splits or makes data, which should be the same for every seed.
        is_global: it seeds what everything draws from, not a generator of its own.
    """

    path: Path
    line: int
    text: str
    fixed: Literal | None = None
    given: Literal | None = None
    makes_data: bool = False
    is_global: bool = True


_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class _Wrapper:
    """A function that seeds by one of its parameters."""

    parameter: str
    position: int
    default: Literal | None


@dataclass
class Sources:
    """Several files of one program.

    Attributes:
        trees: their syntax trees.
        has_options: it reads a command line; else nobody can set `cfg.seed` from outside.
        variables: module variables that its command line sets.
    """

    trees: Mapping[Path, ast.Module]
    has_options: bool = True
    variables: Collection[str] = ()
    _wrappers: dict[str, _Wrapper] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # A wrapper may call another one.
        for _ in range(2):
            for path, function, call in self._calls():
                self._note_wrapper(path, function, call)

    @classmethod
    def read(cls, files: Iterable[Path], *, has_options: bool = True, variables: Collection[str] = ()) -> Sources:
        """Read files; what is no Python is passed over."""
        trees = {path: tree for path in files if path.suffix == ".py" and (tree := parse(path.read_bytes()))}
        return cls(trees, has_options, variables)

    def seedings(self) -> list[Seeding]:
        """Return every call that seeds, in the order of files and lines."""
        found = [each for path, function, call in self._calls() if (each := self._seeding(path, function, call))]
        return sorted(found, key=lambda each: (str(each.path), each.line))

    def reads(self, option: str) -> bool:
        """Whether any file uses a value of this name: as an attribute, a variable, an entry, or as a part of a word."""
        nodes = (node for tree in self.trees.values() for node in _uses(tree))
        return any(
            (isinstance(node, ast.Attribute) and node.attr == option and isinstance(node.ctx, ast.Load))
            or (isinstance(node, ast.Name) and node.id == option and isinstance(node.ctx, ast.Load))
            or (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and option in node.value
                and " " not in node.value
            )
            for node in nodes
        )

    def fixed(self, path: Path, value: ast.expr) -> Literal | None:
        """Return the number that an expression comes down to, None if it may come from outside."""
        return self._fixed(path, (), value)

    def _calls(self) -> Iterator[tuple[Path, tuple[_Function, ...], ast.Call]]:
        for path, tree in self.trees.items():
            for function, call in _calls_in(tree, ()):
                yield path, function, call

    def _note_wrapper(self, path: Path, functions: tuple[_Function, ...], call: ast.Call) -> None:
        seed = self._seed(call)
        if seed is None or not isinstance(seed, ast.Name) or not functions:
            return
        function = functions[-1]
        named = [*function.args.posonlyargs, *function.args.args]
        is_method = bool(named) and named[0].arg in {"self", "cls"}
        positions = {each.arg: at - is_method for at, each in enumerate(named)}
        positions |= {each.arg: -1 for each in function.args.kwonlyargs}
        if seed.id in positions:
            default = _default(function, seed.id)
            number = None if default is None else _number(default)
            literal = None if number is None else Literal.of(path, number)
            name = function.name if function.name != "__init__" else ""
            if name:
                self._wrappers[name] = _Wrapper(seed.id, positions[seed.id], literal)

    def _seed(self, call: ast.Call) -> ast.expr | None:
        """Return what a call is given as its seed, None if it seeds nothing."""
        name = _last_name(call.func)
        if name in _DECLARES:
            return None
        keywords = {each.arg: each.value for each in call.keywords if each.arg}
        if wrapper := self._wrappers.get(name):
            if wrapper.parameter in keywords:
                return keywords[wrapper.parameter]
            at = wrapper.position
            return call.args[at] if 0 <= at < len(call.args) else None
        if (name in NAMES or _KEYS.fullmatch(ast.unparse(call.func))) and call.args:
            return call.args[0]
        return next((keywords[each] for each in _KEYWORDS if each in keywords), None)

    def _seeding(self, path: Path, functions: tuple[_Function, ...], call: ast.Call) -> Seeding | None:
        seed, name = self._seed(call), _last_name(call.func)
        wrapper = self._wrappers.get(name)
        if seed is None and (wrapper is None or wrapper.default is None or name in _DECLARES):
            return None
        fixed = wrapper.default if seed is None and wrapper else self._fixed(path, functions, seed) if seed else None
        own = name in _GENERATORS or (name not in self._wrappers and not self._is_of_module(path, call.func))
        return Seeding(
            path,
            call.lineno,
            ast.unparse(call),
            fixed,
            None if seed is None else Literal.of(path, seed),
            makes_data=bool(_DATA.search(name)),
            is_global=not own,
        )

    def _is_of_module(self, path: Path, function: ast.expr) -> bool:
        """Whether a call is of a module's function, as `torch.cuda.manual_seed` and `manual_seed` are, not of an object's."""
        names = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(self.trees[path])
            for alias in _aliases(node)
        }
        root = function
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and root.id in names and _last_name(function) in NAMES

    def _fixed(self, path: Path, functions: tuple[_Function, ...], seed: ast.expr, depth: int = 0) -> Literal | None:
        """Return the number that a seed comes down to, None if it may come from outside."""
        if depth > _DEEPEST or self._is_told(functions, seed):
            return None
        if (number := _number(seed)) is not None:
            return Literal.of(path, number)
        for node in ast.walk(seed):
            name = node.id if isinstance(node, ast.Name) else ""
            for where, value in self._values(path, name) if name else self._entries(node):
                if (found := self._fixed(where, functions if where == path else (), value, depth + 1)) is not None:
                    return found
        return None

    def _is_told(self, functions: tuple[_Function, ...], seed: ast.expr) -> bool:
        """Whether a seed names something that is given from outside."""
        parameters = {each.arg for one in functions for each in (*one.args.args, *one.args.kwonlyargs)}
        given = (parameters - {"self", "cls"}) | set(self.variables)
        if _number(seed) is not None:  # `1337 + rank`: what is added to a number is its seed only if it is called so
            given = {name for name in given if _SEED.search(name)}
        for node in ast.walk(seed):
            if isinstance(node, ast.Name) and node.id in given:
                return True
            asked = isinstance(node, ast.Constant) and isinstance(node.value, str) and _SEED.search(node.value)
            attribute = (
                isinstance(node, ast.Attribute) and _SEED.search(node.attr) and not isinstance(node.value, ast.Call)
            )
            if (asked or attribute) and (self.has_options or not any(self._entries(each) for each in ast.walk(seed))):
                return True
        return False

    def _values(self, path: Path, name: str) -> list[tuple[Path, ast.expr]]:
        """Return what is assigned to a name: in its own file, else at the top of another one."""
        own = [(path, value) for value in _assigned(ast.walk(self.trees[path]), name)]
        others = ((where, tree) for where, tree in self.trees.items() if where != path)
        return own or [(where, value) for where, tree in others for value in _assigned(tree.body, name)]

    def _entries(self, node: ast.AST) -> list[tuple[Path, ast.expr]]:
        """Return what `cfg.seed` or `cfg["seed"]` can be where nobody sets it: the fields and entries of that name."""
        name = node.attr if isinstance(node, ast.Attribute) else ""
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = str(node.slice.value)
        if not _SEED.search(name) or name in NAMES - {"seed"}:
            return []
        return [(path, value) for path, tree in self.trees.items() for value in _fields(tree, name)]


def _calls_in(node: ast.AST, functions: tuple[_Function, ...]) -> Iterator[tuple[tuple[_Function, ...], ast.Call]]:
    """Return every call with the functions that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield functions, child
        yield from _calls_in(child, (*functions, child) if isinstance(child, _Function) else functions)


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _number(expression: ast.expr) -> ast.Constant | None:
    """Return the whole number that is added to something, or stands alone: of `1337 + 2 * rank` the first."""
    if isinstance(expression, ast.Constant):
        return expression if type(expression.value) is int else None
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add | ast.Sub | ast.BitXor):
        return _number(expression.left) or _number(expression.right)
    if isinstance(expression, ast.Call) and _last_name(expression.func) == "int" and len(expression.args) == 1:
        return _number(expression.args[0])
    return None


def _assigned(nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr]:
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                yield node.value


def _fields(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    """Return what classes, by a field or as the default of a parameter, and dictionaries have under a name, if it is written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            makers = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
            values = [*_assigned(node.body, name), *(_default(each, name) for each in makers)]
            yield from (value for value in values if value is not None and _number(value) is not None)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (
                value
                for key, value in pairs
                if isinstance(key, ast.Constant) and key.value == name and _number(value) is not None
            )


def _aliases(node: ast.AST) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []


def _default(function: _Function, name: str) -> ast.expr | None:
    spec = function.args
    named = [*spec.posonlyargs, *spec.args]
    pairs = [
        *zip(reversed(named), reversed(spec.defaults), strict=False),
        *zip(spec.kwonlyargs, spec.kw_defaults, strict=True),
    ]
    return next((value for each, value in pairs if each.arg == name), None)


def _uses(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree past the calls that only declare an option."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.Call) and _last_name(node.func) in _DECLARES):
            yield node
            yield from _uses(node)
