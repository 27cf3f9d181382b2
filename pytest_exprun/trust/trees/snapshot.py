"""A state of the project's files as a git tree: of a commit, or of the working tree with what is not committed.

Git does the work, through an index and an object folder of its own: the index, HEAD, the reflog, the stash and the objects of the user's
repository stay as they are, whenever this is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import Tree
from pytest_exprun.terms.whole_file import replace_file
from pytest_exprun.trust.identity.checkouts import Checkout
from pytest_exprun.trust.trees.git import Git, refuse_bare

_GITLINK = "160000"
_SHORT = 7
"""Digits of a commit that is called by its id."""
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree without files, which every git knows."""
_DEFAULT_BRANCHES = ("main", "master", "trunk")


@dataclass(frozen=True)
class Commit:
    """A commit, and what the user called it."""

    id: str
    name: str


@dataclass(frozen=True)
class Repository:
    """The git repository that a root directory lies in. Everything about it is read, nothing changed.

    Attributes:
        top: the top of its working tree.
        prefix: the root directory from there, empty or with a slash at its end.
        objects: a folder of ours for the objects that a snapshot makes.
        left_out: paths from the top that belong to no state: what we write ourselves.
        variables: environment variables that git needs there.
    """

    top: Path
    prefix: str
    objects: Path
    left_out: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def around(cls, settings: Settings) -> Repository:
        """Return the repository of a project.

        Raises:
            RefusedError: git is not installed, or the root directory lies in no working tree, as that of a bare repository.
        """
        root, store = settings.root, settings.path("store")
        if not root.is_dir() or Checkout.around(root) is None:
            refuse_bare(root)
            raise RefusedError(
                f"{root} is in no git repository, and a state of the code to compare with has to come from one: git init"
            )
        answer = Git(root)("rev-parse", "--show-toplevel", "--show-prefix").split("\n")
        top = Path(answer[0])
        named = (settings.path(name) for name in ("store", "report_dir", "checkpoint_dir"))
        own = [Path(os.path.normpath(each.parent.resolve() / each.name)) for each in named]  # git goes through no link
        # One that holds the whole project, as with exprun_report_dir = ., leaves nothing out.
        left_out = tuple(
            os.path.relpath(each, top) for each in own if each.is_relative_to(top) and each not in (root, *root.parents)
        )
        return cls(top, answer[1], store / "trees" / "objects", left_out)

    # States.

    def commit(self, name: str) -> Commit:
        """Return the commit that a branch, a tag or an id names now.

        Raises:
            RefusedError: nothing has that name.
        """
        found = self._try("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found is None:
            if self._try("rev-parse", "--verify", "--quiet", "HEAD") is None:
                raise RefusedError(f"{self.top} has no commit yet, so there is nothing to compare with: commit once")
            raise RefusedError(
                f"{name!r} is no commit of {self.top}: give a branch, a tag or an id (git branch --all){self._shallow}"
            )
        is_id = len(name) >= _SHORT and found.startswith(name)
        return Commit(found, found[:_SHORT] if is_id else name)

    def tree_of(self, commit: Commit) -> Tree:
        """Return the state of a commit."""
        with self._index() as git:
            git("read-tree", commit.id)
            return Tree(self._written(git, None), commit.name)

    def working_tree(self, name: str = "working tree") -> Tree:
        """Return the state of the working tree: tracked and untracked files as they are, without ignored ones."""
        with self._index() as git:
            mine = Path(self._git("rev-parse", "--path-format=absolute", "--git-path", "index").strip())
            if mine.is_file():
                # Its time stamps spare reading what did not change, and its own says which of them are too young to be believed.
                shutil.copy2(mine, git.index)
            # What git ignores is left out anyway, and git refuses to hear of it.
            ours = [path for path in self.left_out if self._try("check-ignore", "--quiet", path) is None]
            git("add", "--all", "--sparse", "--", ":/", *(f":(exclude,top,literal){path}" for path in ours))
            return Tree(self._written(git, self.top), name)

    def merge_base(self, one: Commit, other: Commit) -> Commit:
        """Return the commit from which two have grown.

        Raises:
            RefusedError: there is none, or it is not in a shallow clone.
        """
        found = self._try("merge-base", one.id, other.id)
        if found is None:
            raise RefusedError(
                f"{one.name} and {other.name} have no commit in common{self._shallow or ': name another one with --against'}"
            )
        return Commit(found.split("\n")[0], other.name)

    def is_ancestor(self, one: Commit, other: Commit) -> bool:
        """Whether the second commit has grown from the first."""
        return self._try("merge-base", "--is-ancestor", one.id, other.id) is not None

    def grown_from_local(self, tip: Commit) -> Commit | None:
        """Return where a commit left the local branch that has the default branch's name; None where there is none."""
        name = self.default_branch.name.removeprefix("origin/")
        local = self._try("rev-parse", "--verify", "--quiet", f"refs/heads/{name}")
        found = self._try("merge-base", tip.id, local) if local else None
        return Commit(found.split("\n")[0], name) if found else None

    @cached_property
    def default_branch(self) -> Commit:
        """The branch that work is merged into: the remote's HEAD, or else main, master or trunk.

        Raises:
            RefusedError: there is none.
        """
        remote = self._try("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        for name in (remote, *_DEFAULT_BRANCHES, *(f"origin/{each}" for each in _DEFAULT_BRANCHES)):
            if name and self._try("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
                return self.commit(name)
        raise RefusedError(
            "nobody says what to compare with: there is no branch main, master or trunk; name one with --against"
        )

    @property
    def branch(self) -> str:
        """The branch that is checked out; `HEAD` for none."""
        return self._try("symbolic-ref", "--quiet", "--short", "HEAD") or "HEAD"

    def changes(self, one: Tree, other: Tree) -> bytes:
        """Return the diff between two states, as `git apply` takes it."""
        # Not `git diff`, whose output is as its user likes to read it.
        return self._git.bytes(
            "diff-tree", "-r", "--patch", "--no-renames", "--binary", "--full-index", one.id, other.id
        )

    def changed_files(self, one: Tree, other: Tree) -> dict[str, tuple[int, int]]:
        """Return the files in which two states differ, from the top: lines added and deleted, -1 where they cannot be counted."""
        lines = self._git("diff-tree", "-r", "--numstat", "--no-renames", "-z", one.id, other.id).split("\0")
        counted = (line.split("\t", 2) for line in lines if line)
        return {name: (_number(added), _number(deleted)) for added, deleted, name in counted}

    def matching(self, words: Sequence[str], one: Tree, other: Tree | None = None) -> list[str]:
        """Return the files, from the top, that paths or globs below the root name: those of a state, or those in which two differ."""
        specs = [f":(top,glob){self.prefix}{word.rstrip('/')}{below}" for word in words for below in ("", "/**")]
        pair = (_EMPTY, one.id) if other is None else (one.id, other.id)
        listed = self._git("diff", "--name-only", "--no-renames", "-z", *pair, "--", *specs) if words else ""
        return [name for name in listed.split("\0") if name]

    def overlaid(self, tree: Tree, base: Tree, words: Sequence[str]) -> Tree:
        """Return a state with the files of another one where these paths or globs name them."""
        with self._index() as git:
            git("read-tree", tree.id)
            for name in self.matching(words, tree):
                git("rm", "--cached", "--force", "--quiet", "--", f":(top,literal){name}")
            kept = [f":(top,literal){name}" for name in self.matching(words, base)]
            entries = git(
                "ls-tree",
                "-r",
                "-z",
                "--full-tree",
                base.id,
                "--",
                *(name.removeprefix(":(top,literal)") for name in kept),
            )
            git("update-index", "-z", "--index-info", told=entries.encode("utf-8", "surrogateescape"))
            return Tree(git("write-tree").strip(), tree.name)

    def patched(self, tree: Tree, patch: bytes, name: str) -> Tree:
        """Return a state with a patch applied.

        Raises:
            RefusedError: it does not apply.
        """
        with self._index() as git:
            git("read-tree", tree.id)
            git("apply", "--cached", "--whitespace=nowarn", f"--directory={self.prefix}", "-", told=patch)
            return Tree(git("write-tree").strip(), name)

    def apply(self, patch: bytes) -> None:
        """Put a patch into the working tree, the one thing that changes the user's files.

        Raises:
            RefusedError: there are changes that are in no commit, or it does not apply.
        """
        if self._git("status", "--porcelain", "--untracked-files=no").strip():
            raise RefusedError(
                f"{self.top} has changes that are in no commit: commit or stash them first, so that nothing is mixed up"
            )
        self._git("apply", "--whitespace=nowarn", "-", told=patch)

    def write(self, tree: Tree, folder: Path, index: Path) -> None:
        """Write the files of a state into an empty folder, as a checkout would: line endings, links and filters included.

        `git archive` is not used: it leaves out what .gitattributes marks with export-ignore. `index` is for `departures`.
        """
        git = self._in(folder, index)
        git("read-tree", tree.id)
        git("checkout-index", "--all", "--quiet", "--index")

    def departures(self, folder: Path, index: Path) -> list[str]:
        """Name the files in which a folder is not what `write` put there, except for compiled modules."""
        listed = self._in(folder, index)(
            "ls-files", "--modified", "--deleted", "--others", "-z", "--exclude=__pycache__"
        )
        return [name for name in listed.split("\0") if name]

    def _in(self, folder: Path, index: Path) -> Git:
        """Git with another working tree and index."""
        own = {"GIT_DIR": self._git("rev-parse", "--absolute-git-dir").strip(), "GIT_WORK_TREE": str(folder)}
        return Git(folder, {**self._git.variables, **own, "GIT_INDEX_FILE": str(index)})

    # Git.

    @property
    def _shallow(self) -> str:
        is_shallow = self._try("rev-parse", "--is-shallow-repository") == "true"
        return (
            "; this clone is shallow: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)" if is_shallow else ""
        )

    def _written(self, git: Git, checkout: Path | None) -> str:
        """Write an index of ours as a tree: without what is ours, and with the files of submodules in their places."""
        if self.left_out:
            self._drop(git, self.left_out)
        for line in filter(None, git("ls-files", "--stage", "-z").split("\0")):
            mode, commit, _, path = line.replace("\t", " ", 1).split(" ", 3)
            if mode == _GITLINK:
                tree = self._part(path, commit if checkout is None else None)
                self._drop(git, [path])
                git("read-tree", f"--prefix={path}/", tree.id)
        return git("write-tree").strip()

    @staticmethod
    def _drop(git: Git, paths: Iterable[str]) -> None:
        """Take paths from the top out of an index of ours, whatever is staged, edited or sparse there."""
        names = (f":(top,literal){path}" for path in paths)
        git("rm", "-r", "--force", "--sparse", "--cached", "--quiet", "--ignore-unmatch", "--", *names)

    def _part(self, path: str, commit: str | None) -> Tree:
        """Return the state of a submodule, of a commit or of its working tree."""
        folder = self.top / path
        # Of a state that adds one, git keeps the repository where no file of it is checked out.
        kept = Path(self._git("rev-parse", "--path-format=absolute", "--git-path", f"modules/{path}").strip())
        if (folder / ".git").exists():
            part = Repository(folder, "", self.objects)
        elif commit is not None and kept.is_dir():
            part = Repository(kept, "", self.objects, variables={"GIT_WORK_TREE": "."})
        else:
            raise RefusedError(f"the submodule {path} is not here: git submodule update --init --recursive")
        try:
            return part.working_tree() if commit is None else part.tree_of(Commit(commit, path))
        except RefusedError as error:
            raise RefusedError(f"submodule {path}: {error}") from None

    @contextlib.contextmanager
    def _index(self) -> Iterator[Git]:
        """Have an index of our own, and what is made with it in a folder of ours."""
        git = self._git
        with tempfile.TemporaryDirectory(dir=self.objects.parent, prefix=".index-") as folder:
            yield Git(git.folder, {**git.variables, "GIT_INDEX_FILE": str(Path(folder, "index"))})

    @cached_property
    def _git(self) -> Git:
        """Git here, which reads the repository's objects and writes into a folder of ours."""
        objects = Git(self.top, self.variables)("rev-parse", "--path-format=absolute", "--git-path", "objects").strip()
        ignored = self.objects.parent / ".gitignore"
        if not ignored.exists():
            replace_file(ignored, "*\n")
        known = self.objects / "info" / "alternates"
        known.parent.mkdir(parents=True, exist_ok=True)
        listed = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
        if objects not in listed:
            with known.open("a", encoding="utf-8") as lines:  # two at once lose nothing
                lines.write(f"{objects}\n")
        return Git(self.top, {**self.variables, "GIT_OBJECT_DIRECTORY": str(self.objects)})

    def _try(self, *words: str) -> str | None:
        with contextlib.suppress(RefusedError):
            return self._git(*words).strip()
        return None


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1
