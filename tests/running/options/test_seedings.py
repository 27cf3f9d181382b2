"""Every call that seeds is found, and told apart: told its seed from outside, or fixed by a number somewhere."""

from __future__ import annotations

import pytest

from pytest_exprun.running.options.seedings import Sources


def read(folder, sources, **options):
    """Write files and read them; the first is train.py."""
    files = {"train.py": sources} if isinstance(sources, str) else sources
    for name, text in files.items():
        (folder / name).write_text(text)
    return Sources.read([folder / name for name in files], **options)


@pytest.mark.parametrize(
    "call",
    [
        *("random.seed({})", "np.random.seed({})", "np.random.default_rng({})", "np.random.RandomState({})"),
        *("torch.manual_seed({})", "torch.cuda.manual_seed({})", "torch.cuda.manual_seed_all({})"),
        *("jax.random.PRNGKey({})", "jax.random.key({})", "tf.random.set_seed({})", "keras.utils.set_random_seed({})"),
        *(
            "seed_everything({})",
            "L.seed_everything({}, workers=True)",
            "set_seed({})",
            "transformers.set_seed(seed={})",
        ),
        *(
            "env.reset(seed={})",
            "RandomForestClassifier(random_state={})",
            "random.Random({})",
            "env.action_space.seed({})",
        ),
        *("TrainingArguments(output_dir='out', seed={})", "torch.Generator().manual_seed({})"),
    ],
)
def test_every_call_that_seeds_is_known(tmp_path, call):
    """With a number it is fixed; with an option or a variable it is told."""
    (fixed,) = read(tmp_path, call.format(7)).seedings()
    assert (fixed.line, fixed.fixed.text) == (1, "7")
    for told in ("args.seed", "cfg['seed'] + rank", "int(os.environ['SEED'])", "int(os.getenv('RUN_SEED', '3')) + 1"):
        (seeding,) = read(tmp_path, call.format(told)).seedings()
        assert seeding.fixed is None


@pytest.mark.parametrize(
    ("source", "line", "number"),
    [
        ("rank = 0\noffset = rank\ntorch.manual_seed(1337 + offset)", 3, "1337"),
        ("torch.manual_seed(2 * rank + 42)", 1, "42"),
        ("def main(rank):\n    torch.manual_seed(8 + rank)", 2, "8"),
        ("SEED = 42\nseed_everything(SEED)", 1, "42"),
        ("def main():\n    seed = 5\n    random.seed(seed)\nmain()", 2, "5"),
        ("def fix(s=3):\n    random.seed(s)\nfix()", 1, "3"),
        ("def fix(s):\n    random.seed(s)\nfix(9)", 3, "9"),
        ("def fix(s):\n    random.seed(s)\ndef both(s):\n    fix(s)\nboth(s=9)", 5, "9"),
    ],
)
def test_a_number_is_found_where_it_is_written(tmp_path, source, line, number):
    """In the call, behind a name, in a default, or at the call of the function that seeds."""
    (found,) = {each.fixed for each in read(tmp_path, source).seedings() if each.fixed}
    assert (found.line, found.text) == (line, number)


ESTIMATOR = """class Net:
    def __init__(self, hidden=3, random_state=0):
        self.random_state = random_state

    def fit(self):
        return check_random_state(self.random_state)

"""


@pytest.mark.parametrize(("made", "fixed"), [("Net()", [(6, "0")]), ("Net(random_state=4)", [(6, "0"), (8, "4")])])
def test_an_estimator_seeds_by_the_default_of_its_parameter(tmp_path, made, fixed):
    """And by what it is made with; where a command line is read it may be told from there."""
    found = [each for each in read(tmp_path, ESTIMATOR + made, has_options=False).seedings() if each.fixed]
    assert [(each.line, each.fixed.text) for each in found] == fixed
    assert read(tmp_path, ESTIMATOR, has_options=True).seedings()[0].fixed is None


def test_a_parameter_that_is_a_seed_tells(tmp_path):
    """Whatever is added to it."""
    assert read(tmp_path, "def main(seed):\n    torch.manual_seed(seed + 1)").seedings()[0].fixed is None


def test_imported_files_count(tmp_path):
    """A seed that another file seeds with, and a number that another file has."""
    files = {
        "train.py": "from config import SEED\nprepare(SEED)",
        "config.py": "SEED = 1",
        "lib.py": "def prepare(s):\n    random.seed(s)",
    }
    found = [each for each in read(tmp_path, files).seedings() if each.fixed]
    assert [(each.path.name, each.fixed.path.name, each.fixed.line) for each in found] == [("train.py", "config.py", 1)]


@pytest.mark.parametrize(
    "source", ["class C:\n    seed: int = 4\nc = C()\nrandom.seed(c.seed)", "c = {'seed': 4}\nrandom.seed(c['seed'])"]
)
def test_a_configuration_that_nobody_sets_is_fixed(tmp_path, source):
    """Where a program reads no command line, its fields and entries are numbers like any other."""
    assert [each.fixed and each.fixed.text for each in read(tmp_path, source, has_options=False).seedings()] == ["4"]
    assert [each.fixed for each in read(tmp_path, source).seedings()] == [None]


def test_a_module_variable_that_the_command_line_sets_is_told(tmp_path):
    """As with a configurator."""
    source = "seed = 1337\ntorch.manual_seed(seed)"
    assert read(tmp_path, source, variables={"seed"}).seedings()[0].fixed is None
    assert read(tmp_path, source).seedings()[0].fixed.text == "1337"


def test_data_and_generators_are_told_from_the_rest(tmp_path):
    """A split must be the same for every seed; a generator of its own may be meant."""
    source = "import torch\ntrain_test_split(x, random_state=0)\ntorch.manual_seed(1)\nrng = np.random.default_rng(2)\ng.manual_seed(3)"
    found = [(each.makes_data, each.is_global) for each in read(tmp_path, source).seedings()]
    assert found == [(True, False), (False, True), (False, False), (False, False)]


def test_declaring_an_option_is_neither_seeding_nor_reading_it(tmp_path):
    """Only the use of its value is."""
    declared = "parser.add_argument('--seed', default=1)\nargs = parser.parse_args()\n"
    sources = read(tmp_path, declared)
    assert not sources.seedings()
    assert not sources.reads("seed")
    assert read(tmp_path, declared + "go(args.seed)").reads("seed")
    assert read(tmp_path, declared + "go(vars(args)['seed'])").reads("seed")
