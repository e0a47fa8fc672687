"""Writes squad.json: F1 and exact match of the official SQuAD v1.1 evaluation (its normalize_answer and f1_score, verbatim) on answer pairs.
Run from the project's root: python test/golden/make_squad.py"""
import json, pathlib, re, string
from collections import Counter


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    return white_space_fix(remove_articles(remove_punc(s.lower())))


def f1_score(prediction, ground_truth):
    prediction_tokens, ground_truth_tokens = normalize_answer(prediction).split(), normalize_answer(ground_truth).split()
    num_same = sum((Counter(prediction_tokens) & Counter(ground_truth_tokens)).values())
    if num_same == 0:
        return 0
    precision, recall = 1.0 * num_same / len(prediction_tokens), 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


PAIRS = [
    ("the Eiffel Tower", "Eiffel Tower"), ("in 1889", "1889"), ("A an the", "the"), ("", "x"), ("x", ""), ("to be or not to be", "to be"), ("Saint-Denis", "saint denis"),
    ("U.S.", "us"), ("$5 million", "5 million dollars"), ("été", "Été"), ("anthem", "the man"), ("two two three", "two three three"), ("“quoted”", "quoted"), ("naïve café", "cafe"),
]
rows = [{"prediction": p, "expected": e, "f1": f1_score(p, e), "exact": normalize_answer(p) == normalize_answer(e)} for p, e in PAIRS]
pathlib.Path(__file__).with_name("squad.json").write_text(json.dumps(rows) + "\n")
