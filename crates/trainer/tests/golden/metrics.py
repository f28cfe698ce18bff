"""Prints metrics.json, which tests/metrics.rs holds the metrics to: python metrics.py > metrics.json

scikit-learn's own values, of logits that are numbers of float32. Its probabilities are the softmax in float64.
"""

import json

import numpy as np
import sklearn
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    top_k_accuracy_score,
)

rng = np.random.default_rng(17)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def auroc(targets, logits):
    """Of two classes that of the second, of more the mean over those that have targets and others."""
    classes = logits.shape[1]
    if classes == 2:
        # Ranked by the difference of the logits, which the softmax would round.
        return roc_auc_score(targets, logits[:, 1] - logits[:, 0])
    scores = softmax(logits)
    if len(set(targets)) == classes:
        return roc_auc_score(targets, scores, multi_class="ovr", average="macro")
    present = [c for c in sorted(set(targets)) if len(set(targets == c)) == 2]
    return float(np.mean([roc_auc_score(targets == c, scores[:, c]) for c in present])) if present else None


def case(name, logits, targets):
    classes = logits.shape[1]
    predicted = logits.argmax(1)
    labels = list(range(classes))
    scores = {}
    for score, of in [("precision", precision_score), ("recall", recall_score), ("f1", f1_score)]:
        for average in ["macro", "micro", "weighted"]:
            scores[f"{score}_{average}"] = of(targets, predicted, average=average, zero_division=0)
        each = of(targets, predicted, labels=labels, average=None, zero_division=np.nan)
        for c in labels:
            scores[f"{score}_class{c}"] = None if np.isnan(each[c]) else float(each[c])
    for k in range(1, classes):
        # Of two classes scikit-learn wants one score.
        given = logits[:, 1] - logits[:, 0] if classes == 2 else logits
        scores[f"top{k}_accuracy"] = top_k_accuracy_score(targets, given, k=k, labels=labels)
    scores["accuracy"] = scores["confusion_accuracy"] = accuracy_score(targets, predicted)
    scores["auroc"] = auroc(targets, logits)
    return {
        "name": name,
        "classes": classes,
        "logits": logits.astype(float).ravel().tolist(),
        "targets": targets.tolist(),
        "scores": scores,
        "confusion": confusion_matrix(targets, predicted, labels=labels).ravel().tolist(),
    }


def logits(count, classes, targets, hold):
    z = rng.standard_normal((count, classes))
    z[np.arange(count), targets] += hold
    return z.astype(np.float32)


cases = []
targets = rng.integers(0, 5, 83)
cases.append(case("five classes", logits(83, 5, targets, 1.0), targets))
targets = rng.choice(4, 61, p=[0.7, 0.2, 0.07, 0.03])
cases.append(case("unequally frequent", logits(61, 4, targets, 0.5), targets))
targets = rng.choice([0, 2, 5], 40)
z = logits(40, 6, targets, 0.7)
z[:, 3] = -9
cases.append(case("classes without a target, one of them never predicted", z, targets))
targets = rng.integers(0, 2, 50)
# On a grid, so that many differences are equal.
cases.append(case("two classes with ties", np.round(2 * logits(50, 2, targets, 0.6)).astype(np.float32) / 2, targets))
targets = rng.integers(0, 3, 60)
pool = rng.standard_normal((7, 3)).astype(np.float32)
cases.append(case("three classes of which many samples are the same", pool[rng.integers(0, 7, 60)], targets))
print(json.dumps({"reference": f"scikit-learn {sklearn.__version__}", "cases": cases}))
