"""The classifiers that people would use around texts, tables and sounds. A new one is a function and an entry."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import stft
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC

from steepslope_lab.benchmark.rows import RATE

NUMBERS = make_column_selector(dtype_include="number")
STRINGS = make_column_selector(dtype_exclude="number")
WINDOW, BANDS, PARTS = 256, 32, 16  # samples, bands of a spectrum, parts of a sound
COEFFICIENTS = 13
QUIETEST = 1e-6


def log_spectrogram(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the log energy of sounds (n, s) in bands of the mel scale and parts of the time, (n, bands × parts)."""
    frequencies, _, spectra = stft(waves, RATE, nperseg=WINDOW)
    mel = 2595 * np.log10(1 + frequencies / 700)
    band = np.minimum((mel / mel[-1] * BANDS).astype(int), BANDS - 1)
    energy = np.stack([(np.abs(spectra[:, band == one]) ** 2).sum(axis=1) for one in range(BANDS)], axis=1)
    blocks = np.array_split(np.log(energy + QUIETEST), PARTS, axis=2)
    return np.stack([part.mean(axis=2) for part in blocks], axis=2).reshape(len(waves), -1).astype(np.float32)


def cepstrum(waves: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first cepstral coefficients of the parts of sounds (n, s): what the shape of the mouth decides."""
    bands = log_spectrogram(waves).reshape(len(waves), BANDS, PARTS)
    return np.asarray(dct(bands, axis=1, norm="ortho")[:, :COEFFICIENTS].reshape(len(waves), -1), dtype=np.float32)


def words_classifier(seed: int) -> Any:
    """Logistic regression on TF-IDF of words."""
    return make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))


def characters_classifier(seed: int) -> Any:
    """Logistic regression on TF-IDF of runs of two to four characters."""
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=50_000)
    return make_pipeline(vectorizer, LogisticRegression(C=10, max_iter=1000))


def naive_bayes_classifier(seed: int) -> Any:
    """Naive Bayes on counts of words, by TF-IDF."""
    return make_pipeline(TfidfVectorizer(), MultinomialNB(alpha=0.1))


def _numbered_columns() -> Any:
    """Return what makes numbers of strings, and fills numbers that are missing."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    return make_column_transformer((encoder, STRINGS), (SimpleImputer(strategy="median"), NUMBERS))


def boosting_classifier(seed: int) -> Any:
    """Gradient boosting of trees on numbers and numbered strings."""
    return make_pipeline(_numbered_columns(), HistGradientBoostingClassifier(random_state=seed))


def forest_classifier(seed: int) -> Any:
    """Random forest of 200 trees on the same."""
    return make_pipeline(_numbered_columns(), RandomForestClassifier(200, min_samples_leaf=2, random_state=seed))


def _indicator_columns(sparse: bool) -> Any:
    """Return what standardises numbers, and makes an indicator of each string."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    strings = OneHotEncoder(handle_unknown="ignore", min_frequency=5, sparse_output=sparse)
    return make_column_transformer((strings, STRINGS), (numbers, NUMBERS))


def logistic_classifier(seed: int) -> Any:
    """Logistic regression on standardised numbers and strings as indicators."""
    return make_pipeline(_indicator_columns(sparse=True), LogisticRegression(max_iter=1000))


def perceptron_classifier(seed: int) -> Any:
    """Net of one hidden layer on the same."""
    net = MLPClassifier((64,), early_stopping=True, max_iter=100, random_state=seed)
    return make_pipeline(_indicator_columns(sparse=False), net)


def neighbours_classifier(seed: int) -> Any:
    """Fifteen nearest neighbours on the same."""
    return make_pipeline(_indicator_columns(sparse=True), KNeighborsClassifier(15, weights="distance"))


def spectrogram_logistic(seed: int) -> Any:
    """Logistic regression on log spectrograms."""
    return make_pipeline(FunctionTransformer(log_spectrogram), StandardScaler(), LogisticRegression(max_iter=1000))


def cepstrum_svm(seed: int) -> Any:
    """Support vector machine on cepstral coefficients."""
    return make_pipeline(FunctionTransformer(cepstrum), StandardScaler(), SVC(C=10))


def cepstrum_neighbours(seed: int) -> Any:
    """Nearest neighbours on cepstral coefficients."""
    return make_pipeline(FunctionTransformer(cepstrum), StandardScaler(), KNeighborsClassifier(5, weights="distance"))


ESTIMATORS: dict[str, dict[str, Callable[[int], Any]]] = {  # by the kind of data and by name, each from a seed
    "text": {"words": words_classifier, "characters": characters_classifier, "naive-bayes": naive_bayes_classifier},
    "table": {
        "boosting": boosting_classifier,
        "forest": forest_classifier,
        "logistic": logistic_classifier,
        "neighbours": neighbours_classifier,
        "perceptron": perceptron_classifier,
    },
    "sound": {
        "spectrogram-logistic": spectrogram_logistic,
        "cepstrum-svm": cepstrum_svm,
        "cepstrum-neighbours": cepstrum_neighbours,
    },
}
