"""tracked.py ARGUMENT...: run `benchdog ARGUMENT...` with a database for MLflow, and check that the run is in it.

The test of the conda package benchdog-mlflow: the plugin does nothing until a variable says where to track.
"""

import os
import subprocess
import sys


def main(arguments: list[str]) -> None:
    os.environ |= {
        "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
        "BENCHDOG_PATIENCE": "60",
    }  # MLflow creates its tables first
    subprocess.run(["benchdog", *arguments], check=True)
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    print(run.info.run_name, run.info.status, run.data.metrics)
    assert run.info.status == "FINISHED"


if __name__ == "__main__":
    main(sys.argv[1:])
