"""Syne Tune's local backend around the usual script: ASHA, a process a trial. It has no callback for MLflow.

python -m benchmarks.peers.syne_tune_local TRIALS
"""

import argparse
import os
import sys

TRIAL = ("--lr", "--batch_size", "--optimizer")


def trial() -> None:
    """One trial, in the process that Syne Tune starts for it."""
    from syne_tune import Reporter

    from benchmarks.peers import usual_script

    parser = argparse.ArgumentParser()
    for name, kind in zip(TRIAL, (float, int, str), strict=True):
        parser.add_argument(name, type=kind)
    config, _ = parser.parse_known_args()
    report = Reporter()
    usual_script.train(vars(config), lambda epoch, accuracy: report(epoch=epoch, val_accuracy=accuracy))


def search() -> None:
    """The search."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import ASHA

    from benchmarks.peers import usual_script

    space = {
        "lr": loguniform(1e-4, 1e-1),
        "batch_size": choice([32, 64, 128]),
        "optimizer": choice(["adam", "sgd"]),
    }
    Tuner(
        trial_backend=LocalBackend(entry_point=__file__),
        scheduler=ASHA(
            space, metric="val_accuracy", time_attr="epoch", max_t=usual_script.EPOCHS, do_minimize=False,
            random_seed=int(os.environ["PEER_SEED"]),
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=int(sys.argv[1])),
        n_workers=2,
        sleep_time=0.1,  # between two looks at the trials; the default of 5 s would leave the cores idle
    ).run()  # fmt: skip


if __name__ == "__main__":
    trial() if any(argument in TRIAL for argument in sys.argv) else search()
