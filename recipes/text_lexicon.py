"""The wordings that the text encoder learns from: attributes of a tune and how people say them.

Each entry is name: (wordings used in training, wordings kept for the test). No label of ours tells
the encoder what a kept one means: the teacher alone may place it (`expand`), or its row in the
table. `sample(rng, kept)` writes one text with its attributes.
"""

import random
from collections import Counter

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
# Wordings kept for the test: no caption uses them, and a training prompt only where the teacher
# placed them.
KEPT = {
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
MUSIC_WORDS = """
accordionist altos bagpipe balalaika ballad bandoneon banjoist banjo-picker bass-clarinet bassoon
bluegrass bodhran bongo bouzouki bow bowed bugle busker cathedral cellist cello-player cembalist
chapel chapel-organ chimes clarinetist clavichord concertina cornet descant-recorder drummer
drumming dulcimer fiddler fiddling fingerpicking flautist flugelhorn flutist fretboard glockenspiel
gong guitarist harmonica harmonium harpist harpsichordist horn keyboard kick lute lyre mallets
mandolin marimbist oboe-player oboist organist percussionist pianist pianoforte piccolo pipe-organ
raga sitarist snare spinet strumming tabla tambourine timpani tin-whistle trombone trumpeter tuba
ukulele vibraphone viola violinist violoncellist woodwind xylophone accelerating bouncy breakneck
calmly crawling delicate dragging easygoing energetically frantic furious hasty hurried languid
leaden leisurely lethargic moderato mid-paced nimble plodding racing rapid relaxing rushed serene
sleepy sluggish snappy soothing speedy spirited swift tranquil unrushed vigorous vivace
""".split()
# What people ask for and no caption holds.
STRANGE = """
ambient arpeggio autotune bassdrop beatbox beatboxing blues breakbeat chant choir choral chorus
country crooner dembow disco distorted distortion djent drone drop dub dubstep edm electric electro
electronic electronica emo funk funky garage glitch gospel grime grunge guitar-riff hardcore heavy
hiphop hip hop house indie jazz jungle kpop latin lofi lyrics lyric metal noise opera operatic
orchestra orchestral phonk pop psychedelic punk rap rapper rapping rave reggae reggaeton remix riff
rock rocker rumba salsa samba sampler sax saxophone scream screaming shoegaze shredding sing singer
singing ska sidechain soul sub subbass swing symphony synth synthesizer synthwave tango techno
theremin trance trap trip tuba vaporwave verse vocal vocalist vocals vocoder voice voices wobble
wobbly yodel car computer film-score game laser movie phone robot robotic space spaceship video
""".split()
PLAIN_WORDS = """
softly loud loudly quiet quietly soft merry gloomy evening morning night winter summer spring autumn
sea sailor tavern dancers festival ireland scotland england
"""


def word_lists(n=5000):
    "Familiar words (of captions, training prompts and the teacher's placements) and strange ones"
    rng = random.Random(0)
    texts = [rng.choice([caption, sample, sentence])(rng)[0] for _ in range(n)]
    twice = COLOUR + MOODS + [w.replace("-", " ") for w in MUSIC_WORDS]
    texts += twice * 2 + [PLAIN_WORDS] * 2  # a word is familiar when it is met twice
    strange = [w for w in STRANGE if "-" not in w]
    return [w for w in words_in(texts) if len(w) > 2 and w not in strange], strange


def likeness(vectors, words, candidates):
    "Of each candidate to the most alike wording of each name, [candidates, names]"
    import torch

    def say(w):
        return f"{w.replace('-', ' ')} music"

    c = vectors([say(w) for w in candidates])
    sims = []
    for wordings in words.values():
        sims.append((c @ vectors([say(w) for w in dict.fromkeys(wordings)]).T).amax(1))
    return torch.stack(sims, 1)


def expand(
    vectors,  # texts -> the teacher's vectors [n, dim]
    words: dict,  # name -> wordings
    candidates,  # words that are to be placed
    least=0.72,  # likeness to a name
    margin=0.06,  # to the next one
):  # name -> words
    "Words that the teacher places by one name and clearly not by another; no label is used"
    top, which = likeness(vectors, words, candidates).topk(2)
    names = list(words)
    placed = {n: [] for n in names}
    for w, (first, second), k in zip(candidates, top.tolist(), which[:, 0].tolist()):
        if first > least and first - second > margin:
            placed[names[k]].append(w.replace("-", " "))
    return placed


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
# The text leaves an attribute open in a way that should not be graded (a sad tune may be minor).
IGNORE = -100
FACTS = (  # that are worded alike: table, and how often they are said
    ("drums", DRUMS, 0.45),
    ("bass", BASS, 0.25),
    ("tempo", TEMPI, 0.6),
    ("metre", METRES, 0.2),
)


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


def labels_of(said, ignored=()):
    "A number for each attribute; 0 where nothing is said"
    return [
        IGNORE if a in ignored and a not in said else ATTRIBUTES[a].index(said.get(a, "-"))
        for a in ATTRIBUTES
    ]


class Writer:
    "Writes the parts of a text, and notes what they say"

    def __init__(self, rng, say_kept, word_kept):
        self.rng = rng
        self.say_kept = say_kept
        self.word_kept = word_kept
        self.said = {}
        self.parts = []

    def chance(self, p, name):
        "Is it said? A name that is worded with kept synonyms always is"
        return self.rng.random() < (p if name not in self.word_kept else 1.0)

    def word(self, name, table):
        "A wording of what is said"
        return pick(self.rng, table[self.said[name]], name in self.word_kept)

    def phrase(self, forms, word):
        "A wording in a phrase"
        return pick(self.rng, forms, self.say_kept).format(word)

    def lead(self):
        if self.chance(0.7, "lead"):
            self.said["lead"] = self.rng.choice(list(LEADS))
            self.parts.append(self.phrase(SAY_LEAD, self.word("lead", LEADS)))

    def accompaniment(self):
        if self.chance(0.5, "accompaniment"):
            self.said["accompaniment"] = self.rng.choice(list(ACCOMPANIMENTS))
            w = self.word("accompaniment", ACCOMPANIMENTS)
            bare = self.said["accompaniment"] == "none"
            self.parts.append(w if bare else self.phrase(SAY_ACC, w))

    def facts(self):
        for name, table, p in FACTS:
            if self.chance(p, name):
                self.said[name] = self.rng.choice(list(table))
                self.parts.append(self.word(name, table))

    def key(self):
        if self.chance(0.5, "tonic"):
            tonic = self.rng.randrange(12)
            self.said["mode"] = self.rng.choice(["major", "minor", *MODES])
            self.said["tonic"] = TONICS[tonic][0]
            k = key_name(self.rng, tonic, self.said["mode"], "mode" in self.word_kept)
            self.parts.append(self.phrase(SAY_KEY, k) if len(k) > 1 else f"in {k}")

    def dance(self):
        if self.chance(0.6, "dance"):
            self.said["dance"] = self.rng.choice(list(DANCES))
            self.parts.append(self.phrase(SAY_DANCE, self.word("dance", DANCES)))

    def extras(self):
        "What is no attribute; is there a mood?"
        if self.rng.random() < 0.3:
            self.parts.append(self.rng.choice(COLOUR))
        mood = self.rng.random() < 0.2
        if mood:
            self.parts.append(self.rng.choice(MOODS))
        if not self.parts:
            self.parts.append(self.rng.choice(COLOUR))
        return mood

    def join(self):
        "The parts in any order, as one text"
        self.rng.shuffle(self.parts)
        text = self.parts[0]
        for p in self.parts[1:]:
            text += pick(self.rng, JOIN, self.say_kept) + p
        return pick(self.rng, OPEN, self.say_kept) + text


def sample(
    rng: random.Random,
    say_kept=False,  # only kept phrasings
    word_kept=(),  # names of attributes that are worded with kept synonyms
):
    "A text and its attributes"
    w = Writer(rng, say_kept, word_kept)
    for write in (w.lead, w.accompaniment, w.facts, w.key, w.dance):
        write()
    mood = w.extras()
    text = w.join()
    labels = labels_of(w.said, ("tempo", "mode") if mood else ())
    return restyle(rng, text), labels


SENTENCES = (
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


def sentence_facts(rng):
    "What a sentence says; - is nothing"
    return dict(
        lead=rng.choice(list(LEADS)),
        tempo=rng.choice(list(TEMPI)),
        dance=rng.choice(list(DANCES)),
        drums=rng.choice(["-", *DRUMS]),
        accompaniment=rng.choice(["-", *ACCOMPANIMENTS]),
        mode=rng.choice(["-", "-", "major", "minor", *MODES]),
    )


def accompaniment_words(rng, name, kept):
    "An accompaniment in a phrase"
    if name == "-":
        return ""
    if name == "none":
        return pick(rng, ACCOMPANIMENTS[name])
    form = pick(rng, SAY_ACC, kept)
    return form.format(pick(rng, ACCOMPANIMENTS[name]))


def key_words(rng, said):
    "A key in words; its tonic is added to what is said"
    if said["mode"] == "-":
        return ""
    tonic = rng.randrange(12)
    said["tonic"] = TONICS[tonic][0]
    return "in " + rng.choice(TONICS[tonic]) + " " + MODES[said["mode"]][0][0]


def tidy(text):
    "Without the gaps that empty parts leave"
    while "  " in text:
        text = text.replace("  ", " ")
    return text.replace(" ,", ",").replace(",,", ",").strip(" ,")


def sentence(rng: random.Random, kept=False):
    "A full sentence in everyday grammar, and its attributes"
    said = sentence_facts(rng)
    words = dict(
        L=pick(rng, LEADS[said["lead"]]),
        D=pick(rng, DANCES[said["dance"]]),
        T=rng.choice([t for t in TEMPI[said["tempo"]][0] if " " not in t]),
        acc=accompaniment_words(rng, said["accompaniment"], kept),
        drums="" if said["drums"] == "-" else pick(rng, DRUMS[said["drums"]]),
        key=key_words(rng, said),
    )
    text = tidy(pick(rng, SENTENCES, kept).format(**words))
    return restyle(rng, text), labels_of(said)


def caption_facts(rng):
    "Invented facts of a clip"
    tonic = rng.randrange(12)
    lead = rng.choice(list(tunes.LEADS))
    others = [a for a in tunes.ACCOMPANIMENTS if a != "none" and a not in lead]
    acc = rng.choice(["none", "none", *others])
    facts = dict(
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
    letter = rng.choice([t for t in TONICS[tonic] if len(t) < 3])
    facts["key"] = letter + " " + facts["mode"]
    return facts, TONICS[tonic][0]


def has(text, words):
    "Is one of the words in a text?"
    return any(w.lower() in text for w in words)


def said_accompaniment(text, acc):
    "What a caption says of it"
    bare = acc == "none" and has(text, ["nothing but", "on its own", "just a", "solo"])
    return acc if has(text, tunes.ACCOMPANIMENTS[acc][1]) or bare else "-"


def said_drums(text, facts):
    "What a caption says of them"
    if has(text, ["no drums", "without drums"]):
        return "no"
    return "yes" if facts["drums"] and has(text, tunes.DRUM_WORDS) else "-"


def said_in_caption(text, facts, tonic):  # in lower case
    "Which facts a caption says"
    said = dict(
        lead=facts["lead"],
        accompaniment=said_accompaniment(text, facts["accompaniment"]),
        drums=said_drums(text, facts),
        bass="yes" if facts["bass"] and has(text, tunes.BASS_WORDS) else "-",
    )
    if facts["mode"] in text:
        said |= dict(tonic=tonic, mode=facts["mode"])
    if has(text, TEMPI[facts["tempo"]][0]):
        said["tempo"] = facts["tempo"]
    if facts["dance"] != "tune":
        said["dance"] = facts["dance"]
    if has(text, tunes.METRE_WORDS[facts["metre"]]):
        said["metre"] = facts["metre"]
    return said


def caption(rng: random.Random):
    "A caption of the data set for invented facts, and the attributes that it says"
    facts, tonic = caption_facts(rng)
    text = rng.choice(tunes.captions_of(facts, 6, rng.random()))
    return text, labels_of(said_in_caption(text.lower(), facts, tonic))


def restyle(rng, text):
    "As typed: lower case, capitals, a full stop, a tempo in numbers"
    if rng.random() < 0.08:
        form = rng.choice([" at {} bpm", ", {} bpm", " --bpm {}", ", bpm {}"])
        text += form.format(rng.randint(50, 190))
    if rng.random() < 0.3:
        text = text[0].upper() + text[1:]
    return text + "." if rng.random() < 0.2 else text


def words_in(texts):
    "Every word of the texts that is met twice, most common first"
    from presto_nb.material.text import basic_words

    count = Counter(w for t in texts for w in basic_words(t))
    return [w for w, n in count.most_common() if w.isalpha() and n > 1]


def main():
    rng = random.Random(0)
    for i in range(12):
        print(*(sample(rng) if i % 2 else sentence(rng)))
    for i in range(8):
        print("caption", *caption(rng))
    for i in range(6):
        print("kept", *(sample(rng, True) if i % 2 else sentence(rng, True)))


if __name__ == "__main__":
    main()
