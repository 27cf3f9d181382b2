"""What looks like a secret is a digest in everything that is shown or stored, and itself only for the run."""

from __future__ import annotations

import json
import re

import pytest

from pytest_exprun.terms import secrets
from pytest_exprun.terms.errors import TrainerError
from pytest_exprun.terms.model import RunSpec, Variant, revealed
from pytest_exprun.terms.secrets import Stream, conceal, conceal_all, concealed

VALUE = "sk-Live/0123+abc=="
PROCESSES = ("--exprun-executor=processes",)
COMMAND = (
    "--exprun-command=python toy.py --train_tokens={train_tokens} --seed={seed} --output_dir={output_dir} {flags}",
    "--exprun-trainer=",
)


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(secrets, "_TRUE", {})


@pytest.mark.parametrize(
    "word",
    [
        "--wandb_key",
        "--api-key",
        "--apikey",
        "--hf_token",
        "HF_TOKEN",
        "--db.password",
        "--wandbKey",
        "--auth",
        "--my_credentials",
    ],
)
def test_secrets_are_known_by_the_last_word_of_their_name(tmp_path, word):
    """As an option, a variable, in one word or two; the run gets the value back."""
    (shown,) = concealed([f"{word}={VALUE}"], tmp_path)
    assert re.fullmatch(re.escape(word) + "=hidden-[0-9a-f]{16}", shown)
    assert revealed([shown]) == [f"{word}={VALUE}"]
    assert concealed([shown], tmp_path) == (shown,)
    if word.startswith("--"):
        assert concealed([word, VALUE], tmp_path) == tuple(shown.split("="))


@pytest.mark.parametrize(
    "word",
    [
        "--key_shift=abcdefghij",
        "--num_tokens=3",
        "--num_token=30000000",
        "--tokenizer=gpt2-large",
        "--n_kv_heads=1",
        "--use_token=true",
        "--key=short",
        "--vocab_key=data/words.txt",
        "--auth={output_dir}",
        "--monkey=abcdefghij",
    ],
)
def test_what_is_none_stays(tmp_path, word):
    """Numbers, short words, paths that exist, placeholders, and names in which the word stands elsewhere."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").touch()
    assert concealed([word], tmp_path) == (word,)
    assert secrets.remembered() == {}


def test_a_digest_tells_values_and_options_apart(tmp_path):
    """Dashes and underscores spell one option."""
    one, same, other, elsewhere = concealed(
        ["--api-key=abcdefgh1", "--api_key=abcdefgh1", "--api_key=abcdefgh2", "--hf_token=abcdefgh1"], tmp_path
    )
    assert Variant((one,)).identity == Variant((same,)).identity
    assert len({word.partition("=")[2] for word in (one, other, elsewhere)}) == 3


def test_a_run_shows_the_digest_and_gets_the_value(tmp_path):
    """`argv` is for the run; a stored run whose secret nobody named in this session cannot be performed again."""
    spec = RunSpec(Variant(concealed([f"--api_key={VALUE}"], tmp_path)), 42)
    assert f"--api_key={VALUE}" in spec.argv("out")
    assert VALUE not in json.dumps(spec.to_json()) + str(spec.variant) + spec.variant.slug + " ".join(spec.words("out"))
    secrets._TRUE.clear()
    with pytest.raises(TrainerError, match="only a digest of this secret is stored"):
        spec.argv("out")


def test_foreign_text_is_searched(tmp_path):
    """What others wrote repeats the value: errors, notes, output in pieces."""
    concealed([f"--api_key={VALUE}"], tmp_path)
    assert VALUE not in str(TrainerError(f"bad key {VALUE}!"))
    hidden = conceal(VALUE)
    assert conceal_all({"config": [{VALUE: (f"a{VALUE}", 1)}]}) == {"config": [{hidden: (f"a{hidden}", 1)}]}
    for size in (1, 5, 100):
        stream, text = Stream(), f"a {VALUE}{VALUE} b".encode()
        pieces = [stream.take(text[at : at + size]) for at in range(0, len(text), size)]
        assert b"".join([*pieces, stream.rest()]).decode() == f"a {conceal(VALUE)}{conceal(VALUE)} b"


def _spoken(project) -> str:
    """Return the names and contents of all files that a session left, those that the test wrote left out."""
    own = {"toy.py", "pytest.ini", "test_rope.py", "runs"}
    files = [path for path in project.pytester.path.rglob("*") if path.is_file() and path.name not in own]
    assert any(path.name == "seed-42.json" for path in files)
    texts = [path.read_bytes().decode("utf-8", "replace") for path in files if path.suffix != ".pyc"]
    return "\n".join([*map(str, files), *texts])


@pytest.mark.parametrize("how", [(), PROCESSES, COMMAND], ids=["inprocess", "processes", "command"])
def test_no_file_and_no_line_of_a_session_has_it(toy_project, how):
    """Records, folders, locks, logs, reports, junit and the terminal; the same secret finds its runs, another is another arm."""
    toy = toy_project.pytester.path / "toy.py"
    text = toy.read_text(encoding="utf-8").replace(
        '    parser.add_argument("--noop"', '    parser.add_argument("--api_key")\n    parser.add_argument("--noop"'
    )
    text = text.replace('"note": "toy"', '"note": args.api_key').replace(
        "    time.sleep(args.slow)",
        "    time.sleep(args.slow)\n    print('with', args.api_key)\n    __import__('sys').stderr.write(args.api_key)",
    )
    text += "\n\nif __name__ == '__main__':\n    import sys\n    main(sys.argv[1:])\n"
    toy.write_text(text, encoding="utf-8")
    again = f'@experiment("--rope", "--api_key={VALUE}")\ndef test_it(): ...'
    toy_project.write(again + f'\n@experiment("--crash_at=42", "--api_key={VALUE}")\ndef test_broken(): ...')
    result = toy_project.run_fresh("--junitxml=junit.xml", f"--exprun-args=--api_key={VALUE}x", "-v", "-rA", *how)
    result.assert_outcomes(passed=1, errors=1)
    assert f"--api_key={VALUE}" in toy_project.runs[-1].split()
    assert VALUE not in result.stdout.str() + result.stderr.str() + _spoken(toy_project)
    assert "hidden-" in result.stdout.str()
    toy_project.write(again)
    trained = len(toy_project.runs)
    toy_project.run_fresh(f"--exprun-args=--api_key={VALUE}x", *how).assert_outcomes(passed=1)
    assert len(toy_project.runs) == trained
    toy_project.write(again.replace(VALUE, "another-secret"))
    toy_project.run_fresh(f"--exprun-args=--api_key={VALUE}x", *how).assert_outcomes(passed=1)
    assert len(toy_project.runs) == trained + 3
