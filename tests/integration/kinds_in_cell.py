"""Writes one tiny checkpoint of every kind that cases may be of, and a tokenizer with a chat template.

Runs in a cell: `python kinds_in_cell.py FOLDER`. Weights are drawn from a seed; nothing that matters is left at 0 or 1.
"""

# as the probes, without annotations:
# ruff: noqa: ANN001, ANN201

import sys
from pathlib import Path

import torch
import transformers as t
from tokenizers import Tokenizer, models, pre_tokenizers

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
TEXT = {**SMALL, "vocab_size": 50, "max_position_embeddings": 64}
IMAGE = {**SMALL, "image_size": 32, "patch_size": 16}
SEQ2SEQ = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
}
WORDS = ["<pad>", "</s>", "<unk>", "user", "assistant", ":", *(f"w{number}" for number in range(44))]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} </s> {% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def main(folder):
    for name, model in kinds():
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
        model.save_pretrained(folder / name)
    words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    lists = ["input_ids", "attention_mask"]
    fast = t.PreTrainedTokenizerFast(tokenizer_object=words, model_input_names=lists, **special)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder / "llama")


def kinds():
    """(folder, model), every one from the same seed."""
    torch.manual_seed(0)
    yield "llama", t.LlamaForCausalLM(t.LlamaConfig(**TEXT))
    yield "bert", t.BertForPreTraining(t.BertConfig(**TEXT))
    yield "classifier", t.RobertaForSequenceClassification(t.RobertaConfig(**TEXT, num_labels=3))
    t5 = t.T5Config(vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0)
    yield "t5", t.T5ForConditionalGeneration(t5)
    yield "vit", t.ViTForImageClassification(t.ViTConfig(**IMAGE, num_labels=3))
    resnet = t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], out_features=["stage1", "stage2"])
    yield "resnet", t.ResNetBackbone(resnet)
    yield "clip", t.CLIPModel(t.CLIPConfig(text_config=TEXT, vision_config=IMAGE, projection_dim=8))
    sound = {"conv_dim": (8, 8), "conv_stride": (5, 4), "conv_kernel": (10, 8), "num_feat_extract_layers": 2}
    places = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    yield "wav2vec2", t.Wav2Vec2ForCTC(t.Wav2Vec2Config(**SMALL, **sound, **places, vocab_size=20))
    ids = {"decoder_start_token_id": 1, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    heard = {"num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 32, "vocab_size": 60}
    quiet = {"suppress_tokens": None, "begin_suppress_tokens": None}
    yield "whisper", t.WhisperForConditionalGeneration(t.WhisperConfig(**SEQ2SEQ, **ids, **heard, **quiet))
    both = {"vision_config": t.CLIPVisionConfig(**IMAGE), "text_config": t.LlamaConfig(**TEXT)}
    yield "llava", t.LlavaForConditionalGeneration(t.LlavaConfig(**both, image_token_index=40, vision_feature_layer=-1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
