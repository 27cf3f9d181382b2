"""A tiny GPT-2 from scratch with the Trainer of Hugging Face, on a text that comes with Python: its own help topics, byte by byte."""

import argparse
from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--max_steps", type=int, default=100)
parser.add_argument("--output_dir", default="out")
parser.add_argument("--learning_rate", type=float, default=1e-3)
parser.add_argument("--n_embd", type=int, default=32)
args = parser.parse_args()

CONTEXT = 64
text = torch.tensor(list("".join(topics[name] for name in sorted(topics)).encode()))
blocks = text[: len(text) // CONTEXT * CONTEXT].view(-1, CONTEXT)
dataset = [{"input_ids": block, "labels": block} for block in blocks]
held_out = dataset[::100]

set_seed(args.seed)
torch.set_num_threads(1)
config = GPT2Config(vocab_size=256, n_positions=CONTEXT, n_embd=args.n_embd, n_layer=2, n_head=2)
arguments = TrainingArguments(
    output_dir=args.output_dir,
    seed=args.seed,
    max_steps=args.max_steps,
    learning_rate=args.learning_rate,
    per_device_train_batch_size=16,
    logging_steps=20,
    eval_strategy="steps",
    eval_steps=20,
    save_strategy="no",
    report_to="none",
    use_cpu=True,
    disable_tqdm=True,
)
train_set = [each for number, each in enumerate(dataset) if number % 100]
trainer = Trainer(GPT2LMHeadModel(config), arguments, train_dataset=train_set, eval_dataset=held_out)
trainer.train()
print(trainer.evaluate())
