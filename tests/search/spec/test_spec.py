"""A spec is read as people mean it, and every mistake in it is answered with its place and a remedy."""

from pathlib import Path

import pytest

import trainables.datasets
import trainables.models
from search.errors import UserError
from search.spec import sampler_rules, yaml_file
from search.spec.loader import load
from search.spec.spec import Spec
from trainables import module_folder

RIGHT = """\
name: made
data: {name: digits}
model: lenet
space:
  optimizer: {choice: [adam, sgd]}
  lr: {loguniform: [1e-4, 1e-1]}
  momentum: {uniform: [0.8, 0.99], when: {optimizer: sgd}}
  batch_size: {choice: [32, 64]}
objective: {metric: val_accuracy, mode: max}
sampler: {name: tpe, seed: 0}
scheduler: {name: asha, max_epochs: 9, grace_period: 1, reduction_factor: 3}
budget: {trials: 6}
resources: {cpu: 1, gpu: auto}
confirm: {top: 2, seeds: 2}
"""
DATA_SETS = ", ".join(module_folder.names(trainables.datasets))
MODELS = ", ".join(module_folder.names(trainables.models))
SAMPLERS = ", ".join(sampler_rules.NAMES)


@pytest.fixture
def spec_file(tmp_path: Path):
    """Writes a file with some lines replaced: `{8: "  batch_size: 3"}`; an empty text removes the line."""

    def write(changes: dict[int, str] | None = None, text: str = RIGHT) -> Path:
        lines = text.splitlines(keepends=True)
        for number, line in (changes or {}).items():
            lines[number - 1] = line and f"{line}\n"
        path = tmp_path / "made.yaml"
        path.write_text("".join(lines))
        return path

    return write


def mistakes(path: Path, *overrides: str) -> list[str]:
    """The messages about a spec, each without the file's name: `12: budget.trials: ...`."""
    with pytest.raises(UserError) as caught:
        load(path, overrides)
    messages = str(caught.value).splitlines()
    assert all(message.startswith(str(path)) for message in messages)
    return [message.removeprefix(str(path)).removeprefix(":").strip() for message in messages]


def about(messages: list[str], place: str) -> str:
    """The message that begins with `line: key:`."""
    found = [message for message in messages if message.startswith(f"{place}: ")]
    assert len(found) == 1, f"one message at {place!r} among {messages}"
    return found[0]


def test_a_right_spec_says_what_its_file_says(spec_file):
    spec = load(spec_file())
    assert (spec.name, spec.data.name, spec.models) == ("made", "digits", ("lenet",))
    assert [p.key for p in spec.space.parameters] == ["optimizer", "lr", "momentum", "batch_size"]
    assert spec.space.constants == {"model": "lenet", "epochs": 9}
    assert (spec.scheduler.max_epochs, spec.scheduler.reduction_factor) == (9, 3)
    assert (spec.budget.trials, spec.budget.hours, spec.budget.concurrent) == (6, None, "auto")
    assert (spec.confirm.top, spec.confirm.seeds, spec.kept) == (2, 2, 2)


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "spaces").glob("*.yaml")), ids=lambda path: path.name
)
def test_the_specs_that_come_with_the_project_are_right(path):
    assert load(path).trials >= 1


# The file as a whole


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", None, "must be a mapping; name, data and space; spaces/quickstart.yaml"),
        (b"# nothing yet\n", None, "must be a mapping"),
        (b"- name\n- data\n", None, "must be a mapping"),
        (b"lenet\n", None, "must be a mapping"),
        (b"name: made\ndata: [1, 2\nmodel: lenet\n", 3, "not valid YAML"),
        (b"name: made\nmodel: a: b\n", 2, "not valid YAML"),
        (b"name: made\n\tmodel: lenet\n", 2, "not valid YAML; '\\t'"),
        (b"name: made\nmodel: !!python/name:os.system\n", 2, "not valid YAML"),
        (b"name: made\nmodel: \xff\xfe\n", None, "cannot be read"),
        (b"name: made\nmodel: \x00\n", 2, "not valid YAML; '\\x00'"),
        (b"name: made\nmodel: !!int three\n", None, "not valid YAML; three"),
        (b"name: made\nspace: &space\n  lr: *space\n", 2, "levels deep; alias"),
    ],
)
def test_a_file_that_is_no_spec_is_refused_where_it_goes_wrong(tmp_path, content, line, words):
    path = tmp_path / "made.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert all(word in message for word in words.split("; "))


def test_a_file_that_is_not_there_is_named_with_where_the_others_are(tmp_path):
    path = tmp_path / "lenett.yaml"
    with pytest.raises(UserError, match=r"no such file.*spaces/") as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_spec(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path):
    path = tmp_path / "made.yaml"
    path.symlink_to(path)
    with pytest.raises(UserError, match="cannot be read"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "key", "lines"),
    [
        ({13: "budget: {trials: 9}"}, "budget", (12, 13)),
        ({8: "  lr: 0.1"}, "lr", (6, 8)),
        ({14: "confirm: {top: 2, seeds: 2, top: 3}"}, "top", (14,)),
    ],
)
def test_a_key_given_twice_is_refused_at_one_of_its_lines(spec_file, changes, key, lines):
    [message] = mistakes(spec_file(changes))
    assert f"{key!r} is given twice" in message
    assert int(message.partition(":")[0]) in lines


# Keys and values, one mistake a file

MISTAKES = [
    # what is changed, where the message must point, what it must say
    ({1: ""}, "name", "is missing"),
    ({1: "name:"}, "1: name", "is missing"),
    ({1: "name: my search"}, "1: name", "letters, digits; 'my search'"),
    ({1: "name: ../made"}, "1: name", "letters, digits; '../made'"),
    ({1: "name: [made]"}, "1: name", "letters, digits; ['made']"),
    ({1: "nam: made"}, "1: nam", "unknown key; did you mean 'name'?; there is: name, model, space"),
    ({2: ""}, "data.name", "is missing"),
    ({2: "data: {nam: digits}"}, "2: data.nam", "unknown key; did you mean 'name'?; there is: name, folder"),
    ({2: "data: digit"}, "2: data.name", f"'digit'; did you mean 'digits'?; there is: {DATA_SETS}"),
    ({2: "data: {name: mnist}"}, "2: data.name", f"'mnist'; there is: {DATA_SETS}"),
    ({2: "data: 3"}, "2: data", "must be a mapping; name; not 3"),
    ({2: "data: {name: digits, folder: mine}"}, "2: data.folder", "digits does not take it; remove"),
    ({2: "data: {name: digits, image_size: 32}"}, "2: data.image_size", "digits does not take it; remove"),
    ({2: "data: {name: image_folder}"}, "2: data.folder", "is missing; image_folder needs it"),
    ({2: "data: {name: image_folder, folder: mine, image_size: 0}"}, "2: data.image_size", "1, not 0"),
    (
        {2: "data: {name: digits, offline_substitute: digit}"},
        "2: data.offline_substitute",
        f"'digit'; there is: {DATA_SETS}",
    ),
    (
        {2: "data: {name: cifar10, offline_substitute: image_folder}"},
        "2: data.offline_substitute",
        "image_folder cannot stand in; data.folder",
    ),
    ({2: "data: {name: digits, validation: 0}"}, "2: data.validation", "greater than 0; 'test'; not 0"),
    ({2: "data: {name: digits, validation: 1.0}"}, "2: data.validation", "less than 1; 'test'; not 1.0"),
    ({2: "data: {name: digits, validation: .nan}"}, "2: data.validation", "nan"),
    ({2: "data: {name: digits, validation: tset}"}, "2: data.validation", "a number; 'test'; not 'tset'"),
    (
        {2: "data: {name: digits, validation: onw}"},
        "2: data.validation",
        "a number; 'own', 'rest' or 'test'; not 'onw'",
    ),
    ({2: "data: {name: digits, split_seed: -1}"}, "2: data.split_seed", "0, not -1"),
    ({3: "model: lenett"}, "3: model", f"'lenett'; did you mean 'lenet'?; there is: {MODELS}"),
    ({3: "model: {choice: [lenet, resnet]}"}, "3: model", f"'resnet'; there is: {MODELS}"),
    ({3: "model: [lenet]"}, "3: model", "choice"),
    ({3: "model: torchvision/resnet81"}, "3: model", "'resnet81' in torchvision; did you mean 'resnet18'?"),
    ({3: "model: torchvison/resnet18"}, "3: model", "'torchvison'; did you mean 'torchvision'?; timm, torchvision"),
    ({3: "", 8: "  model: lenett"}, "7: space.model", f"'lenett'; there is: {MODELS}"),
    ({8: "  model: lenet"}, "3: model", "is given both here and in space; remove one"),
    ({4: "space: [lr]", 5: "", 6: "", 7: "", 8: ""}, "4: space", "must be a mapping"),
    (
        {8: "  batch_siz: 32"},
        "8: space.batch_siz",
        "unknown hyperparameter; did you mean 'batch_size'?; there is: model, epochs",
    ),
    ({8: "  3: 32"}, "8: space.3", "unknown hyperparameter"),
    (
        {8: "  batch_size: {chioce: [32, 64]}"},
        "8: space.batch_size",
        "unknown word 'chioce'; did you mean 'choice'?; there is: choice, grid",
    ),
    ({8: "  batch_size: {choice: [32], grid: [64]}"}, "8: space.batch_size", "exactly one of choice, grid"),
    ({8: "  batch_size: {}"}, "8: space.batch_size", "exactly one of choice, grid"),
    ({8: "  batch_size: [32, 64]"}, "8: space.batch_size", "{choice: [...]}; {grid: [...]}"),
    ({8: "  batch_size: {choice: []}"}, "8: space.batch_size.choice", "a list of values; not []"),
    ({8: "  batch_size: {choice: 32}"}, "8: space.batch_size.choice", "a list of values; not 32"),
    ({8: "  batch_size: {choice: [[32], 64]}"}, "8: space.batch_size.choice", "not [32]"),
    ({8: "  batch_size: {choice: [32, 32]}"}, "8: space.batch_size.choice", "given twice; [32, 32]"),
    ({8: "  batch_size: {choice: [32, many]}"}, "8: space.batch_size", "a whole number; not 'many'"),
    ({8: "  batch_size: {choice: [32, yes]}"}, "8: space.batch_size", "a whole number; not True"),
    ({8: "  batch_size: {choice: [32, 0]}"}, "8: space.batch_size", "at least 1; not 0"),
    ({8: "  batch_size: {int: [16.5, 64]}"}, "8: space.batch_size.int", "whole numbers; not [16.5, 64]"),
    ({8: "  batch_size: {logint: [16, 64.5]}"}, "8: space.batch_size.logint", "whole numbers; not [16, 64.5]"),
    ({8: "  batch_size: {int: [64, 64]}"}, "8: space.batch_size.int", "[64, 64] is empty; just 64"),
    ({8: "  batch_size: {int: [64, 16]}"}, "8: space.batch_size.int", "upside down; write [16, 64]"),
    ({8: "  batch_size: {int: [16]}"}, "8: space.batch_size.int", "[low, high]; not [16]"),
    ({8: "  batch_size: {int: 16}"}, "8: space.batch_size.int", "[low, high]; not 16"),
    ({8: "  batch_size: {int: [16, many]}"}, "8: space.batch_size.int", "two numbers; 'many'"),
    ({8: "  batch_size: {int: [no, 16]}"}, "8: space.batch_size.int", "two numbers; False"),
    ({8: "  batch_size: {logint: [0, 16]}"}, "8: space.batch_size.logint", "above 0; not at 0"),
    ({6: "  lr: {loguniform: [0, 1]}"}, "6: space.lr.loguniform", "above 0; not at 0"),
    ({6: "  lr: {loguniform: [-1e-3, 1]}"}, "6: space.lr.loguniform", "above 0; not at -0.001"),
    ({6: "  lr: {uniform: [0.1, .inf]}"}, "6: space.lr.uniform", "two numbers; inf"),
    ({6: "  lr: {uniform: [-.inf, 0.1]}"}, "6: space.lr.uniform", "two numbers; -inf"),
    ({6: "  lr: {uniform: [.nan, 0.1]}"}, "6: space.lr.uniform", "two numbers; nan"),
    ({6: "  lr: {uniform: [0, 1]}"}, "6: space.lr", "above 0; not 0.0"),
    ({6: "  lr: .nan"}, "6: space.lr", "finite; not nan"),
    ({6: "  lr: .inf"}, "6: space.lr", "finite; not inf"),
    ({6: "  lr: {choice: [0.1, .nan]}"}, "6: space.lr", "finite; not nan"),
    ({6: "  lr: small"}, "6: space.lr", "a number; not 'small'"),
    ({6: "  lr:"}, "6: space.lr", "a number; not None"),
    ({7: "  momentum: {uniform: [0.8, 1.1], when: {optimizer: sgd}}"}, "7: space.momentum", "at most 1; not 1.1"),
    (
        {7: "  momentum: {uniform: [0.8, 0.99]}"},
        "7: space.momentum",
        "only where optimizer is sgd; add when: {optimizer: sgd}",
    ),
    (
        {7: "  momentum: {uniform: [0.8, 0.99], when: {optimizer: [adam, sgd]}}"},
        "7: space.momentum",
        "only where optimizer is sgd; add when: {optimizer: sgd}",
    ),
    ({7: "  momentum: {uniform: [0.8, 0.99], when: sgd}"}, "7: space.momentum.when", "a mapping; {optimizer: sgd}"),
    (
        {7: "  momentum: {uniform: [0.8, 0.99], when: {optimiser: sgd}}"},
        "7: space.momentum.when.optimiser",
        "did you mean 'optimizer'?; model, optimizer, lr",
    ),
    (
        {7: "  momentum: {uniform: [0.8, 0.99], when: {batch_size: 32}}"},
        "7: space.momentum.when.batch_size",
        "stands before; model, optimizer, lr",
    ),
    (
        {7: "  momentum: {uniform: [0.8, 0.99], when: {optimizer: sgdd}}"},
        "7: space.momentum.when.optimizer",
        "never is 'sgdd'; adam, sgd",
    ),
    ({8: "  weight_decay: {uniform: [0, 1], when: {lr: 0.2}}"}, "8: space.weight_decay.when.lr", "continuous range"),
    ({8: "  weight_decay: {uniform: [0, 1], when: {optimizer: []}}"}, "8: space.weight_decay.when.optimizer", ""),
    (
        {8: "  weight_decay: {uniform: [0, 1], when: {model: resnet}}"},
        "8: space.weight_decay.when.model",
        "never is 'resnet'; lenet",
    ),
    (
        {8: "  crop_padding: {int: [1, 4]}"},
        "8: space.crop_padding",
        "only where augment is crop; when: {augment: crop}",
    ),
    (
        {7: "  loss: {choice: [cross_entropy, squared_error]}", 8: "  label_smoothing: {uniform: [0, 0.2]}"},
        "8: space.label_smoothing",
        "only where loss is cross_entropy; add when: {loss: cross_entropy}",
    ),
    (
        {8: "  patience: {int: [2, 9]}"},
        "8: space.patience",
        "only where early_stopping is val_accuracy or val_loss",
    ),
    (
        {7: "  schedule: {choice: [halving, step]}", 8: "  decay_factor: {uniform: [0.1, 0.9]}"},
        "8: space.decay_factor",
        "only where schedule is step; add when: {schedule: step}",
    ),
    (
        {7: "  augment: {choice: [none, flip+rotate]}", 8: "  rotate_degrees: {uniform: [1, 20]}"},
        "8: space.rotate_degrees",
        "only where augment is flip+rotate; add when: {augment: flip+rotate}",
    ),
    ({8: "  loss: hinge"}, "8: space.loss", "one of cross_entropy, squared_error; not 'hinge'"),
    ({8: "  schedule: {choice: [step, linear]}"}, "8: space.schedule", "halving, one_cycle; not 'linear'"),
    ({8: "  early_stopping: train_loss"}, "8: space.early_stopping", "none, val_accuracy, val_loss; not 'train_loss'"),
    ({8: "  enlarge: flip"}, "8: space.enlarge", "some of gamma, rotate joined by '+'; not 'flip'"),
    ({8: "  resize: {int: [-1, 64]}"}, "8: space.resize", "at least 0, not -1"),
    ({8: "  clip_norm: -1"}, "8: space.clip_norm", "at least 0, not -1"),
    (
        {3: "model: {choice: [lenet, mlp]}", 8: "  depth: {int: [0, 3]}"},
        "8: space.depth",
        "only where model is mlp; add when: {model: mlp}",
    ),
    ({8: "  augment: {choice: [none, flop]}"}, "8: space.augment", "crop, flip; '+'; not 'flop'"),
    ({8: "  epochs: {choice: [3, 27]}"}, "8: space.epochs", "27; scheduler.max_epochs 9; raise"),
    (
        {9: "objective: {metric: val_los}"},
        "9: objective",
        "'val_los'; did you mean 'val_loss'?; there is: train_loss, train_accuracy, val_loss, val_accuracy; add mode",
    ),
    ({9: "objective: {metric: f1}"}, "9: objective", "no metric 'f1' is known; add mode: max or mode: min"),
    ({9: "objective: {metric: f1, mode: maximum}"}, "9: objective.mode", "'max' or 'min', not 'maximum'"),
    ({9: "objective: {metric: top5_accuracy, mode: min}"}, "9: objective", "top5_accuracy; larger; set mode: max"),
    ({9: "objective: {metric: 1, mode: min}"}, "9: objective.metric", "a string, not 1"),
    ({9: "objective: {metric: val_accuracy, mode: min}"}, "9: objective", "val_accuracy; larger; set mode: max"),
    ({9: "objective: {metric: val_loss, mode: max}"}, "9: objective", "val_loss; smaller; set mode: min"),
    ({9: "objective: val_loss"}, "9: objective", "must be a mapping; metric, mode; not 'val_loss'"),
    ({10: "sampler: {name: tpee}"}, "10: sampler.name", f"'tpee'; did you mean 'tpe'?; there is: {SAMPLERS}"),
    ({10: "sampler: {name: tpe, seed: -1}"}, "10: sampler.seed", "0, not -1"),
    ({10: "sampler: {name: tpe, seed: 1.5}"}, "10: sampler.seed", "a whole number, not 1.5"),
    (
        {10: "sampler: {name: tpe, sead: 1}"},
        "10: sampler.sead",
        "unknown key; did you mean 'seed'?; there is: name, seed",
    ),
    ({10: "sampler: {name: grid}", 7: "", 8: ""}, "6: space.lr.loguniform", "grid sampler; counted; choice or int"),
    ({10: "sampler: {name: grid}", 5: "", 6: "", 7: "", 8: "  lr: 1e-3"}, "7: sampler.name", "nothing to cross; grid"),
    (
        {10: "sampler: {name: cmaes}", 7: "", 8: "  batch_size: {grid: [32, 64]}"},
        "7: space.batch_size.grid",
        "cmaes; use tpe, random",
    ),
    ({10: "sampler: {name: cmaes}"}, "7: space.momentum.when", "cmaes; conditional; use tpe, random or gp"),
    ({10: "sampler: {name: cmaes}", 6: "", 7: ""}, "8: sampler.name", "numeric range; use tpe or random"),
    ({11: "scheduler: {name: hyperband}"}, "11: scheduler.name", "'hyperband'; there is: asha, none"),
    ({11: "scheduler: {max_epochs: 2, grace_period: 3}"}, "11: scheduler", "max_epochs 2; grace_period 3; raise one"),
    ({11: "scheduler: {max_epochs: 0}"}, "11: scheduler.max_epochs", "1, not 0"),
    ({11: "scheduler: {max_epochs: ten}"}, "11: scheduler.max_epochs", "a whole number, not 'ten'"),
    ({11: "scheduler: {reduction_factor: 1}"}, "11: scheduler.reduction_factor", "2, not 1"),
    ({12: "budget: {hours: 1}"}, "12: budget.trials", "is missing; tpe; how many"),
    ({12: ""}, "budget.trials", "is missing; tpe; how many"),
    ({12: "budget: {trials: 0}"}, "12: budget.trials", "1, not 0"),
    ({12: "budget: {trials: yes}"}, "12: budget.trials", "a whole number, not True"),
    ({12: "budget: {trials: '6'}"}, "12: budget.trials", "a whole number, not '6'"),
    ({12: "budget: {trials: 6, hours: 0}"}, "12: budget.hours", "greater than 0, not 0"),
    ({12: "budget: {trials: 6, hours: .nan}"}, "12: budget.hours", "nan"),
    ({12: "budget: {trials: 6, concurrent: 0}"}, "12: budget.concurrent", "'auto'; not 0"),
    ({12: "budget: 6"}, "12: budget", "must be a mapping; trials, hours, concurrent; not 6"),
    (
        {13: "resources: {cpus: 2}"},
        "13: resources.cpus",
        "unknown key; did you mean 'cpu'?; there is: cpu, gpu, retries",
    ),
    ({13: "resources: {gpu: some}"}, "13: resources.gpu", "'auto' or a number, not 'some'"),
    ({13: "resources: {gpu: -1}"}, "13: resources.gpu", "'auto'; not -1"),
    ({13: "tracking: {url: x}"}, "13: tracking.url", "unknown key; did you mean 'uri'?; there is: uri, register"),
    ({13: "tracking: {uri: 5000}"}, "13: tracking.uri", "a string, not 5000"),
    ({14: "confirm: {top: 0}"}, "14: confirm.top", "1, not 0"),
    ({14: "confirm: {seeds: 1.5}"}, "14: confirm.seeds", "a whole number, not 1.5"),
    ({14: "confirm: 3"}, "14: confirm", "must be a mapping; top, seeds; not 3"),
]


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    MISTAKES,
    ids=["+".join(filter(None, changes.values())) or place for changes, place, _ in MISTAKES],
)
def test_a_mistake_is_answered_with_its_line_its_key_and_a_remedy_and_blamed_on_no_other_key(
    spec_file, changes, place, words
):
    messages = mistakes(spec_file(changes))
    message = about(messages, place)
    missing = [word for word in words.split("; ") if word not in message]
    assert not missing, message
    key = ".".join(place.rpartition(" ")[2].split(".")[:2])
    elsewhere = [other for other in messages if key not in other and "is missing" not in other]
    assert not elsewhere


def test_a_number_too_large_for_a_range_is_refused(spec_file):
    message = about(mistakes(spec_file({6: f"  lr: {{uniform: [0.1, 1{'0' * 400}]}}"})), "6: space.lr.uniform")
    assert "two numbers" in message


@pytest.mark.parametrize(
    "changes",
    [
        {2: "data: digits"},
        {2: "data: {name: digits, validation: test}"},
        {2: "data: {name: digits_mat, validation: own}"},
        {2: "data: {name: digits, validation: rest}"},
        {2: "data: {name: digits, validation: null}"},
        {2: "data: {name: flowers, image_size: 64}"},
        {2: "data: {name: image_folder, folder: mine, image_size: 32}"},
        {2: "data: {name: cifar10, offline_substitute: digits}"},
        {3: ""},
        {3: "", 8: "  model: {choice: [lenet]}"},
        {5: "  optimizer: sgd", 7: "  momentum: {uniform: [0.8, 0.99]}"},
        {8: "  pooling: {choice: [max, average]}"},
        {
            7: "  augment: {choice: [none, crop, flip+crop]}",
            8: "  crop_padding: {int: [1, 4], when: {augment: [crop, flip+crop]}}",
        },
        {
            7: "  augment: {choice: [none, flip+rotate+jitter]}",
            8: "  rotate_degrees: {uniform: [1, 20], when: {augment: flip+rotate+jitter}}",
        },
        {
            7: "  early_stopping: {choice: [none, val_loss]}",
            8: "  patience: {int: [2, 9], when: {early_stopping: val_loss}}",
        },
        {7: "  loss: squared_error", 8: "  refit_last_layer: {choice: [no, yes]}"},
        {7: "  enlarge: {choice: [none, rotate+gamma]}", 8: "  clip_norm: {loguniform: [0.1, 10]}"},
        {7: "  schedule: {choice: [halving, one_cycle, cosine]}", 8: "  resize: {choice: [0, 64]}"},
        {3: "model: torchvision/squeezenet1_0", 8: "  frozen: {choice: [no, yes]}"},
        {3: "model: {choice: [mlp, resnet9]}", 8: "  depth: {int: [0, 3], when: {model: mlp}}"},
        {8: "  epochs: {choice: [3, 9]}"},
        {9: ""},
        {9: "objective: {metric: val_loss}"},
        {9: "objective: {metric: f1, mode: max}"},
        {10: "", 11: "", 13: ""},
        {11: "scheduler: {name: none, max_epochs: 2, grace_period: 3}"},
        {12: "budget: {trials: 6, hours: 0.5, concurrent: 2}"},
        {13: "resources: {cpu: 2, gpu: 0.25, retries: 0}"},
    ],
    ids=lambda changes: "+".join(changes.values()),
)
def test_what_is_right_is_taken(spec_file, changes):
    assert load(spec_file(changes)).name == "made"


@pytest.mark.parametrize(
    ("objective", "maximize"),
    [
        ("{metric: f1, mode: max}", True), ("{metric: perplexity, mode: min}", False),
        ("{metric: my_loss, mode: min}", False), ("{metric: val_loss}", False), ("{metric: train_accuracy}", True),
    ],
)  # fmt: skip
def test_any_metric_is_an_objective_where_its_direction_is_known(spec_file, objective, maximize):
    assert load(spec_file({9: f"objective: {objective}"})).objective.maximize is maximize


def test_an_option_that_only_one_of_the_models_takes_needs_a_condition(spec_file, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "wide_made.py").write_text("def build(input_shape, num_classes, *, width=8): ...\n")
    monkeypatch.setattr(trainables.models, "__path__", [*trainables.models.__path__, str(tmp_path / "models")])
    both = {3: "model: {choice: [lenet, wide_made]}"}
    [message] = mistakes(spec_file({**both, 8: "  width: {choice: [8, 16]}"}))
    assert message.startswith("8: space.width: ")
    assert "only where model is wide_made: add when: {model: wide_made}" in message
    assert load(spec_file({**both, 8: "  width: {choice: [8, 16], when: {model: wide_made}}"})).models == (
        "lenet",
        "wide_made",
    )


def test_all_mistakes_of_a_file_are_reported_at_once_in_its_order(spec_file):
    places = {
        "1: name": "name: my search",
        "2: data.name": "data: {name: digit, validation: 2}",
        "2: data.validation": None,
        "3: model": "model: lenett",
        "5: space.optimizer": "  optimizer: {choice: [adam, sdg]}",
        "6: space.lr.loguniform": "  lr: {loguniform: [0, 1]}",
        "7: space.momentum.when.optimizer": "  momentum: {uniform: [0.8, 0.99], when: {optimizer: sgd}}",
        "8: space.batch_siz": "  batch_siz: {choice: [32, 64]}",
        "9: objective": "objective: {metric: val_loss, mode: max}",
        "10: sampler.name": "sampler: {name: tpee, seed: x}",
        "10: sampler.seed": None,
        "11: scheduler.max_epochs": "scheduler: {max_epochs: ten}",
        "12: budget.trials": "budget: {trials: 0}",
        "13: resource": "resource: {cpu: 1}",
        "14: confirm.top": "confirm: {top: 0}",
    }
    assert len(places) == 15
    changes = {int(place.partition(":")[0]): line for place, line in places.items() if line}
    messages = mistakes(spec_file(changes))
    for place in places:
        about(messages, place)
    lines = [int(message.partition(":")[0]) for message in messages]
    assert lines == sorted(lines)


# Numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-4", 1e-4),
        ("1E-4", 1e-4),
        ("-1e3", -1e3),
        ("1.5e2", 150.0),
        ("+2e+1", 20.0),
        ("1.e2", 100.0),
        ("3", 3),
        ("0.5", 0.5),
        ("-7", -7),
    ],
)
def test_numbers_are_read_as_numbers(tmp_path, text, number):
    path = tmp_path / "numbers.yaml"
    path.write_text(f"alone: {text}\nlisted: [{text}, {text}]\n")
    content, _ = yaml_file.read(path)
    for value in (content["alone"], *content["listed"], yaml_file.value(text)):
        assert value == number
        assert type(value) is type(number)


@pytest.mark.parametrize("text", ["1e", "e5", "1e-4x", "v1e4", "'1e-4'", "1-e4", "lenet"])
def test_names_that_look_like_numbers_stay_names(tmp_path, text):
    path = tmp_path / "names.yaml"
    path.write_text(f"key: {text}\n")
    assert yaml_file.read(path)[0] == {"key": text.strip("'")}


# --set


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("name=other", lambda s: s.name, "other"),
        ("budget.trials=12", lambda s: s.trials, 12),
        ("confirm.top=5", lambda s: (s.confirm.top, s.confirm.seeds), (5, 2)),
        ("confirm=null", lambda s: s.confirm, None),
        ("space.lr=1e-3", lambda s: s.space.constants["lr"], 1e-3),
        ("space.lr={uniform: [0.1, 0.2]}", lambda s: s.space.possible("lr"), (0.1, 0.2)),
        ("space.batch_size={choice: [8, 16, 24]}", lambda s: s.space.possible("batch_size"), (8, 16, 24)),
        ("space.batch_size.choice=[8, 16]", lambda s: s.space.possible("batch_size"), (8, 16)),
        ("space.pooling=average", lambda s: s.space.constants["pooling"], "average"),
        ("tracking.uri=http://there:5000", lambda s: s.tracking.uri, "http://there:5000"),
        ("tracking.uri=sqlite:///a=b.db", lambda s: s.tracking.uri, "sqlite:///a=b.db"),
        ("tracking={register: best}", lambda s: s.tracking.register_as, "best"),
        ("budget.hours=null", lambda s: s.budget.hours, None),
        ("data=digits", lambda s: s.data.name, "digits"),
        ("data.validation=test", lambda s: s.data.validation, "test"),
    ],
)
def test_set_overrides_a_key(spec_file, override, get, value):
    assert get(load(spec_file(), (override,))) == value


def test_set_makes_a_section_that_the_file_leaves_empty(spec_file):
    path = spec_file({13: "tracking:"})
    assert load(path, ("tracking.uri=http://there:5000",)).tracking.uri == "http://there:5000"


def test_the_last_of_several_overrides_holds(spec_file):
    assert load(spec_file(), ("budget.trials=7", "space.seed=3", "budget.trials=8")).trials == 8


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("space.lr", "--set; key=value; space.lr=1e-3; not 'space.lr'"),
        ("=3", "--set; key=value; not '=3'"),
        ("name.first=x", "--set name.first; name is a value; set name itself"),
        ("data.name.first=x", "--set data.name.first; name is a value"),
        ("budgte.trials=3", "budgte; unknown key; did you mean 'budget'?"),
        ("budget.trails=3", "budget.trails; unknown key; did you mean 'trials'?"),
        ("budget.trials=many", "budget.trials; a whole number, not 'many'"),
        ("space.lr=[1, 2]", "space.lr; {choice: [...]}"),
        ("space.lr={uniform: [1, 2", "space.lr; a number; '{uniform: [1, 2'"),
        ("space.learning_rate=1", "space.learning_rate; unknown hyperparameter"),
    ],
)
def test_a_wrong_override_is_refused(spec_file, override, words):
    [message] = mistakes(spec_file(), override)
    assert all(word in message for word in words.split("; ")), message


def test_all_wrong_overrides_are_reported_at_once(spec_file):
    assert len(mistakes(spec_file(), "a", "b", "name.c=1")) == 3


# What follows from a spec


def test_confirm_null_confirms_nothing_and_keeps_some_weights(spec_file):
    spec = load(spec_file({14: "confirm: null"}))
    assert spec.confirm is None
    assert spec.kept >= 1


def test_confirm_that_is_not_mentioned_takes_place(spec_file):
    assert load(spec_file({14: ""})).confirm is not None


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        "# a comment\n\n" + RIGHT,
        "".join(reversed(RIGHT.replace("space:\n", "").splitlines(keepends=True)[:3])) + RIGHT[RIGHT.index("space:") :],
        RIGHT.replace("1e-4, 1e-1", "0.0001, 0.1"),
        RIGHT.replace("confirm: {top: 2, seeds: 2}", "confirm:\n  seeds: 2\n  top: 2"),
    ],
    ids=["itself", "comment", "order", "numbers", "layout"],
)
def test_the_hash_is_the_same_for_the_same_content(spec_file, text):
    assert load(spec_file(text=text)).hash == load(spec_file()).hash


@pytest.mark.parametrize(
    "override",
    [
        "name=other",
        "budget.trials=7",
        "space.lr=1e-3",
        "space.batch_size.choice=[64, 32]",
        "sampler.seed=1",
        "confirm=null",
        "data.split_seed=1",
    ],
)
def test_the_hash_differs_for_other_content(spec_file, override):
    assert load(spec_file(), (override,)).hash != load(spec_file()).hash


SEEDS, SIZES = "seed: {grid: [0, 1, 2]}", "batch_size: {grid: [32, 64]}"


@pytest.mark.parametrize(
    ("sampler", "space", "budget", "trials"),
    [
        ("grid", [SEEDS, SIZES], None, 6),
        ("grid", [SEEDS, SIZES], 4, 4),
        ("grid", [SEEDS, SIZES], 100, 6),
        ("grid", ["decay_interval: {int: [2, 4]}", SIZES, "augment: {choice: [none, flip]}"], None, 12),
        ("grid", ["optimizer: {grid: [adam, sgd]}", "momentum: {choice: [0.8, 0.9], when: {optimizer: sgd}}"], None, 3),
        ("random", [SEEDS, SIZES], None, 6),
        ("tpe", [SEEDS, SIZES], 4, 4),
        ("tpe", [SEEDS, SIZES], 100, 6),
        ("tpe", [SEEDS, "lr: {uniform: [0.1, 0.2]}"], 7, 7),
        ("random", [SEEDS, "batch_size: {choice: [32, 64]}"], 2, 2),
        ("random", ["lr: {uniform: [0.1, 0.2]}"], 5, 5),
        ("random", ["lr: 1e-3"], 5, 1),
        ("random", ["lr: 1e-3"], None, 1),
    ],
)
def test_the_number_of_trials_follows_from_sampler_space_and_budget(spec_file, sampler, space, budget, trials):
    lines = [
        "name: made",
        "data: digits",
        "space:",
        *(f"  {entry}" for entry in space),
        f"sampler: {{name: {sampler}}}",
    ]
    text = "\n".join([*lines, f"budget: {{trials: {budget}}}" if budget else "budget: {}"]) + "\n"
    assert load(spec_file(text=text)).trials == trials


def test_a_spec_cannot_be_changed_once_it_is_read(spec_file):
    spec: Spec = load(spec_file())
    with pytest.raises(ValueError, match="frozen"):
        spec.budget.trials = 7
