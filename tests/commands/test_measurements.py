"""Numbers to judge: typed, and in files of every kind."""

from __future__ import annotations

import json
import math

import pytest

from pytest_exprun.commands.measurements import read_measurements
from pytest_exprun.terms.errors import RefusedError
from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.identity.key import Key
from pytest_exprun.trust.store.records import Record, encode

VALUES = (1.5, -2.0, 3e-4)


def write(path, text):
    """Write a file and return its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("text", ["1.5,-2,3e-4", "1.5, -2 ,3E-4", "1.5 -2.0 .0003", "1.5,-2,+3e-4,", " 1.5,-2,3e-4"])
def test_typed_numbers(text):
    """Numbers may be separated by commas and blanks."""
    found = read_measurements(text)
    assert (found.values, found.seeds, found.origin) == (VALUES, None, "typed numbers")


def test_numbers_that_are_not_finite_are_diverged_runs():
    """nan and inf are read, never dropped."""
    values = read_measurements("1,nan,-inf,Infinity").values
    assert [math.isfinite(value) for value in values] == [True, False, False, False]


FILES = {
    "lines.txt": "1.5\n\n-2  # seed 137\n3e-4\n",
    "windows.txt": "\ufeff1.5\r\n-2\r\n3e-4\r\n",
    "bare.csv": "1.5\n-2\n3e-4\n",
    "table.csv": "name,val_loss\na,1.5\nb,-2\n\nc,3e-4\n",
    "table.tsv": "val_loss\tname\n1.5\ta\n-2\tb\n3e-4\tc\n",
    "list.json": "[1.5, -2, 3e-4]",
    "objects.json": '[{"val_loss": 1.5}, {"val_loss": -2}, {"val_loss": 3e-4, "x": "y"}]',
    "nested.json": '{"val_loss": [1.5, -2, 3e-4]}',
}


@pytest.mark.parametrize("name", FILES)
def test_files_without_seeds(tmp_path, name):
    """Each form gives the same numbers in the file's order."""
    found = read_measurements(write(tmp_path / name, FILES[name]))
    assert (found.values, found.seeds) == (VALUES, None)
    assert name in found.origin


SEEDED = {
    "table.csv": "seed,val_loss\n42,1.5\n137,-2\n256,3e-4\n",
    "objects.json": '[{"val_loss": 1.5, "seed": 42}, {"val_loss": -2, "seed": 137}, {"val_loss": 3e-4, "seed": 256}]',
    "by_seed.json": '{"42": 1.5, "137": -2, "256": 3e-4}',
    "nested.json": '{"val_loss": {"42": 1.5, "137": -2, "256": 3e-4}}',
}


@pytest.mark.parametrize("name", SEEDED)
def test_files_with_seeds(tmp_path, name):
    """A seed column, a seed key, and objects from seed to number give the seeds."""
    found = read_measurements(write(tmp_path / name, SEEDED[name]))
    assert (found.values, found.seeds) == (VALUES, (42, 137, 256))


def test_another_column(tmp_path):
    """--column names the column of a table whatever the file's ending, and the key of objects."""
    table = write(tmp_path / "runs.log", "acc,val_loss\n.5,1\n.6,2\n")
    objects = write(tmp_path / "runs.json", '[{"acc": 0.5}, {"acc": 0.6}]')
    assert read_measurements(table, column="acc").values == (0.5, 0.6)
    assert read_measurements(objects, column="acc").values == (0.5, 0.6)
    assert read_measurements(table, metric="acc", column="val_loss").values == (1, 2)


def test_null_in_json_is_a_diverged_run(tmp_path):
    """Null is how a diverged metric is stored."""
    assert math.isnan(read_measurements(write(tmp_path / "x.json", "[1.0, null]")).values[1])


PROTOCOL = "Step 1 | val_loss: 9.0000 | train_loss: 1.0000\nsaved\nStep 2 | val_loss: {} | train_loss: 0.5 | time: 3.1s\ndone\n"
LOGS = {
    "protocol": PROTOCOL,
    "plain": "epoch 1\nval_loss: 9\nval_loss: {}\n",
    "equals": "val_loss=9.0\nstep=4 val_loss={}\n",
    "json_lines": '{{"val_loss": 9.0, "step": 1}}\n{{"step": 2, "val_loss": {}}}\n',
    "sentence": "INFO val_loss: 9.\nINFO final val_loss: {}.\n",
    "others": "best_val_loss: 7\nval_loss: {}\nval_loss_ema: 8\neval/val_loss: 6\nval_loss: 5ms\nval_loss: low\nval_loss:\n4\n",
    "upper": "Val_Loss: {}\n",
    "one_line": "before val_loss: 9.0, after val_loss: {}\n",
}


@pytest.mark.parametrize("kind", LOGS)
def test_the_last_value_of_a_log_counts(tmp_path, kind):
    """Progress lines of the protocol and plain `val_loss: X` are read; other names and units are not."""
    for seed, value in ((42, "1.5"), (137, "-2.0"), (256, "3e-4")):
        write(tmp_path / f"run_seed{seed}.log", LOGS[kind].format(value))
    found = read_measurements(str(tmp_path))
    assert dict(zip(found.seeds, found.values, strict=True)) == {42: 1.5, 137: -2.0, 256: 3e-4}


def test_a_log_that_ends_in_nan_is_a_diverged_run(tmp_path):
    """A diverged last line is not replaced by an earlier finite one."""
    write(tmp_path / "seed1.log", PROTOCOL.format("nan"))
    write(tmp_path / "seed2.log", "val_loss: 1\nval_loss: inf\n")
    assert not any(map(math.isfinite, read_measurements(str(tmp_path)).values))


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (["a_seed1.log", "a_seed2.log"], (1, 2)),
        (["SEED_1", "Seed-2.txt"], (1, 2)),
        (["seed=7.log", "seed.8.log"], (8, 7)),
        (["42.log", "137.log"], (137, 42)),
        (["seed_1/log.txt", "seed_2/log.txt"], (1, 2)),
        (["seed9/seed1.log", "seed9/seed2.log"], (1, 2)),
        (["run1.log", "run2.log"], None),
        (["a_seed1.log", "b.log"], None),
    ],
)
def test_seeds_are_taken_from_names(tmp_path, names, seeds):
    """The file's name carries the seed, else its folder's; if not all carry one there are none."""
    for number, name in enumerate(names):
        write(tmp_path / name, f"val_loss: {number}\n")
    found = read_measurements(str(tmp_path / "*" / "*") if "/" in names[0] else str(tmp_path / "*"))
    assert found.seeds == seeds


def test_a_glob_that_names_one_table_reads_the_table(tmp_path):
    """One match is read like a file given by name."""
    write(tmp_path / "runs.csv", "val_loss\n1\n2\n")
    assert read_measurements(str(tmp_path / "*.csv")).values == (1, 2)


@pytest.mark.parametrize("content", [b"\xff\xfeval_loss: 1\nval_loss: 2\n", b"\0\0val_loss: 2\r\n"])
def test_logs_need_not_be_text(tmp_path, content):
    """Bytes that are no UTF-8 stand in the way of nothing."""
    (tmp_path / "seed1.log").write_bytes(content)
    assert read_measurements(str(tmp_path)).values == (2.0,)


def test_hidden_files_of_a_folder_are_no_logs(tmp_path):
    """An editor's or a file manager's hidden file is passed over."""
    write(tmp_path / ".DS_Store", "x")
    write(tmp_path / "seed1.log", "val_loss: 1\n")
    assert read_measurements(str(tmp_path)).values == (1.0,)


BAD = [
    ("nosuch.log", {}, "neither an existing file"),
    ("1,two,3", {}, "'1,two,3' is neither"),
    ("", {}, "'' is neither"),
    (",", {}, "',' is neither"),
    ("1,2e", {}, "neither"),
    ("x" * 5000, {}, "neither"),
    ("no/*.log", {}, "no file there"),
    ("empty/", {"empty/.keep": ""}, "no file there"),
    ("e.txt", {"e.txt": "\n# nothing\n"}, "is empty"),
    ("n.txt", {"n.txt": "1\n2 apples\n"}, "'2 apples' is no number"),
    ("one.log", {"one.log": "x\nval_loss: 1\n"}, "the log of one run"),
    ("logs", {"logs/a.log": "val_loss: 1\n", "logs/b.log": "crashed\n"}, "b.log has no line with 'val_loss: '"),
    ("logs", {"logs/1_seed4.log": "val_loss: 1\n", "logs/2_seed4.log": "val_loss: 1\n"}, "seed 4 is there twice"),
    ("t.csv", {"t.csv": ""}, "is empty"),
    ("t.csv", {"t.csv": "a,b\n1,2\n"}, "entry 1, has no 'val_loss'; it has: a, b"),
    ("t.csv", {"t.csv": "val_loss,val_loss\n1,2\n"}, "has 2 columns 'val_loss'"),
    ("t.csv", {"t.csv": "a,val_loss\n1,2\n1\n"}, "'1' has 1 cells where the first line has 2"),
    ("t.csv", {"t.csv": "a,val_loss\n1,x\n"}, "entry 1: val_loss 'x' is no number"),
    ("t.csv", {"t.csv": "seed,val_loss\n1.5,2\n"}, "entry 1: seed '1.5' is no whole number"),
    ("t.csv", {"t.csv": "val_loss,seed\n1\n"}, "'1' has 1 cells where the first line has 2"),
    ("t.csv", {"t.csv": "a,val_loss\n\n1,\n"}, "entry 1: val_loss '' is no number"),
    ("t.csv", {"t.csv": "seed,val_loss,seed\n1,2,3\n"}, "has 2 columns 'seed'"),
    ("t.csv", {"t.csv": "seed,val_loss\n1,2\n1,3\n"}, "seed 1 is there twice"),
    ("t.json", {"t.json": "{"}, "is no JSON"),
    ("t.json", {"t.json": "[" * 100_000}, "is no JSON"),
    ("t.json", {"t.json": "3"}, "allowed is a list of numbers"),
    ("t.json", {"t.json": '{"acc": [1]}'}, "allowed is a list of numbers"),
    ("t.json", {"t.json": "[1, true]"}, "entry 2: val_loss 'True' is no number"),
    ("t.json", {"t.json": '[1, "two"]'}, "entry 2: val_loss 'two' is no number"),
    ("t.json", {"t.json": '[{"val_loss": 1}, {"acc": 2}]'}, "entry 2, has no 'val_loss'; it has: acc"),
    ("t.json", {"t.json": '[{"val_loss": 1, "seed": true}]'}, "entry 1: seed 'True' is no whole number"),
]


@pytest.mark.parametrize(("source", "files", "message"), BAD)
def test_what_cannot_be_read_without_guessing_is_one_line(tmp_path, monkeypatch, source, files, message):
    """Every refusal names the place and what is allowed."""
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        write(tmp_path / name, text)
    with pytest.raises(RefusedError) as caught:
        read_measurements(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    """The system's reason is passed on."""
    path = write(tmp_path / "x.json", json.dumps([1]))

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(RefusedError, match="cannot be read: Permission denied"):
        read_measurements(path)


def stored(folder, seeds, flags=(), **metrics):
    """Write stored runs of one arm; return their folder."""
    folder.mkdir(parents=True)
    for seed in seeds:
        run = RunResult(RunSpec(Variant(flags), seed), "finished", {"val_loss": seed / 100, **metrics})
        (folder / f"seed-{seed}.json").write_bytes(encode(Record(Key({"schema": "1"}), run)))
    (folder / "attests-1234.json").write_text("{}")
    return folder


def test_stored_runs_are_read_as_they_are_stored(tmp_path):
    """A folder or a glob of the store; attestations beside them are passed over, another metric is chosen by name."""
    folder = stored(tmp_path / "baseline" / "abc", (137, 42), acc=0.5)
    for source in (str(folder), f"{tmp_path}/**/seed-*.json"):
        found = read_measurements(source)
        assert dict(zip(found.seeds, found.values, strict=True)) == {42: 0.42, 137: 1.37}
    assert read_measurements(str(folder), column="acc").values == (0.5, 0.5)
    assert read_measurements(str(folder / "seed-42.json")).values == (0.42,)
    with pytest.raises(RefusedError, match="has no 'f1'; it has: seed, val_loss, acc"):
        read_measurements(str(folder), metric="f1")


def test_stored_runs_of_two_arms_are_no_arm(tmp_path):
    """Nor are damaged ones any."""
    stored(tmp_path / "a" / "1", (1, 2))
    folder = stored(tmp_path / "b" / "2", (3,), ("--rope",))
    with pytest.raises(RefusedError, match=r"has runs of 2 arms \(no flags; --rope\): name the files of one"):
        read_measurements(f"{tmp_path}/**/seed-*.json")
    (folder / "seed-3.json").write_text("{}")
    with pytest.raises(RefusedError, match="one of its stored runs is damaged"):
        read_measurements(str(folder))


def test_the_arms_of_a_report_are_read(tmp_path):
    """By name; without one it is not clear which is meant."""
    runs = [RunResult(RunSpec(Variant(), seed), "finished", {"val_loss": 1.5}).to_json() for seed in (42, 137)]
    runs[1]["provenance"] = {"reported_at": {"val_loss": ["step", 80, 100]}}
    report = write(tmp_path / "r.json", json.dumps({"declaration": {}, "baseline": runs, "experiment": runs[:1]}))
    found = read_measurements(f"{report}:baseline")
    assert (found.values, found.seeds) == ((1.5, 1.5), (42, 137))
    assert [place and place.at for place in found.places] == [None, 80]
    assert read_measurements(f"{report}:experiment").seeds == (42,)
    with pytest.raises(
        RefusedError, match=r"report of two arms: choose one, as in .*r.json:baseline or .*r.json:experiment"
    ):
        read_measurements(report)


NESTED = json.dumps({"records": [{"losses": [1.5, -2.0, 3e-4]}, {"losses": {"42": 1.5}}], "note": "x"})


def test_a_place_inside_json_is_named_by_a_path(tmp_path):
    """Keys and numbers of entries, with dots between; what is not there is said with what is."""
    path = write(tmp_path / "runs.json", NESTED)
    found = read_measurements(f"{path}:records.0.losses")
    assert (found.values, found.origin) == (VALUES, f"val_loss of {path}:records.0.losses")
    assert read_measurements(f"{path}:records.1.losses").seeds == (42,)
    for inside, message in (
        ("records.7", "there is no '7' in records; there are the entries 0 to 1"),
        ("record", "there is no 'record'; there are: records, note"),
        ("note", "allowed is a list of numbers"),
        ("records.0", "or a place inside with .*; there are: losses"),
    ):
        with pytest.raises(RefusedError, match=message):
            read_measurements(f"{path}:{inside}")
