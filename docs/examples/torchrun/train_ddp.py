"""Data-parallel training as torchrun starts it: linear regression with DistributedDataParallel over gloo."""

import argparse
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.nn  # before the group exists: imported later (DDP does), its default arguments would hold the group
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--max_steps", type=int, default=200)
parser.add_argument("--output_dir", default="out")
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--momentum", type=float, default=0.0)
args = parser.parse_args()

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, ranks = dist.get_rank(), dist.get_world_size()
task = torch.Generator().manual_seed(0)  # the task and its validation set are the same in every run
target = torch.randn(32, 1, generator=task)
val_x = torch.randn(512, 32, generator=task)
torch.manual_seed(args.seed)
model = DistributedDataParallel(torch.nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=args.momentum)
data = torch.Generator().manual_seed(args.seed * ranks + rank)
for step in range(1, args.max_steps + 1):
    x = torch.randn(64, 32, generator=data)
    noise = 0.5 * torch.randn(64, 1, generator=data)
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(model(x), x @ target + noise).backward()
    optimizer.step()
    if rank == 0 and (step % 10 == 0 or step == args.max_steps):
        with torch.no_grad():
            val_loss = torch.nn.functional.mse_loss(model.module(val_x), val_x @ target)
        print(f"Step {step} | val_loss: {val_loss:.6f}", flush=True)
if rank == 0:
    torch.save(model.module.state_dict(), Path(args.output_dir) / "model.pt")
dist.barrier()  # nobody leaves while another still needs the group
# The group's threads end with the last reference to it. Those that still run when the interpreter shuts down may abort the process
# ("terminate called without an active exception"), so nothing may hold the group any more, this model neither.
del model, optimizer
dist.destroy_process_group()
