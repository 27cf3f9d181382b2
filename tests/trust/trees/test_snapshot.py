"""States of a project's files as trees: what belongs to one, and that taking it changes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.trust.trees.snapshot import Commit, Repository
from tests.states import Checkout


def files(checkout: Checkout, tree, tmp_path, **settings):
    """Return the files of a tree and their text."""
    folder = tmp_path / f"written-{tree.id}"
    folder.mkdir()
    checkout.repository(**settings).write(tree, folder, tmp_path / f"{tree.id}.index")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes().decode()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestWorkingTree:
    """The files as they are."""

    def test_what_is_not_committed_belongs_to_it(self, checkout, tmp_path):
        """Edited, new and removed files count; ignored ones do not."""
        checkout.write(**{"model.py": "RATE = 2\n", "new__idea.py": "x\n", "secret__key": "1"})
        (checkout.root / "data" / "rows.txt").unlink()
        found = files(checkout, checkout.repository().working_tree(), tmp_path)
        assert found == {".gitignore": ".exprun/\nsecret/\n", "model.py": "RATE = 2\n", "new/idea.py": "x\n"}

    def test_what_is_staged_and_edited_again(self, checkout, tmp_path):
        """The file counts, not the index."""
        checkout.write(**{"model.py": "RATE = 2\n"})
        checkout.git("add", "model.py")
        checkout.write(**{"model.py": "RATE = 3\n"})
        assert files(checkout, checkout.repository().working_tree(), tmp_path)["model.py"] == "RATE = 3\n"

    def test_an_edit_that_time_stamps_do_not_show(self, checkout):
        """Of the same second and size as the commit: the index says nothing of it, the bytes do."""
        for rate in range(2, 6):
            checkout.commit("again", **{"model.py": f"RATE = {rate}\n"})
            checkout.write(**{"model.py": "RATE = 1\n"})
            assert checkout.repository().working_tree().id != checkout.git("rev-parse", "HEAD^{tree}")

    def test_a_clean_one_is_its_commit(self, checkout):
        """It has git's own id."""
        repository = checkout.repository()
        assert (
            repository.working_tree().id
            == repository.tree_of(repository.commit("HEAD")).id
            == checkout.git("rev-parse", "HEAD^{tree}")
        )

    def test_what_we_write_belongs_to_no_state(self, checkout):
        """Records and reports may be committed: they say nothing about the code."""
        before = checkout.repository().working_tree()
        (checkout.root / ".gitignore").write_text("secret/\n", encoding="utf-8")
        checkout.commit("ignore less")
        less = checkout.repository().working_tree()
        assert less.id != before.id
        checkout.write(
            **{"docs__research__report.md": "x", ".exprun__baseline__1.json": "{}", "checkpoints__model.pt": "x"}
        )
        assert checkout.repository().working_tree().id == less.id
        checkout.commit("records")
        assert checkout.repository().working_tree().id == less.id
        head = checkout.repository().commit("HEAD")
        assert checkout.repository().tree_of(head).id == less.id
        for text in ("staged", "and edited again"):
            checkout.write(**{"docs__research__report.md": text})
            assert checkout.repository().working_tree().id == less.id
            checkout.git("add", "--all")

    def test_a_sparse_checkout(self, checkout):
        """What is not here is of the state all the same; what is here though it should not be counts as it is."""
        checkout.commit("more", **{"far__away.py": "x = 1\n", "docs__research__report.md": "x"})
        whole = checkout.repository().working_tree()
        checkout.git("sparse-checkout", "set", "--cone", "data")
        assert not (checkout.root / "far").exists()
        assert (
            checkout.repository().working_tree().id
            == whole.id
            == checkout.repository().tree_of(checkout.repository().commit("HEAD")).id
        )
        for text in ("x = 2\n", "x = 1\n"):
            checkout.write(**{"far__away.py": text, "far__new.py": text})
            assert checkout.repository().working_tree().id != whole.id

    def test_taking_it_changes_nothing(self, checkout):
        """Index, refs, stash, reflog, objects and status are as before; also with a merge that is not finished."""
        checkout.branch("idea", **{"model.py": "RATE = 5\n"})
        checkout.commit("other", **{"model.py": "RATE = 4\n"})
        with pytest.raises(subprocess.CalledProcessError):
            checkout.git("merge", "idea")
        checkout.write(**{"untracked.txt": "x"})
        checkout.repository().working_tree()  # makes the store's folder, which is ignored
        before = checkout.state()
        tree = checkout.repository().working_tree()
        checkout.repository().changes(tree, checkout.repository().tree_of(checkout.repository().commit("idea")))
        assert checkout.state() == before

    def test_a_root_below_the_top(self, checkout):
        """The whole repository is the state, the root a folder in it."""
        checkout.commit("sub", **{"sub__train.py": "x\n"})
        below = Checkout.__new__(Checkout)
        below.root = checkout.root / "sub"
        repository = below.repository()
        assert (repository.top, repository.prefix) == (checkout.root, "sub/")
        assert repository.left_out == ("sub/.exprun", "sub/docs/research", "sub/checkpoints")
        assert repository.working_tree().id == checkout.repository(store="sub/.exprun").working_tree().id

    def test_links_modes_and_odd_names(self, checkout, tmp_path):
        """They come out as they went in."""
        script = checkout.root / "run it.sh"
        script.write_text("#!/bin/sh\n", encoding="utf-8")
        script.chmod(0o755)
        (checkout.root / "link").symlink_to("model.py")
        (checkout.root / "zeile\n\t\u00fc.txt").write_text("x", encoding="utf-8")
        tree = checkout.repository().working_tree()
        found = files(checkout, tree, tmp_path)
        folder = tmp_path / f"written-{tree.id}"
        assert found["zeile\n\t\u00fc.txt"] == "x"
        assert (folder / "link").is_symlink()
        assert os.access(folder / "run it.sh", os.X_OK)

    def test_attributes_count_as_in_a_checkout(self, checkout, tmp_path):
        """Windows line endings are made; what an archive would leave out is there."""
        checkout.commit(
            "attributes", **{".gitattributes": "*.bat eol=crlf\ndata export-ignore\n", "run.bat": "a\r\nb\r\n"}
        )
        found = files(
            checkout, checkout.repository().tree_of(Commit(checkout.git("rev-parse", "HEAD"), "HEAD")), tmp_path
        )
        assert found["run.bat"] == "a\r\nb\r\n"
        assert found["data/rows.txt"] == "1\n"

    def test_a_hook_and_its_variables_do_not_lead_astray(self, checkout, monkeypatch):
        """Git sets its variables for a hook, as for one that tries before a commit; our own git runs no hook."""
        tree = checkout.repository().working_tree()
        for name in ("post-index-change", "post-checkout"):
            hook = checkout.root / ".git" / "hooks" / name
            hook.parent.mkdir(exist_ok=True)
            hook.write_text(f"#!/bin/sh\ntouch '{checkout.root}/hook-ran'\n", encoding="utf-8")
            hook.chmod(0o755)
        monkeypatch.setenv("GIT_INDEX_FILE", str(checkout.root / "nowhere"))
        monkeypatch.setenv("GIT_DIR", str(checkout.root / "nowhere"))
        assert checkout.repository().working_tree().id == tree.id
        assert not (checkout.root / "hook-ran").exists()


class TestSubmodules:
    """Repositories within."""

    @pytest.fixture
    def parts(self, checkout, tmp_path):
        """Return a checkout with a submodule."""
        part = tmp_path / "part"
        part.mkdir()
        Checkout(part).commit("part", **{"layer.py": "DEPTH = 1\n"})
        checkout.git("submodule", "--quiet", "add", str(part), "lib/part")
        checkout.commit("with part")
        return checkout

    def test_their_files_belong_to_the_state(self, parts, tmp_path):
        """Of a commit the submodule's commit, of the working tree its files as they are."""
        head = parts.repository().commit("HEAD")
        (parts.root / "lib" / "part" / "layer.py").write_text("DEPTH = 2\n", encoding="utf-8")
        before = parts.state()
        assert files(parts, parts.repository().tree_of(head), tmp_path)["lib/part/layer.py"] == "DEPTH = 1\n"
        assert files(parts, parts.repository().working_tree(), tmp_path)["lib/part/layer.py"] == "DEPTH = 2\n"
        assert parts.state() == before

    def test_one_that_is_not_here(self, parts):
        """One line says what brings it."""
        parts.git("submodule", "--quiet", "deinit", "--force", "lib/part")
        shutil.rmtree(parts.root / ".git" / "modules")
        with pytest.raises(
            RefusedError, match=r"^the submodule lib/part is not here: git submodule update --init --recursive$"
        ):
            parts.repository().tree_of(parts.repository().commit("HEAD"))

    def test_one_that_only_the_other_state_has(self, parts, tmp_path):
        """Git keeps it where it was once checked out, though no file of it is here."""
        parts.git("branch", "with-part")
        parts.git("reset", "--quiet", "--hard", "HEAD^")
        shutil.rmtree(parts.root / "lib")
        repository = parts.repository()
        found = files(parts, repository.tree_of(repository.commit("with-part")), tmp_path)
        assert found["lib/part/layer.py"] == "DEPTH = 1\n"

    def test_a_repository_within(self, checkout, tmp_path):
        """One that is no submodule belongs to the state as it is; one without a commit is named."""
        within = checkout.root / "within"
        within.mkdir()
        inner = Checkout(within)
        with pytest.raises(RefusedError, match="within/' does not have a commit"):
            checkout.repository().working_tree()
        inner.commit("inner", **{"layer.py": "DEPTH = 1\n"})
        inner.write(**{"layer.py": "DEPTH = 2\n"})
        assert files(checkout, checkout.repository().working_tree(), tmp_path)["within/layer.py"] == "DEPTH = 2\n"

    def test_a_commit_that_it_does_not_have(self, parts):
        """The submodule was not updated."""
        missing = "1" * 40
        parts.git("update-index", "--cacheinfo", f"160000,{missing},lib/part")
        parts.git("commit", "--quiet", "--message", "ahead")
        with pytest.raises(RefusedError, match=r"^submodule lib/part: git read-tree in .*"):
            parts.repository().tree_of(parts.repository().commit("HEAD"))


class TestNames:
    """What may be compared."""

    def test_branches_tags_and_ids(self, checkout):
        """All name a commit; it is pinned by its id."""
        commit = checkout.branch("idea/one", **{"model.py": "RATE = 2\n"})
        checkout.git("tag", "v1", "idea/one")
        repository = checkout.repository()
        assert {repository.commit(name).id for name in ("idea/one", "v1", commit, commit[:9])} == {commit}

    @pytest.mark.parametrize("name", ["nosuch", "--help", "", "HEAD:model.py", "-x", "a b"])
    def test_what_is_no_commit(self, checkout, name):
        """One line says what may stand there."""
        with pytest.raises(RefusedError, match=r"is no commit of .*: give a branch, a tag or an id"):
            checkout.repository().commit(name)

    def test_no_commit_yet(self, tmp_path):
        """There is nothing to compare with."""
        with pytest.raises(RefusedError, match=r"has no commit yet.*commit once"):
            Checkout(tmp_path).repository().commit("HEAD")

    def test_no_repository(self, tmp_path):
        """One line says what is missing."""
        checkout = Checkout(tmp_path)
        shutil.rmtree(tmp_path / ".git")
        with pytest.raises(RefusedError, match="is in no git repository"):
            checkout.repository()

    def test_a_bare_repository(self, checkout, tmp_path):
        """It has no files to work with."""
        bare = tmp_path / "bare"
        checkout.git("clone", "--quiet", "--bare", str(checkout.root), str(bare))
        checkout.root = bare
        with pytest.raises(RefusedError, match="is a bare repository, which holds no files"):
            checkout.repository()

    def test_no_git(self, checkout, monkeypatch, tmp_path):
        """One line says so."""
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(RefusedError, match="git is not installed"):
            checkout.repository()

    def test_the_default_branch(self, checkout, tmp_path):
        """The remote's, or else one of the usual names."""
        assert checkout.repository().default_branch.name == "main"
        checkout.git("branch", "--quiet", "--move", "main", "work")
        with pytest.raises(RefusedError, match="no branch main, master or trunk; name one with --against"):
            _ = checkout.repository().default_branch
        clone = tmp_path / "clone"
        checkout.git("clone", "--quiet", str(checkout.root), str(clone))
        checkout.root = clone
        assert checkout.repository().default_branch.name == "origin/work"

    def test_where_work_branched_off(self, checkout):
        """The merge base, not the tip of main."""
        first = checkout.git("rev-parse", "main")
        checkout.branch("idea", **{"model.py": "RATE = 2\n"})
        checkout.commit("main goes on", **{"other.py": "x\n"})
        repository = checkout.repository()
        assert repository.merge_base(repository.commit("idea"), repository.default_branch) == Commit(first, "main")

    def test_nothing_in_common(self, checkout):
        """A history of its own has no merge base."""
        checkout.git("checkout", "--quiet", "--orphan", "other")
        checkout.commit("alone")
        repository = checkout.repository()
        with pytest.raises(RefusedError, match="other and main have no commit in common"):
            repository.merge_base(repository.commit("other"), repository.default_branch)

    def test_a_shallow_clone(self, checkout, tmp_path):
        """The line names what fetches the rest."""
        checkout.branch("idea", **{"model.py": "RATE = 2\n"})
        checkout.commit("main goes on", **{"other.py": "x\n"})
        clone = tmp_path / "clone"
        url = f"file://{checkout.root}"
        checkout.git("clone", "--quiet", "--depth=1", "--no-single-branch", url, str(clone))
        checkout.root = clone
        repository = checkout.repository()
        with pytest.raises(
            RefusedError, match=r"this clone is shallow: git fetch --unshallow \(in GitHub Actions: fetch-depth: 0\)"
        ):
            repository.merge_base(repository.commit("origin/idea"), repository.default_branch)

    def test_a_detached_head(self, checkout):
        """It has no branch, and a state all the same."""
        checkout.git("checkout", "--quiet", "--detach")
        assert checkout.repository().branch == "HEAD"
        assert checkout.repository().working_tree().id == checkout.git("rev-parse", "HEAD^{tree}")


def test_what_differs(checkout):
    """Files with lines added and deleted, and a diff that git takes."""
    checkout.branch("idea", **{"model.py": "RATE = 2\nDEPTH = 1\n", "new.py": "x\n"})
    (checkout.root / "blob.bin").write_bytes(b"\0\1\xff")
    repository = checkout.repository()
    base, tip, here = (repository.tree_of(repository.commit(name)) for name in ("main", "idea", "main"))
    assert repository.changed_files(base, here) == {}
    assert repository.changed_files(base, tip) == {"model.py": (2, 1), "new.py": (1, 0)}
    working = repository.working_tree()
    assert repository.changed_files(base, working) == {"blob.bin": (-1, -1)}
    patch = repository.changes(base, working)
    (checkout.root / "blob.bin").unlink()
    subprocess.run(["git", "apply"], input=patch, cwd=checkout.root, check=True)
    assert (checkout.root / "blob.bin").read_bytes() == b"\0\1\xff"


def test_how_the_user_likes_his_diffs_does_not_matter(checkout):
    """The diff is one that git takes, and the same for everybody."""
    checkout.commit("attributes", **{".gitattributes": "*.py diff=upper\n"})
    checkout.branch("idea", **{"model.py": "RATE = 2\n"})
    repository = checkout.repository()
    trees = [repository.tree_of(repository.commit(name)) for name in ("main", "idea")]
    plain = repository.changes(*trees), repository.changed_files(*trees)
    for name, value in (
        ("diff.noprefix", "true"),
        ("diff.upper.textconv", "tr a-z A-Z <"),
        ("diff.external", "false"),
        ("color.ui", "always"),
        ("diff.context", "9"),
        ("core.abbrev", "40"),
        ("diff.algorithm", "patience"),
    ):
        checkout.git("config", name, value)
    assert (repository.changes(*trees), repository.changed_files(*trees)) == plain


def test_folders_of_ours_that_hold_the_project(checkout):
    """Reports beside the code leave nothing out: else no state would have any file."""
    for folder in (".", ".."):
        tree = checkout.repository(report_dir=folder, checkpoint_dir=folder).working_tree()
        assert tree.id == checkout.repository().working_tree().id


@pytest.mark.parametrize(
    "setting", ["core.splitIndex=true", "core.safecrlf=true", "core.untrackedCache=true", "core.ignorecase=true"]
)
def test_settings_of_git(checkout, setting):
    """Nothing appears in the repository, and nothing is refused that a checkout would take."""
    name, value = setting.split("=")
    checkout.git("config", name, value)
    checkout.git("config", "core.autocrlf", "true")
    checkout.git("update-index", "--split-index" if name == "core.splitIndex" else "--refresh")
    checkout.write(**{"windows.txt": "a\nb\n", "model.py": "RATE = 2\n"})
    checkout.repository().working_tree()
    before = sorted(path.name for path in (checkout.root / ".git").iterdir()), checkout.state()
    checkout.write(**{"windows.txt": "a\nc\n"})
    checkout.repository().working_tree()
    assert (sorted(path.name for path in (checkout.root / ".git").iterdir()), checkout.state()) == before


def test_other_objects_than_those_of_the_repository_are_ours(checkout):
    """What a snapshot makes lies in the store, which git ignores."""
    checkout.write(**{"model.py": "RATE = 7\n"})
    before = checkout.git("count-objects", "-v")
    repository: Repository = checkout.repository()
    repository.working_tree()
    assert checkout.git("count-objects", "-v") == before
    assert list(repository.objects.rglob("??/*"))
    assert checkout.git("status", "--porcelain") == "M model.py"
