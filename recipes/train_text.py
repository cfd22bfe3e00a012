"""Distil the text encoder that ships: python recipes/train_text.py --minutes 5 --out presto_nb/assets/text

Needs the MiniLM sentence encoder (presto-nb setup eval). Two CPU cores, about 8 minutes in all:
  1. the table: what MiniLM says of every word piece alone, turned to its main directions, stored as int8
  2. the texts: captions, prompts in many wordings, plain words; MiniLM's answer to each
  3. training: the summary must match MiniLM's sentence vector and the similarities between sentences; every token must
     match MiniLM's token; summary and mean token must tell the attributes of the tune through a linear layer each
  4. the report: accuracy on kept phrasings and kept synonyms, similarity of wordings by teacher and by student
Writes the encoder, a log (CSV) and a report (JSON)."""

import argparse, csv, itertools, json, math, os, random, re, sys, time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from pathlib import Path
import torch, torch.nn as nn, torch.nn.functional as F
from presto_nb.material import tunes
from presto_nb.material.core import atomic_path, new_rng, load_state, load_tensors, save_tensors
from presto_nb.material.text import MiniLMEncoder, SmallTextEncoder, TextConfig, to_bytes

sys.path.insert(0, str(Path(__file__).parent))
import text_lexicon as lexicon
from text_lexicon import ATTRIBUTES, IGNORE

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


def kept_pieces(teacher):
    "The word pieces that English needs (no other scripts, no long numbers, no marks of the teacher), the unknown first"
    vocab = sorted(teacher.tokenizer.get_vocab().items(), key=lambda p: p[1])
    return ["[UNK]"] + [
        p
        for p, _ in vocab
        if p.isascii() and not re.search(r"\d{4}", p) and (p == "[" or p[0] != "[")
    ]


@torch.no_grad()
def build_table(teacher, pieces):
    "What the teacher says of each piece alone, turned to its main directions, largest first: [pieces, 384]"
    t = teacher.tokenizer
    ids = torch.tensor(
        [[t.cls_token_id, t.convert_tokens_to_ids(p), t.sep_token_id] for p in pieces]
    )
    v = torch.cat(
        [
            teacher.model(input_ids=b, attention_mask=torch.ones_like(b)).last_hidden_state.mean(1)
            for b in ids.split(512)
        ]
    )
    v = F.normalize(v, dim=1)
    v = v - v.mean(0)
    v = v @ torch.linalg.svd(v, full_matrices=False)[2].T
    return v / v[:, :128].std()


def sharpen(table, pieces, times=2.5):
    "Numbers lie too close together for a reader of metres (6/8 is not 9/8): stretch what tells them apart"
    rows = torch.tensor([i for i, p in enumerate(pieces) if p.isdigit()])
    v = table[rows]
    mean = v.mean(0)
    new = mean + times * (v - mean)
    return table.index_copy(0, rows, new * (v.norm(dim=1) / new.norm(dim=1))[:, None])


def make_texts(n, seed, pieces):
    "n texts with attribute labels: 35 % captions, 40 % prompts, 25 % plain words (labels ignored)"
    rng, words = random.Random(seed), [p for p in pieces if p.isalpha() and len(p) > 2]
    out = []
    for i in range(n):
        r = rng.random()
        if r < 0.35:
            out.append(lexicon.caption(rng))
        elif r < 0.60:
            out.append(lexicon.sample(rng))
        elif r < 0.75:
            out.append(lexicon.sentence(rng))
        else:
            k = 1 if r < 0.9 else rng.randint(2, 7)  # common words come early in the vocabulary
            out.append(
                (
                    " ".join(words[int(len(words) * rng.random() ** 1.5)] for _ in range(k)),
                    [IGNORE] * len(ATTRIBUTES),
                )
            )
    return [t for t, _ in out], torch.tensor([l for _, l in out])


@torch.no_grad()
def add_words(teacher):
    "Let the teacher place unlabelled music words among leads, tempi, drums and bass; from here on the untaught texts use them too"

    def vectors(texts):
        return F.normalize(
            torch.cat([teacher(texts[i : i + 64])[0][:, 0] for i in range(0, len(texts), 64)]),
            dim=1,
        )

    found = {}
    for table in (lexicon.LEADS, lexicon.TEMPI):
        new = lexicon.expand(vectors, {k: v[0] for k, v in table.items()}, lexicon.MUSIC_WORDS)
        for k, words in new.items():
            table[k][0].extend(words)
        found |= new
    for name, table in (("drums", lexicon.DRUMS), ("bass", lexicon.BASS)):
        words = lexicon.expand(
            vectors,
            dict(
                drums=["drums", "percussion", "drum kit"],
                bass=["bass", "double bass"],
                other=list(lexicon.LEADS),
            ),
            lexicon.MUSIC_WORDS,
        )[name]
        table["yes"][0].extend(f"{w} {x}" for x in words for w in ("with", "and"))
        table["no"][0].extend(f"{w} {x}" for x in words for w in ("no", "without"))
        found[name] = words
    return found


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


@torch.no_grad()
def teach(teacher, student, texts, batch=64):
    "MiniLM's sentence vectors [n, 384] (in bfloat16 arithmetic), and its token vectors where both cut the text alike (a list, else None)"
    order, pooled, tokens = (
        sorted(range(len(texts)), key=lambda i: len(texts[i])),
        [None] * len(texts),
        [None] * len(texts),
    )
    for j in range(0, len(order), batch):
        rows = order[j : j + batch]
        with torch.autocast("cpu", torch.bfloat16):
            out, mask = teacher([texts[i] for i in rows])
        for i, o, m in zip(rows, out, mask):
            pooled[i] = F.normalize(o[0], dim=0)
            words = o[1:][m[1:]][1:-1]  # without [CLS] and [SEP]
            if len(words) == len(student.wordpiece(texts[i])):
                tokens[i] = words[: student.max_tokens - 1].half()
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


class Distiller(nn.Module):
    "The student and the linear layers that are needed only while it learns"

    def __init__(self, student):
        super().__init__()
        self.student, w = student, student.dim
        self.word_head = nn.Linear(w, student.config.teacher_dim)
        self.by_summary, self.by_words = [
            nn.ModuleDict({a: nn.Linear(w, len(c)) for a, c in ATTRIBUTES.items()})
            for _ in range(2)
        ]

    def attribute_loss(self, heads, x, labels):  # [b, w], [b, attributes]
        each = [
            F.cross_entropy(h(x), labels[:, i], ignore_index=IGNORE, reduction="sum")
            / (labels[:, i] != IGNORE).sum().clamp_min(1)
            for i, h in enumerate(heads.values())
        ]
        return torch.stack(each).mean()

    def forward(self, ids, mask, labels, sentence, words, has_words, noise=0.0):
        "Losses of a batch; the first len(sentence) rows have a teacher"
        n = len(sentence)
        x = self.student.look_up(ids)
        x = self.student.run(x + noise * torch.randn_like(x), mask)
        s, mean = (
            x[:, 0],
            (x[:, 1:] * mask[:, 1:, None]).sum(1) / mask[:, 1:].sum(1, keepdim=True).clamp_min(1),
        )
        e = F.normalize(self.student.head(s[:n]), dim=1)
        w = F.cosine_similarity(self.word_head(x[:n, 1:]), words, dim=-1)
        real = mask[:n, 1:] & has_words[:, None]
        return dict(
            sentence=1 - (e * sentence).sum(1).mean(),
            similarity=(e @ e.T - sentence @ sentence.T).square().mean(),
            words=1 - w[real].mean(),
            summary_attributes=self.attribute_loss(self.by_summary, s, labels),
            word_attributes=self.attribute_loss(self.by_words, mean, labels),
        )


WEIGHTS = dict(
    sentence=1.0, similarity=10.0, words=0.5, summary_attributes=2.0, word_attributes=0.5
)


class Texts:
    "Texts as padded batches of similar length"

    def __init__(self, student, texts, labels, pooled=None, words=None, lengths=None):
        self.ids = [student.wordpiece(t)[: student.max_tokens - 1] for t in texts]
        self.labels, self.pooled, self.words, self.lengths = labels, pooled, words, lengths
        if words is not None:
            self.starts = (lengths.clamp_min(0).cumsum(0) - lengths.clamp_min(0)).tolist()

    def rows(self, batch, g, batches=16):
        "Endless lists of row numbers: `batches` batches are drawn at once, sorted by length, and served in an order that all `Texts` share"
        for turn in itertools.count():
            drawn = sorted(
                torch.randint(len(self.ids), (batch * batches,), generator=g).tolist(),
                key=lambda i: len(self.ids[i]),
            )
            for j in torch.randperm(batches, generator=new_rng("order", turn)).tolist():
                yield drawn[j * batch : (j + 1) * batch]

    def batch(self, rows, other, other_rows):
        "Taught rows of self above untaught rows of other"
        ids = [self.ids[i] for i in rows] + [other.ids[i] for i in other_rows]
        n = max(map(len, ids))
        words = torch.zeros(len(rows), n, self.pooled.shape[1])
        for j, i in enumerate(rows):
            if (m := self.lengths[i].item()) > 0:
                words[j, :m] = self.words[self.starts[i] : self.starts[i] + m].float()
        return dict(
            ids=torch.tensor([i + [0] * (n - len(i)) for i in ids]),
            mask=torch.arange(n + 1) <= torch.tensor([len(i) for i in ids])[:, None],
            labels=torch.cat([self.labels[rows], other.labels[other_rows]]),
            sentence=self.pooled[rows],
            words=words,
            has_words=self.lengths[rows] > 0,
        )


@torch.no_grad()
def accuracies(model, texts, labels):
    "Share of right answers of the linear layers on summaries: per attribute, where the text says something and overall"
    s = torch.cat([model.student(texts[i : i + 256])[0][:, 0] for i in range(0, len(texts), 256)])
    out = {}
    for i, (a, h) in enumerate(model.by_summary.items()):
        said, graded, right = (
            labels[:, i] > 0,
            labels[:, i] != IGNORE,
            h(s).argmax(1) == labels[:, i],
        )
        out[a] = dict(
            said=round(right[said].float().mean().item(), 4),
            all=round(right[graded].float().mean().item(), 4),
            n=int(said.sum()),
        )
    return out


def test_sets(n=800):
    "New captions, prompts in kept phrasings, and prompts with kept synonyms of one attribute at a time"
    sets = {}
    rng = random.Random(1000)
    sets["captions"] = [lexicon.caption(rng) for _ in range(n)]
    rng = random.Random(1001)
    sets["kept phrasings"] = [
        lexicon.sample(rng, True) if i % 2 else lexicon.sentence(rng, True) for i in range(n)
    ]
    for a in ("lead", "accompaniment", "drums", "bass", "tempo"):
        rng = random.Random(1002)
        sets[f"kept synonyms: {a}"] = [lexicon.sample(rng, False, (a,)) for _ in range(n)]
    return {k: ([t for t, _ in v], torch.tensor([l for _, l in v])) for k, v in sets.items()}


def keep_only_kept(sets):
    "Of the synonym sets keep the texts whose attribute has kept wordings"
    tables = dict(
        lead=lexicon.LEADS,
        accompaniment=lexicon.ACCOMPANIMENTS,
        drums=lexicon.DRUMS,
        bass=lexicon.BASS,
        tempo=lexicon.TEMPI,
    )
    for k in [k for k in sets if k.startswith("kept synonyms")]:
        a = k.split(": ")[1]
        i = list(ATTRIBUTES).index(a)
        names = ATTRIBUTES[a]
        texts, labels = sets[k]
        rows = [
            j
            for j, l in enumerate(labels[:, i].tolist())
            if l > 0
            and tables[a][names[l]][1]
            and any(w.lower() in texts[j].lower() for w in tables[a][names[l]][1])
        ]
        sets[k] = [texts[j] for j in rows], labels[rows]
    return sets


def summary_of(acc):
    "The few numbers for the log"
    main = ("lead", "accompaniment", "drums", "tempo", "dance", "tonic", "mode")
    out = {
        k: sum(acc[k][a]["said"] for a in main) / len(main) for k in ("captions", "kept phrasings")
    }
    return out | {k: acc[k][k.split(": ")[1]]["said"] for k in acc if k.startswith("kept synonyms")}


def main(o):
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    t0 = time.time()
    teacher = MiniLMEncoder()
    pieces = kept_pieces(teacher)
    table = cached(
        o.cache and o.cache + ".table.safetensors", lambda: dict(table=build_table(teacher, pieces))
    )["table"][:, : o.table_dim]
    table = sharpen(table, pieces)
    student = SmallTextEncoder(describe(pieces, o.table_dim), pieces)
    student.table, student.scale = [
        t if t.dtype == torch.int8 else t.float() for t in to_bytes(table)
    ]
    if o.init:
        load_state(
            student,
            {
                **load_tensors(Path(o.init) / "model.safetensors"),
                "table": student.table,
                "scale": student.scale,
            },
            o.init,
        )
    print(f"table {table.shape} after {time.time() - t0:.0f} s", file=sys.stderr)

    answers = cached(
        o.cache and o.cache + ".answers.safetensors",
        lambda: teacher_answers(o, teacher, pieces, student),
    )
    texts, labels = make_texts(o.texts, o.seed, pieces)
    taught = Texts(student, texts, labels, answers["pooled"], answers["words"], answers["lengths"])
    test_pooled = answers["test"]
    test_texts, _ = make_texts(len(test_pooled), o.seed + 2, pieces)
    sets = keep_only_kept(test_sets())
    quick = {k: (t[:100], l[:100]) for k, (t, l) in sets.items()}
    expanded = add_words(teacher) if o.expand else {}
    plain = Texts(student, *make_texts(o.untaught, o.seed + 1, pieces))
    print(f"taught {len(texts)} texts after {time.time() - t0:.0f} s", file=sys.stderr)

    model = Distiller(student)
    opt = torch.optim.AdamW(model.parameters(), lr=o.lr, betas=(0.9, 0.98), weight_decay=0.02)
    g, start, rows, step, done = new_rng("text", o.seed), time.time(), [], 0, 0.0
    with_teacher, without = taught.rows(o.batch, g), plain.rows(o.batch, g)
    pairs = torch.triu_indices(len(test_texts), len(test_texts), 1)

    def validate():
        model.eval()
        e = student.embed(test_texts)
        cos = (e * test_pooled).sum(1).mean().item()
        corr = torch.corrcoef(
            torch.stack([(e @ e.T)[*pairs], (test_pooled @ test_pooled.T)[*pairs]])
        )[0, 1].item()
        acc = {k: accuracies(model, *v) for k, v in quick.items()}
        model.train()
        return acc, dict(test_cosine=cos, test_similarity_correlation=corr) | summary_of(acc)

    while done < 1:
        done = min((time.time() - start) / 60 / o.minutes, 1.0) if not o.steps else step / o.steps
        for group in opt.param_groups:
            group["lr"] = o.lr * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * done))
        b = taught.batch(next(with_teacher), plain, next(without))
        losses = model(**b, noise=o.noise)
        loss = sum(WEIGHTS[k] * v for k, v in losses.items())
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if step % o.every == 0 or done >= 1:
            acc, valid = validate()
            rows.append(
                dict(
                    step=step,
                    seconds=round(time.time() - start, 1),
                    loss=loss.item(),
                    **{k: v.item() for k, v in losses.items()},
                    **valid,
                )
            )
            print(
                " ".join(
                    f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}"
                    for k, v in rows[-1].items()
                ),
                file=sys.stderr,
            )
        step += 1
    model.eval()
    student.save(o.out)
    shipped = SmallTextEncoder.from_pretrained(o.out)
    model.student = shipped  # what is measured is what was stored
    acc, valid = validate_shipped(model, shipped, sets)
    cos = lambda e: [[round(v, 3) for v in r] for r in (e @ e.T).tolist()]
    report = dict(
        command="python recipes/train_text.py " + " ".join(sys.argv[1:]),
        seed=o.seed,
        date=time.strftime("%Y-%m-%d"),
        steps=step,
        threads=o.threads,
        seconds=round(time.time() - t0),
        texts=len(texts),
        untaught_texts=len(plain.ids),
        accuracies=acc,
        summary=valid,
        final=rows[-1],
        expanded=expanded,
        demo=dict(
            prompts=DEMO,
            teacher=cos(F.normalize(teacher(DEMO)[0][:, 0], dim=1)),
            student=cos(shipped.embed(DEMO)),
        ),
    )
    if o.log:
        with atomic_path(Path(o.log).with_suffix(".csv")) as p, open(p, "w", newline="") as f:
            w = csv.DictWriter(f, rows[0])
            w.writeheader()
            w.writerows({k: round(v, 5) for k, v in r.items()} for r in rows)
        with atomic_path(Path(o.log).with_suffix(".json")) as p:
            p.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(valid))


def validate_shipped(model, student, sets):
    "Accuracies of the stored encoder"
    acc = {k: accuracies(model, *v) for k, v in sets.items()}
    return acc, {k: round(v, 4) for k, v in summary_of(acc).items()}


if __name__ == "__main__":
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
    main(p.parse_args())
