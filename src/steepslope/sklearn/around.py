"""What scikit-learn asks of a meta-estimator: its tags, where metadata go, and which methods it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

import sklearn
from steepslope.sklearn.opinions import inputs_of_all


def classifier_offers(name: str) -> Callable[[Any], bool]:
    """Return a check for ``available_if``: whether the classifier inside has a method."""
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), name)


class AroundClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """A meta-estimator around a classifier, ``estimator``; ``opinions`` are further ones by name, or None."""

    estimator: Any
    opinions: Mapping[str, Any] | None

    def get_metadata_routing(self) -> MetadataRouter:
        """Return where metadata go: those of ``fit`` to the classifier's ``fit``."""
        mapping = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=mapping)

    def _routed(self, fit_params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parameters of the classifier's ``fit``; all of them where routing is off."""
        if not sklearn.get_config()["enable_metadata_routing"]:
            return fit_params
        routed: Mapping[str, Any] = process_routing(self, "fit", **fit_params)["estimator"]["fit"]
        return routed

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags  # from scikit-learn 1.6 on, as is this method

        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags = inputs_of_all(inner.input_tags, self.opinions)
        if inner.classifier_tags is not None:  # of several labels a row, none could be trusted alone
            tags.classifier_tags = replace(inner.classifier_tags, multi_label=False)
        return tags
