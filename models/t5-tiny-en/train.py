"""How to make a model like t5-tiny-en, from text to weights: tokenizer, embeddings start, span corruption, LM adaptation, conclusions of reviews, choosing between words.

Needs torch, transformers and sentencepiece (bench/peers/setup.sh installs them) and a folder with
  text.jsonl     [source, text] a line: unlabeled English (README.md lists it)
  reviews.jsonl  [rating 1-10, text] a line: film reviews
Each stage reads what the one before it left there: `python train.py FOLDER tokenizer`, then `chunks`, `embeddings`, `pretrain 42`, `conclude 13`, `choose 24`
(the number is minutes of two CPU cores; the learning rate ends with them).

`python train.py FOLDER --smoke` writes a scrap of made-up text into an empty folder and runs all stages on it, small and for seconds: whether this file runs, and
nothing more. The weights beside this file were made by the same steps in several sittings, before they were written down here in one piece: README.md says what differs."""
import json
import random
import re
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from transformers import GenerationConfig, T5Config, T5ForConditionalGeneration, T5TokenizerFast
from transformers.models.t5.modeling_t5 import T5Attention

if len(sys.argv) < 3:
    sys.exit(__doc__)
FOLDER, STAGE, MINUTES = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
MODEL = FOLDER / "model"
SMOKE = STAGE == "--smoke"
WIDTH, CHUNK, EOS = 192, 88, 1
# Pieces of the tokenizer; chunks and reviews kept apart; pieces too common to be asked for, and those behind which none is taken for a random word.
PIECES, HELD_OUT, HELD_REVIEWS, COMMON, RARE = (400, 8, 20, 20, 400) if SMOKE else (8000, 768, 600, 160, 5000)
SENTINEL = PIECES + 99
# Chunks sorted together by length, tokens of a batch of them; processors.
POOL, BATCH_TOKENS, THREADS = (32, 256, 1) if SMOKE else (1024, 2816, 2)
SHAPE = dict(d_model=WIDTH, d_kv=48, d_ff=256, num_layers=4, num_decoder_layers=4, num_heads=4, feed_forward_proj="gated-gelu")
SHORT_SOURCES = ("mr", "sst", "subj", "custrev")  # review sentences without labels, already split as SST-2 is: they enter three times
torch.set_num_threads(THREADS)


# ---- text ----


def read_lines(name):
    with open(FOLDER / name, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def split_punctuation(text):
    """Lower case, punctuation and clitics apart: the way SST-2 is written."""
    text = re.sub(r"([.,!?;:()\"])", r" \1 ", text.lower())
    text = re.sub(r"n't\b", " n't", text)
    text = re.sub(r"(?<=\w)'(s|re|ve|ll|d|m)\b", r" '\1", text)
    return re.sub(r"\s+", " ", text).strip()


def sentences(text):
    return re.split(r"(?<=[.!?]) +", text)


def styled(source, text, rng):
    return split_punctuation(text) if source not in SHORT_SOURCES and rng.random() < 0.35 else text


def pieces():
    return spm.SentencePieceProcessor(model_file=str(FOLDER / "spiece.model"))


# ---- tokenizer: SentencePiece unigram and 100 sentinels ----


def make_tokenizer():
    rng = random.Random(1)
    with open(FOLDER / "sentences.txt", "w", encoding="utf-8") as out:
        for source, text in read_lines("text.jsonl"):
            if source == "imdb" and rng.random() > 0.14:
                continue
            out.writelines(line + "\n" for line in sentences(styled(source, text, rng)) if 10 < len(line) < 600)
    spm.SentencePieceTrainer.train(
        input=str(FOLDER / "sentences.txt"), model_prefix=str(FOLDER / "spiece"), vocab_size=PIECES, model_type="unigram",
        pad_id=0, eos_id=EOS, unk_id=2, bos_id=-1, pad_piece="<pad>", eos_piece="</s>", unk_piece="<unk>", character_coverage=0.99995,
        normalization_rule_name="nmt_nfkc", num_threads=2, input_sentence_size=200000, shuffle_input_sentence=True,
    )
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((FOLDER / "spiece.model").read_bytes())
    vocabulary = [(piece.piece, piece.score) for piece in model.pieces] + [(f"<extra_id_{i}>", 0.0) for i in range(99, -1, -1)]
    T5TokenizerFast(
        vocab=vocabulary, _spm_precompiled_charsmap=model.normalizer_spec.precompiled_charsmap, extra_ids=100, model_max_length=512
    ).save_pretrained(MODEL)


# ---- chunks: at most 88 tokens, beginning at a sentence ----


def chunk_lines(work):
    seed, lines = work
    rng, encode, out = random.Random(seed), pieces().encode, []
    for source, text in lines:
        current = []
        for ids in encode(sentences(styled(source, text, rng))):
            if len(current) >= 24 and len(current) + len(ids) > CHUNK:
                out.append(current[:CHUNK])
                current = []
            current = current + ids
            while len(current) >= CHUNK + 24:
                out.append(current[:CHUNK])
                current = current[CHUNK:]
            if len(current) > CHUNK:
                out.append(current[:CHUNK])
                current = []
        if len(current) >= 8:
            out.append(current[:CHUNK])
    return out


def make_chunks():
    lines = read_lines("text.jsonl")
    lines += [line for line in lines if line[0] in SHORT_SOURCES] * 2
    random.Random(0).shuffle(lines)
    with Pool(2) as pool:
        chunks = [chunk for part in pool.map(chunk_lines, [(i, lines[i::40]) for i in range(40)], chunksize=1) for chunk in part]
    order = np.random.default_rng(0).permutation(len(chunks))
    lengths = np.array([len(chunks[i]) for i in order], np.uint8)
    table = np.zeros((len(chunks), CHUNK), np.uint16)
    for row, i in enumerate(order):
        table[row, : lengths[row]] = chunks[i]
    np.savez(FOLDER / "chunks.npz", ids=table, lengths=lengths)


# ---- embeddings start: vectors of the words' neighbours (PPMI, then SVD); a small model learns faster from them ----


def make_embeddings():
    ids = np.load(FOLDER / "chunks.npz")["ids"][HELD_OUT:].astype(np.int64)[:420000]
    counts = np.zeros(PIECES * PIECES, np.float32)
    for distance in range(1, 9):
        left, right = ids[:, :-distance].ravel(), ids[:, distance:].ravel()
        both = (left > 2) & (right > 2)
        counts += np.bincount(left[both] * PIECES + right[both], minlength=PIECES**2).astype(np.float32) / distance**0.5
    counts = counts.reshape(PIECES, PIECES)
    counts = counts + counts.T
    frequency = np.bincount(ids.ravel(), minlength=PIECES)[:PIECES].astype(np.float64)
    frequency[0] = 1
    rows = counts.sum(1) + 1e-9
    context = rows**0.75 / (rows**0.75).sum()
    information = np.maximum(np.log(counts / (rows[:, None] * context[None, :]).astype(np.float32) + 1e-12), 0).astype(np.float32)
    information[counts < 1.0] = 0
    u, s, _ = torch.svd_lowrank(torch.from_numpy(information), q=256, niter=3)
    vectors = (u * s.clamp(min=0) ** 0.4)[:, : WIDTH - 1]
    vectors = vectors / (vectors.norm(dim=1, keepdim=True) + 1e-6) * (WIDTH - 1) ** 0.5
    log_frequency = torch.tensor(np.log(frequency + 1))
    log_frequency = ((log_frequency - log_frequency.mean()) / log_frequency.std()).float()
    generator = torch.Generator().manual_seed(0)
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator))  # so that no single dimension is special
    table = torch.randn(PIECES + 100, WIDTH, generator=generator)
    known = torch.from_numpy(frequency >= 5)
    known[:3] = False
    table[:PIECES][known] = (torch.cat([vectors * 0.93, log_frequency[:, None] * 2.0], 1) @ rotation)[known]
    torch.save(table, FOLDER / "embeddings.pt")


# ---- the model: a lean forward pass over the parameters of transformers' T5 (the same mathematics, less time) ----


def new_model():
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=PIECES + 100, dropout_rate=0.0, decoder_start_token_id=0, pad_token_id=0, eos_token_id=EOS, n_positions=512, **SHAPE
    )
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.shared.weight.copy_(torch.load(FOLDER / "embeddings.pt"))
        # A local prior on the relative positions: a head for the neighbour before, one for the neighbour after, one that fades.
        bias = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        for bucket, head, value in ((1, 0, 3), (2, 0, 1.5), (17, 1, 3), (18, 1, 1.5)):
            bias[bucket, head] += value
        for bucket in range(16):
            bias[bucket, 2] -= 0.3 * bucket
            bias[16 + bucket, 2] -= 0.3 * bucket
        bias = model.decoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        for bucket, head, value in ((1, 0, 3), (2, 1, 2), (3, 1, 2)):
            bias[bucket, head] += value
        for bucket in range(32):
            bias[bucket, 2] -= 0.2 * bucket
    return model


def norm(x, layer):
    return F.rms_norm(x, (x.shape[-1],), layer.weight, 1e-6)


def attend(model, layer, x, keys, bias):
    heads, size = model.config.num_heads, model.config.d_kv
    rows, length, _ = x.shape

    def split(y):
        return y.view(rows, -1, heads, size).transpose(1, 2)

    q, k, v = split(layer.q(x)), split(layer.k(keys)), split(layer.v(keys))
    scores = q @ k.transpose(-1, -2) + bias
    return layer.o((scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, heads * size))


def feed_forward(layer, x):
    hidden, inner = norm(x, layer.layer_norm), layer.DenseReluDense
    return x + inner.wo(F.gelu(inner.wi_0(hidden), approximate="tanh") * inner.wi_1(hidden))


def position_bias(model, stack, length, both_ways):
    config, at = model.config, torch.arange(length)
    buckets = T5Attention._relative_position_bucket(
        at[None, :] - at[:, None], bidirectional=both_ways, num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
    )
    return stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight[buckets].permute(2, 0, 1)[None]


def loss_of(model, batch):
    """Mean cross entropy a target token; batch = ids [B, T], mask [B, T], decoder ids [B, U], labels [B, U] with -100 in the padding."""
    ids, mask, decoder_ids, labels = batch
    outside = torch.where(mask.bool(), 0.0, -1e9)[:, None, None, :]
    x, bias = F.embedding(ids, model.shared.weight), position_bias(model, model.encoder, ids.shape[1], True) + outside
    for block in model.encoder.block:
        hidden = norm(x, block.layer[0].layer_norm)
        x = feed_forward(block.layer[1], x + attend(model, block.layer[0].SelfAttention, hidden, hidden, bias))
    encoded = norm(x, model.encoder.final_layer_norm)
    length = decoder_ids.shape[1]
    y = F.embedding(decoder_ids, model.shared.weight)
    bias = position_bias(model, model.decoder, length, False) + torch.full((length, length), -1e9).triu(1)
    for block in model.decoder.block:
        hidden = norm(y, block.layer[0].layer_norm)
        y = y + attend(model, block.layer[0].SelfAttention, hidden, hidden, bias)
        y = y + attend(model, block.layer[1].EncDecAttention, norm(y, block.layer[1].layer_norm), encoded, outside)
        y = feed_forward(block.layer[2], y)
    y = norm(y, model.decoder.final_layer_norm) * model.config.d_model**-0.5
    kept = labels.reshape(-1) != -100
    return F.cross_entropy(F.linear(y.reshape(-1, y.shape[-1])[kept], model.shared.weight), labels.reshape(-1)[kept])


def pack(examples):
    """(input ids, target ids) pairs as one padded batch."""
    width, length = max(len(x) for x, _ in examples), max(len(y) for _, y in examples)
    ids, mask = torch.zeros(len(examples), width, dtype=torch.long), torch.zeros(len(examples), width, dtype=torch.long)
    decoder_ids, labels = torch.zeros(len(examples), length, dtype=torch.long), torch.full((len(examples), length), -100)
    for row, (x, y) in enumerate(examples):
        ids[row, : len(x)], mask[row, : len(x)] = torch.tensor(x), 1
        labels[row, : len(y)], decoder_ids[row, 1 : len(y)] = torch.tensor(y), torch.tensor(y[:-1])
    return ids, mask, decoder_ids, labels


class Training:
    """AdamW whose rate for a matrix is a share of its RMS, for vectors, embeddings and position biases absolute; the schedule ends with the minutes."""

    def __init__(self, model, log, matrix_rate, vector_rate, embedding_rate, warmup):
        self.model, self.warmup, self.step, self.losses = model, warmup, 0, []
        self.groups = []
        for name, p in model.named_parameters():
            vector = p.ndim == 1 or "relative" in name
            rate = embedding_rate if name == "shared.weight" else vector_rate if vector else matrix_rate
            self.groups.append(dict(params=[p], lr=0.0, rate=rate, relative=not vector and name != "shared.weight"))
        self.optimizer = torch.optim.AdamW(self.groups, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
        self.log, self.start = open(FOLDER / log, "w", encoding="utf-8"), time.time()

    def done(self):
        return (time.time() - self.start) / (60 * MINUTES)

    def update(self, batch, schedule):
        loss = loss_of(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            scale = max(1e-3, float(group["params"][0].detach().pow(2).mean().sqrt())) if group["relative"] else 1.0
            group["lr"] = group["rate"] * scale * schedule * min(1.0, (self.step + 1) / self.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.item())
        self.step += 1

    def write(self, **facts):
        line = dict(step=self.step, t=round(time.time() - self.start), loss=round(float(np.mean(self.losses[-100:])), 4), **facts)
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def save(self):
        self.model.generation_config = GenerationConfig(decoder_start_token_id=0, eos_token_id=EOS, pad_token_id=0)
        self.model.save_pretrained(MODEL)


# ---- first stage: span corruption for half of the time, then prefix to continuation (LM adaptation) ----


def parts(rng, total, count):
    cuts = np.sort(rng.choice(total - 1, count - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]])).tolist()


def corrupt_spans(rng, ids):
    noise = min(max(round(len(ids) * 0.15), 1), len(ids) - 1)
    spans = min(max(round(noise / 3), 1), len(ids) - noise)
    source, target, at = [], [], 0
    for index, (kept, hidden) in enumerate(zip(parts(rng, len(ids) - noise, spans), parts(rng, noise, spans))):
        source += ids[at : at + kept] + [SENTINEL - index]
        target += [SENTINEL - index] + ids[at + kept : at + kept + hidden]
        at += kept + hidden
    return source + [EOS], target + [EOS]


def continue_text(rng, ids, ends):
    """Half of the cuts at the end of a sentence, the others anywhere in the middle."""
    stops = [i + 1 for i in range(4, len(ids) - 4) if ends[ids[i]]]
    cut = stops[rng.integers(len(stops))] if stops and rng.random() < 0.5 else rng.integers(max(2, len(ids) // 5), max(3, len(ids) - len(ids) // 4))
    return ids[:cut] + [EOS], ids[cut:] + [EOS]


def pretrain():
    data, rng = np.load(FOLDER / "chunks.npz"), np.random.default_rng(1)
    chunks, lengths = data["ids"], data["lengths"].astype(int)
    sp = pieces()
    ends = [bool(re.fullmatch(r"▁?[.!?][\"')]*", sp.id_to_piece(i))) for i in range(PIECES)]
    training = Training(new_model(), "loss_log.jsonl", matrix_rate=0.02, vector_rate=0.005, embedding_rate=0.004, warmup=250)
    order = rng.permutation(np.arange(HELD_OUT, len(chunks)))

    def make(rows, spans):
        texts = [chunks[i, : lengths[i]].tolist() for i in rows]
        return pack([corrupt_spans(rng, ids) if spans else continue_text(rng, ids, ends) for ids in texts])

    while training.done() < 1:
        # Pools of 1,024 chunks, sorted by length, cut into batches of about 2,816 padded tokens.
        pool, order = order[:POOL], np.roll(order, -POOL)
        pool, batches = pool[np.argsort(lengths[pool])[::-1]], []
        while len(pool):
            count = max(1, BATCH_TOKENS // max(int(lengths[pool[0]]), 20))
            batches.append(pool[:count])
            pool = pool[count:]
        for index in rng.permutation(len(batches)):
            done = min(1.0, training.done())
            training.update(make(batches[index], spans=done < 0.5), min(1.0, (0.03 + 0.97 * (1 - done)) / (0.03 + 0.97 * 0.7)))
            if training.step % 100 == 0:
                training.write(phase="span" if done < 0.5 else "lm")
    training.save()


# ---- second stage: the conclusion of a piece of a review, in words or as "8 out of 10"; never the words positive or negative ----

LIKED = """i loved it . i really liked it . a great film . a wonderful movie . highly recommended . one of the best . worth seeing . {} out of 10 .
it is excellent . a joy to watch . well done . very enjoyable . go and see it ."""
DISLIKED = """i hated it . i did not like it . a bad film . a terrible movie . not recommended . one of the worst . avoid it . {} out of 10 .
it is awful . a waste of time . very disappointing . boring and dull . do not bother ."""


def phrases(text):
    return [phrase.strip() + " ." for phrase in re.split(r" \.\s*", text) if phrase.strip()]


def review_piece(rng, text):
    """One to three sentences; reviews conclude at the end."""
    lines = sentences(text)
    at, count = rng.randrange(len(lines)), rng.choice([1, 1, 2, 2, 3])
    if rng.random() < 0.4:
        at = max(0, len(lines) - count)
    elif rng.random() < 0.2:
        at = 0
    return " ".join(lines[at : at + count])


def conclude_example(rng, encode, reviews, split_share, conclusion_share):
    rating, text = rng.choice(reviews)
    piece = review_piece(rng, text)
    ids = encode(split_punctuation(piece) if rng.random() < split_share else piece)[:60]
    if len(ids) < 5:
        return conclude_example(rng, encode, reviews, split_share, conclusion_share)
    if rng.random() < conclusion_share:
        return ids + [EOS], encode(rng.choice(phrases(LIKED if rating >= 7 else DISLIKED)).format(rating)) + [EOS]
    cut = rng.randrange(2, len(ids) - 1)
    return ids[:cut] + [EOS], ids[cut:] + [EOS]


def held_reviews():
    reviews = read_lines("reviews.jsonl")
    random.Random(3).shuffle(reviews)
    return reviews[:HELD_REVIEWS], reviews[HELD_REVIEWS:]


def go_on(log, make_example, batch, **rates):
    """Trains the saved model on examples made as they are needed, batched by length."""
    batch = 4 if SMOKE else batch
    rng = random.Random(3)
    training = Training(T5ForConditionalGeneration.from_pretrained(MODEL, dtype=torch.float32), log, warmup=60, **rates)
    while training.done() < 1:
        pool = sorted((make_example(rng) for _ in range(8 * batch)), key=lambda example: len(example[0]))
        batches = [pool[i : i + batch] for i in range(0, len(pool), batch)]
        rng.shuffle(batches)
        for examples in batches:
            training.update(pack(examples), max(0.0, 1 - training.done()) + 1e-3)
            if training.step % 50 == 0:
                training.write()
    training.save()


def conclude():
    _, reviews = held_reviews()
    encode = pieces().encode
    go_on(
        "loss_log_ratings.jsonl", lambda rng: conclude_example(rng, encode, reviews, 0.7, 0.65), batch=64,
        matrix_rate=0.012, vector_rate=0.0015, embedding_rate=0.0015,
    )


# ---- third stage: choose one of a few words that stand in front of a text, as the rows of a label-initialised prompt do ----

# Antonyms for reviews; never the words positive and negative.
PAIRS = """good/bad great/terrible wonderful/awful excellent/poor like/dislike love/hate best/worst up/down recommended/avoid brilliant/boring fun/dull
superb/dreadful enjoyable/disappointing happy/angry fresh/stale success/failure win/lose right/wrong praise/complaint masterpiece/mess classic/disaster
beautiful/ugly smart/stupid funny/lame strong/weak high/low plus/minus amazing/horrible nice/nasty perfect/worthless"""


class Choosing:
    """40 % a text with one word taken out, to be chosen among one to three words of other texts; 35 % a piece of a review with a pair of antonyms;
    4 % a question with its question word taken out; the rest as in the second stage (13 % conclusions, 8 % prefix to continuation of at most 16 tokens)."""

    def __init__(self):
        sp = pieces()
        self.encode, spelled = sp.encode, [sp.id_to_piece(i) for i in range(PIECES)]
        _, self.reviews = held_reviews()
        self.texts = [text for source, text in read_lines("text.jsonl") if source != "imdb"]
        self.questions = [text for source, text in read_lines("text.jsonl") if source == "trec"]
        self.pairs = [[self.encode(word) for word in pair.split("/")] for pair in PAIRS.split()]
        self.question_words = [self.encode(word)[0] for word in ("who", "where", "when", "how", "why", "what", "which")]
        # Whole words past the commonest pieces.
        self.is_word = [i >= COMMON and bool(re.fullmatch(r"▁[A-Za-z]{3,}", piece)) for i, piece in enumerate(spelled)]
        self.goes_on = [bool(re.match(r"[A-Za-z']", piece)) for piece in spelled]
        self.others = []

    def styled(self, rng, text):
        return split_punctuation(text) if rng.random() < 0.5 else text

    def front(self, rng, options):
        """The options in random order, often among other words, as the vocabulary rows of a prompt are."""
        rows = [piece for option in rng.sample(options, len(options)) for piece in option]
        if rng.random() < 0.6:
            rows += [rng.randrange(3, RARE) for _ in range(rng.choice([4, 8, 12, 16, 18]))]
        return rows[:24]

    def missing_word(self, rng):
        text = rng.choice(self.reviews)[1] if rng.random() < 0.5 else rng.choice(self.texts)
        ids = self.encode(self.styled(rng, rng.choice(sentences(text))))[:40]
        words = [i for i, piece in enumerate(ids) if self.is_word[piece] and (i + 1 == len(ids) or not self.goes_on[ids[i + 1]])]
        if len(ids) < 5 or len(words) < 2:
            return self.missing_word(rng)
        at = rng.choice(words)
        options, count = [ids[at]], rng.choice([2, 2, 3, 4])
        self.others = (self.others + [ids[rng.choice(words)]])[-4000:]
        while len(options) < count:
            other = rng.choice(self.others) if len(self.others) > 100 else rng.randrange(COMMON + 40, RARE)
            if other not in options:
                options.append(other)
        gap = [] if rng.random() < 0.7 else [SENTINEL]
        return self.front(rng, [[option] for option in options]) + ids[:at] + gap + ids[at + 1 :] + [EOS], [ids[at], EOS]

    def verdict(self, rng):
        rating, text = rng.choice(self.reviews)
        ids = self.encode(self.styled(rng, review_piece(rng, text)))[:60]
        if len(ids) < 4:
            return self.verdict(rng)
        pair = rng.choice(self.pairs)
        return self.front(rng, pair) + ids + [EOS], pair[0 if rating >= 7 else 1] + [EOS]

    def question_word(self, rng):
        ids = self.encode(split_punctuation(rng.choice(self.questions)))[:40]
        found = [i for i, piece in enumerate(ids) if piece in self.question_words]
        if not found:
            return self.question_word(rng)
        word = ids[found[0]]
        options = [word] + rng.sample([other for other in self.question_words if other != word], rng.choice([1, 2, 3]))
        return self.front(rng, [[option] for option in options]) + ids[: found[0]] + ids[found[0] + 1 :] + [EOS], [word, EOS]

    def example(self, rng):
        kind = rng.random()
        if kind < 0.40:
            return self.missing_word(rng)
        if kind < 0.75:
            return self.verdict(rng)
        if kind < 0.79:
            return self.question_word(rng)
        source, target = conclude_example(rng, self.encode, self.reviews, 0.5, 0.62)
        return source, target[:16] + ([EOS] if len(target) > 16 else [])


def choose():
    go_on("loss_log_choose.jsonl", Choosing().example, batch=96, matrix_rate=0.012, vector_rate=0.0015, embedding_rate=0.0015)


# ---- a smoke run ----


def write_scrap():
    """Words of this folder's README in random order, with the kinds of lines that the stages look for."""
    rng = random.Random(0)
    words = sorted(set(re.findall(r"[A-Za-z]{2,}", (Path(__file__).parent / "README.md").read_text(encoding="utf-8"))))
    phrase = lambda count: " ".join(rng.choice(words) for _ in range(count))
    text = lambda lines: " ".join(f"{phrase(9).capitalize()}, {phrase(3)}." for _ in range(lines))
    rows = [[source, text(6)] for source in ("imdb", "brown", "mr") for _ in range(120)]
    rows += [["trec", f"{word} is the {phrase(4)} ?"] for word in ("what", "who", "where", "when") for _ in range(20)]
    reviews = [[rng.randint(1, 10), text(5)] for _ in range(100)]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, lines in (("text.jsonl", rows), ("reviews.jsonl", reviews)):
        if (FOLDER / name).exists():
            sys.exit(f"{FOLDER / name} is there already: a smoke run wants an empty folder")
        (FOLDER / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def smoke():
    global MINUTES
    write_scrap()
    MINUTES = 0.02
    for name, stage in STAGES.items():
        stage()
        print(f"{name} ok", flush=True)
    model = T5ForConditionalGeneration.from_pretrained(MODEL)
    ids = pieces().encode("a smoke run") + [EOS]
    print("answer", model.generate(torch.tensor([ids]), max_new_tokens=3).tolist()[0])


STAGES = dict(tokenizer=make_tokenizer, chunks=make_chunks, embeddings=make_embeddings, pretrain=pretrain, conclude=conclude, choose=choose)
TIMED = ("pretrain", "conclude", "choose")
if __name__ == "__main__":
    if SMOKE:
        smoke()
    elif STAGE not in STAGES or (STAGE in TIMED and MINUTES <= 0):
        sys.exit(f"stages: {', '.join(STAGES)}; {', '.join(TIMED)} want a number of minutes. Got: {' '.join(sys.argv[2:])}")
    else:
        STAGES[STAGE]()
