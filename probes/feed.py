"""Finds inputs that a model's forward accepts, by its arguments' names and by what it says of those that it refuses."""

import inspect
import itertools
import re

import probe_hf as hf
import probe_offers as offers
import probe_special as special
import torch

MEDIA = re.compile(
    r"pixel_values\w*|input_features|input_values|audio_values|images?|bbox|visual_feats|visual_pos|past_values|states|image_grid_thw"
)
"""Arguments without which a part of the model would be idle, though the forward may not ask for them."""

MARKS = (
    ("pixel_values_videos", ("video_token_id", "video_token_index")),
    ("pixel_values", ("image_token_id", "image_token_index", "media_token_id", "img_token_id")),
    ("input_features", ("audio_token_id", "audio_token_index")),
    ("input_values", ("audio_token_id", "audio_token_index")),
)
"""An argument, and the config's names for the id that stands in a text for each of its features."""

MISMATCH = re.compile(r"tokens:?\s*(\d+)\D+features:?\s*(?:torch\.Size\(\[)?(\d+)")
"""How releases say that a text has another number of placeholders than the image or sound has features."""

MOST = 12
"""The most arguments that are given."""

TRIES = 60
"""The most forwards of one search."""


def inputs_of(model, model_type):
    """The inputs on which a model is looked at, as fields of a case; and those that it refused, with the reason.

    Raises:
        Exception: What the model says to the likeliest input, when it accepts none.
    """
    names = inspect.signature(model.forward).parameters
    asked = [
        name for name, kind in names.items() if kind.default is kind.empty and kind.kind == kind.POSITIONAL_OR_KEYWORD
    ]
    main = model.main_input_name
    main = [name for name in ([main] if isinstance(main, str) else main) if name in names] or list(names)[:1]
    further = [name for name in names if name in ("input_ids", "decoder_input_ids", "bbox")]
    wanted = list(dict.fromkeys([*main, *asked, *further, *special.FED.get(model_type, ())]))
    media = [name for name in names if MEDIA.fullmatch(name) and name not in wanted]
    found, refused = [], {}
    if "input_ids" in wanted:
        found, refused = written(model, names, wanted, media)
    if media or "input_ids" not in wanted:
        try:
            found.append(plain(model, names, wanted, media, alone=not found))
        except Exception as error:
            if not found:
                raise
            refused["plain"] = said(error)
    if not found:
        raise ValueError(f"the forward accepts no text: {refused['short']}")
    return found, refused


def written(model, names, wanted, media):
    """One token, a short text and a padded batch, as far as the model takes them without anything else."""
    found, refused = [], {}
    try:
        choice, _ = settled(model, names, wanted, media)
    except Exception as error:
        if not media:
            raise
        return [], {"short": said(error)}
    for name, lengths in (("one", [1]), ("short", [offers.SHORT]), ("padded", [offers.SHORT, offers.SHORT - 3])):
        if name == "padded" and "attention_mask" not in names:
            refused[name] = "the forward takes no attention_mask"
            continue
        try:
            found.append(checked(model, made(model.config, choice, {}, name, lengths)))
        except Exception as error:
            if name == "short" and not media:
                raise
            refused[name] = said(error)
    return found, refused


def plain(model, names, wanted, media, *, alone):
    """One input with everything that the model reads; with one kind of media where it takes only one at a time."""
    first = None
    still = [name for name in media if "video" not in name]
    sets = [media, still, *([name] for name in media[:4] if "grid" not in name)] if media else []
    for more in [*dict.fromkeys(map(tuple, sets)), *([()] if alone else [])]:
        try:
            choice, marks = settled(model, names, [*wanted, *more])
            return checked(model, made(model.config, choice, marks, "plain", [offers.SHORT]))
        except Exception as error:  # noqa: BLE001, PERF203 - a refusal is what is looked for
            first = first or error
    raise first


def settled(model, names, wanted, held=()):
    """Which alternative of each wanted argument a forward accepts, and how many placeholders stand in its text.

    Args:
        model: The model.
        names: Parameters of its forward.
        wanted: Arguments to give; those that the model asks for are added.
        held: Arguments that are not added.

    Raises:
        Exception: What the model says to the likeliest of the widest set of arguments.
    """
    wanted = list(wanted)
    while True:
        choice, marks, errors = tried(model, wanted)
        if choice is not None:
            return choice, marks
        words = set(re.findall(r"\w+", " ".join(map(str, errors))))
        more = [
            name
            for name in names
            if name in words and name not in wanted and name not in held and offers.offers(name, model.config, 1, 4)
        ]
        if not more or len(wanted) > MOST:
            raise errors[0]
        wanted.append(more[0])


def tried(model, wanted):
    """Alternatives, from the likeliest on, until one runs: (choice, placeholders, errors)."""
    counts = [max(1, len(offers.offers(name, model.config, 1, offers.SHORT))) for name in wanted]
    orders = sorted(itertools.product(*map(range, counts)), key=sum)[:TRIES]
    errors = []
    for order in orders:
        choice, marks = dict(zip(wanted, order)), placed(model.config)
        for _ in range(4):
            try:
                run(model, made(model.config, choice, marks, "plain", [offers.SHORT]))
                return choice, marks, errors  # noqa: TRY300 - the loop goes on only after a refusal
            except Exception as error:  # noqa: BLE001, PERF203 - a refusal is what is looked for
                errors.append(error)
                marks = marks_after(error, model.config, wanted, marks)
                if marks is None:
                    break
    return None, {}, errors


def placed(config):
    """The placeholders that a model never asks for: id → how often it stands in the text."""
    mark, count = special.PLACES.get(config.model_type, (None, None))
    return {getattr(config, mark): getattr(config, count)} if mark else {}


def marks_after(error, config, wanted, marks):
    """The placeholders that a refusal asks for: id → how often it stands in the text; None without such a word."""
    told = MISMATCH.search(str(error))
    if not told:
        return None
    for name, kinds in MARKS:
        mark = offers.find(config, *kinds) or (offers.find(config, "vocabulary_map") or {}).get("<image>")
        if name in wanted and mark is not None and marks.get(mark, 0) != int(told[2]):
            return {**marks, mark: int(told[2])}
    return None


def made(config, choice, marks, name, lengths):
    """One input as fields of a case; rows are padded on the left.

    Args:
        config: The model's config.
        choice: Argument → which of its alternatives.
        marks: Id → how often it stands at the start of every row.
        name: The input's name.
        lengths: Tokens of each row.
    """
    longest, lead = max(lengths), [mark for mark, count in marks.items() for _ in range(count)]
    given = {"name": name, "input_ids": [], "attention_mask": [], "inputs": {}}
    for argument, index in choice.items():
        if argument == "input_ids":
            pad = offers.find(config, "pad_token_id", within=("text",)) or 0
            pad = pad if isinstance(pad, int) and 0 <= pad < offers.vocabulary(config) else 0
            rows = [offers.row(config, length, turn) for turn, length in enumerate(lengths)]
            given["input_ids"] = [[pad] * (longest - len(row)) + lead + row for row in rows]
            if len(lengths) > 1:
                given["attention_mask"] = [[0] * (longest - len(row)) + [1] * (len(lead) + len(row)) for row in rows]
        else:
            kinds = offers.offers(argument, config, len(lengths), longest + len(lead))
            if not kinds:
                raise ValueError(f"the forward wants {argument}, for which no value is known")
            given["inputs"][argument] = kinds[index]
    return given


def checked(model, given):
    """The input, when a model's outputs for it are finite, the same a second time, and others for another input.

    Raises:
        ValueError: When they are not.
    """
    torch.manual_seed(3)
    one = run(model, given)
    torch.manual_seed(4)
    if digests(run(model, given)) != digests(one):
        raise ValueError("the forward is random: two forwards of one model and one input disagree")
    wrong = trouble(one)
    if wrong:
        raise ValueError(wrong)
    if digests(run(model, another(given, model.config))) == digests(one):
        raise ValueError("the outputs are the same for another input")
    return given


def another(given, config):
    """An input of the same shapes with other ids and floats."""
    turned = {
        name: {**value, "seed": value["seed"] + 1} if isinstance(value, dict) else value
        for name, value in given["inputs"].items()
    }
    usable = list(dict.fromkeys(offers.row(config, 97)))
    follow = dict(zip(usable, usable[1:] + usable[:1]))
    rows = [[follow.get(item, item) for item in row] for row in given["input_ids"]]
    return {**given, "input_ids": rows, "inputs": turned}


def run(model, given):
    """Every floating output of one forward, by name."""
    with torch.no_grad():
        return {name: out.clone() for name, out in hf.outputs_of(model(**arguments(given, model.dtype))).items()}


def arguments(given, dtype):
    """The keyword arguments that the fields of a case stand for."""
    lists = {name: torch.tensor(given[name]) for name in ("input_ids", "attention_mask") if given[name]}
    return lists | {name: hf.given(name, value, dtype) for name, value in given["inputs"].items()}


def digests(outputs):
    """Digests of outputs by name."""
    return {name: hf.digest(out) for name, out in outputs.items()}


def trouble(outputs):
    """What is wrong with outputs, in words; None when nothing is."""
    for index, (name, out) in enumerate(outputs.items()):
        # behind the main output, minus infinity may say that something is masked
        if not torch.isfinite(out).all() and (index == 0 or torch.isnan(out).any()):
            lost = int((~torch.isfinite(out)).sum())
            return f"the output {name} holds {lost} numbers of {out.numel()} that are not finite"
    main = next(iter(outputs.values()))
    return "the main output is one number throughout" if main.numel() > 1 and main.min() == main.max() else None


def said(error):
    """An error in one line."""
    return f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0][:300]
