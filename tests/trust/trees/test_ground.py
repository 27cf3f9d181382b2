"""What runs stand on: equal files give equal keys wherever they lie, and what one tree's runs read says nothing of another's."""

from __future__ import annotations

from pytest_exprun.terms.model import Budget, Tree, Variant
from pytest_exprun.trust.files.accesses import OPENED
from pytest_exprun.trust.trees.ground import Ground, Grounds
from pytest_exprun.trust.trees.materialise import Trees
from tests.keyed import PLAIN, TRAINER


def grounds_of(checkout, **settings):
    """Return the grounds of a session, and its trees by commit."""
    settings = checkout.settings(**settings)
    repository = checkout.repository()
    return Grounds(Ground(settings), Trees(settings, repository).place), repository


def key(grounds, variant=PLAIN):
    """Return the key of a variant's runs."""
    return grounds.of(variant).fingerprinter.key(variant, Budget())


def on(repository, name, *flags):
    """Return a variant on a commit's tree."""
    return Variant(flags, repository.tree_of(repository.commit(name)))


def test_equal_content_has_equal_keys(checkout):
    """In the session's root, in a tree, under another name: no ref and no place is in a key."""
    checkout.commit("trainer", **{"toy.py": TRAINER, "helper.py": "x = 1\n", "data__rows.txt": "1\n"})
    checkout.git("tag", "v1")
    grounds, repository = grounds_of(checkout, inputs="data", args="--corpus=data/rows.txt")
    here, main, tag = key(grounds), key(grounds, on(repository, "main")), key(grounds, on(repository, "v1"))
    assert here == main == tag
    told = str(main.components)
    assert not any(word in told for word in ("v1", "trees", repository.commit("v1").id[:7], str(checkout.root)))


def test_what_differs_is_in_the_key(checkout):
    """A tree's sources and data are its own."""
    checkout.commit("trainer", **{"toy.py": TRAINER, "helper.py": "x = 1\n"})
    checkout.branch("idea", **{"helper.py": "x = 2\n", "data__rows.txt": "2\n"})
    grounds, repository = grounds_of(checkout, inputs="data")
    changed = [name for name, *_ in key(grounds, on(repository, "main")).changes(key(grounds, on(repository, "idea")))]
    assert changed == ["input data", "source helper.py"]


def test_shared_data_count_as_at_home(checkout):
    """Declared ones below a linked folder too."""
    checkout.commit("trainer", **{"toy.py": TRAINER + "\nNAME = 'secret/big.bin'\n", "helper.py": "x = 1\n"})
    checkout.write(**{"secret__big.bin": "1", "secret__deep__rows.bin": "2"})
    for inputs in ("", "secret", "secret/deep"):
        grounds, repository = grounds_of(checkout, shared="secret", inputs=inputs)
        assert key(grounds) == key(grounds, on(repository, "main"))
        assert "input secret/big.bin" in key(grounds).components or inputs


def test_what_runs_asked_for_belongs_to_their_tree(checkout):
    """It is kept apart, and found under the same name."""
    checkout.commit("trainer", **{"toy.py": TRAINER, "helper.py": "x = 1\n"})
    checkout.branch("idea", **{"data__rows.txt": "2\n"})
    grounds, repository = grounds_of(checkout)
    main, idea = (grounds.of(on(repository, name)) for name in ("main", "idea"))
    assert main.heard is not idea.heard is not OPENED
    for each in (main, idea):
        key(grounds, Variant(tree=next(tree for tree, ground in grounds._trees.items() if ground is each)))
    main.heard.add(main.settings.root, {"r": {"data/rows.txt": 1.0}})
    assert list(main.fingerprinter.opened()) == ["file data/rows.txt"]
    assert list(idea.fingerprinter.opened()) == []
    label = "file data/rows.txt"
    assert main.store.content_of(label) == grounds.here.fingerprinter.content_of(label) != idea.store.content_of(label)


def test_a_variant_finds_its_ground(checkout):
    """One for each tree, whatever it is called; where it lies is asked once."""
    asked = []
    grounds = Grounds(Ground(checkout.settings()), lambda tree: asked.append(tree) or checkout.root / tree.id)
    assert grounds.of(Variant(("--x",))) is grounds.here
    assert not grounds.here.is_tree
    one = grounds.of(Variant(("--x",), Tree("a", "idea")))
    assert one is grounds.of(Variant((), Tree("a", "other")))
    assert one.is_tree
    assert one.settings.root == checkout.root / "a"
    assert one.settings.path("store") == checkout.root / ".exprun"
    assert asked == [Tree("a")]
