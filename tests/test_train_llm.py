"""The reference trainer: exact token counts, bitwise repeats, a fixed validation sample."""

import json
import math

import pytest
import torch

import train_llm

NANO = ["--size", "nano", "--data", "synthetic"]


def run(*flags, tokens=3000, seed=1):
    """Train a nano model on the synthetic text."""
    return train_llm.main(["--train_tokens", str(tokens), "--seed", str(seed), *NANO, *flags])


def stable(metrics):
    """Return what two runs of one seed must agree in: everything but the clocks."""
    clocks = {"wall_time", "cpu_time", "tokens_per_second", "mfu", "gemm_peak"}
    return {name: value for name, value in metrics.items() if name not in clocks}


def given(count, size="nano", **settings):
    """Return the batches of a run over `count` tokens."""
    config = train_llm.configure(["--train_tokens", str(count), "--size", size, "--data", "synthetic"])
    vars(config).update(settings)
    return list(train_llm.batches(train_llm.load_corpus("synthetic"), config))


@pytest.mark.parametrize("count", [1, 63, 64, 65, 511, 512, 513, 3000])
def test_exactly_the_budget_is_trained_on(count):
    """The targets that are not masked number exactly train_tokens, for budgets of one token, one row, and odd ends."""
    parts = given(count)
    assert sum(int((targets >= 0).sum()) for _, targets, _ in parts) == count
    assert sum(n for _, _, n in parts) == count


def test_masked_targets_give_no_gradient():
    """The loss of a partly masked batch is the sum over the unmasked targets alone."""
    config = train_llm.configure([*NANO, "--train_tokens", "1"])
    model = train_llm.GPT(config)
    tokens, targets = torch.arange(64).view(1, 64), torch.arange(1, 65)
    whole = model(tokens, targets)
    first, rest = targets.clone(), targets.clone()
    first[10:], rest[:10] = -1, -1
    assert torch.allclose(model(tokens, first) + model(tokens, rest), whole)


def test_one_token_run_returns_a_loss():
    """A budget of one token trains one step."""
    metrics = run(tokens=1)
    assert metrics["train_tokens"] == 1
    assert math.isfinite(metrics["val_loss"])


def test_same_seed_is_bitwise_equal_after_other_runs():
    """A run repeats to the last bit in one process, also after runs with other flags."""
    first = run()
    run("--rope", "--dropout", "0.1", seed=2)
    assert stable(run()) == stable(first)


def test_process_state_is_left_alone():
    """A run reads and changes no global generator, thread count, grad mode or default type."""
    before = torch.get_rng_state()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    with torch.no_grad():
        run("--dropout", "0.1", tokens=600)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    assert (torch.get_num_threads(), torch.get_default_dtype()) == (threads, dtype)


@pytest.mark.parametrize("flags", [["--rope"], ["--batch_size", "4"], ["--dropout", "0.5"]])
def test_same_seed_is_same_data_order(flags):
    """The stream of training tokens depends on the seed alone, not on flags or batch size."""
    config = train_llm.configure([*NANO, "--train_tokens", "2048", *flags])
    stream = torch.cat([tokens for tokens, _, _ in train_llm.batches(train_llm.load_corpus("synthetic"), config)])
    assert torch.equal(stream, torch.cat([tokens for tokens, _, _ in given(2048)]))


def test_metrics_file_holds_what_is_returned(tmp_path):
    """metrics.json in the output folder equals the returned mapping."""
    metrics = run("--output_dir", str(tmp_path / "x"), tokens=600)
    assert json.loads((tmp_path / "x" / "metrics.json").read_text()) == metrics


def test_divergence_ends_the_run_early_as_nan(capsys):
    """A learning rate that blows up is returned as NaN, with fewer tokens trained."""
    metrics = run("--lr_scale", "1e30", "--grad_clip", "0", tokens=20_000)
    assert math.isnan(metrics["val_loss"])
    assert metrics["train_tokens"] < 20_000
    assert "val_loss: nan" in capsys.readouterr().out


def test_last_progress_line_carries_the_final_loss(capsys):
    """The last `Step` line's val_loss is the returned one, to the digits printed."""
    metrics = run()
    line = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Step ")][-1]
    assert f"val_loss: {metrics['val_loss']:.4f} |" in line


def test_no_prefix_takes_a_flag_away_and_dashes_are_underscores():
    """`--rope --no-rope` is the baseline, and `--qk-norm` is `--qk_norm`."""
    assert not train_llm.configure(["--rope", "--no-rope"]).rope
    assert train_llm.configure(["--qk-norm"]).qk_norm


def test_unknown_flag_is_an_argparse_error(capsys):
    """A flag that does not exist, also an abbreviation, ends with exit status 2 and its name."""
    with pytest.raises(SystemExit) as error:
        train_llm.main(["--rop"])
    assert error.value.code == 2
    assert "--rop" in capsys.readouterr().err


def test_too_little_data_is_refused():
    """More tokens than the stated number of epochs allow is one clear line."""
    with pytest.raises(SystemExit, match="epochs"):
        run(tokens=100_000_000)
