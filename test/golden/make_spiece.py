"""Writes spiece.json: ids that transformers' T5Tokenizer gives in folders with spiece.model and no tokenizer.json, whose added tokens lie in the small files beside it or
in the model itself; and the models, trained here with a character map of a few rules, in test/fixtures/tokenizer.
Run from the project's root: python test/golden/make_spiece.py"""
import io, json, os, pathlib, tempfile, warnings

warnings.filterwarnings("ignore")
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
from sentencepiece import SentencePieceTrainer
from transformers import T5Tokenizer

OUT = pathlib.Path("test/golden/spiece.json")
MODELS = pathlib.Path("test/fixtures/tokenizer")
LINES = """the quick brown fox jumps over the lazy dog
a stirring funny film that i would watch again
my board broke and i love this new york film
what a dull and lifeless plot of a film""".split("\n") * 30


def train(name, **options):
    """Upper case is folded for a few letters only, and a ligature is written out."""
    with tempfile.TemporaryDirectory() as folder:
        rules = pathlib.Path(folder, "rules.tsv")
        rules.write_text("".join(f"{ord(c):X}\t{ord(c.lower()):X}\n" for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ") + "FB01\t66 69\n85\t20\n200B\t\nA0\t20\n")
        out = io.BytesIO()
        SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=out, vocab_size=90, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                                   normalization_rule_tsv=str(rules), hard_vocab_limit=False, minloglevel=2, **options)
        (MODELS / name).write_bytes(out.getvalue())


PLAIN = dict(tokenizer_class="T5Tokenizer", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", extra_ids=5)
FLAGS = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
SENTINELS = [f"<extra_id_{i}>" for i in range(5)]
CASES = {
    "nothing beside the model": ("plain.model", {}),
    "a plain configuration": ("plain.model", {"tokenizer_config.json": PLAIN}),
    "added_tokens.json": ("plain.model", {"tokenizer_config.json": PLAIN, "added_tokens.json": {"[SEP]": 95, "overboard": 96, "New York": 97}}),
    "added_tokens.json with a token named elsewhere": ("plain.model", {"tokenizer_config.json": {**PLAIN, "sep_token": "[SEP]"}, "added_tokens.json": {"overboard": 96, "[SEP]": 95}}),
    "special_tokens_map.json": ("plain.model", {"tokenizer_config.json": PLAIN, "special_tokens_map.json": {"cls_token": "[CLS]", "mask_token": {"content": "<x>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}}}),
    "added_tokens_decoder": ("plain.model", {"tokenizer_config.json": {**PLAIN, "added_tokens_decoder": {
        "0": {"content": "<pad>", **FLAGS}, "1": {"content": "</s>", **FLAGS}, "2": {"content": "<unk>", **FLAGS},
        "96": {"content": "over", **FLAGS, "single_word": True}, "95": {"content": "[SEP]", **FLAGS, "lstrip": True, "rstrip": True}, "97": {"content": "Fox", **FLAGS, "normalized": True, "special": False}}}}),
    "added_tokens_decoder before added_tokens.json": ("plain.model", {"tokenizer_config.json": {**PLAIN, "added_tokens_decoder": {"95": {"content": "[SEP]", **FLAGS}}}, "added_tokens.json": {"overboard": 95}}),
    "additional_special_tokens": ("plain.model", {"tokenizer_config.json": {**PLAIN, "additional_special_tokens": SENTINELS + ["<x>", {"__type": "AddedToken", "content": "<b>", **FLAGS, "rstrip": True}]}}),
    "extra_special_tokens": ("plain.model", {"tokenizer_config.json": {**PLAIN, "extra_special_tokens": ["<x>"]}}),
    "a token by a name of its own": ("plain.model", {"tokenizer_config.json": {**PLAIN, "image_token": "<x>"}}),
    "user-defined symbols": ("user.model", {"tokenizer_config.json": PLAIN}),
    "user-defined symbols where the configuration lists others": ("user.model", {"tokenizer_config.json": {**PLAIN, "additional_special_tokens": SENTINELS}}),
    "control symbols": ("control.model", {"tokenizer_config.json": PLAIN}),
}
TEXTS = ["I love this film", "A [SEP] B", "a[SEP]b", "x{y}", "<x> a<x>b", "a  <x>  b", "TEST Case", "<ctl> hi", "my overboard broke", "over overs over", "New York new york", "  two  spaces ", "<extra_id_0> b <extra_id_1>",
         "<extra_id_4><extra_id_5>", "\ufb01ne \ufb01lm", "[CLS] the fox", "Fox fox FOX", "<b>  a", "</s> and <pad>", "", " ", "\x85a\u200bb\xa0c", "\u65e5\u672c", "a\u2581b"]

MODELS.mkdir(exist_ok=True)
train("plain.model")
train("user.model", user_defined_symbols=["<x>", "{y}", "new york"])
train("control.model", control_symbols=["<ctl>", "[SEP]"])
cases = []
for name, (model, files) in CASES.items():
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "spiece.model").write_bytes((MODELS / model).read_bytes())
        for file, value in files.items():
            pathlib.Path(folder, file).write_text(json.dumps(value))
        tokenizer = T5Tokenizer.from_pretrained(folder)
        ids = [tokenizer(text).input_ids for text in TEXTS]
        decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
        cases.append({"name": name, "model": model, "files": files, "ids": ids, "decoded": decoded})
OUT.write_text('{"texts": ' + json.dumps(TEXTS) + ',\n"cases": [' + ",\n".join(json.dumps(case) for case in cases) + "]}\n")
print(OUT, OUT.stat().st_size, "bytes", len(cases), "cases")
