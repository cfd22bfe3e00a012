"""The wordings that the text encoder learns from: attributes of a tune and the ways in which people say them.

Each entry is name: (wordings used in training, wordings kept for the test). No label of ours tells
the encoder what a kept one means: the teacher alone may place it (`expand`), or its row in the table. `sample(rng, kept)` writes one text with its attributes."""

import random

from presto_nb.material import tunes

MORE = {  # training wordings beyond those of the captions
    "piano": ["upright piano"],
    "violin": ["fiddle", "folk violin"],
    "flute": ["wooden flute"],
    "acoustic guitar": ["guitar", "plucked guitar"],
    "harpsichord": ["old harpsichord"],
    "accordion": ["piano accordion"],
    "trumpet": ["bright trumpet"],
    "church organ": ["organ"],
    "marimba": ["wooden marimba"],
    "harp": ["celtic harp"],
    "clarinet": ["mellow clarinet"],
    "cello": ["deep cello"],
    "oboe": ["reedy oboe"],
    "recorder": ["soprano recorder"],
    "banjo": ["folk banjo"],
    "sitar": ["ringing sitar"],
    "slow": ["slowly", "calm", "relaxed", "at a slow tempo", "adagio", "peaceful"],
    "fast": ["energetic", "allegro", "at a fast tempo", "presto", "up tempo"],
    "moderate": [
        "at a moderate pace",
        "walking pace",
        "andante",
        "steady",
        "medium tempo",
        "at a medium tempo",
        "of average speed",
        "not fast, not slow",
    ],
    "none": ["no accompaniment", "without accompaniment", "on its own", "nothing else"],
    "guitar": ["strummed guitar", "acoustic guitar"],
    "strings": ["string ensemble", "bowed strings"],
    "organ": ["church organ", "pipe organ"],
}
KEPT = {  # wordings kept for the test: no caption uses them, and a training prompt only where the teacher placed them
    "piano": ["pianoforte", "pianist"],
    "violin": ["violinist", "fiddler"],
    "flute": ["flutist", "flautist"],
    "acoustic guitar": ["guitarist", "fingerpicked guitar"],
    "harpsichord": ["spinet", "clavichord"],
    "accordion": ["concertina", "accordionist"],
    "trumpet": ["cornet", "trumpeter"],
    "church organ": ["chapel organ", "organist"],
    "marimba": ["xylophone", "vibraphone"],
    "harp": ["lyre", "harpist"],
    "clarinet": ["clarinetist", "bass clarinet"],
    "cello": ["cellist", "cello player"],
    "oboe": ["oboist", "oboe player"],
    "recorder": ["alto recorder", "descant recorder"],
    "banjo": ["banjo player", "bluegrass banjo"],
    "sitar": ["sitarist", "raga sitar"],
    "slow": ["sluggish", "languid", "dragging", "unrushed"],
    "fast": ["rapid", "swift", "speedy", "hurried"],
    "moderate": ["moderato", "middling pace", "neither fast nor slow", "medium speed"],
    "none": ["all by itself", "nothing else playing"],
    "strings": ["violins and cellos", "string orchestra"],
    "organ": ["chapel organ"],
}


def table(names: dict):  # name -> wordings in captions
    "name -> (training wordings, kept wordings)"
    return {k: (list(w) * 2 + MORE.get(k, []), KEPT.get(k, [])) for k, w in names.items()}


LEADS = table({k: v[5] for k, v in tunes.LEADS.items()})
ACCOMPANIMENTS = table(
    {
        k: [w.removeprefix("a ") for w in v[1] if not w.endswith("chords")]
        for k, v in tunes.ACCOMPANIMENTS.items()
    }
)
TEMPI = table({k: v[2] for k, v in tunes.TEMPI.items()})
DANCES = table({k: v for k, v in tunes.DANCES.items() if k != "tune"})
METRES = table(
    {
        k: [w if w.endswith("time") or rest else f"{w} time" for rest in (0, 1) for w in v]
        for k, v in tunes.METRE_WORDS.items()
    }
)
DRUMS = {
    "yes": (
        [
            "with drums",
            "and drums",
            "drums",
            "with percussion",
            "a drum beat",
            "with a drum kit",
            "drums keep the beat",
            "with a steady drum groove",
        ],
        ["with a drummer", "some drumming", "snare and kick", "percussion behind it"],
    ),
    "no": (
        [
            "no drums",
            "without drums",
            "no percussion",
            "drumless",
            "no drum kit",
            "without a drum beat",
            "but no drums",
            "minus drums",
            "free of drums",
            "skip the drums",
            "not any drums",
            "drums left out",
            "without drums or percussion",
        ],
        ["without percussion", "without any drumming", "leave out the drums", "drum-free"],
    ),
}
BASS = {
    "yes": (
        [
            "with bass",
            "a bass line",
            "and bass",
            "with a bass guitar",
            "double bass",
            "with upright bass",
        ],
        ["bassist", "low bass notes"],
    ),
    "no": (
        [
            "no bass",
            "without bass",
            "no bass line",
            "minus the bass",
            "skip the bass",
            "not any bass",
            "bass left out",
        ],
        ["without any bass", "leave out the bass"],
    ),
}
TONICS = [
    ["C"],
    ["C sharp", "C#", "D flat", "Db"],
    ["D"],
    ["E flat", "Eb", "D sharp", "D#"],
    ["E"],
    ["F"],
    ["F sharp", "F#", "G flat", "Gb"],
    ["G"],
    ["A flat", "Ab", "G sharp", "G#"],
    ["A"],
    ["B flat", "Bb", "A sharp", "A#"],
    ["B"],
]
MODES = {
    "major": (["major", "major", "major", "maj", "ionian"], []),
    "minor": (["minor", "minor", "minor", "min", "aeolian"], []),
    "dorian": (["dorian", "dorian mode"], []),
    "mixolydian": (["mixolydian", "mixolydian mode"], []),
    "lydian": (["lydian"], []),
    "phrygian": (["phrygian"], []),
}
MUSIC_WORDS = """accordionist altos bagpipe balalaika ballad bandoneon banjoist banjo-picker bass-clarinet bassoon bluegrass bodhran bongo bouzouki bow bowed bugle
busker cathedral cellist cello-player cembalist chapel chapel-organ chimes clarinetist clavichord concertina cornet descant-recorder drummer drumming dulcimer
fiddler fiddling fingerpicking flautist flugelhorn flutist fretboard glockenspiel gong guitarist harmonica harmonium harpist harpsichordist horn keyboard
kick lute lyre mallets mandolin marimbist oboe-player oboist organist percussionist pianist pianoforte piccolo pipe-organ raga sitarist snare spinet
strumming tabla tambourine timpani tin-whistle trombone trumpeter tuba ukulele vibraphone viola violinist violoncellist woodwind xylophone
accelerating bouncy breakneck calmly crawling delicate dragging easygoing energetically frantic furious hasty hurried languid leaden leisurely lethargic moderato
mid-paced nimble plodding racing rapid relaxing rushed serene sleepy sluggish snappy soothing speedy spirited swift tranquil unrushed vigorous vivace""".split()


STRANGE = """ambient arpeggio autotune bassdrop beatbox beatboxing blues breakbeat chant choir choral chorus country crooner dembow disco distorted distortion djent drone
drop dub dubstep edm electric electro electronic electronica emo funk funky garage glitch gospel grime grunge guitar-riff hardcore heavy hiphop hip hop house indie
jazz jungle kpop latin lofi lyrics lyric metal noise opera operatic orchestra orchestral phonk pop psychedelic punk rap rapper rapping rave reggae reggaeton remix
riff rock rocker rumba salsa samba sampler sax saxophone scream screaming shoegaze shredding sing singer singing ska sidechain soul sub subbass swing symphony synth
synthesizer synthwave tango techno theremin trance trap trip tuba vaporwave verse vocal vocalist vocals vocoder voice voices wobble wobbly yodel
car computer film-score game laser movie phone robot robotic space spaceship video""".split()  # what people ask for and no caption holds


def word_lists(n=5000):
    "Familiar words (of captions, training prompts and the teacher's placements) and strange ones"
    rng = random.Random(0)
    texts = (
        [rng.choice([caption, sample, sentence])(rng)[0] for _ in range(n)]
        + COLOUR * 2
        + MOODS * 2
        + [w.replace("-", " ") for w in MUSIC_WORDS] * 2
    )
    texts += [
        "softly loud loudly quiet quietly soft merry gloomy evening morning night winter summer spring autumn sea sailor tavern dancers festival ireland scotland england"
    ] * 2
    strange = [w for w in STRANGE if "-" not in w]
    return [w for w in words_in(texts) if len(w) > 2 and w not in strange], strange


def expand(vectors, words: dict, candidates, least=0.72, margin=0.06):
    "name -> words that the teacher's vectors (a function) place by one name and clearly not by another; no label is used"
    import torch

    say = lambda w: f"{w.replace('-', ' ')} music"
    names = list(words)
    sims = []
    c = vectors([say(w) for w in candidates])
    for n in names:
        sims.append((c @ vectors([say(w) for w in dict.fromkeys(words[n])]).T).amax(1))
    top, which = torch.stack(sims, 1).topk(2)
    out = {n: [] for n in names}
    for w, t, k in zip(candidates, top.tolist(), which[:, 0].tolist()):
        if t[0] > least and t[0] - t[1] > margin:
            out[names[k]].append(w.replace("-", " "))
    return out


SAY_LEAD = (
    [
        "{}",
        "{} lead",
        "lead {}",
        "{} melody",
        "melody on {}",
        "played on the {}",
        "a {} plays the tune",
        "the {} takes the lead",
        "for {}",
        "led by {}",
        "a {} tune",
        "performed on {}",
        "{} plays the melody",
        "featuring {}",
    ],
    ["{} up front", "a {} carrying the melody", "sung out by a {}", "{} as the main voice"],
)
SAY_ACC = (
    [
        "with {}",
        "{} accompaniment",
        "accompanied by {}",
        "{} chords",
        "backed by {}",
        "over {}",
        "{} backing",
        "{} playing chords",
        "on top of {} chords",
    ],
    ["supported by {}", "{} in the background", "{} underneath", "a bed of {}"],
)
SAY_KEY = (
    ["in {}", "{}", "key of {}", "in the key of {}", "key {}"],
    ["tonality {}", "the key is {}"],
)
SAY_DANCE = (
    ["{}", "a {}", "{} tune", "an old {}", "traditional {}", "folk {}"],
    ["something like a {}", "a {} to dance to"],
)
OPEN = (
    [
        "",
        "",
        "",
        "a piece: ",
        "music: ",
        "folk music, ",
        "a tune ",
        "instrumental, ",
        "play ",
        "i want ",
        "something ",
        "give me ",
        "a track ",
    ],
    [
        "could you make ",
        "i would love to hear ",
        "please generate ",
        "looking for: ",
        "my idea is ",
    ],
)
JOIN = ([", ", ", ", " ", "; ", ". ", " and ", " - "], [" / ", ", then ", "... ", " plus "])
COLOUR = [
    "like an irish pub",
    "for dancing",
    "at a wedding",
    "old and traditional",
    "celtic",
    "scottish",
    "irish",
    "english country dance",
    "village fair",
    "from the eighteenth century",
    "simple",
    "beautiful",
    "music for a film",
    "for a rainy day",
    "baroque",
    "folk",
    "tune",
    "in the style of a ceilidh",
    "good for studying",
    "by the fire",
    "that sounds authentic",
    "for children",
    "instrumental",
    "clean recording",
    "in a church",
    "pastoral",
]
MOODS = [
    "happy",
    "sad",
    "melancholy",
    "cheerful",
    "dark",
    "bright",
    "dreamy",
    "playful",
    "solemn",
    "joyful",
    "romantic",
    "mysterious",
    "triumphant",
    "nostalgic",
    "tense",
    "warm",
    "tender",
    "wistful",
]

ATTRIBUTES = {
    "lead": ["-", *LEADS],
    "accompaniment": ["-", *ACCOMPANIMENTS],
    "drums": ["-", *DRUMS],
    "bass": ["-", *BASS],
    "tempo": ["-", *TEMPI],
    "dance": ["-", *DANCES],
    "tonic": ["-", *[t[0] for t in TONICS]],
    "mode": ["-", *MODES],
    "metre": ["-", *METRES],
}
IGNORE = -100  # the text leaves this attribute open in a way that should not be graded (a sad tune may well be minor)


def pick(rng, words, kept=False):
    "One of the training wordings, or of the kept ones where there are any"
    return rng.choice(words[1] if kept and words[1] else words[0])


def key_name(rng, tonic, mode, kept):
    "G major, Gm, F# minor, B flat, ..."
    t = rng.choice(TONICS[tonic])
    if mode == "minor" and rng.random() < 0.2:
        return t + "m" if len(t) < 3 else t + " minor"
    if mode == "major" and rng.random() < 0.1:
        return t
    return t + rng.choice([" ", " ", " ", "-"]) + pick(rng, MODES[mode], kept)


def sample(rng: random.Random, say_kept=False, word_kept=()):
    "A text and its attributes; `say_kept` uses only kept phrasings, `word_kept` names attributes worded with kept synonyms"
    said, parts = {}, []
    word = lambda name, table: pick(rng, table[said[name]], name in word_kept)
    phrase = lambda forms, w: pick(rng, forms, say_kept).format(w)
    chance = lambda p, name: rng.random() < (p if name not in word_kept else 1.0)
    if chance(0.7, "lead"):
        said["lead"] = rng.choice(list(LEADS))
        parts.append(phrase(SAY_LEAD, word("lead", LEADS)))
    if chance(0.5, "accompaniment"):
        said["accompaniment"] = rng.choice(list(ACCOMPANIMENTS))
        w = word("accompaniment", ACCOMPANIMENTS)
        parts.append(w if said["accompaniment"] == "none" else phrase(SAY_ACC, w))
    for name, table, p in (
        ("drums", DRUMS, 0.45),
        ("bass", BASS, 0.25),
        ("tempo", TEMPI, 0.6),
        ("metre", METRES, 0.2),
    ):
        if chance(p, name):
            said[name] = rng.choice(list(table))
            parts.append(word(name, table))
    if chance(0.5, "tonic"):
        tonic, said["mode"] = rng.randrange(12), rng.choice(["major", "minor", *MODES])
        said["tonic"] = TONICS[tonic][0]
        k = key_name(rng, tonic, said["mode"], "mode" in word_kept)
        parts.append(phrase(SAY_KEY, k) if len(k) > 1 else f"in {k}")
    if chance(0.6, "dance"):
        said["dance"] = rng.choice(list(DANCES))
        parts.append(phrase(SAY_DANCE, word("dance", DANCES)))
    if rng.random() < 0.3:
        parts.append(rng.choice(COLOUR))
    mood = rng.random() < 0.2
    if mood:
        parts.append(rng.choice(MOODS))
    if not parts:
        parts.append(rng.choice(COLOUR))
    rng.shuffle(parts)
    text = parts[0]
    for p in parts[1:]:
        text += pick(rng, JOIN, say_kept) + p
    text = pick(rng, OPEN, say_kept) + text
    labels = [
        ATTRIBUTES[a].index(said[a])
        if a in said
        else IGNORE
        if mood and a in ("tempo", "mode")
        else 0
        for a in ATTRIBUTES
    ]
    return restyle(rng, text), labels


def sentence(rng: random.Random, kept=False):
    "A full sentence in everyday grammar, and its attributes"
    said = dict(
        lead=rng.choice(list(LEADS)),
        tempo=rng.choice(list(TEMPI)),
        dance=rng.choice(list(DANCES)),
        drums=rng.choice(["-", *DRUMS]),
        accompaniment=rng.choice(["-", *ACCOMPANIMENTS]),
        mode=rng.choice(["-", "-", "major", "minor", *MODES]),
    )
    L, D = pick(rng, LEADS[said["lead"]]), pick(rng, DANCES[said["dance"]])
    T = rng.choice([t for t in TEMPI[said["tempo"]][0] if " " not in t])
    acc = (
        ""
        if said["accompaniment"] == "-"
        else pick(rng, ACCOMPANIMENTS[said["accompaniment"]])
        if said["accompaniment"] == "none"
        else pick(rng, SAY_ACC, kept).format(pick(rng, ACCOMPANIMENTS[said["accompaniment"]]))
    )
    drums = "" if said["drums"] == "-" else pick(rng, DRUMS[said["drums"]])
    if said["mode"] != "-":
        tonic = rng.randrange(12)
        said["tonic"] = TONICS[tonic][0]
    key = (
        ""
        if said["mode"] == "-"
        else "in " + rng.choice(TONICS[tonic]) + " " + MODES[said["mode"]][0][0]
    )
    forms = (
        [
            "a {T} {D} {key} played on {L} {acc} {drums}",
            "{T} {L} {D} {acc}, {drums}, {key}",
            "something {T} with a {L} {acc} {drums}, a {D} {key}",
            "{D} for {L} {acc}, {T}, {drums} {key}",
            "the {L} plays a {T} {D} {key} {acc}, {drums}",
            "a {L} {D}, {T}, {key} {acc}, {drums}",
        ],
        [
            "i need a {D} that is {T}, where the {L} sings {acc} {drums} {key}",
            "{key} please: {L}, {T} like a {D} should be, {drums}, {acc}",
            "imagine a {L} {acc} in a small hall, {drums}, playing a {T} {D} {key}",
        ],
    )
    text = pick(rng, forms, kept).format(L=L, D=D, T=T, acc=acc, drums=drums, key=key)
    while "  " in text:
        text = text.replace("  ", " ")
    text = text.replace(" ,", ",").replace(",,", ",").strip(" ,")
    return restyle(rng, text), [ATTRIBUTES[a].index(said.get(a, "-")) for a in ATTRIBUTES]


def caption(rng: random.Random):
    "A caption of the data set for invented facts, and the attributes that it says"
    tonic, lead = rng.randrange(12), rng.choice(list(tunes.LEADS))
    acc = rng.choice(
        ["none", "none", *[a for a in tunes.ACCOMPANIMENTS if a != "none" and a not in lead]]
    )
    f = dict(
        lead=lead,
        accompaniment=acc,
        bass=acc != "none" and rng.random() < 0.65,
        drums=rng.random() < 0.4,
        tempo=rng.choice(list(TEMPI)),
        bpm=rng.randint(60, 176),
        mode=rng.choice(["major", "minor", *MODES]),
        dance=rng.choice(list(tunes.DANCES)),
        metre=rng.choice(list(METRES)),
    )
    f["key"] = rng.choice([t for t in TONICS[tonic] if len(t) < 3]) + " " + f["mode"]
    text = rng.choice(tunes.captions_of(f, 6, rng.random()))
    low = text.lower()
    has = lambda words: any(w.lower() in low for w in words)
    said = dict(
        lead=lead,
        tempo=f["tempo"] if has(TEMPI[f["tempo"]][0]) else "-",
        dance=f["dance"] if f["dance"] != "tune" else "-",
    )
    if (
        has(tunes.ACCOMPANIMENTS[acc][1])
        or acc == "none"
        and has(["nothing but", "on its own", "just a", "solo"])
    ):
        said["accompaniment"] = acc
    if f["mode"] in low:
        said["tonic"], said["mode"] = TONICS[tonic][0], f["mode"]
    if has(tunes.METRE_WORDS[f["metre"]]):
        said["metre"] = f["metre"]
    if has(["no drums", "without drums"]):
        said["drums"] = "no"
    elif f["drums"] and has(tunes.DRUM_WORDS):
        said["drums"] = "yes"
    if f["bass"] and has(tunes.BASS_WORDS):
        said["bass"] = "yes"
    return text, [ATTRIBUTES[a].index(said.get(a, "-")) for a in ATTRIBUTES]


def restyle(rng, text):
    "As typed: lower case, capitals, a full stop, a tempo in numbers"
    if rng.random() < 0.08:
        text += rng.choice([" at {} bpm", ", {} bpm", " --bpm {}", ", bpm {}"]).format(
            rng.randint(50, 190)
        )
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.2 else text


def words_in(texts):
    "Every word of the texts, most common first"
    from collections import Counter
    from presto_nb.material.text import basic_words

    return [
        w
        for w, n in Counter(w for t in texts for w in basic_words(t)).most_common()
        if w.isalpha() and n > 1
    ]


if __name__ == "__main__":
    rng = random.Random(0)
    for i in range(12):
        print(*(sample(rng) if i % 2 else sentence(rng)))
    for i in range(8):
        print("caption", *caption(rng))
    for i in range(6):
        print("kept", *(sample(rng, True) if i % 2 else sentence(rng, True)))
