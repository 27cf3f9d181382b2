"""The reference trainer: exact token counts, bitwise repeats, a fixed validation sample."""

import functools
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train_llm
from experiments.llm import data, optim

ROOT = Path(__file__).parents[1]

NANO = ["--size", "nano", "--data", "synthetic"]


@pytest.fixture(autouse=True)
def _short_validation(monkeypatch):
    """Judge on a sixty-fourth of the sample: most tests ask for no more."""
    monkeypatch.setattr(train_llm, "load_corpus", short_corpus)


def short_corpus(source):
    """Return the corpus with the start of its validation sample only."""
    corpus = data.load_corpus(source)
    return corpus._replace(val=corpus.val[:2049])


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
    return list(data.batches(data.load_corpus("synthetic"), config))


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
    stream = torch.cat([tokens for tokens, _, _ in data.batches(data.load_corpus("synthetic"), config)])
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


def test_fresh_process_repeats_the_run_bit_by_bit():
    """A new interpreter gives the same final loss to the last bit."""
    flags = ["--train_tokens", "3000", "--seed", "1", *NANO]
    code = f"import train_llm; print(repr(train_llm.main({flags!r})['train_loss']))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert float(printed.splitlines()[-1]) == run()["train_loss"]


def test_attention_is_causal():
    """A later byte never changes an earlier prediction."""
    config = train_llm.configure([*NANO, "--recipe", "modern", "--value_embed"])
    model = train_llm.GPT(config)
    tokens = torch.randint(256, (1, 64), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 40] = (tokens[0, 40] + 1) % 256
    targets = torch.full((64,), -1)
    targets[:40] = 7
    assert torch.equal(model(tokens, targets), model(changed, targets))


FLAGS = [
    "--rope",
    "--qk_norm",
    "--key_shift",
    "--value_embed",
    "--rmsnorm",
    "--post_norm",
    "--parallel_block",
    "--relu2",
    "--swiglu",
    "--no_final_norm",
    "--no_weight_tying",
    "--muon",
    "--ema=0.9",
    "--softcap=5",
    "--ngram_embed=3",
    "--dropout=0.1",
    "--schedule=linear",
    "--weight_decay=0",
    "--grad_clip=0.1",
    "--warmup=0.5",
    "--lr_scale=2",
    "--batch_size=4",
]


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_changes_the_first_steps(flag):
    """No flag is without effect: the training losses, or with --ema the validation loss, differ from the baseline's."""
    losses = []
    for flags in ([], [flag]):
        config = train_llm.configure([*NANO, "--train_tokens", "2048", *flags])
        model, corpus = train_llm.GPT(config), short_corpus("synthetic")
        losses.append(train_llm.train(model, corpus, config)["val_loss"])
    assert losses[0] != losses[1]
    assert all(map(math.isfinite, losses))


MODERN_FLAGS = [
    *("--no_rope", "--no_qk_norm", "--no_key_shift", "--no_rmsnorm", "--no_relu2", "--no_muon", "--ngram_embed=0"),
    *("--value_embed", "--post_norm", "--parallel_block", "--no_final_norm", "--no_weight_tying", "--softcap=5"),
    *("--ema=0.9", "--dropout=0.1", "--n_kv_heads=1", "--swiglu --no_relu2"),
]


@functools.cache
def modern_loss(*flags):
    """Validation loss after the first steps at the protocol's shape, where widths are no round numbers."""
    config = train_llm.configure(["--recipe=modern", "--batch_size=2", "--train_tokens=768", *flags])
    return train_llm.train(train_llm.GPT(config), short_corpus("synthetic"), config)["val_loss"]


@pytest.mark.parametrize("flags", MODERN_FLAGS)
def test_every_flag_works_beside_the_modern_recipe(flags):
    """Every variant of the recipe trains, and differs from it."""
    assert modern_loss(*flags.split()) != modern_loss()
    assert math.isfinite(modern_loss(*flags.split()))


def test_n_kv_heads_shares_keys_and_values():
    """Fewer key and value heads mean fewer parameters, and the heads must divide."""
    assert len(train_llm.GPT(train_llm.configure(["--n_kv_heads", "1"])).blocks[0].qkv) == 256
    with pytest.raises(SystemExit):
        train_llm.configure(["--n_kv_heads", "3"])


def test_swiglu_matches_the_parameters():
    """SwiGLU has the parameter count of the perceptron it replaces, to a percent."""
    counts = [
        sum(p.numel() for p in train_llm.GPT(train_llm.configure(flags)).parameters()) for flags in ([], ["--swiglu"])
    ]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)


def test_same_weights_at_the_start_whatever_the_flags():
    """Parameters that two variants share start equal at one seed and different at another."""
    one, two, three = (
        train_llm.GPT(train_llm.configure(f))
        for f in (["--size=nano"], ["--size=nano", "--rope"], ["--size=nano", "--seed=7"])
    )
    assert torch.equal(one.blocks[1].up, two.blocks[1].up)
    assert not torch.equal(one.blocks[1].up, three.blocks[1].up)


def test_orthogonalise_brings_singular_values_near_one():
    """Five polynomials bring the singular values of a random matrix within a sixth of 1."""
    x = torch.randn(4, 16, 32, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(optim.orthogonalise(x))
    assert values.min() > 0.83
    assert values.max() < 1.17


def test_adamw_is_torchs():
    """Three steps give what torch.optim.AdamW gives."""
    ours, gradient = torch.linspace(-1, 1, 5), torch.tensor([0.1, -0.2, 0.3, 0.0, 1.0])
    theirs = torch.nn.Parameter(ours.clone())
    reference = torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.95), weight_decay=0.1)
    adam = optim.AdamW(ours, gradient, 0.01, 0.1)
    for _ in range(3):
        theirs.grad = gradient.clone()
        reference.step()
        adam.step(1.0)
    torch.testing.assert_close(ours, theirs.detach())


def test_window_order_covers_each_epoch_once():
    """Every window comes once in an epoch, and any tenth of the order touches every tenth of the corpus."""
    order = data.window_order(1000, torch.Generator().manual_seed(3))
    epoch = [next(order) for _ in range(1000)]
    assert sorted(epoch) == list(range(1000))
    assert {index // 100 for index in epoch[:100]} == set(range(10))


def test_validation_sample_is_fixed_and_spread():
    """The sample is the same for every size, and takes its share of every held-out document."""
    documents = [bytes([i]) * (1000 + i) for i in range(200)]
    sample = data.spread_sample(documents, 20_000)
    assert len(sample) == 20_000
    assert set(sample) == set(range(200))
    assert run(tokens=64)["val_data_sha256"] == run("--size", "tiny", tokens=64)["val_data_sha256"]


def test_folder_of_texts_is_read_again_when_it_changes(tmp_path):
    """A second load comes from the cache; a changed file gives another hash."""
    text = data.synthetic_text()
    for i in range(40):
        (tmp_path / f"{i}.txt").write_bytes(text[i * 50_000 : (i + 1) * 50_000])
    first = data.load_corpus(str(tmp_path))
    assert data.load_corpus(str(tmp_path)) is first
    (tmp_path / "0.txt").write_bytes(b"changed " * 5000)
    assert data.load_corpus(str(tmp_path)).data_sha256 != first.data_sha256


def test_missing_and_small_data_are_clear_errors(tmp_path):
    """A path that is not there and a text too small for a validation sample are each one line."""
    with pytest.raises(SystemExit, match="no such file"):
        data.load_corpus(str(tmp_path / "missing"))
    (tmp_path / "small.txt").write_text("too little")
    with pytest.raises(SystemExit, match="too little for validation"):
        data.load_corpus(str(tmp_path / "small.txt"))


@pytest.mark.parametrize(
    "argv", [["--dropout", "1"], ["--lr_scale", "x"], ["--heads", "3"], ["--context", "100"], ["--device", "cuda"]]
)
def test_bad_values_are_refused(argv):
    """Values outside their range, and shapes that do not fit, end with argparse's exit status."""
    if argv[-1] == "cuda" and torch.cuda.is_available():
        pytest.skip("a GPU is here")
    with pytest.raises(SystemExit) as error:
        train_llm.configure(argv)
    assert error.value.code == 2


def test_modern_recipe_yields_to_flags_beside_it():
    """A recipe only sets defaults."""
    config = train_llm.configure(["--no_rope", "--recipe=modern"])
    assert (config.rope, config.muon) == (False, True)
    assert not train_llm.configure([]).muon


def test_no_dynamo_is_imported():
    """A run does not pull in torch._dynamo, which costs a second."""
    code = f"import sys, train_llm; train_llm.main(['--train_tokens', '64', *{NANO!r}]); assert 'torch._dynamo' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
