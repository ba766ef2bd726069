"""Arrays and frames of pandas need no pyarrow: a model is fitted, decides, and comes back where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """import sys

class NoArrow:  # None in its place would be taken for the library by those who look for its tables
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError("No module named 'pyarrow'", name=name)

sys.meta_path.insert(0, NoArrow())

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from steepslope import TrustedClassifier
from steepslope.numerics import _small_net as small_net
from tests.sklearn.problems import table

small_net.LEAST_STEPS, small_net.EPOCHS = 30, 1
X, y = table(300)
hours = [7 * row % 300 for row in range(300)]  # dates in order would be told
days = pd.Timestamp("2026-12-01") + pd.to_timedelta(hours, unit="h")
frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(word=pd.Categorical(X[:, 2] > 0), day=days)
words = ColumnTransformer([("word", OneHotEncoder(), ["word"]), ("number", "passthrough", ["a", "b"])])
for inputs, classifier in ((X, GaussianNB()), (frame, make_pipeline(words, LogisticRegression()))):
    model = TrustedClassifier(classifier, max_risk=0.4).fit(inputs, y)
    model.save("model")
    again = TrustedClassifier.load("model", model.estimator_)
    assert again.calibration_.rows is not None
    assert (again.decide(inputs).accepted == model.decide(inputs).accepted).all()
    print(model.saw_.partition(".")[0])
"""


def test_arrays_and_frames_of_pandas_need_no_pyarrow(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "The oracle saw 3 columns of X",
        "The oracle saw 4 columns before the last step",
    ]
