"""Finished runs on disk: what is saved comes back, and nothing else ever does."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.terms.model import Variant
from pytest_exprun.terms.outcome import CurvePoint
from pytest_exprun.trust.store.past import Past
from pytest_exprun.trust.store.store import NotReproducible, Store
from tests.stored import BASELINE, KEY, ROPE, Failing, files, forged, make_key, make_run, seal


class TestSaveAndLoad:
    """The plain path."""

    def test_a_saved_run_comes_back_equal(self, store):
        """What is loaded equals what was saved, field by field."""
        store.save(make_run(), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42) == make_run()

    def test_a_diverged_run_comes_back(self, store):
        """None stands for a value that is not finite; the file holds no NaN."""
        run = make_run(status="diverged", metrics={"val_loss": None})
        path = store.save(run, ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42) == run
        assert "NaN" not in path.read_text(encoding="utf-8")

    def test_another_key_seed_or_arm_is_absent(self, store):
        """A record stands for its own key, seed and arm only."""
        store.save(make_run(), ROPE.slug, KEY)
        assert store.load(ROPE.slug, make_key(source="1"), 42) is None
        assert store.load(ROPE.slug, KEY, 137) is None
        assert store.load("baseline", make_key(BASELINE), 42) is None
        assert store.notices == []

    def test_a_record_is_named_after_its_arm_key_and_seed(self, store):
        """`<store>/<arm>/<key12>/seed-<S>.json`, nothing left in tmp."""
        path = store.save(make_run(), ROPE.slug, KEY)
        assert path == store.root / "rope" / KEY.digest[:12] / "seed-42.json"
        assert list((store.root / "tmp").iterdir()) == []

    def test_git_keeps_records_and_ignores_the_rest(self, store):
        """`git add` takes records, not locks, quarantine or temporary files; line ends are left alone."""
        store.save(make_run(), ROPE.slug, KEY)
        for name in ("locks", "quarantine", "superseded", "tmp"):
            (store.root / name).mkdir(exist_ok=True)
            (store.root / name / "x.json").write_text("{}", encoding="utf-8")
        subprocess.run(["git", "init", "-q", store.root], check=True)
        listing = subprocess.run(
            ["git", "ls-files", "-o", "--exclude-standard"], cwd=store.root, check=True, capture_output=True, text=True
        )
        expected = {".gitattributes", ".gitignore", f"rope/{KEY.short}/seed-42.json"}
        assert set(listing.stdout.split()) == expected

    def test_seeds_lists_what_is_there(self, store):
        """`seeds` gives the stored seeds in ascending order and ignores other files."""
        for seed in (137, 42):
            store.save(make_run(seed), ROPE.slug, KEY)
        (store.path(ROPE.slug, KEY, 42).parent / "notes.txt").write_text("mine", encoding="utf-8")
        assert store.seeds(ROPE.slug, KEY) == (42, 137)


class TestOneRecordForARun:
    """Two runs of one key and seed."""

    def test_the_first_record_is_kept(self, store):
        """Equal results but for the clock: the first file stays, byte for byte."""
        path = store.save(make_run(), ROPE.slug, KEY)
        before = path.read_bytes()
        store.save(make_run(metrics={"val_loss": 1.5, "wall_time": 9.0}), ROPE.slug, KEY)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"metrics": {"val_loss": 1.5000000000000002, "wall_time": 1.0}}, "val_loss 1.5 and 1.5000000000000002"),
            ({"metrics": {"wall_time": 1.0}}, "val_loss 1.5 and none"),
            ({"status": "diverged", "metrics": {"val_loss": None}}, "finished and diverged"),
            ({"curve": ()}, "2 and 0 progress lines"),
            ({"curve": (CurvePoint(1, {"val_loss": 2.0}), CurvePoint(2, {"val_loss": 1.6}))}, "val_loss at step 2"),
            ({"curve": (CurvePoint(1, {"val_loss": 2.0}), CurvePoint(3, {"val_loss": 1.5}))}, "step 2 and of step 3"),
        ],
    )
    def test_different_results_raise_the_alarm(self, store, changes, said):
        """Nothing changed and another result: the trainer is not reproducible; the first record stays."""
        path = store.save(make_run(), ROPE.slug, KEY)
        before = path.read_bytes()
        with pytest.raises(NotReproducible, match="not reproducible") as raised:
            store.save(make_run(**changes), ROPE.slug, KEY)
        assert said in str(raised.value)
        assert path.read_bytes() == before

    def test_many_processes_save_the_same_run(self, store):
        """Six processes race to save one run: one record, complete, no error, nothing left over."""
        script = (
            "import sys\nfrom pathlib import Path\nfrom pytest_exprun.trust.store.store import Store\n"
            "from tests.stored import *\n"
            "store = Store(Path(sys.argv[1]))\nstore.check_writable()\nsys.stdin.readline()\n"
            "for seed in range(20):\n    store.save(make_run(seed), 'rope', make_key())\n"
        )
        root = Path(__file__).parents[3]
        command = [sys.executable, "-c", script, str(store.root)]
        racers = [subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(6)]
        for racer in racers:
            racer.stdin.write(b"go\n")
            racer.stdin.flush()
        assert [racer.communicate()[1] for racer in racers] == [b""] * 6
        assert [store.load("rope", KEY, seed) for seed in range(20)] == [make_run(seed) for seed in range(20)]
        assert list((store.root / "tmp").iterdir()) == []


class TestDamage:
    """Whatever is not exactly a record of this run is noticed, kept, named, and trained again."""

    @pytest.mark.parametrize("spoil", [b"", b"\0" * 4096, b"not a record", b"\xff\xfe", b'{"sha256": "'])
    def test_a_damaged_record_is_set_aside_and_named(self, store, spoil):
        """The file goes to quarantine byte for byte, one line names it, and the seed can be stored again."""
        path = store.save(make_run(), ROPE.slug, KEY)
        path.write_bytes(spoil)
        assert store.load(ROPE.slug, KEY, 42) is None
        assert [set(files(store.root / "quarantine").values())] == [{spoil}]
        assert len(store.notices) == 1
        assert f"rope/{KEY.short}/seed-42.json is damaged" in store.notices[0]
        assert "\n" not in store.notices[0]
        store.save(make_run(), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42) == make_run()

    def test_saving_over_a_damaged_record_sets_it_aside(self, store):
        """A record that rotted while its seed trained does not keep the new one out."""
        path = store.save(make_run(), ROPE.slug, KEY)
        path.write_bytes(b"rotten")
        store.save(make_run(loss=1.7), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42).metrics["val_loss"] == 1.7
        assert set(files(store.root / "quarantine").values()) == {b"rotten"}

    def test_a_read_only_store_changes_nothing_and_says_so(self, store):
        """In frozen mode damage is an error, and the file stays where it is."""
        path = store.save(make_run(), ROPE.slug, KEY)
        path.write_bytes(b"rotten")
        before = files(store.root)
        with pytest.raises(StoreError, match=r"damaged: cut short.*--exprun-mode=run"):
            Store(store.root, read_only=True).load(ROPE.slug, KEY, 42)
        assert files(store.root) == before


class TestBadDisks:
    """A full, read-only or failing disk: never a false "stored"."""

    @pytest.mark.parametrize("operation", ["open", "write", "fsync", "close", "link", "mkdir"])
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE, errno.EDQUOT])
    def test_a_failed_save_is_said_and_stores_nothing_false(self, tmp_path, operation, number):
        """Every operation fails in every way: StoreError in one line, and what can be read afterwards is complete or absent."""
        store = Store(tmp_path / "store", fs=Failing(operation, number))
        with pytest.raises(StoreError, match="not saved") as raised:
            store.save(make_run(), ROPE.slug, KEY)
        assert os.strerror(number).lower() in str(raised.value)
        assert "\n" not in str(raised.value)
        assert Store(tmp_path / "store").load(ROPE.slug, KEY, 42) in (None, make_run())

    @pytest.mark.parametrize("operation", ["open", "write", "fsync", "link", "mkdir"])
    def test_a_bad_folder_is_found_before_training(self, tmp_path, operation):
        """check_writable tries all that saving needs; the message names the folder and the setting."""
        store = Store(tmp_path / "store", fs=Failing(operation, errno.EROFS))
        with pytest.raises(StoreError, match=r"cannot be written: read-only file system; .*exprun_store"):
            store.check_writable()

    def test_a_file_in_the_folders_place(self, tmp_path):
        """A file named like the store is said so."""
        (tmp_path / "store").write_text("", encoding="utf-8")
        with pytest.raises(StoreError, match="cannot be written"):
            Store(tmp_path / "store").check_writable()

    def test_an_unreadable_record_is_an_error_not_a_miss(self, tmp_path):
        """EIO on reading must not train again silently: the record may be fine."""
        Store(tmp_path).save(make_run(), ROPE.slug, KEY)
        with pytest.raises(StoreError, match=r"seed-42.json cannot be read: input/output error"):
            Store(tmp_path, fs=Failing("read", errno.EIO)).load(ROPE.slug, KEY, 42)


class TestSupersede:
    """Refresh: old records are moved, not lost."""

    def test_old_runs_are_returned_and_moved(self, store):
        """All of one arm's records go to superseded/, other arms stay."""
        for seed in (42, 137):
            store.save(make_run(seed), ROPE.slug, KEY)
        other = store.save(make_run(variant=BASELINE), "baseline", make_key(BASELINE))
        assert store.supersede(ROPE.slug, KEY) == {42: make_run(42), 137: make_run(137)}
        assert store.load(ROPE.slug, KEY, 42) is None
        assert other.exists()
        kept = [name for name in files(store.root / "superseded") if name.endswith(f"rope/{KEY.short}/seed-42.json")]
        assert len(kept) == 1

    def test_nothing_stored_is_no_error(self, store):
        """Refreshing an arm that has no records gives nothing back."""
        assert store.supersede(ROPE.slug, KEY) == {}

    def test_twice_in_one_second(self, store):
        """Two refreshes keep both generations."""
        for loss in (1.5, 1.6):
            store.save(make_run(loss=loss), ROPE.slug, KEY)
            store.supersede(ROPE.slug, KEY)
        assert len(files(store.root / "superseded")) == 2


class TestNeighbours:
    """Why stored runs do not stand."""

    def test_other_conditions_of_the_same_question(self, store):
        """Keys with the same flags, args and budget, the newest first; the difference is said in words."""
        older, newer = make_key(source="1" * 64), make_key(package_torch="2.12.0")
        store.save(make_run(), ROPE.slug, older)
        store.save(make_run(), ROPE.slug, newer)
        now = make_key(package_torch="2.13.0")
        assert store.neighbours(ROPE.slug, now) == [Past(newer), Past(older)]
        assert newer.why(now) == "package torch 2.12.0 -> 2.13.0"

    def test_another_question_is_no_neighbour(self, store):
        """Another budget or other common arguments asked something else."""
        store.save(make_run(), ROPE.slug, make_key(budget="20000 tokens"))
        store.save(make_run(), ROPE.slug, make_key(common_args='["--size"]'))
        assert store.neighbours(ROPE.slug, KEY) == []

    def test_a_damaged_neighbour_is_left_alone(self, store):
        """Looking for reasons changes nothing on disk."""
        path = store.save(make_run(), ROPE.slug, make_key(source="1"))
        path.write_bytes(b"rotten")
        assert store.neighbours(ROPE.slug, KEY) == []
        assert path.read_bytes() == b"rotten"


class TestAttestations:
    """One seed trained again and found equal lets the others stand."""

    OLD = make_key(source="1" * 64)

    def test_attested_runs_stand(self, store):
        """After the attestation the old arm's records are loaded under the new key; before it they are not."""
        for seed in (42, 137):
            store.save(make_run(seed), ROPE.slug, self.OLD)
        assert store.load(ROPE.slug, KEY, 137) is None
        store.attest(ROPE.slug, KEY, self.OLD, 42)
        assert store.load(ROPE.slug, KEY, 137) == make_run(137)
        assert store.seeds(ROPE.slug, KEY) == (42, 137)
        assert store.neighbours(ROPE.slug, KEY) == []

    def test_it_is_for_one_direction_and_one_arm(self, store):
        """The old key does not accept the new arm's records, and another arm's folder knows nothing of it."""
        store.save(make_run(), ROPE.slug, KEY)
        store.attest(ROPE.slug, KEY, self.OLD, 42)
        assert store.load(ROPE.slug, self.OLD, 42) is None
        store.save(make_run(variant=BASELINE), "baseline", make_key(BASELINE, source="1" * 64))
        assert store.load("baseline", make_key(BASELINE), 42) is None

    def test_chains_and_rings(self, store):
        """Attestations of attested keys count; a ring of them ends."""
        middle = make_key(source="2" * 64)
        store.save(make_run(), ROPE.slug, self.OLD)
        store.attest(ROPE.slug, middle, self.OLD, 42)
        store.attest(ROPE.slug, KEY, middle, 42)
        store.attest(ROPE.slug, self.OLD, KEY, 42)
        assert store.load(ROPE.slug, KEY, 42) == make_run()

    def test_an_attestation_of_another_key_attests_nothing(self, store):
        """A file copied from another arm's folder is no proof here."""
        store.save(make_run(), ROPE.slug, self.OLD)
        other = make_key(source="3" * 64)
        theirs = store.attest(ROPE.slug, other, self.OLD, 42)
        mine = store.path(ROPE.slug, KEY, 42).parent / theirs.name
        mine.parent.mkdir()
        mine.write_bytes(theirs.read_bytes())
        assert store.load(ROPE.slug, KEY, 42) is None

    def test_a_damaged_attestation_is_set_aside(self, store):
        """Rotten proof is no proof; it is kept and named."""
        store.save(make_run(), ROPE.slug, self.OLD)
        path = store.attest(ROPE.slug, KEY, self.OLD, 42)
        path.write_bytes(path.read_bytes()[:-5])
        assert store.load(ROPE.slug, KEY, 42) is None
        assert "attests nothing any more" in store.notices[0]

    def test_the_seed_longest_without_proof_is_verified_next(self, store, monkeypatch):
        """Seeds take turns: the one stored first, then the one that was not verified last time."""
        moments = iter(range(100, 200))
        monkeypatch.setattr("pytest_exprun.trust.store.store.now", lambda: str(next(moments)))
        for seed in (137, 42, 256):
            store.save(make_run(seed), ROPE.slug, self.OLD)
        assert store.to_verify(ROPE.slug, self.OLD).spec.seed == 137
        store.attest(ROPE.slug, KEY, self.OLD, 137)
        assert store.to_verify(ROPE.slug, KEY).spec.seed == 42
        store.attest(ROPE.slug, make_key(source="4"), KEY, 42)
        assert store.to_verify(ROPE.slug, KEY).spec.seed == 256

    def test_refresh_forgets_attestations(self, store):
        """After a refresh of an attested arm everything is trained again."""
        store.save(make_run(), ROPE.slug, self.OLD)
        store.attest(ROPE.slug, KEY, self.OLD, 42)
        assert store.supersede(ROPE.slug, KEY) == {42: make_run()}
        assert store.load(ROPE.slug, KEY, 42) is None


class TestOpenedFiles:
    """A record stands only while the files that its run read are what they were."""

    def test_a_changed_file_makes_it_absent_and_says_so(self, tmp_path):
        """The record is not used and not damaged; the line names the file."""
        content = {"file data.txt": "a"}
        store = Store(tmp_path, content_of=content.__getitem__)
        path = store.save(make_run(), ROPE.slug, KEY, opened=content)
        assert store.load(ROPE.slug, KEY, 42) == make_run()
        content = {"file data.txt": "b"}
        store.content_of = content.__getitem__
        assert store.load(ROPE.slug, KEY, 42) is None
        assert "file data.txt changed since its run read it" in store.notices[0]
        assert path.exists()

    def test_the_new_run_replaces_the_old_one(self, tmp_path):
        """The record that does not stand any more moves to superseded/ when its seed is stored again."""
        store = Store(tmp_path, content_of={"file data.txt": "b"}.__getitem__)
        store.save(make_run(), ROPE.slug, KEY, opened={"file data.txt": "a"})
        store.save(make_run(loss=1.7), ROPE.slug, KEY, opened={"file data.txt": "b"})
        assert store.load(ROPE.slug, KEY, 42).metrics["val_loss"] == 1.7
        assert len(files(tmp_path / "superseded")) == 1


class TestNames:
    """Nothing outside the store is ever touched."""

    @pytest.mark.parametrize(
        "slug",
        [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc",
            "a\0b",
            "a" * 65,
            "Rope",
            "a\\b",
            "-a",
            "a-",
            "a b",
            "\N{SNOWMAN}",
            "a\n",
        ],
    )
    def test_no_slug_leads_outside(self, store, slug):
        """What is no slug is refused with what is allowed."""
        with pytest.raises(StoreError, match="cannot name a folder"):
            store.load(slug, KEY, 42)
        with pytest.raises(StoreError, match="cannot name a folder"):
            store.save(make_run(), slug, KEY)

    @pytest.mark.parametrize("name", ["quarantine", "superseded", "tmp", "locks", "con", "nul", "com1", "aux.x"])
    def test_reserved_names_get_a_folder_of_their_own(self, store, name):
        """An arm named like our folders or like a Windows device is stored apart from them."""
        variant = Variant((f"--{name}",))
        key = make_key(variant)
        path = store.save(make_run(variant=variant), variant.slug, key)
        assert path.parent.parent.name == f"{name}-"
        assert store.load(variant.slug, key, 42) == make_run(variant=variant)

    @pytest.mark.parametrize(
        "flags",
        [
            ("--data=../../etc/passwd",),
            ("--x=\0",),
            ("--" + "a" * 300,),
            ("--NUL",),
            ("--a/b",),
            ("--\N{LATIN SMALL LETTER E WITH ACUTE}",),
            ("--.",),
            ("--...",),
            ("--con=1",),
            ("--a\nb",),
        ],
    )
    def test_any_flags_are_stored_inside(self, store, flags):
        """Whatever stands in a flag, its record lies in the store and comes back."""
        variant = Variant(flags)
        key = make_key(variant)
        path = store.save(make_run(variant=variant), variant.slug, key)
        assert path.resolve().is_relative_to(store.root.resolve())
        assert store.load(variant.slug, key, 42) == make_run(variant=variant)

    @pytest.mark.parametrize("hostile", ["a\nb", "\x1b[31mred", "\r\x00", "\u202egnp.exe"])
    def test_what_a_foreign_record_says_is_inert(self, store, hostile):
        """Text of a record that is named in a message has no line breaks and nothing that a terminal would obey."""
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        path.write_bytes(seal(forged(key={hostile: hostile})))
        assert store.load(ROPE.slug, KEY, 42) is None
        assert store.notices[0].isprintable()
        variant = Variant((f"--{hostile}",))
        store.save(make_run(variant=variant), "x", make_key(variant))
        with pytest.raises(NotReproducible) as raised:
            store.save(make_run(variant=variant, loss=1.6), "x", make_key(variant))
        assert str(raised.value).isprintable()

    def test_arms_of_one_slug_do_not_meet(self, store):
        """Flags that give the same folder name have keys of their own."""
        one, two = Variant(("--a=B",)), Variant(("--a=b",))
        assert one.slug == two.slug
        store.save(make_run(variant=one, loss=1.0), one.slug, make_key(one))
        assert store.load(two.slug, make_key(two), 42) is None


def test_only_finished_and_diverged_runs_are_stored(store):
    """A crashed run is never a statistic: asking for it is a bug of ours."""
    with pytest.raises(AssertionError):
        store.save(dataclasses.replace(make_run(), status="crashed"), ROPE.slug, KEY)


class TestHeardSources:
    """Records of one key whose run imported a source that the key does not name."""

    def stored(self, store, answers):
        """Store two seeds whose runs heard a source."""
        store.content_of = answers.__getitem__
        for seed in (42, 137):
            store.save(make_run(seed), ROPE.slug, KEY, dict(answers))

    def edited(self, answers, digest):
        """Change the source."""
        answers["source plugin.py"] = digest

    def prove(self, store, answers, seed):
        """Train a seed again and attest that it is the same."""
        past = store.neighbours(ROPE.slug, KEY)[0]
        assert past.may_equal(KEY)
        store.save(make_run(seed), ROPE.slug, KEY, dict(answers))
        store.attest(ROPE.slug, KEY, past, seed, dict(answers))

    def test_one_seed_proves_that_the_others_stand(self, store):
        """The same key, another source: nothing stands, until a seed proves the change harmless."""
        answers = {"source plugin.py": "1", "file data.txt": "1"}
        self.stored(store, answers)
        self.edited(answers, "2")
        assert store.load(ROPE.slug, KEY, 137) is None
        assert store.notices == []
        self.prove(store, answers, 42)
        assert [store.load(ROPE.slug, KEY, seed) for seed in (42, 137)] == [make_run(42), make_run(137)]
        assert store.neighbours(ROPE.slug, KEY) == []

    def test_proofs_follow_each_other(self, store):
        """What stood before a second edit stands by the second proof, whichever seed gives it."""
        answers = {"source plugin.py": "1"}
        self.stored(store, answers)
        for digest, seed in (("2", 42), ("3", 137), ("4", 42)):
            self.edited(answers, digest)
            assert store.load(ROPE.slug, KEY, 42) is store.load(ROPE.slug, KEY, 137) is None
            self.prove(store, answers, seed)
            assert store.load(ROPE.slug, KEY, 42)
            assert store.load(ROPE.slug, KEY, 137)

    def test_a_proof_is_of_one_state_only(self, store):
        """Where anything else changes that the proving run had read, it proves nothing."""
        answers = {"source plugin.py": "1", "source other.py": "1"}
        self.stored(store, answers)
        self.edited(answers, "2")
        self.prove(store, answers, 42)
        answers["source other.py"] = "2"
        assert store.load(ROPE.slug, KEY, 42) is store.load(ROPE.slug, KEY, 137) is None

    @pytest.mark.parametrize(
        "label", ["file data.txt", "environment X", "names in d", "library l.so", "program p.sh", "times in d"]
    )
    def test_what_is_no_source_is_never_proved(self, store, label):
        """The run is trained anew, and the line says what changed."""
        answers = {"source plugin.py": "1", label: "1"}
        self.stored(store, answers)
        answers |= {"source plugin.py": "2", label: "2"}
        assert store.neighbours(ROPE.slug, KEY) == []
        assert not Past(make_key(source="1" * 64), {label: "1"}).may_equal(KEY)
        assert store.load(ROPE.slug, KEY, 42) is None
        assert label in store.notices[0]
