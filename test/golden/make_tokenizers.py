"""Writes tokenizers.json: ids that Python's tokenizers give for hard texts, by the shipped base's tokenizer.json, by others made of it through small changes
(added tokens of every kind, other splitters, byte fallback, other character maps), and by a fixture's; texts that T5Tokenizer makes of
ids; and the character maps in test/fixtures/tokenizer.
Run from the project's root: python test/golden/make_tokenizers.py [T5's own sentencepiece model, for its character map]"""
import base64, gzip, json, pathlib, random, sys, tempfile
from tokenizers import Tokenizer
from transformers import T5Tokenizer

OUT = pathlib.Path("test/golden/tokenizers.json")
MAPS = pathlib.Path("test/fixtures/tokenizer")
SHIPPED = "models/t5-tiny-en/tokenizer.json"
METASPACE = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}

FIXED = """|a stirring , funny film|c1\\x85x|a\\x85 b|\\x85|x \\x85 y|tab\\tand\\nnew\\r\\nline\\rback|\\x00zero|a\\x01b\\x02\\x1f\\x7fc|vt\\x0bff\\x0cend
\\u00a0nbsp\\u00a0|a\\u1680b|\\u2000\\u2001\\u2002\\u2003\\u2004\\u2005\\u2006\\u2007\\u2008\\u2009\\u200a|a\\u200bb|a\\u200cb\\u200dc|a\\u200e\\u200fb|a\\u2028b\\u2029c
a\\u202fb\\u205fc\\u3000d|\\ufeffbom|in\\ufeffside|\\ufffd|a\\ufffdb|\\u2581|\\u2581\\u2581a|a\\u2581b c|\\u2581 a|soft\\u00adhyphen|\\u2060word joiner|a\\u034fb|\\u180emvs
\\U0001f468\\u200d\\U0001f469\\u200d\\U0001f467\\u200d\\U0001f466|\\U0001f468\\u200d\\U0001f4bb codes|\\U0001f3f3\\ufe0f\\u200d\\U0001f308|\\u2764\\ufe0f|\\u2764|\\U0001f44d\\U0001f3fd|\\U0001f1e9\\U0001f1ea\\U0001f1eb\\U0001f1f7|1\\ufe0f\\u20e3|\\U0001f602\\U0001f602
e\\u0301|\\u00e9|\\u0301|a \\u0301b|a\\u0300\\u0316\\u0301|n\\u0303o|\\u212b|A\\u030a|\\u1e9b\\u0323|q\\u0307\\u0323|o\\u0308\\u0304|\\u0308a|x\\u0338|=\\u0338
\\ufb01ne|\\ufb03|\\u00bd|\\u2116 5|\\uff46\\uff55\\uff4c\\uff4c|\\uff21\\uff22\\uff23|\\uff5e|a\\uff5eb|~|\\u2460\\u2461|\\u33a5|\\u3392|\\u2122 \\u00ae|\\u2026|...|\\u201cq\\u201d \\u2018s\\u2019|\\u2013 \\u2014|\\u00b2\\u00b3|H\\u2082O|\\u210c|\\u01c4|\\u1e9e|stra\\u00dfe|\\u0130|\\u0131
\\u96fb\\u5f71|\\u65e5\\u672c\\u8a9e\\u306e|\\u30ab\\u3099|\\uff76\\uff9e|\\u3131\\u314f|\\uac00\\u11a8|\\u1100\\u1161|\\ud55c\\uad6d\\uc5b4|\\u0e01\\u0e33|\\u0e33|\\u0ec0\\u0eb3|\\u0915\\u094d\\u0937|\\u0928\\u093f|\\u0b95\\u0bcb|\\u0dc1\\u0dca\\u200d\\u0dbb\\u0dd3|\\u0600\\u0661|\\u06dd12|\\u0644\\u0627|\\ufefb|\\ufdfa|\\u05e9\\u05c1|\\u202eabc\\u202c|\\u2066x\\u2069
<extra_id_0> and </s> inside <pad>|<extra_id_1><extra_id_2>|a<extra_id_3>b| <extra_id_99> |<unk>|<extra_id_100>|< extra_id_0 >|</s>|x</s></s>|<pad>
two  spaces|   |a   b    c|trailing |don't can't|it's 5 p.m.|http://a.b/c?d=e&f|{"a": [1, 2]}|100,000.00|CamelCaseWord|ALL CAPS TEXT|aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|\\U0001d400\\U0001d7d8|\\U00020000|\\U0010ffff|\\u0378|\\ue000"""

ADDED = [
    dict(content="[new york]"), dict(content="hover", single_word=True), dict(content="Fine", normalized=True, special=False), dict(content="<l>", lstrip=True),
    dict(content="<r>", rstrip=True), dict(content="<b>", lstrip=True, rstrip=True), dict(content="\u65e5\u672c"), dict(content="\ufb01n", normalized=True, special=False),
    dict(content="<w>", single_word=True, lstrip=True), dict(content="new"), dict(content="new york"), dict(content="  x", rstrip=True), dict(content="a.b*c"),
    dict(content="\uff21\uff22", normalized=True, special=False, single_word=True, lstrip=True, rstrip=True),
]
ADDED_TEXTS = """fly to [new york] now|fly to [new york] now |[new york][new york]|hover|hovers|a hover b|hover.|hover_|(hover)|\u65e5hover|hover\\u0301|Fine Fines aFine fine|\ufb01ne \ufb01n fin FINE|a <l> b|a<l>b|a  <l>  <l> c|a <r> b|a<r>\\u3000\\x85b|<r> <l>|<r>  <b>  <l> x|a\\u00a0<b>\\tb|\u65e5\u672c|a\u65e5\u672cb \u65e5\u672c\u8a9e|a <w> b|a<w>|new|new york|new yor|anewb|a  x  b|a    x|a.b*c|aXbbc|AB ABC \uff21\uff22|x \uff21\uff22  y|\u2581new york\u2581|hover<l>hover|<l>hover""".replace("\\u", "\\u")


def unescaped(lines):
    return [part.encode("ascii", "backslashreplace").decode("unicode_escape") if "\\" in part else part for line in lines.split("\n") for part in line.split("|")]


def sampled(count, seed):
    rng = random.Random(seed)
    pools = [
        "abcdefghij ABC.,!?'", "\t\n\r\x0b\x0c\x85\xa0\u1680\u2003\u2028\u202f\u3000\u200b\u200d\ufeff ", "".join(map(chr, range(0x300, 0x345))), "\ufb01\u00bd\u2116\uff21\uff5e\u2460\u33a5\u1e9b\u212b",
        "\U0001f468\U0001f469\U0001f467\u200d\ufe0f\U0001f3fd\U0001f1e9\U0001f1ea\u2764", "\u0915\u094d\u0937\u093f\u0e01\u0e33\u1100\u1161\u11a8\uac00\u0600\u06dd", "\u65e5\u672c\u30ab\u3099\uff76\uff9e", "".join(map(chr, range(1, 32))),
        "".join(chr(c) for c in range(0xA0, 0x2FF)), "".join(chr(c) for c in range(0x2000, 0x2FFF) if chr(c).isprintable()), "".join(chr(c) for c in range(0x3000, 0x33FF)), "".join(chr(c) for c in range(0xF900, 0xFFFE) if not 0xFDD0 <= c <= 0xFDEF),
    ]
    def text():
        own = rng.sample(pools, 3) + [pools[0]]
        return "".join(rng.choice(rng.choice(own)) for _ in range(rng.randint(1, 14)))
    return [text() for _ in range(count)]


def changed(base, change):
    """A tokenizer.json with the change of one case; the test does the same."""
    made = json.loads(json.dumps(base))
    for token in change.get("added", []):
        flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
        made["added_tokens"].append({"id": len(made["model"]["vocab"]) + change["added"].index(token), **flags, **token})
    for key in ("pre_tokenizer", "normalizer"):
        if key in change:
            made[key] = change[key]
    if "charsmap" in change:
        text = base64.b64encode(gzip.decompress((MAPS / change["charsmap"]).read_bytes())).decode()
        made["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": text}
    if change.get("bytes"):
        made["model"]["byte_fallback"] = True
        made["model"]["vocab"] += [[f"<0x{byte:02X}>", 0] for byte in range(256)]
    return made


def save_maps(model):
    import sentencepiece.sentencepiece_model_pb2 as pb
    from sentencepiece import SentencePieceTrainer
    MAPS.mkdir(exist_ok=True)
    def save(name, proto):
        (MAPS / name).write_bytes(gzip.compress(proto.normalizer_spec.precompiled_charsmap, 9, mtime=0))
    proto = pb.ModelProto()
    proto.ParseFromString(pathlib.Path(model).read_bytes())
    save("t5.charsmap.gz", proto)
    import io
    out = io.BytesIO()
    lines = ["the quick brown fox jumps over the lazy dog", "pack my box with five dozen liquor jugs"] * 20
    SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, vocab_size=60, normalization_rule_name="nmt_nfkc_cf", hard_vocab_limit=False, minloglevel=2)
    proto = pb.ModelProto()
    proto.ParseFromString(out.getvalue())
    save("nmt_nfkc_cf.charsmap.gz", proto)


if len(sys.argv) > 1:
    save_maps(sys.argv[1])
texts = unescaped(FIXED) + sampled(170, 7)
added_texts = unescaped(ADDED_TEXTS) + ["a\n[new york]\nb", "", " "]
CASES = {
    "the shipped base": dict(base=SHIPPED),
    "a Metaspace alone, spaces made one": dict(base="test/fixtures/onnx/tiny-t5-v10/tokenizer.json"),
    "the character map of Google's T5": dict(base=SHIPPED, change=dict(charsmap="t5.charsmap.gz")),
    "a character map that folds cases": dict(base=SHIPPED, change=dict(charsmap="nmt_nfkc_cf.charsmap.gz")),
    "no normalizer": dict(base=SHIPPED, change=dict(normalizer=None)),
    "unknown characters as bytes": dict(base=SHIPPED, change=dict(bytes=True)),
    "a space before the first word only": dict(base=SHIPPED, change=dict(pre_tokenizer={**METASPACE, "prepend_scheme": "first"})),
    "no space before, words not parted": dict(base=SHIPPED, change=dict(pre_tokenizer={**METASPACE, "prepend_scheme": "never", "split": False})),
    "added tokens": dict(base=SHIPPED, change=dict(added=ADDED), texts=added_texts),
    "added tokens where cases are folded": dict(base=SHIPPED, change=dict(added=ADDED, charsmap="nmt_nfkc_cf.charsmap.gz"), texts=added_texts),
    "added tokens and a space before the first word only": dict(base=SHIPPED, change=dict(added=ADDED, pre_tokenizer={**METASPACE, "prepend_scheme": "first"}), texts=added_texts),
}
cases = []
for name, case in CASES.items():
    base = json.loads(pathlib.Path(case["base"]).read_text())
    tokenizer = Tokenizer.from_str(json.dumps(changed(base, case.get("change", {}))))
    ids = [encoding.ids for encoding in tokenizer.encode_batch(case.get("texts", texts))]
    cases.append({"name": name, "base": case["base"], "change": case.get("change", {}), **({"texts": case["texts"]} if "texts" in case else {}), "ids": ids})


def decoded(config):
    """What T5Tokenizer makes of a text's ids with a tokenizer_config.json."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, "tokenizer.json").write_text(pathlib.Path(SHIPPED).read_text())
        pathlib.Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
        tokenizer = T5Tokenizer.from_pretrained(folder)
        ids = tokenizer(SPACED).input_ids
        return {"config": config, "ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True)}


SPACED = "it 's a film , do n't you ? a . b"
decoding = [decoded(config) for config in ({}, {"clean_up_tokenization_spaces": False}, {"clean_up_tokenization_spaces": True})]
lines = ",\n".join(json.dumps(case) for case in cases)
OUT.write_text(f'{{"texts": {json.dumps(texts)},\n"decoding": {json.dumps(decoding)},\n"cases": [{lines}]}}\n')
print(OUT, len(texts), "texts", len(added_texts), "with added tokens", OUT.stat().st_size, "bytes")
