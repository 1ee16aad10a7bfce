"""The tricky strings that a tokenizer is asked about: (id, why, text), ASCII-escaped so that no editor changes them.

An id is the name by which reports and `[[known]]` speak of a string: it never changes, and new strings come at the end.
"""

PARAGRAPH = (
    "In 1815, M. Charles-Fran\xe7ois-Bienvenu Myriel was Bishop of D\u2014\u2014. He was an old man of about"
    " seventy-five years of age; he had occupied the see of D\u2014\u2014 since 1806. Although this detail"
    " has no connection whatever with the real substance of what we are about to relate, it will not be"
    " superfluous, if merely for the sake of exactness in all points, to mention here the various rumors and"
    " remarks which had been in circulation about him from the very moment when he arrived in the"
    " diocese.\n\nTrue or false, that which is said of men often occupies as important a place in their"
    " lives, and above all in their destinies, as that which they do."
)
"""From Les Miserables, in the translation of Isabel F. Hapgood (1887)."""

STRINGS = (
    ("plain", "nothing special", "The quick brown fox jumps over the lazy dog."),
    ("word", "one word, beside leading-space: the prefix space", "Hello"),
    ("leading-space", "the same word after a space", " Hello"),
    ("two-leading-spaces", "one of them may be a token of its own", "  Hello"),
    ("trailing-space", "a prompt that ends badly", "Hello "),
    ("inner-spaces", "runs of spaces", "a  b   c    d"),
    ("tab", "white space that is no space", "a\tb\t\tc"),
    ("newline", "one line break", "one\ntwo"),
    ("newlines", "empty lines, and one at either end", "\n\none\n\n\ntwo\n"),
    ("crlf", "line breaks of Windows", "one\r\ntwo\r\n"),
    ("carriage-return", "line breaks of old", "one\rtwo"),
    ("empty", "no text at all", ""),
    ("space", "a single space", " "),
    ("spaces", "nothing but spaces", "     "),
    ("white-space", "nothing but white space", " \t\n \n"),
    ("contractions", "split by a pattern in byte-level BPE", "I'm sure they've said we'd, don't you? It'll be John's."),
    ("contractions-upper", "the same pattern, in capitals", "I'M SURE THEY'VE SAID DON'T"),
    ("curly-quotes", "quotes that are no ASCII", "\u201cIt\u2019s\u201d \u2018so\u2019 \u00abvoil\u00e0\u00bb"),
    ("case", "lower-casing", "lower UPPER Title camelCase iPhone \u0130stanbul STRASSE stra\u00dfe"),
    ("url", "punctuation without spaces", "see https://example.org/a-b_c/?q=1&r=%20#top now"),
    ("email", "an at sign", "write to first.last+tag@example.org"),
    ("numbers", "separators and signs", "1 23 456 7,890 -1.5e-10 3.14159 0xFF 50% $9.99 \u20ac5"),
    ("digits", "how runs of digits are split", "1234567890123456789012345"),
    (
        "digits-other",
        "digits that are no ASCII",
        "\u0661\u0662\u0663 \u0967\u0968\u0969 \uff11\uff12\uff13 \u00b2\u00bd\u2167",
    ),
    ("code", "indentation", 'def f(x):\n    if x:\n        return x ** 2  # "two"\n\treturn None\n'),
    ("code-brackets", "runs of punctuation", "a[i]->b(&c){!!d;}//<?php $x=>{{y}}"),
    ("hyphens", "dashes of every width", "well-known \u2010 \u2011 \u2013 \u2014 -- --- \u2212"),
    ("punctuation", "marks glued and apart", "Wait ... what?! (no) [yes] {maybe} , . ; :"),
    ("clean-up", "what clean_up_tokenization_spaces would join", "Is it ? Yes . No , I do n't ; he 's ' here ' !"),
    (
        "math",
        "symbols beyond Latin-1",
        "\u2200x\u2208\u211d: x\u00b2 \u2265 0 \u2227 \u222b\u2080\u00b9 \u221ax dx \u2248 \u2154 \U0001d465",
    ),
    ("latin", "accented letters", "na\u00efve caf\u00e9 \u0141\u00f3d\u017a \u00c5ngstr\u00f6m \u00fe\u00fd\u00f0"),
    (
        "cyrillic",
        "one script",
        "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u0436\u0438\u043a \u0439",
    ),
    (
        "greek",
        "final sigma and accents",
        "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u03a3\u039f\u03a3 \u03c3\u03bf\u03c6\u03cc\u03c2",
    ),
    (
        "arabic",
        "right to left, with vowel marks",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0645\u064f\u062d\u060c \u0640",
    ),
    (
        "hebrew",
        "right to left, with points",
        "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    ),
    (
        "devanagari",
        "vowel signs and virama",
        "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0915\u094d\u0937",
    ),
    (
        "thai",
        "no spaces between words",
        "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0e19\u0e49\u0e33",
    ),
    ("chinese", "each character may be a word", "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u6211\u662f\u5b66\u751f"),
    (
        "japanese",
        "three scripts, long vowels, half width",
        "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u3001\u30b3\u30fc\u30d2\u30fc \uff76\uff9e\uff99",
    ),
    ("hangul", "syllables", "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4"),
    ("hangul-jamo", "the same kind of syllables, decomposed", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
    ("mixed-scripts", "scripts that touch", "abc\u4f60\u597ddef\u0433\u0434\u0435123\u03b1\u03b2\u3042\u30a2"),
    ("homoglyphs", "Cyrillic among Latin", "p\u0430yp\u0430l \u0410BC"),
    ("nfc", "precomposed", "caf\u00e9 \u00c5 \u1ea5 \ud55c"),
    ("nfd", "the same, decomposed", "cafe\u0301 A\u030a a\u0302\u0301 \u1112\u1161\u11ab"),
    ("marks", "combining marks in heaps", "Z\u0351\u036b\u0343a\u0321\u0322l\u0336g\u0337o\u0334"),
    ("nfkc", "compatibility forms", "\ufb01\ufb03 \uff21\uff22\uff23 \u2460 \u33a5 \u2122 \u2026 \u01c4 \u017f"),
    ("zero-width", "joiners, spaces and a word joiner", "a\u200bb\u200cc\u200dd\u2060e\u180ef"),
    ("emoji", "one code point each", "\U0001f600\U0001f44d\u2764\ufe0f\u263a"),
    (
        "emoji-sequences",
        "joiners and skin tones",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44b\U0001f3fd \U0001f3f3\ufe0f\u200d\U0001f308",
    ),
    (
        "flags",
        "regional indicators, and a tag sequence",
        "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea \U0001f3f4\U000e0067\U000e0062\U000e007f",
    ),
    ("keycaps", "a digit in an emoji", "1\ufe0f\u20e3 #\ufe0f\u20e3"),
    ("surrogate-neighbours", "the code points around the surrogates", "\ud7ff\ue000"),
    ("last-code-points", "non-characters and the last planes", "\ufffd\ufffe\uffff\U0010ffff"),
    ("control", "control characters that cleaning removes", "a\x01b\x02c\x07d\x08e\x1bf\x7fg\x80h\x9fi"),
    ("nul", "what C strings end at", "a\x00b"),
    ("bom", "a byte order mark, in front and inside", "\ufeffHello\ufeffthere"),
    ("no-break-space", "spaces that are no ASCII", "a\u00a0b\u202fc\u2009d\u3000e\u2003f\u1680g"),
    ("line-separators", "line breaks that are no ASCII", "a\u2028b\u2029c\u0085d\x0be\x0cf"),
    ("direction-marks", "what turns text around", "a\u200eb\u200fc\u202ed\u202ce\u2066f\u2069"),
    ("soft-hyphen", "an invisible hyphen", "co\u00adoperate in\u00adter\u00adna\u00adtional"),
    ("rare", "characters that hardly any vocabulary holds", "\U00013000\U00010330\U0001f9ff\u2603\u1f98\U00020000"),
    ("metaspace", "what Metaspace stands for a space with", "a\u2581b \u2581 \u2581\u2581c"),
    ("byte-level", "what byte-level BPE stands for a space with", "a\u0120b \u0120 \u010a\u00c4"),
    ("byte-tokens", "what byte fallback names its tokens", "<0x0A><0x41> <0x00>"),
    ("word-pieces", "what WordPiece begins a continuation with", "##ing un ##able #hash"),
    ("end-of-word", "what other BPE ends a word with", "low</w> er@@ lowest"),
    ("special-llama", "other families' special tokens", "<s>Hello</s> <unk> <pad>"),
    ("special-gpt", "other families' special tokens", "one<|endoftext|>two <|endoftext|> three"),
    ("special-bert", "other families' special tokens", "[CLS] one [SEP] two[MASK] [PAD][UNK]"),
    ("special-chat", "other families' special tokens", "<|im_start|>user\nHi<|im_end|>\n[INST] Hi [/INST]<|eot_id|>"),
    ("special-upper", "special tokens that are none", "<S> </S> [cls] <|ENDOFTEXT|>"),
    ("markup", "what looks like markup", "<b>bold</b> &amp; `code` | *x* _y_ @name"),
    ("long-word", "longer than WordPiece looks", "Donau" + "dampf" * 24 + "schiff"),
    ("repetition", "one letter, many times", "a" * 300),
    ("repetition-words", "two words, more often than most models' length", "to be " * 400),
    ("repetition-spaces", "many spaces between words", "x" + " " * 100 + "y"),
    (
        "paragraph",
        "ordinary prose",
        PARAGRAPH,
    ),
)

AROUND = (
    ("alone", "{0}"),
    ("glued", "one{0}two"),
    ("spaced", "one {0} two"),
    ("doubled", "{0}{0}"),
    ("broken", "one\n{0}\ntwo"),
)
"""How each of a tokenizer's own special tokens stands in text: (suffix of the id, form)."""

PAIRS = (
    ("pair", "What is it?", "It is a pair."),
    ("pair-spaces", " one ", " two "),
    ("pair-empty", "one", ""),
)
"""(id, first text, second text)."""

BATCH = ("Hello there.", "A somewhat longer text, so that the other one is padded and this one is cut.", "")

CONVERSATIONS = (
    ("user", (("user", "Hello, who are you?"),)),
    (
        "dialogue",
        (
            ("system", "You are brief."),
            ("user", " What is 2+2? "),
            ("assistant", "4\n"),
            ("user", "And <b>3+3</b>? \u4f60\u597d"),
        ),
    ),
    ("empty-content", (("user", ""),)),
)
"""(id, messages as (role, content)); all are rendered with a generation prompt where the last message is the user's
and the id is `dialogue`."""
