"""Distil the text encoder that ships.

    python recipes/train_text.py --minutes 5 --out presto_nb/assets/text

Needs the MiniLM sentence encoder (presto-nb setup eval). Two CPU cores, about 8 minutes in all:
  1. the table: what MiniLM says of every word piece alone, turned to its main directions, stored as
     int8
  2. the texts: captions, prompts in many wordings, plain words, and MiniLM's answer to each
  3. training: the summary must match MiniLM's sentence vector and the similarities between
     sentences, every token must match MiniLM's token, and summary and mean token must tell the
     attributes of the tune through a linear layer each
  4. the report: accuracy on kept phrasings and kept synonyms, similarity of wordings by teacher and
     by student
Writes the encoder, a log (CSV) and a report (JSON).
"""

import argparse
import csv
import itertools
import json
import math
import random
import re
import sys
import time
from pathlib import Path

import text_lexicon as lexicon
from common import stamped, write_json  # first: it sets how torch waits
from text_lexicon import ATTRIBUTES, IGNORE

import torch
import torch.nn as nn
import torch.nn.functional as F

from presto_nb.material import tunes
from presto_nb.material.core import atomic_path, load_state, load_tensors, new_rng, save_tensors
from presto_nb.material.text import MiniLMEncoder, SmallTextEncoder, TextConfig, to_bytes

DEMO = [
    "a brisk fiddle reel",
    "fast violin reel",
    "a quick reel on the violin",
    "a slow church organ hymn",
    "unhurried pipe organ chorale",
    "banjo with drums",
    "banjo with percussion",
    "banjo without drums",
    "something gentle on the harp",
    "a calm harp melody",
    "an energetic accordion polka",
    "a lively squeezebox dance",
    "trumpet march in D major",
    "oboe lament in A minor",
]


MAIN = "lead", "accompaniment", "drums", "tempo", "dance", "tonic", "mode"  # of the log's means
PLACED = dict(  # words by which the teacher places others
    drums=["drums", "percussion", "drum kit"],
    bass=["bass", "double bass"],
    other=list(lexicon.LEADS),
)
KEPT_SYNONYMS = dict(
    lead=lexicon.LEADS,
    accompaniment=lexicon.ACCOMPANIMENTS,
    drums=lexicon.DRUMS,
    bass=lexicon.BASS,
    tempo=lexicon.TEMPI,
)

# --- the table ---------------------------------------------------------------------------------


def is_needed(piece):
    "No other scripts, no long numbers, no marks of the teacher"
    mark = piece[0] == "[" and piece != "["
    return piece.isascii() and not re.search(r"\d{4}", piece) and not mark


def kept_pieces(teacher):
    "The word pieces that English needs, the unknown first"
    vocab = sorted(teacher.tokenizer.get_vocab().items(), key=lambda p: p[1])
    return ["[UNK]"] + [p for p, _ in vocab if is_needed(p)]


def mean_answer(teacher, ids):  # [b, n]
    "The teacher's mean vector of each row, [b, 384]"
    mask = torch.ones_like(ids)
    return teacher.model(input_ids=ids, attention_mask=mask).last_hidden_state.mean(1)


@torch.no_grad()
def build_table(teacher, pieces):
    "What the teacher says of each piece alone, main directions first, largest first: [pieces, 384]"
    t = teacher.tokenizer
    rows = [[t.cls_token_id, t.convert_tokens_to_ids(p), t.sep_token_id] for p in pieces]
    v = torch.cat([mean_answer(teacher, ids) for ids in torch.tensor(rows).split(512)])
    v = F.normalize(v, dim=1)
    v = v - v.mean(0)
    v = v @ torch.linalg.svd(v, full_matrices=False)[2].T
    return v / v[:, :128].std()


def sharpen(table, pieces, times=2.5):
    "Stretch what tells numbers apart: too close for a reader of metres (6/8 is not 9/8)"
    rows = torch.tensor([i for i, p in enumerate(pieces) if p.isdigit()])
    v = table[rows]
    mean = v.mean(0)
    new = mean + times * (v - mean)
    return table.index_copy(0, rows, new * (v.norm(dim=1) / new.norm(dim=1))[:, None])


# --- the texts ---------------------------------------------------------------------------------


def plain_words(rng, words, r):
    "One word or some, common ones most often; nothing is graded"
    k = 1 if r < 0.9 else rng.randint(2, 7)  # common words come early in the vocabulary
    text = " ".join(words[int(len(words) * rng.random() ** 1.5)] for _ in range(k))
    return text, [IGNORE] * len(ATTRIBUTES)


def one_text(rng, words):
    "35 % captions, 40 % prompts, 25 % plain words"
    r = rng.random()
    if r < 0.35:
        return lexicon.caption(rng)
    if r < 0.60:
        return lexicon.sample(rng)
    if r < 0.75:
        return lexicon.sentence(rng)
    return plain_words(rng, words, r)


def split_labels(rows):
    "Texts, and their labels [n, attributes]"
    return [text for text, _ in rows], torch.tensor([labels for _, labels in rows])


def make_texts(n, seed, pieces):
    "n texts with attribute labels"
    rng = random.Random(seed)
    words = [p for p in pieces if p.isalpha() and len(p) > 2]
    return split_labels([one_text(rng, words) for _ in range(n)])


def sentence_vectors(teacher, texts):
    "The teacher's, [n, 384]"
    parts = [teacher(texts[i : i + 64])[0][:, 0] for i in range(0, len(texts), 64)]
    return F.normalize(torch.cat(parts), dim=1)


@torch.no_grad()
def add_words(teacher):
    "Let the teacher place unlabelled music words; from here on the untaught texts use them too"

    def vectors(texts):
        return sentence_vectors(teacher, texts)

    found = {}
    for table in (lexicon.LEADS, lexicon.TEMPI):
        wordings = {k: v[0] for k, v in table.items()}
        new = lexicon.expand(vectors, wordings, lexicon.MUSIC_WORDS)
        for k, words in new.items():
            table[k][0].extend(words)
        found |= new
    for name, table in (("drums", lexicon.DRUMS), ("bass", lexicon.BASS)):
        words = lexicon.expand(vectors, PLACED, lexicon.MUSIC_WORDS)[name]
        table["yes"][0].extend(f"{w} {x}" for x in words for w in ("with", "and"))
        table["no"][0].extend(f"{w} {x}" for x in words for w in ("no", "without"))
        found[name] = words
    return found


# --- teacher and student -----------------------------------------------------------------------


def describe(pieces, table_dim):
    "The encoder's config: sizes, and what the captions and prompts know"
    familiar, strange = lexicon.word_lists()
    knows = dict(
        leads=list(tunes.LEADS),
        accompaniments=[a for a in tunes.ACCOMPANIMENTS if a != "none"] + ["bass", "drums"],
        dances=list(tunes.DANCES),
        keys=["all twelve"] + list(lexicon.MODES),
        tempi=list(tunes.TEMPI),
    )
    return TextConfig(
        len(pieces),
        table_dim=table_dim,
        familiar=tuple(familiar),
        strange=tuple(strange),
        knows=knows,
    )


def token_vectors(student, text, out, mask):  # of the teacher, [n, 384]; [n]
    "The teacher's words where both cut the text alike, else None"
    words = out[1:][mask[1:]][1:-1]  # without [CLS] and [SEP]
    if len(words) == len(student.wordpiece(text)):
        return words[: student.max_tokens - 1].half()


@torch.no_grad()
def teach(teacher, student, texts, batch=64):
    "MiniLM's sentence vectors [n, 384] (in bfloat16 arithmetic), and its token vectors (a list)"
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    pooled = [None] * len(texts)
    tokens = [None] * len(texts)
    for j in range(0, len(order), batch):
        rows = order[j : j + batch]
        with torch.autocast("cpu", torch.bfloat16):
            out, mask = teacher([texts[i] for i in rows])
        for i, o, m in zip(rows, out, mask):
            pooled[i] = F.normalize(o[0], dim=0)
            tokens[i] = token_vectors(student, texts[i], o, m)
    return torch.stack(pooled), tokens


def cached(path, make):
    "What `make` returns (a dict of tensors), kept in a safetensors file if a path is given"
    if path and Path(path).is_file():
        return load_tensors(path)
    made = make()
    if path:
        save_tensors(path, made)
    return made


def teacher_answers(o, teacher, pieces, student, test_n=600):
    "Sentence and token vectors of the training texts, and sentence vectors of the test texts"
    pooled, tokens = teach(teacher, student, make_texts(o.texts, o.seed, pieces)[0])
    test, _ = teach(teacher, student, make_texts(test_n, o.seed + 2, pieces)[0])
    return dict(
        pooled=pooled,
        test=test,
        lengths=torch.tensor([-1 if t is None else len(t) for t in tokens]),
        words=torch.cat([t for t in tokens if t is not None]),
    )


def attribute_heads(width):
    "A linear layer for each attribute"
    return nn.ModuleDict({a: nn.Linear(width, len(c)) for a, c in ATTRIBUTES.items()})


def attribute_loss(heads, x, labels):  # [b, w], [b, attributes]
    "Mean over attributes of the loss of what is graded"
    losses = []
    for i, head in enumerate(heads.values()):
        true = labels[:, i]
        total = F.cross_entropy(head(x), true, ignore_index=IGNORE, reduction="sum")
        losses.append(total / (true != IGNORE).sum().clamp_min(1))
    return torch.stack(losses).mean()


def mean_token(x, mask):  # [b, n, w], [b, n]
    "Over the tokens that are there, [b, w]"
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)


class Distiller(nn.Module):
    "The student and the linear layers that are needed only while it learns"

    def __init__(self, student):
        super().__init__()
        self.student = student
        self.word_head = nn.Linear(student.dim, student.config.teacher_dim)
        self.by_summary = attribute_heads(student.dim)
        self.by_words = attribute_heads(student.dim)

    def states(self, ids, mask, noise):
        "Of all tokens, the summary first, [b, n + 1, w]"
        x = self.student.look_up(ids)
        return self.student.run(x + noise * torch.randn_like(x), mask)

    def forward(self, ids, mask, labels, sentence, words, has_words, noise=0.0):
        "Losses of a batch; the first len(sentence) rows have a teacher"
        n = len(sentence)
        x = self.states(ids, mask, noise)
        summary = x[:, 0]
        mean = mean_token(x[:, 1:], mask[:, 1:])
        e = F.normalize(self.student.head(summary[:n]), dim=1)
        alike = F.cosine_similarity(self.word_head(x[:n, 1:]), words, dim=-1)
        real = mask[:n, 1:] & has_words[:, None]
        return dict(
            sentence=1 - (e * sentence).sum(1).mean(),
            similarity=(e @ e.T - sentence @ sentence.T).square().mean(),
            words=1 - alike[real].mean(),
            summary_attributes=attribute_loss(self.by_summary, summary, labels),
            word_attributes=attribute_loss(self.by_words, mean, labels),
        )


WEIGHTS = dict(
    sentence=1.0, similarity=10.0, words=0.5, summary_attributes=2.0, word_attributes=0.5
)


class Texts:
    "Texts as padded batches of similar length"

    def __init__(self, student, texts, labels, pooled=None, words=None, lengths=None):
        self.ids = [student.wordpiece(t)[: student.max_tokens - 1] for t in texts]
        self.labels = labels
        self.pooled = pooled
        self.words = words
        self.lengths = lengths
        if words is not None:
            self.starts = (lengths.clamp_min(0).cumsum(0) - lengths.clamp_min(0)).tolist()

    def rows(self, batch, rng, batches=16):
        """Endless lists of row numbers

        `batches` batches are drawn at once, sorted by length, and served in an order that all
        `Texts` share."""
        for turn in itertools.count():
            drawn = torch.randint(len(self.ids), (batch * batches,), generator=rng).tolist()
            drawn = sorted(drawn, key=lambda i: len(self.ids[i]))
            for j in torch.randperm(batches, generator=new_rng("order", turn)).tolist():
                yield drawn[j * batch : (j + 1) * batch]

    def taught_words(self, rows, n):
        "The teacher's token vectors, [b, n, 384]; zeros where it has none"
        words = torch.zeros(len(rows), n, self.pooled.shape[1])
        for j, i in enumerate(rows):
            if (m := self.lengths[i].item()) > 0:
                words[j, :m] = self.words[self.starts[i] : self.starts[i] + m].float()
        return words

    def batch(self, rows, other, other_rows):
        "Taught rows of self above untaught rows of other"
        ids = [self.ids[i] for i in rows] + [other.ids[i] for i in other_rows]
        lengths = [len(i) for i in ids]
        n = max(lengths)
        return dict(
            ids=torch.tensor([i + [0] * (n - len(i)) for i in ids]),
            mask=torch.arange(n + 1) <= torch.tensor(lengths)[:, None],
            labels=torch.cat([self.labels[rows], other.labels[other_rows]]),
            sentence=self.pooled[rows],
            words=self.taught_words(rows, n),
            has_words=self.lengths[rows] > 0,
        )


# --- accuracies --------------------------------------------------------------------------------


def rate(hits):
    "With four digits"
    return round(hits.float().mean().item(), 4)


@torch.no_grad()
def accuracies(model, texts, labels):
    "How often the layers on summaries are right: where the text says something, and overall"
    parts = [model.student(texts[i : i + 256])[0][:, 0] for i in range(0, len(texts), 256)]
    summaries = torch.cat(parts)
    found = {}
    for i, (a, head) in enumerate(model.by_summary.items()):
        said = labels[:, i] > 0
        graded = labels[:, i] != IGNORE
        right = head(summaries).argmax(1) == labels[:, i]
        found[a] = dict(said=rate(right[said]), all=rate(right[graded]), n=int(said.sum()))
    return found


def kept_phrasing(rng, i):
    "Prompts and sentences in turn"
    return lexicon.sample(rng, True) if i % 2 else lexicon.sentence(rng, True)


def test_sets(n=800):
    "New captions, prompts in kept phrasings, and prompts with kept synonyms of one attribute each"
    rng = random.Random(1000)
    sets = {"captions": [lexicon.caption(rng) for _ in range(n)]}
    rng = random.Random(1001)
    sets["kept phrasings"] = [kept_phrasing(rng, i) for i in range(n)]
    for a in KEPT_SYNONYMS:
        rng = random.Random(1002)
        sets[f"kept synonyms: {a}"] = [lexicon.sample(rng, False, (a,)) for _ in range(n)]
    return {k: split_labels(rows) for k, rows in sets.items()}


def has_kept_wording(attribute, text, label):
    "Does a text word an attribute with a kept synonym?"
    if label <= 0:
        return False
    kept = KEPT_SYNONYMS[attribute][ATTRIBUTES[attribute][label]][1]
    return any(w.lower() in text.lower() for w in kept)


def keep_only_kept(sets):
    "Of the synonym sets keep the texts whose attribute has kept wordings"
    for a in KEPT_SYNONYMS:
        texts, labels = sets[f"kept synonyms: {a}"]
        own = labels[:, list(ATTRIBUTES).index(a)].tolist()
        rows = [j for j, label in enumerate(own) if has_kept_wording(a, texts[j], label)]
        sets[f"kept synonyms: {a}"] = [texts[j] for j in rows], labels[rows]
    return sets


def summary_of(acc):
    "The few numbers for the log"
    found = {}
    for k in ("captions", "kept phrasings"):
        found[k] = sum(acc[k][a]["said"] for a in MAIN) / len(MAIN)
    for k in acc:
        if k.startswith("kept synonyms"):
            found[k] = acc[k][k.split(": ")[1]]["said"]
    return found


# --- training ----------------------------------------------------------------------------------


def tell(text):
    "On the way, where it disturbs no output"
    print(text, file=sys.stderr)


def new_student(o, teacher, pieces):
    "The student with its table, and weights to go on from"

    def make():
        return dict(table=build_table(teacher, pieces))

    table = cached(o.cache and o.cache + ".table.safetensors", make)["table"]
    table = sharpen(table[:, : o.table_dim], pieces)
    student = SmallTextEncoder(describe(pieces, o.table_dim), pieces)
    numbers, scale = to_bytes(table)
    student.table = numbers if numbers.dtype == torch.int8 else numbers.float()
    student.scale = scale if scale.dtype == torch.int8 else scale.float()
    if o.init:
        own = dict(table=student.table, scale=student.scale)
        load_state(student, load_tensors(Path(o.init) / "model.safetensors") | own, o.init)
    return student


class Validation:
    "Texts that are not trained on"

    def __init__(self, answers, seed, pieces):
        self.pooled = answers["test"]  # the teacher's
        self.texts, _ = make_texts(len(self.pooled), seed + 2, pieces)
        self.sets = keep_only_kept(test_sets())
        self.quick = {k: (t[:100], l[:100]) for k, (t, l) in self.sets.items()}
        self.pairs = torch.triu_indices(len(self.texts), len(self.texts), 1)

    def similarities(self, e):  # [n, 384]
        "Of each pair of texts"
        return (e @ e.T)[*self.pairs]

    def __call__(self, model):
        "A row of numbers"
        model.eval()
        e = model.student.embed(self.texts)
        cosine = (e * self.pooled).sum(1).mean().item()
        both = torch.stack([self.similarities(e), self.similarities(self.pooled)])
        acc = {k: accuracies(model, *v) for k, v in self.quick.items()}
        model.train()
        same = torch.corrcoef(both)[0, 1].item()
        return dict(test_cosine=cosine, test_similarity_correlation=same) | summary_of(acc)


class Training:
    "Steps of the student until the time is over"

    def __init__(self, o, student, taught, plain):
        self.o = o
        self.model = Distiller(student)
        self.taught = taught
        self.plain = plain
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=o.lr, betas=(0.9, 0.98), weight_decay=0.02
        )
        rng = new_rng("text", o.seed)
        self.start = time.time()
        self.with_teacher = taught.rows(o.batch, rng)
        self.without = plain.rows(o.batch, rng)
        self.rows = []
        self.step = 0

    def done(self):
        "How much of the run is over"
        if self.o.steps:
            return self.step / self.o.steps
        return min((time.time() - self.start) / 60 / self.o.minutes, 1.0)

    def set_rate(self, done):
        "The learning rate rises, then falls along a cosine"
        cosine = 0.5 + 0.5 * math.cos(math.pi * done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.o.lr * min(1, self.step / 100) * cosine

    def learn(self):
        "One step; its losses"
        batch = self.taught.batch(next(self.with_teacher), self.plain, next(self.without))
        losses = self.model(**batch, noise=self.o.noise)
        loss = sum(WEIGHTS[k] * v for k, v in losses.items())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return dict(loss=loss.item(), **{k: v.item() for k, v in losses.items()})

    def log(self, losses, validation):
        "A row of the log"
        seconds = round(time.time() - self.start, 1)
        row = dict(step=self.step, seconds=seconds, **losses, **validation(self.model))
        self.rows.append(row)
        numbers = {k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()}
        tell(" ".join(f"{k} {v}" for k, v in numbers.items()))

    def run(self, validation):
        "All steps"
        done = 0.0
        while done < 1:
            done = self.done()
            self.set_rate(done)
            losses = self.learn()
            if self.step % self.o.every == 0 or done >= 1:
                self.log(losses, validation)
            self.step += 1
        self.model.eval()


# --- the report --------------------------------------------------------------------------------


def cosines(e):  # [n, dim]
    "Of all pairs"
    return [[round(v, 3) for v in r] for r in (e @ e.T).tolist()]


def demo(teacher, student):
    "How alike some prompts are, by teacher and by student"
    by_teacher = F.normalize(teacher(DEMO)[0][:, 0], dim=1)
    return dict(prompts=DEMO, teacher=cosines(by_teacher), student=cosines(student.embed(DEMO)))


def validate_shipped(model, sets):
    "Accuracies of the stored encoder"
    acc = {k: accuracies(model, *v) for k, v in sets.items()}
    return acc, {k: round(v, 4) for k, v in summary_of(acc).items()}


def write_log(path, rows):
    "As CSV"
    with atomic_path(path) as p, open(p, "w", newline="") as f:
        w = csv.DictWriter(f, rows[0])
        w.writeheader()
        w.writerows({k: round(v, 5) for k, v in r.items()} for r in rows)


def prepare(o, teacher, pieces):
    "The student, texts with and without a teacher, validation, words that the teacher placed"
    start = time.time()
    student = new_student(o, teacher, pieces)
    tell(f"table {student.table.shape} after {time.time() - start:.0f} s")

    def make():
        return teacher_answers(o, teacher, pieces, student)

    answers = cached(o.cache and o.cache + ".answers.safetensors", make)
    given = (answers["pooled"], answers["words"], answers["lengths"])
    taught = Texts(student, *make_texts(o.texts, o.seed, pieces), *given)
    validation = Validation(answers, o.seed, pieces)
    placed = add_words(teacher) if o.expand else {}
    plain = Texts(student, *make_texts(o.untaught, o.seed + 1, pieces))
    tell(f"taught {len(taught.ids)} texts after {time.time() - start:.0f} s")
    return student, taught, plain, validation, placed


def report(o, training, teacher, sets, placed, seconds):
    "What the stored encoder can do"
    shipped = SmallTextEncoder.from_pretrained(o.out)
    training.model.student = shipped  # what is measured is what was stored
    acc, valid = validate_shipped(training.model, sets)
    found = dict(
        steps=training.step,
        threads=o.threads,
        seconds=seconds,
        texts=len(training.taught.ids),
        untaught_texts=len(training.plain.ids),
        accuracies=acc,
        summary=valid,
        final=training.rows[-1],
        expanded=placed,
        demo=demo(teacher, shipped),
    )
    return stamped(found, "python recipes/train_text.py " + " ".join(sys.argv[1:]), o.seed)


def main(o):
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    start = time.time()
    teacher = MiniLMEncoder()
    pieces = kept_pieces(teacher)
    student, taught, plain, validation, placed = prepare(o, teacher, pieces)
    training = Training(o, student, taught, plain)
    training.run(validation)
    student.save(o.out)
    seconds = round(time.time() - start)
    found = report(o, training, teacher, validation.sets, placed, seconds)
    if o.log:
        write_log(Path(o.log).with_suffix(".csv"), training.rows)
        write_json(Path(o.log).with_suffix(".json"), found)
    print(json.dumps(found["summary"]))


def arguments(argv=None):
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a = p.add_argument
    a("--out", default="presto_nb/assets/text")
    a("--log", default="data_samples/logs/text")
    a("--seed", type=int, default=0)
    a("--minutes", type=float, default=5.0)
    a("--steps", type=int, default=0, help="instead of --minutes")
    a("--threads", type=int, default=1)
    a("--texts", type=int, default=12_000, help="texts that the teacher reads")
    a("--batch", type=int, default=64, help="taught texts per step, and as many untaught")
    a("--lr", type=float, default=2e-3)
    a("--noise", type=float, default=0.15, help="noise on word vectors while learning")
    a("--table-dim", type=int, default=128)
    a("--untaught", type=int, default=12_000, help="more texts, with attributes alone")
    a("--expand", type=int, default=1, help="0: no words placed by the teacher alone")
    a("--init", help="an encoder to go on from")
    a("--every", type=int, default=250)
    a("--cache", help="keep the teacher's answers in files that begin so")
    return p.parse_args(argv)


if __name__ == "__main__":
    main(arguments())
