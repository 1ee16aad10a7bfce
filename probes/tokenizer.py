"""The probe of tokenizers: what one tokenizer makes of fixed tricky strings, and whether decoding gives them back.

It needs no model, and imports tokenizers beside transformers, which brings it along. Whatever Python raises for one
string is recorded as that string's error: only a tokenizer that cannot be loaded fails the capture. README.md is its
contract.
"""

import copy
import hashlib
import json
import os

import probe_strings as strings
import transformers

OWN = 24
"""How many of a tokenizer's own special and added tokens are looked at: some vocabularies reserve hundreds."""

LISTS = {"masks": "attention_mask", "token types": "token_type_ids"}
ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
MESSAGE_LIMIT = 400
CUT = 8


def capture(job, record):
    """Capture one tokenizer into the harness's record; the variant and a repeat change nothing."""
    with record.step("load"):
        tokenizer = load(job)
    with record.step("tokens"):
        vocabulary = tokenizer.get_vocab()
        write_vocabulary(vocabulary, record.folder)
        record.facts["tokenizer"] = {
            "settings": settings(tokenizer),
            "added": added(tokenizer),
            "backend": parts(getattr(tokenizer, "backend_tokenizer", None)),
            "items": [*whole(tokenizer, vocabulary), *items(job, tokenizer)],
            "direct": direct(job, tokenizer),
        }


def load(job):
    """The tokenizer, as a user would load it."""
    source = job["tokenizer"]
    options = {"gguf_file": source["file"]} if source["file"] else {}
    return transformers.AutoTokenizer.from_pretrained(
        source["folder"], trust_remote_code=job["case"]["trust_remote_code"], local_files_only=True, **options
    )


def settings(tokenizer):
    """What a tokenizer says of itself."""
    names = ("is_fast", "model_max_length", "padding_side", "truncation_side", "model_input_names")
    found = {name: getattr(tokenizer, name, None) for name in (*names, "clean_up_tokenization_spaces")}
    return {"class": type(tokenizer).__name__, **found}


def added(tokenizer):
    """Every added token with its flags, by id."""
    flags = ("special", "lstrip", "rstrip", "single_word", "normalized")
    tokens = sorted(tokenizer.added_tokens_decoder.items())
    return [{"id": i, "content": token.content, **{f: bool(getattr(token, f)) for f in flags}} for i, token in tokens]


def parts(backend):
    """The Rust tokenizer's parts as JSON text; its model without vocabulary and merges, which have a digest."""
    if backend is None:
        return None
    whole = json.loads(backend.to_str())
    model = whole.get("model") or {}
    found = {name: whole.get(name) for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder")}
    found["model"] = {name: value for name, value in model.items() if name not in ("vocab", "merges")}
    # older releases write a merge as one string, newer ones as a pair
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in model.get("merges") or ()]
    return {**{name: json.dumps(value, sort_keys=True) for name, value in found.items()}, "merges": digest(merges)}


def direct(job, tokenizer):
    """Ids that tokenizer.json gives without transformers, by string; None where there is no such file.

    Where they differ between two cells, it is the tokenizers package that changed.
    """
    path = os.path.join(job["tokenizer"]["folder"], "tokenizer.json")
    if job["tokenizer"]["file"] or not os.path.exists(path):
        return None
    import tokenizers

    backend = attempt(lambda: tokenizers.Tokenizer.from_file(path))
    if "error" in backend:
        return None
    return {name: attempt(direct_ids, backend["value"], text) for name, text in texts(job, tokenizer)}


def direct_ids(backend, text):
    """Plain ids of one text, without padding or truncation that the file may ask for."""
    backend.no_padding()
    backend.no_truncation()
    return backend.encode(text, add_special_tokens=False).ids


def write_vocabulary(vocabulary, folder):
    """Keep the whole vocabulary beside the facts, in the order of its ids: a digest names no token."""
    ordered = sorted(vocabulary.items(), key=lambda entry: (entry[1], entry[0]))
    with open(os.path.join(folder, "vocabulary.json"), "w", encoding="utf-8") as file:
        json.dump({"schema": 1, "tokens": ordered}, file)


def whole(tokenizer, vocabulary):
    """What concerns no single string: the vocabulary and the special tokens with their ids."""
    value = {"size": len(vocabulary), "length": len(tokenizer), "sha256": digest(sorted(vocabulary.items()))}
    yield item("vocabulary", "", "", lambda: value)
    for role in ROLES:
        yield item("special tokens", role, "", lambda role=role: special(tokenizer, role))
    yield item("special tokens", "all", "", lambda: sorted(map(str, tokenizer.all_special_tokens)))


def special(tokenizer, role):
    """[content, id] of the token in a role, or null."""
    token = getattr(tokenizer, role + "_token", None)
    return None if token is None else [str(token), tokenizer.convert_tokens_to_ids(str(token))]


def items(job, tokenizer):
    """What the tokenizer makes of every string, of pairs, of a padded batch and of conversations."""
    for name, text in plain_texts(job):
        yield from of_text(tokenizer, name, text)
    for token in own_tokens(tokenizer):
        # some tokenizers are another one after such a token: no other string may notice
        fresh = copy.deepcopy(tokenizer)
        for name, text in around(token):
            yield from of_text(fresh, name, text)
    yield item("state", "", "", lambda: touched(job, copy.deepcopy(tokenizer)))
    for name, *pair in strings.PAIRS:
        yield item("pairs", name, " + ".join(map(repr, pair)), lambda pair=pair: lists(tokenizer(*pair)))
    yield from conversations(job, tokenizer)
    # last: what has no token to pad with is given one, as users do
    yield from batches(tokenizer)


def texts(job, tokenizer):
    """(id, text) of the fixed strings, of the case's own, and of those made of the tokenizer's own tokens."""
    yield from plain_texts(job)
    for token in own_tokens(tokenizer):
        yield from around(token)


def plain_texts(job):
    """(id, text) of the fixed strings and of the case's own."""
    yield from ((name, text) for name, _, text in strings.STRINGS)
    yield from ((f"text[{place}]", text) for place, text in enumerate(job["case"]["text"]))


def around(token):
    """(id, text) of one of the tokenizer's own tokens, alone and within words, spaces and lines."""
    return ((f"{token} {name}", form.format(token)) for name, form in strings.AROUND)


def touched(job, tokenizer):
    """Names of the strings whose ids are others once the tokenizer has seen its own tokens."""

    def asked():
        return {name: attempt(lambda text=text: list(tokenizer(text)["input_ids"])) for name, text in plain_texts(job)}

    before = asked()
    for token in own_tokens(tokenizer):
        for _, text in around(token):
            attempt(tokenizer.tokenize, text)
            attempt(tokenizer, text)
    after = asked()
    return [name for name in before if before[name] != after[name]]


def own_tokens(tokenizer):
    """The first special tokens in the order of their ids, then the first of the other added ones."""
    known = sorted(tokenizer.added_tokens_decoder.items())
    special = [str(token) for token in tokenizer.all_special_tokens]
    named = sorted(set(special), key=lambda token: (tokenizer.convert_tokens_to_ids(token) or 0, token))
    others = [token.content for _, token in known if token.content not in special]
    return [*named[:OWN], *others[:OWN]]


def of_text(tokenizer, name, text):
    """Everything that is asked of one text, in the order in which one thing follows from the other."""

    def asked(kind, of):
        return item(kind, name, text, of)

    plain = asked("ids", lambda: list(tokenizer(text, add_special_tokens=False)["input_ids"]))
    ids = asked("ids with special tokens", lambda: list(tokenizer(text)["input_ids"]))
    yield plain
    yield ids
    yield asked("tokens", lambda: list(tokenizer.tokenize(text)))
    if tokenizer.is_fast:
        yield asked("offsets", lambda: offsets(tokenizer, text))
    yield from (asked(kind, lambda key=key: lists(tokenizer(text)).get(key)) for kind, key in LISTS.items())
    if "error" in ids or "error" in plain:
        return
    decoded = asked("decode", lambda: tokenizer.decode(ids["value"]))
    yield decoded
    yield asked("decode without special tokens", lambda: tokenizer.decode(ids["value"], skip_special_tokens=True))
    yield asked("round trip", lambda: tokenizer.decode(plain["value"]) == text)


def offsets(tokenizer, text):
    """[start, end] in characters of each token, special ones included."""
    return [list(pair) for pair in tokenizer(text, return_offsets_mapping=True)["offset_mapping"]]


def lists(encoded):
    """Whatever lists a tokenizer makes, as plain lists by name."""
    return {
        name: [list(row) if isinstance(row, (list, tuple)) else row for row in rows] for name, rows in encoded.items()
    }


def batches(tokenizer):
    """Several texts at once: padded and cut on the tokenizer's own sides."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    batch = list(strings.BATCH)
    shown = " + ".join(map(repr, batch))
    yield item("batches", "padded", shown, lambda: lists(tokenizer(batch, padding=True)))
    short = {"padding": "max_length", "truncation": True, "max_length": CUT}
    yield item("batches", "cut", shown, lambda: lists(tokenizer(batch, **short)))
    pair = strings.PAIRS[0][1:]
    yield item("batches", "cut-pair", " + ".join(map(repr, pair)), lambda: lists(tokenizer(*pair, **short)))
    long = next(text for name, _, text in strings.STRINGS if name == "repetition-words")
    yield item("batches", "cut-at-its-length", long, lambda: list(tokenizer(long, truncation=True)["input_ids"]))


def conversations(job, tokenizer):
    """Conversations through the chat template: the text first, then its ids."""
    fixed = [(name, [{"role": r, "content": c} for r, c in said]) for name, said in strings.CONVERSATIONS]
    own = [(f"chat[{place}]", messages) for place, messages in enumerate(job["case"].get("chat") or ())]
    for name, messages in [*fixed, *own]:
        options = {"add_generation_prompt": name not in ("user", "empty-content")}
        said = json.dumps(messages)
        yield item("chat template", name, said, lambda m=messages, o=options: chat(tokenizer, m, tokenize=False, **o))
        yield item("chat ids", name, said, lambda m=messages, o=options: chat(tokenizer, m, tokenize=True, **o))


def chat(tokenizer, messages, **options):
    """One rendered conversation, or its ids: 5.x gives all lists where 4.x gave the ids alone."""
    made = tokenizer.apply_chat_template(messages, **options)
    if isinstance(made, str):
        return made
    return list(made if isinstance(made, (list, tuple)) else made["input_ids"])


def item(kind, name, text, of):
    """One thing that was asked, with what came of it."""
    return {"kind": kind, "name": name, "text": text, **attempt(of)}


def attempt(of, *given):
    """What a call gives, or the error it raises; too little memory is no fact about the tokenizer."""
    try:
        return {"value": of(*given)}
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a panic of Rust is no Exception, and a finding like any other
        return {"error": f"{type(error).__name__}: {error}"[:MESSAGE_LIMIT]}


def digest(value):
    """sha256 over a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
