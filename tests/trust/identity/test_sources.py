"""When two Python sources are the same program."""

from __future__ import annotations

import pytest

from pytest_exprun.trust.identity.sources import Reach, parse, reach, source_digest, tree_digest

SAME = {
    "comments": ("x = 1\n", "# why\nx = 1  # because\n"),
    "blank lines and parentheses": ("x = 1 + 2 * y\n", "\n\nx = (1 +\n     (2 * y))\n"),
    "quotes": ("x = 'a'\n", 'x = "a"\n'),
    "number spelling": ("x = 1000000, 0.5, 255\n", "x = 1_000_000, 5e-1, 0xFF\n"),
    "module docstring": ('"""One."""\nx = 1\n', '"""Two."""\nx = 1\n'),
    "no docstring": ('"""One."""\nx = 1\n', "x = 1\n"),
    "two strings": ('"""One."""\n"""Two."""\nx = 1\n', "x = 1\n"),
    "function docstring": ('def f():\n    """One."""\n    return 1\n', "def f():\n    return 1\n"),
    "only a docstring": ('def f():\n    """One."""\n', "def f():\n    pass\n"),
    "class docstring": ('class C:\n    """One."""\n\n    x = 1\n', "class C:\n    x = 1\n"),
    "class on another line": ("class C:\n    x = 1\n", "\n\n\n\nclass C:\n    x = 1\n"),
    "future import after docstring": (
        '"""One."""\nfrom __future__ import annotations\nx = 1\n',
        "from __future__ import annotations\nx = 1\n",
    ),
    "local name": ("def f(a):\n    b = a\n    return b\n", "def f(a):\n    c = a\n    return c\n"),
    "local annotation": ("def f():\n    b = 1\n    return b\n", "def f():\n    b: int = 1\n    return b\n"),
    "functions in another order": (
        "def f():\n    return 1\ndef g():\n    return 2\n",
        "def g():\n    return 2\ndef f():\n    return 1\n",
    ),
    "methods in another order": (
        "class C:\n    def f(self): return 1\n    def g(self): return 2\n",
        "class C:\n    def g(self): return 2\n    def f(self): return 1\n",
    ),
    "set of constants": ("x = y in {'a', 'b', 'c'}\n", "x = y in {'c', 'b', 'a'}\n"),
}
DIFFERENT = {
    "number": ("x = 1\n", "x = 2\n"),
    "type of a number": ("x = 1\n", "x = 1.0\n"),
    "bool and number": ("x = True\n", "x = 1\n"),
    "sign of zero": ("x = 0.0\n", "x = -0.0\n"),
    "last bit": ("x = 0.1\n", "x = 0.10000000000000002\n"),
    "text and bytes": ("x = 'a'\n", "x = b'a'\n"),
    "operator": ("x = a + b\n", "x = a - b\n"),
    "order of operands": ("x = a - b\n", "x = b - a\n"),
    "order of statements": ("a()\nb()\n", "b()\na()\n"),
    "order of imports": ("import a\nimport b\n", "import b\nimport a\n"),
    "order of keywords": ("f(a=x(), b=y())\n", "f(b=y(), a=x())\n"),
    "global name": ("x = 1\n", "y = 1\n"),
    "attribute": ("a.b\n", "a.c\n"),
    "parameter name": ("def f(a):\n    return a\n", "def f(b):\n    return b\n"),
    "default": ("def f(a=1): ...\n", "def f(a=2): ...\n"),
    "decorator": ("def f(): ...\n", "@g\ndef f(): ...\n"),
    "order of decorators": ("@g\n@h\ndef f(): ...\n", "@h\n@g\ndef f(): ...\n"),
    "same function twice": (
        "def f():\n    return 1\ndef f():\n    return 2\n",
        "def f():\n    return 2\ndef f():\n    return 1\n",
    ),
    "decorated functions in another order": (
        "@g\ndef f(): ...\n@g\ndef h(): ...\n",
        "@g\ndef h(): ...\n@g\ndef f(): ...\n",
    ),
    "default that is called": ("def f(a=g()): ...\ndef h(): ...\n", "def h(): ...\ndef f(a=g()): ...\n"),
    "function moved past a call": ("def f(): ...\ng()\n", "g()\ndef f(): ...\n"),
    "local and global": ("def f():\n    x = 1\n    return x\n", "def f():\n    x = 1\n    return y\n"),
    "two locals swapped": (
        "def f(a, b):\n    c = a\n    d = b\n    return c - d\n",
        "def f(a, b):\n    c = a\n    d = b\n    return d - c\n",
    ),
    "global declared": ("def f():\n    x = 1\n", "def f():\n    global x\n    x = 1\n"),
    "closure": ("def f():\n    x = 1\n    return lambda: x\n", "def f():\n    x = 1\n    return lambda: y\n"),
    "assert": ("assert x\n", "assert y\n"),
    "await": ("async def f():\n    await g()\n", "async def f():\n    await h()\n"),
    "exception": ("try:\n    a()\nexcept E:\n    b()\n", "try:\n    a()\nexcept F:\n    b()\n"),
    "range of try": ("try:\n    a()\nexcept E:\n    b()\nc()\n", "try:\n    a()\n    c()\nexcept E:\n    b()\n"),
    "f-string": ("x = f'{a:.3f}'\n", "x = f'{a:.4f}'\n"),
    "future import": ("x = 1\n", "from __future__ import annotations\nx = 1\n"),
    "string that is no docstring": ("def f():\n    x = 'a'\n", "def f():\n    x = 'b'\n"),
    "module annotation": ("x: int = 1\n", "x: float = 1\n"),
}


@pytest.mark.parametrize("case", SAME)
def test_what_does_not_count(case):
    """Layout, comments, docstrings, local names and the order of plain functions are no part of a program."""
    one, two = SAME[case]
    used = Reach(local_names=False)
    assert source_digest(one.encode(), used=used) == source_digest(two.encode(), used=used)


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_counts(case):
    """Everything that execution depends on is part of a program."""
    one, two = DIFFERENT[case]
    used = Reach(local_names=False)
    assert source_digest(one.encode(), used=used) != source_digest(two.encode(), used=used)


def test_docstrings_count_where_they_are_read():
    """With `docstrings`, every docstring is part of the program."""
    one, two = b'def f():\n    "One."\n', b'def f():\n    "Two."\n'
    assert source_digest(one) == source_digest(two)
    assert source_digest(one, docstrings=True) != source_digest(two, docstrings=True)


def test_local_names_count_where_they_are_read():
    """A program that calls locals() sees the names of its variables."""
    one, two = b"def f():\n    a = 1\n    return locals()\n", b"def f():\n    b = 1\n    return locals()\n"
    digests = [source_digest(source, used=reach([parse(source)], ["f"])) for source in (one, two)]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "source",
    [b"def f(:\n", b"x = 1\0", b"\xff\xfe", b"return\n", b"x = " + b"(" * 5000, b"x = " + b"-" * 20_000 + b"1\n"],
)
def test_what_does_not_compile_stands_for_its_bytes(source):
    """A broken or monstrous source is compared byte by byte."""
    assert source_digest(source) != source_digest(source + b"#\n")
    assert source_digest(source) == source_digest(source)


def test_a_deep_expression_is_no_crash():
    """Thousands of nested sums are hashed or fall back to bytes."""
    deep = b"x = " + b"1 + " * 20_000 + b"1\n"
    assert source_digest(deep) != source_digest(deep.replace(b"1\n", b"2\n"))


def digest(source, *entry_points):
    """Return the digest with what the entry points reach."""
    tree = parse(source.encode())
    return tree_digest(tree, used=reach([parse(source.encode())], entry_points))


class TestUnusedFunctions:
    """A plain function that nobody mentions is no part of the program."""

    BASE = "def helper():\n    return 1\ndef main():\n    return helper()\n"

    def test_it_does_not_count(self):
        """Adding or changing it leaves the digest as it is."""
        added = self.BASE + "def later():\n    return 2\n"
        assert digest(added, "main") == digest(self.BASE, "main")
        assert digest(added.replace("2", "3"), "main") == digest(self.BASE, "main")

    @pytest.mark.parametrize(
        "mention",
        [
            "later()",
            "x = later",
            "obj.later",
            "'later'",
            "'call later on'",
            "f'{later}'",
            "import later",
            "from a import later",
            "f(later=1)",
            "getattr(o, n)",
            "globals()",
            "vars(o)",
            "o.__dict__",
            "sys.modules",
            "eval('x')",
            "importlib.import_module(n)",
        ],
    )
    def test_any_mention_makes_it_count(self, mention):
        """By name, in a text, or where names are looked up at run time, it may be called."""
        base = self.BASE + f"{mention}\n"
        assert digest(base + "def later():\n    return 2\n", "main") != digest(
            base + "def later():\n    return 3\n", "main"
        )

    @pytest.mark.parametrize(
        "definition", ["@register\ndef later(): ...\n", "def later(x=side_effect()): ...\n", "def later(x: f()): ...\n"]
    )
    def test_a_definition_that_does_something_counts(self, definition):
        """Decorators, computed defaults and called annotations run at import."""
        assert digest(self.BASE + definition, "main") != digest(self.BASE, "main")

    def test_what_it_mentions_does_not_count_either(self):
        """Two unused functions that call each other are both left out."""
        added = self.BASE + "def one():\n    two()\ndef two():\n    one()\n"
        assert digest(added, "main") == digest(self.BASE, "main")

    def test_special_names_always_count(self):
        """`__getattr__` of a module is called by nobody by name."""
        assert digest(self.BASE + "def __getattr__(name): ...\n", "main") != digest(self.BASE, "main")

    def test_what_a_method_calls_counts(self):
        """Classes are kept whole, with all they mention."""
        base = "class C:\n    def m(self):\n        return later()\n"
        one, two = (base + f"def later():\n    return {n}\n" for n in (1, 2))
        assert digest(one, "main") != digest(two, "main")
