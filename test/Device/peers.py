#===- peers.py - The same work in PyTorch ---------------------------------------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
#===-----------------------------------------------------------------------------------------------===#
"""Reads [{"row": NAME, "peer": [KIND, SIZES...]}, ...] from standard input and prints a line of JSON for each:
{"row", "seconds", "note"} or {"row", "error"}. Each kind is what PyTorch does fastest: cuBLAS, the best of its attention
kernels, torch.compile, the fused AdamW, CUDA graphs."""

import json
import math
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

BF16 = {"device": "cuda", "dtype": torch.bfloat16}
F32 = {"device": "cuda", "dtype": torch.float32}


def timed(run, seconds=0.25):
    """Seconds of a run, the mean of as many as fit."""
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    count = int(min(max(seconds / (time.perf_counter() - start), 3), 300))
    start = time.perf_counter()
    for _ in range(count):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def gemm(m, n, k, layout):
    a = torch.randn(k, m, **BF16).t() if layout[0] == "t" else torch.randn(m, k, **BF16)
    b = torch.randn(n, k, **BF16).t() if layout[1] == "t" else torch.randn(k, n, **BF16)
    c = torch.empty(m, n, **BF16)
    return timed(lambda: torch.matmul(a, b, out=c)), "cuBLAS"


def _best_attention(body):
    """The fastest of PyTorch's kernels that take this."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    best, name = math.inf, ""
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
        try:
            with sdpa_kernel(backend):
                seconds = body()
        except RuntimeError:
            continue
        if seconds < best:
            best, name = seconds, backend.name
    if not name:
        raise RuntimeError("no attention kernel takes this")
    return best, name


def _qkv(batch, length, heads, size, **options):
    return [torch.randn(batch, length, heads, size, **BF16).transpose(1, 2).requires_grad_(**options) for _ in range(3)]


def attention(batch, length, heads, size):
    q, k, v = _qkv(batch, length, heads, size, requires_grad=False)
    return _best_attention(lambda: timed(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)))


def attention_backward(batch, length, heads, size):
    q, k, v = _qkv(batch, length, heads, size, requires_grad=True)

    def body():
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        g = torch.randn_like(o)
        return timed(lambda: torch.autograd.grad(o, (q, k, v), g, retain_graph=True))

    return _best_attention(body)


def norm(rows, width):
    x, w, b = torch.randn(rows, width, **BF16), torch.randn(width, **BF16), torch.randn(width, **BF16)
    run = torch.compile(lambda: F.layer_norm(x, (width,), w, b))
    return timed(run), "torch.compile"


def norm_backward(rows, width):
    x, w, b = (torch.randn(*shape, **F32).requires_grad_() for shape in ((rows, width), (width,), (width,)))
    y = F.layer_norm(x, (width,), w, b)
    g = torch.randn_like(y)
    return timed(lambda: torch.autograd.grad(y, (x, w, b), g, retain_graph=True)), "eager"


def cross_entropy(rows, vocabulary):
    x = torch.randn(rows, vocabulary, **BF16).requires_grad_()
    t = torch.randint(vocabulary, (rows,), device="cuda")
    loss = torch.compile(lambda x, t: F.cross_entropy(x.float(), t))
    return timed(lambda: torch.autograd.grad(loss(x, t), x)), "torch.compile"


def adamw(count):
    p = torch.randn(count, **F32).requires_grad_()
    p.grad = torch.randn(count, **F32)
    return timed(torch.optim.AdamW([p], lr=1e-3, weight_decay=0.1, fused=True).step), "fused"


def add(rows, width):
    x, y = torch.randn(rows, width, **BF16), torch.randn(rows, width, **BF16)
    z = torch.empty_like(x)
    return timed(lambda: torch.add(x, y, out=z)), "eager"


# GPT-2 ---------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def split(self, x):
        batch, length, width = x.shape
        return [part.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for part in self.qkv(self.ln_1(x)).split(width, 2)]

    def finish(self, x, a):
        x = x + self.out(a.transpose(1, 2).reshape(x.shape))
        return x + self.down(F.gelu(self.up(self.ln_2(x)), approximate="tanh"))

    def forward(self, x):
        return self.finish(x, F.scaled_dot_product_attention(*self.split(x), is_causal=True))

    def decode(self, x, keys, values, position, mask):
        q, k, v = self.split(x)
        keys.index_copy_(2, position, k)
        values.index_copy_(2, position, v)
        return self.finish(x, F.scaled_dot_product_attention(q, keys, values, attn_mask=mask))


class GPT2(nn.Module):
    def __init__(self, layers=12, width=768, heads=12, context=1024, vocabulary=50257):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def head(self, x):
        return F.linear(self.norm(x), self.token.weight)

    def forward(self, tokens, targets):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(x).float().flatten(0, 1), targets.flatten())

    def decode(self, token, position, caches):
        x = self.token(token) + self.position(position)
        mask = (torch.arange(caches[0][0].shape[2], device=token.device) <= position)[None, None, None]
        for block, (keys, values) in zip(self.blocks, caches):
            x = block.decode(x, keys, values, position, mask)
        return self.head(x).argmax(-1)


def train(batch, sequence):
    torch.set_float32_matmul_precision("high")
    model = GPT2().cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    compiled = torch.compile(model)
    tokens = torch.randint(50257, (batch, sequence + 1), device="cuda")

    def step():
        with torch.autocast("cuda", torch.bfloat16):
            loss = compiled(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return timed(step, 2.0), "torch.compile, fused AdamW"


def decode(count):
    model = GPT2().to(**BF16).eval()
    shape = (1, 12, 1024, 64)
    caches = [(torch.zeros(shape, **BF16), torch.zeros(shape, **BF16)) for _ in model.blocks]
    token, position = torch.zeros(1, 1, dtype=torch.long, device="cuda"), torch.zeros(1, dtype=torch.long, device="cuda")
    with torch.no_grad():
        compiled = torch.compile(model.decode)

        def step():
            token.copy_(compiled(token, position, caches))
            position.add_(1)

        # A graph of our own: the step writes to what it reads.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()

        def text():
            position.zero_()
            for _ in range(count):
                graph.replay()

        return timed(text, 1.0) / count, "torch.compile, CUDA graph, bf16 weights"


KINDS = {work.__name__: work for work in (gemm, attention, attention_backward, norm, norm_backward, cross_entropy, adamw, add, train, decode)}


def main():
    if not torch.cuda.is_available():
        sys.exit("PyTorch %s finds no GPU" % torch.__version__)
    for work in json.load(sys.stdin):
        kind, *sizes = work["peer"]
        answer = {"row": work["row"]}
        try:
            answer["seconds"], answer["note"] = KINDS[kind](*sizes)
        except Exception as error:  # no reason to leave out the others
            answer["error"] = "PyTorch: %s" % (str(error).strip().splitlines() or [type(error).__name__])[0]
        torch.cuda.empty_cache()
        print(json.dumps(answer), flush=True)


main()
