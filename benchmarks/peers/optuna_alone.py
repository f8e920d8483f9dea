"""Optuna alone around the usual script: TPE, successive halving, its MLflow callback.

python -m benchmarks.peers.optuna_alone TRIALS threads      (n_jobs=2)
python -m benchmarks.peers.optuna_alone TRIALS processes    (two processes that share a study)
"""

import os
import subprocess
import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
from optuna_integration.mlflow import MLflowCallback

from benchmarks.peers import usual_script

SEED = int(os.environ["PEER_SEED"])


def objective(trial: optuna.Trial) -> float:
    """One trial."""
    config = {
        "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
    }

    def report(epoch: int, accuracy: float) -> None:
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned

    return usual_script.train(config, report)


def optimize(study: optuna.Study, trials: int, jobs: int) -> None:
    """Run until so many trials have ended, those of other processes included."""
    ended = MaxTrialsCallback(trials, states=(TrialState.COMPLETE, TrialState.PRUNED))
    tracked = MLflowCallback(tracking_uri=os.environ["MLFLOW_TRACKING_URI"], metric_name="val_accuracy")
    study.optimize(objective, n_trials=trials, n_jobs=jobs, callbacks=[tracked, ended])


def study(seed: int, storage: JournalStorage | None = None) -> optuna.Study:
    """The study, made or joined."""
    return optuna.create_study(
        study_name=f"optuna-{sys.argv[2]}",
        storage=storage,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        load_if_exists=True,
    )


if __name__ == "__main__":
    n_trials = int(sys.argv[1])
    if sys.argv[2] == "threads":
        optimize(study(SEED), n_trials, jobs=2)
    else:
        second = sys.argv[3:] == ["second"]
        shared = study(SEED + 1000 * second, JournalStorage(JournalFileBackend("study.log")))
        other = None if second else subprocess.Popen([sys.executable, "-m", __spec__.name, *sys.argv[1:3], "second"])
        optimize(shared, n_trials, jobs=1)
        if other:
            other.wait()
