"""Stock Ray Tune around the usual script: OptunaSearch, ASHAScheduler, MLflowLoggerCallback.

python -m benchmarks.peers.tune_stock TRIALS
"""

import os
import sys
from pathlib import Path

import ray
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.peers import usual_script


def trainable(config: dict) -> None:
    """One trial."""
    usual_script.train(config, lambda epoch, accuracy: tune.report({"val_accuracy": accuracy, "epoch": epoch}))


if __name__ == "__main__":
    ray.init("local", num_cpus=2)
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            "lr": tune.loguniform(1e-4, 1e-1),
            "batch_size": tune.choice([32, 64, 128]),
            "optimizer": tune.choice(["adam", "sgd"]),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=OptunaSearch(seed=int(os.environ["PEER_SEED"])),
            scheduler=ASHAScheduler(max_t=usual_script.EPOCHS, grace_period=1, reduction_factor=3),
            num_samples=int(sys.argv[1]),
            max_concurrent_trials=2,
        ),
        run_config=tune.RunConfig(
            storage_path=str(Path("ray_results").resolve()),
            callbacks=[
                MLflowLoggerCallback(tracking_uri=os.environ["MLFLOW_TRACKING_URI"], experiment_name="tune-stock")
            ],
        ),
    ).fit()
