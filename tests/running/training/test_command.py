"""Training scripts as they are: what a command is given, how its output and its end are read, and what of it is in the key."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_exprun.running.sandbox import supervision
from pytest_exprun.running.sandbox.run_log import LIMIT, TAIL
from pytest_exprun.running.training.command import SHOWN_BYTES, CommandTrainer
from pytest_exprun.settings.settings import Settings
from pytest_exprun.terms.errors import SettingsError, TrainerError
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.trust.files.accesses import OpenedFiles

SCRIPT = """
import os, signal, subprocess, sys, time
seed, out = int(sys.argv[1]), sys.argv[2]
flags = sys.argv[3:]
"""
COMMAND = "python train.py {seed} {output_dir} {flags}"


@pytest.fixture
def lab(tmp_path):
    """Return a function that writes the script's body and makes a trainer and an output folder for it."""

    def make(body: str, command: str = COMMAND, **options: str) -> tuple[CommandTrainer, Path]:
        (tmp_path / "train.py").write_text(SCRIPT + body, encoding="utf-8")
        out = tmp_path / "checkpoints" / f"run{len(list(tmp_path.iterdir()))}"
        out.mkdir(parents=True, exist_ok=True)
        given = {"budget": "2 steps", **options, "command": command}
        return CommandTrainer(Settings.read(given, tmp_path)), out

    return make


def spec(*flags: str, seed: int = 42, budget: Budget | None = None) -> RunSpec:
    """Return a run of two steps."""
    return RunSpec(Variant(flags), seed, budget or Budget(2, "steps"))


def ignore(_point):
    """Hear nothing."""


def failure(lab, body: str, *flags: str, **options: str) -> str:
    """Return the message of a run that cannot be trusted."""
    trainer, out = lab(body, **options)
    with pytest.raises(TrainerError) as error:
        trainer.run(spec(*flags), out, ignore)
    return str(error.value)


# The command line.


def test_the_script_gets_its_seed_its_folder_and_the_flags(lab):
    """Flags take the place of {flags}, word by word, unread by any shell."""
    trainer, out = lab("print('val_loss:', seed / 10); open(out + '/argv', 'w').write('|'.join(flags))")
    result = trainer.run(spec("--rope", "--name=a b; $HOME *"), out, ignore)
    assert result.metrics == {"val_loss": 4.2}
    assert (out / "argv").read_text() == "--rope|--name=a b; $HOME *"
    assert result.status == "finished"
    assert result.provenance["command"].startswith("python train.py 42 checkpoints/again --rope '--name=a b;")


def test_the_environment_has_the_seed_and_the_programs_beside_this_python(lab):
    """exprun_env is filled in for each run; python is this session's; pytest's own variables stay away."""
    body = "print('val_loss:', os.environ['SEED']); print(sys.executable); print('PYTEST_CURRENT_TEST' in os.environ)"
    trainer, out = lab(body, command="python train.py 0 {output_dir} {flags}", env="SEED={seed} OTHER={{x}}")
    heard: list[object] = []
    result = trainer.run(spec(seed=137), out, heard.append)
    assert result.metrics == {"val_loss": 137}
    assert result.provenance["command"].startswith("env SEED=137 python train.py")


def test_the_budget_reaches_the_script_in_its_own_unit(lab):
    """Tokens become steps, rounded up; steps become tokens; seconds stay seconds."""
    body = "print('val_loss:', flags[0])"
    for unit, budget, asked in (
        ("{steps}", Budget(1000, "tokens"), 4),
        ("{train_tokens}", Budget(1000, "tokens"), 1000),
        ("{train_tokens}", Budget(3, "steps"), 900),
    ):
        trainer, out = lab(
            body, command=f"{COMMAND[:-8]} {unit} {{flags}}", tokens_per_step="300", budget=f"9 {budget.unit}"
        )
        assert trainer.run(spec(budget=budget), out, ignore).metrics == {"val_loss": asked}


def test_a_script_that_keeps_another_budget_is_refused(lab):
    """`train_tokens` in the output must be what was asked for."""
    trainer, out = lab(
        "print('Step 1 | val_loss: 1.5 | train_tokens: 999')",
        command="python train.py {seed} {output_dir} {train_tokens} {flags}",
        budget="1000 tokens",
    )
    with pytest.raises(TrainerError, match="reports train_tokens = 999, asked for 1000"):
        trainer.run(spec(budget=Budget(1000)), out, ignore)


def test_options_of_the_command_are_reserved(lab):
    """A flag cannot set again what the command sets for every run."""
    trainer, _ = lab("", command="python train.py --my_seed={seed} --out-dir={output_dir} {flags}")
    assert "--my-seed is reserved" in (trainer.rejects(spec("--my-seed=3")) or "")
    assert "--out_dir is reserved" in (trainer.rejects(spec("--out_dir=x")) or "")
    assert trainer.rejects(spec("--rope")) is None


def test_a_flag_wins_over_a_number_of_the_command_but_not_over_one_behind_it(lab):
    """The last one wins, so a flag may change what the command sets; behind {flags} it would change nothing, and is refused."""
    words, body = (
        "--dropout=0.0 --my_seed={seed} {output_dir}",
        "print('val_loss:', len(sys.argv)); print(sys.argv[-1])",
    )
    before, out = lab(body, command=f"python train.py 1 {words} {{flags}}")
    assert before.rejects(spec("--dropout=0.2")) is None
    assert before.run(spec("--dropout=0.2"), out, ignore).provenance["command"].endswith(" --dropout=0.2")
    behind, _ = lab("", command=f"python train.py 1 {{flags}} {words}")
    assert "--dropout is reserved: exprun_command has --dropout=0.0 behind {flags}, where the last one wins" in (
        behind.rejects(spec("--dropout=0.2")) or ""
    )
    assert "--my_seed is reserved: exprun_command sets it by --my_seed={seed}" in (
        behind.rejects(spec("--my_seed=2")) or ""
    )


def test_options_in_two_words_of_the_command_are_reserved(lab):
    """`--max_iters {steps}` sets an option as `--max_iters={steps}` does."""
    trainer, _ = lab("", command="python train.py --seed {seed} --max_iters {steps} -o {output_dir} --lr 3 {flags}")
    assert "--max-iters is reserved: exprun_command sets it by --max_iters {steps}" in (
        trainer.rejects(spec("--max-iters=9")) or ""
    )
    assert trainer.rejects(spec("--lr", "5")) is None


@pytest.mark.parametrize("flag", ["--max=9", "--max-it=9", "--max_it 9", "--no_max=9", "--see=3", "--output=x"])
def test_the_beginning_of_a_reserved_option_is_refused(lab, flag):
    """argparse would take it for the option of the command; a script that writes out an option of that name has one."""
    command = "python train.py --seed={seed} --max_iters={steps} --out_dir={output_dir} {flags}"
    trainer, _ = lab("import argparse", command=command)
    why = trainer.rejects(spec(flag)) or ""
    assert "may be read as --" in why
    assert "which is reserved" in why
    name = flag.replace("-", "_").replace("__no_", "__").lstrip("_").partition("=")[0].partition(" ")[0]
    own = f"argparse.ArgumentParser().add_argument('--{name}')"
    assert lab(f"import argparse\n{own}", command=command)[0].rejects(spec(flag)) is None


PARSER = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--rope", action="store_true")
parser.add_argument("--lr", "--learning-rate", type=float)
"""


def test_an_unknown_flag_is_found_before_the_first_run(lab):
    """Options are read from the script's source; where that may not show all of them, nothing is refused."""
    trainer, _ = lab(PARSER + "args = parser.parse_args(flags)")
    assert trainer.rejects(spec("--rope", "--learning_rate=3")) is None
    assert (trainer.rejects(spec("--ro")) or "").endswith("has no option --ro; did you mean --rope?")
    assert (trainer.rejects(spec("--ropee")) or "").endswith("has no option --ropee; did you mean --rope?")
    for unsure in ("args, rest = parser.parse_known_args(flags)", "add_more(parser)", "parser.add_argument(name)"):
        assert lab(PARSER + unsure)[0].rejects(spec("--ropee")) is None


WRONG = [
    (
        {"command": "python train.py {output_dir} {flags}"},
        r"no \{seed\}.*exprun_env = SEED=\{seed\}.*torch.manual_seed",
    ),
    ({"command": "python train.py {seed} {flags}"}, r"no \{output_dir\}.*--out_dir=\{output_dir\}"),
    ({"command": "python train.py {seed} {output_dir}"}, r"\{flags\} must be there as a word of its own"),
    ({"command": "python train.py {seed} {output_dir} x{flags}"}, r"\{flags\} must be there as a word of its own"),
    ({"command": COMMAND + " {sed}"}, r"\{sed\} is no placeholder: there are \{seed\}"),
    ({"command": COMMAND + " {seed"}, "allowed is a command with"),
    ({"command": COMMAND + " '"}, "No closing quotation"),
    ({"command": COMMAND, "budget": ""}, r"neither \{train_tokens\} nor \{steps\}.*exprun_budget = 2000 steps"),
    ({"command": COMMAND + " {steps}", "budget": "", "tokens": "1000"}, "exprun_tokens_per_step is not set"),
    ({"command": COMMAND + " {seconds}"}, r"\{seconds\} is unknown where exprun_budget is an amount of steps"),
    ({"command": COMMAND, "budget": "5 minutes"}, "allowed is an amount and its unit"),
    ({"command": COMMAND, "budget": "0 steps"}, "allowed is an amount and its unit"),
    ({"command": COMMAND, "tokens": "5"}, "exprun_tokens and exprun_budget both"),
    ({"command": COMMAND, "trainer": "train:main"}, "exprun_trainer = train:main and exprun_command both"),
    ({"command": "", "trainer": ""}, "nothing says what to train"),
    ({"command": "", "env": "A=1"}, "exprun_env is about the training command"),
    ({"command": COMMAND, "env": "A"}, "'A' is no NAME=value"),
    ({"command": COMMAND, "pattern": "loss ([0-9.]+)"}, "it has no named group"),
    ({"command": COMMAND, "pattern": "loss (?P<loss>[0-9.]+)"}, "no group for the metric that decides, val_loss"),
    ({"command": COMMAND, "pattern": "loss (?P<val_loss>[0-9"}, "no regular expression: "),
    ({"command": COMMAND, "log_format": "nano"}, "allowed is auto, protocol, nanogpt"),
]


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_a_command_that_cannot_work_is_refused_at_the_start(tmp_path, given, message):
    """One line says what is missing and what to write."""
    with pytest.raises(SettingsError, match=message) as error:
        Settings.read({"budget": "2 steps"} | given, tmp_path)
    assert "\n" not in str(error.value)


def test_settings_of_a_command_survive_the_way_to_another_process(tmp_path):
    """`to_json` and `from_json` keep command and budget."""
    settings = Settings.read({"budget": "30 seconds", "command": COMMAND, "env": "A={seed}"}, tmp_path)
    assert Settings.from_json(settings.to_json(), tmp_path) == settings


# Output and end.


def test_both_streams_are_heard_in_whole_lines(lab):
    """A progress bar on standard error does not tear a line of standard output; each point is heard as it is printed."""
    trainer, out = lab(
        """
for step in range(3):
    sys.stderr.write(f"\\r{step} / 3 it"); sys.stderr.flush()
    sys.stdout.write(f"step {step}: train loss 1.0, "); sys.stdout.flush()
    sys.stderr.write("\\r100%|####"); sys.stderr.flush()
    sys.stdout.write(f"val loss {2 - step / 4}\\n"); sys.stdout.flush()
"""
    )
    points = []
    result = trainer.run(spec(), out, points.append)
    assert [point.step for point in points] == [0, 1, 2]
    assert result.metrics == {"train_loss": 1.0, "val_loss": 1.5}
    assert result.curve == tuple(points)


def test_a_last_line_without_end_is_read(lab):
    """The output may stop without a newline; a carriage return ends a line too."""
    trainer, out = lab("sys.stdout.write('  5%|#\\rval_loss: 1.5\\rval_loss: 1.25')")
    assert trainer.run(spec(), out, ignore).metrics == {"val_loss": 1.25}


def test_a_nan_is_a_diverged_run(lab):
    """A loss that is not finite is None, and the run diverged."""
    trainer, out = lab("print('val_loss: 1.5'); print('val_loss: nan')")
    result = trainer.run(spec(), out, ignore)
    assert (result.status, result.metrics) == ("diverged", {"val_loss": None})


def test_a_failed_command_is_named_with_its_status_and_its_last_lines(lab):
    """One line has command, seed, flags, exit status, the last line of the output and where all of it is; the log is there."""
    message = failure(lab, "print('val_loss: 1.5'); print('boom', file=sys.stderr); sys.exit(3)", "--rope")
    told, _, path = message.partition("; all of it: ")
    assert told in (
        "command python train.py '{seed}' '{output_dir}' '{flags}' (exprun_command): seed 42 of --rope: ended with exit status 3"
        f"; its output ended: {last}"
        for last in ("boom", "val_loss: 1.5")
    )
    log = Path(path)
    assert log.parent.name == "logs"
    assert set(log.read_text().split("\n")) >= {"boom", "val_loss: 1.5"}


def test_a_traceback_and_a_kill_are_told_apart(lab):
    """An exception ends with status 1 and its traceback; a signal is named."""
    assert "ended with exit status 1" in failure(lab, "raise ValueError('bad shape')")
    assert "ValueError: bad shape" in failure(lab, "raise ValueError('bad shape')")
    assert "was killed by SIGKILL" in failure(lab, "os.kill(os.getpid(), signal.SIGKILL)")


def test_a_silent_script_is_told_what_to_print(lab):
    """Exit status 0 and no loss: the message says what to print or set."""
    message = failure(lab, "print('hello')")
    assert "printed no val_loss in a known format. Print lines like 'Step 100 | val_loss: 2.3456'" in message
    assert "exprun_pattern" in message


def test_logs_of_finished_runs_go(lab, tmp_path):
    """Only the log of a run that failed is kept."""
    trainer, out = lab("print('val_loss: 1.5')")
    trainer.run(spec(), out, ignore)
    assert not list((tmp_path / ".exprun" / "logs").glob("*.log"))


def test_a_program_that_is_not_there(lab, tmp_path):
    """The program and where it was looked for are named, and so is a folder that is not there."""
    assert "there is no program nosuchprogram" in failure(lab, "", command="nosuchprogram {seed} {output_dir} {flags}")
    assert "cannot be started in" in failure(lab, "", cwd="nowhere")
    assert tmp_path.exists()


def test_a_command_past_its_time_limit_is_ended(lab):
    """exprun_timeout ends it, also where it sleeps; the message says so."""
    message = failure(lab, "print('val_loss: 1.5', flush=True); time.sleep(3600)", timeout="0.5")
    assert "ran longer than exprun_timeout = 0.5 s" in message


def alive(pid: int) -> bool:
    """Whether a process lives, zombies not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


LEAVES = """
detached = flags == ["--detached"]
code = "import time; print('alive', flush=True); time.sleep(3600)"
child = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=detached)
open("child", "w").write(str(child.pid))
print("val_loss: 1.5", flush=True)
"""


@pytest.mark.parametrize("flag", ["--same", "--detached"])
def test_processes_left_behind_are_ended(lab, tmp_path, flag):
    """A child that outlives the command and holds its output open neither hangs the run nor lives on, in a session of its own or not."""
    trainer, out = lab(LEAVES)
    result = trainer.run(spec(flag), out, ignore)
    assert result.provenance["processes_left_behind"] == 1
    assert not alive(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_a_listener_raises_ends_the_command(lab, tmp_path, monkeypatch, error):
    """Ctrl-C reaches the script and everything it started; so does a verification that sees a difference."""
    body = (
        LEAVES
        + """
def told(number, frame):
    open("told", "w").write(str(number)); sys.exit(0)
signal.signal(signal.SIGINT, told); signal.signal(signal.SIGTERM, told)
print("step 1: train loss 1.0, val loss 1.5", flush=True)
time.sleep(3600)
"""
    )
    monkeypatch.setattr(supervision, "GRACE_SECONDS", 300)  # both go when they are told to
    trainer, out = lab(body.replace('print("val_loss: 1.5", flush=True)', ""))

    def stop(_point):
        raise error

    with pytest.raises(error):
        trainer.run(spec(), out, stop)
    assert (tmp_path / "told").read_text() == str(int(signal.SIGINT if error is KeyboardInterrupt else signal.SIGTERM))
    assert not alive(int((tmp_path / "child").read_text()))


def test_very_much_output_is_heard_with_bounded_memory_and_log(lab):
    """Twelve megabytes, one line of them without end, leave a small log and a small part on standard output; the loss is found."""
    message = failure(
        lab,
        "sys.stdout.write('x' * 3_000_000 + '\\n')\nfor _ in range(9): sys.stdout.write('noise of a script\\n' * 58_000)\n"
        "print('val_loss: 1.5'); sys.exit(3)",
    )
    log = Path(message.rpartition("all of it: ")[2])
    assert log.stat().st_size < LIMIT + TAIL + 1000
    assert log.read_text().endswith("val_loss: 1.5\n")


GIGABYTE = """
import os, resource, sys
from pathlib import Path
from pytest_exprun.running.training.command import CommandTrainer
from pytest_exprun.terms.model import Budget, RunSpec, Variant
from pytest_exprun.settings.settings import Settings

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # MiB

root = Path(sys.argv[1])
settings = Settings.read({"command": "python train.py {seed} {output_dir} {flags}", "budget": "2 steps"}, root)
trainer, before, logs = CommandTrainer(settings), peak(), []
look = lambda point: logs.extend(path.stat().st_size for path in root.glob(".exprun/logs/*.log"))
result = trainer.run(RunSpec(Variant(), 42, Budget(2, "steps")), root, look)
print(result.metrics["val_loss"], len(result.curve), peak() - before, max(logs), file=sys.stderr)
"""


@pytest.mark.slow
def test_a_gigabyte_of_output_is_heard_with_bounded_memory_and_log(tmp_path):
    """Ten million lines, a loss among every hundred thousand: the last one counts; a session grows by a few megabytes."""
    body = """
noise = ("a line of noise that a training script prints " * 3)[:99] + "\\n"
for step in range(100):
    sys.stdout.write(noise * 100_000)
    print(f"Step {step} | val_loss: {5 - step / 100}")
"""
    (tmp_path / "train.py").write_text(SCRIPT + body, encoding="utf-8")
    command = [sys.executable, "-c", GIGABYTE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=3000)
    loss, points, grown, log = done.stderr.split()[-4:]
    assert (float(loss), int(points)) == (4.01, 100)
    assert int(grown) < 64
    assert int(log) == LIMIT
    assert len(done.stdout) < SHOWN_BYTES + 200


def test_only_the_beginning_of_the_output_is_shown(lab, capsys):
    """What pytest captures is bounded too."""
    trainer, out = lab("for _ in range(30_000): print('noise of a script')\nprint('val_loss: 1.5')")
    assert trainer.run(spec(), out, ignore).metrics == {"val_loss": 1.5}
    shown = capsys.readouterr().out
    assert len(shown) < SHOWN_BYTES + 200
    assert shown.endswith("[the rest of the output is not shown]\n")


def test_cpu_time_is_the_childs(lab):
    """cpu_time counts what the command and its own children used."""
    body = "until = time.process_time() + 0.4\nwhile time.process_time() < until: pass\nprint('val_loss: 1.5')"
    trainer, out = lab(body)
    assert trainer.run(spec(), out, ignore).provenance["cpu_time"] >= 0.3


# Metrics files.


def test_the_metrics_file_is_named_for_each_run(lab):
    """What it holds is the result, whatever is printed."""
    body = "open(out + '/m.json', 'w').write('{\"val_loss\": 1.5, \"note\": \"x\"}'); print('val_loss: 9.5')"
    trainer, out = lab(body, metrics_file="{output_dir}/m.json")
    result = trainer.run(spec(), out, ignore)
    assert (result.metrics, result.notes) == ({"val_loss": 1.5}, {"note": "x"})


def test_a_metrics_file_of_an_earlier_run_is_no_result(lab, tmp_path):
    """A file outside the run's folder counts only if this run wrote it."""
    (tmp_path / "results.json").write_text('{"val_loss": 9.5}')
    assert "wrote none, or left the one of an earlier run" in failure(lab, "", metrics_file="results.json")


def test_lightnings_table_is_found_below_the_output_folder(lab):
    """exprun_log_format = lightning looks for metrics.csv wherever CSVLogger put it."""
    table = "open(out + '/lightning_logs/version_0/metrics.csv', 'w').write('step,val_loss\\n1,1.5\\n')"
    body = f"os.makedirs(out + '/lightning_logs/version_0')\n{table}"
    trainer, out = lab(body, log_format="lightning")
    assert trainer.run(spec(), out, ignore).metrics == {"step": 1, "val_loss": 1.5}


# What a run is heard reading.


READS = """
import os
name = "".join(["da", "ta"])
LOSS = float(open(os.path.join(name, "train" + ".txt")).read())
print("val_loss:", LOSS + seed / 1e6)
"""


def test_a_file_that_only_the_run_knows_is_noticed(pytester):
    """What the command's Python opens by a computed name is stored with the run: when it changes, the run does not stand."""
    (pytester.path / "data").mkdir()
    (pytester.path / "data" / "train.txt").write_text("2.5")
    (pytester.path / "train.py").write_text(SCRIPT + READS)
    pytester.makeini(f"[pytest]\nexprun_command = {COMMAND}\nexprun_budget = 2 steps\nexprun_plots = off\n")
    pytester.makepyfile(test_it="def test_it(baseline):\n    print('MEAN', round(baseline['val_loss'].mean, 2))")
    pytester.runpytest_inprocess("-s").stdout.fnmatch_lines(["*MEAN 2.5"])
    assert pytester.runpytest_inprocess("--exprun-mode=frozen").ret == 0
    (pytester.path / "data" / "train.txt").write_text("1.5")
    assert pytester.runpytest_inprocess("--exprun-mode=frozen").ret != 0
    pytester.runpytest_inprocess("-s").stdout.fnmatch_lines(["*MEAN 1.5"])


def test_listening_changes_nothing_for_the_script(lab, tmp_path, monkeypatch):
    """The import path is as without us, the user's own sitecustomize runs, and so do Pythons that the script starts."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("MINE = 1\n")
    (tmp_path / "data.txt").write_text("x")
    body = """
import sitecustomize
assert sitecustomize.MINE == 1 and sitecustomize.__file__.endswith("site/sitecustomize.py")
assert not any("exprun-" in entry for entry in sys.path)
subprocess.run([sys.executable, "-c", "open('data.txt').read(); open('made.txt', 'w')"], check=True)
print("val_loss: 1.5")
"""
    heard = OpenedFiles()
    trainer, out = lab(body, env="PYTHONPATH=site")
    assert trainer.run(spec(), out, ignore).metrics == {"val_loss": 1.5}
    monkeypatch.setattr("pytest_exprun.running.training.command.OPENED", heard)
    with heard.recording(tmp_path):
        trainer.run(spec(), out, ignore)
    assert tmp_path / "data.txt" in heard.files(tmp_path)
    assert heard.is_written(tmp_path / "made.txt")


# From end to end.


def test_a_command_from_flag_to_verdict(pytester):
    """Five and three runs, a verdict, a report with a command that can be typed; the second session trains nothing."""
    body = """
import random
open("runs", "a").write("x")
loss = 2 + random.Random(seed).gauss(0, 0.01) - 0.5 * ("--rope" in flags)
print(f"step 1: train loss 1.0, val loss {loss:.4f}")
"""
    (pytester.path / "train.py").write_text(SCRIPT + body, encoding="utf-8")
    pytester.makeini(f"[pytest]\nexprun_command = {COMMAND}\nexprun_budget = 2 steps\nexprun_plots = off\n")
    pytester.makepyfile(
        test_it="from pytest_exprun import experiment\n@experiment('--rope', gate='winner')\ndef test_rope(): ..."
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert (pytester.path / "runs").read_text() == "x" * 8
    report = (pytester.path / "docs/research/experiment_rope_2-steps.md").read_text()
    assert "\npython train.py 42 checkpoints/again --rope\n" in report
    pytester.runpytest_inprocess("-p", "no:cacheprovider", "--exprun-mode=frozen").assert_outcomes(passed=1)
    assert (pytester.path / "runs").read_text() == "x" * 8


CLOCKS = {
    "protocol": "Step {step} | val_loss: {loss:.4f} | dt: {clock:.3f} | step_avg: {clock:.1f} | tps: {clock:.0f} | elapsed: {clock:.2f}",
    "huggingface": "{{'eval_loss': {loss:.4f}, 'eval_runtime': {clock:.4f}, 'eval_samples_per_second': {clock:.3f}, 'epoch': {step}.0}}",
}


@pytest.mark.parametrize("log_format", CLOCKS)
def test_a_changed_script_is_judged_by_the_digits_that_it_prints(pytester, log_format):
    """Clocks may differ, and digits that are not printed; the fourth digit of a loss may not, even at a single step."""
    script = pytester.path / "train.py"
    text = f"""{SCRIPT}
import random
draw = random.Random(seed).random()
for step in range(1, 4):
    loss, clock = 2 + draw + 1 / step, time.time() % 1000
    print({CLOCKS[log_format]!r}.format(step=step, loss=loss, clock=clock))
os.makedirs(".traces", exist_ok=True)
open(os.path.join(".traces", "runs"), "a").write("x")
"""
    script.write_text(text, encoding="utf-8")
    own = "exprun_clocks = dt step_avg tps elapsed" if log_format == "protocol" else ""
    pytester.makeini(f"[pytest]\nexprun_command = {COMMAND}\nexprun_budget = 2 steps\nexprun_plots = off\n{own}\n")
    pytester.makepyfile(test_it="def test_it(baseline): ...")
    runs = pytester.path / ".traces" / "runs"
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
    assert len(runs.read_text()) == 5
    script.write_text(text.replace("1 / step,", "1 / step + 1e-9,"), encoding="utf-8")
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["*is the same as far as it prints, so the other stored seeds stand"])
    assert not [line for line in result.outlines if line.startswith("note: ")]
    assert len(runs.read_text()) == 6
    script.write_text(text.replace("1 / step,", "1 / step + 2e-4 * (step == 2),"), encoding="utf-8")
    result = pytester.runpytest_inprocess()
    result.stdout.fnmatch_lines(["note: baseline (no flags): the change matters (*val_loss at step 2 *"])
    assert len(runs.read_text()) - 6 - 5 in (
        0,
        1,
    )  # the run that shows the difference is stopped there, sometimes before it notes itself
