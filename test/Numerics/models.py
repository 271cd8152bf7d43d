# ===- models.py - Gradients of whole models, fused and as they are written ------------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# RUN: %python %s
#
# Rolled layers with dynamic batch and sequence, tied parameters, what all layers share, several
# results of layers, ignored targets. First as written, then with the patterns that fuse finds.

from gradient import check

GPT = """
quern.model @gpt kind("causal_lm") {
  quern.parameter @token : tensor<7x6xf32> init(ones)
  quern.parameter @position : tensor<9x6xf32> init(ones)
  quern.layers @block count(3) (%x: tensor<?x?x6xf32>) -> tensor<?x?x6xf32> {
    quern.parameter @ln : tensor<6xf32> init(ones)
    quern.parameter @ln_bias : tensor<6xf32> init(ones)
    quern.parameter @qkv : tensor<6x18xf32> init(ones)
    quern.parameter @qkv_bias : tensor<18xf32> init(ones)
    quern.parameter @proj : tensor<6x6xf32> init(ones)
    quern.parameter @ln_2 : tensor<6xf32> init(ones)
    quern.parameter @fc : tensor<6x8xf32> init(ones)
    quern.parameter @fc_bias : tensor<8xf32> init(ones)
    quern.parameter @out : tensor<8x6xf32> init(ones)
    %ln = quern.read @ln : tensor<6xf32>
    %ln_bias = quern.read @ln_bias : tensor<6xf32>
    %w_qkv = quern.read @qkv : tensor<6x18xf32>
    %b_qkv = quern.read @qkv_bias : tensor<18xf32>
    %w_proj = quern.read @proj : tensor<6x6xf32>
    %ln_2 = quern.read @ln_2 : tensor<6xf32>
    %w_fc = quern.read @fc : tensor<6x8xf32>
    %b_fc = quern.read @fc_bias : tensor<8xf32>
    %w_out = quern.read @out : tensor<8x6xf32>
    %n = quern.layer_norm %x weight %ln bias %ln_bias epsilon 0.1 : tensor<?x?x6xf32>, tensor<6xf32>, tensor<6xf32>
    %qkv = quern.linear %n, %w_qkv bias %b_qkv : tensor<?x?x6xf32>, tensor<6x18xf32>, tensor<18xf32>
    %qs, %ks, %vs = quern.split %qkv dimension 2 sizes [6, 6, 6] : tensor<?x?x18xf32>
    %q = quern.split_heads %qs heads 2 : tensor<?x?x6xf32>
    %k = quern.split_heads %ks heads 2 : tensor<?x?x6xf32>
    %v = quern.split_heads %vs heads 2 : tensor<?x?x6xf32>
    %a = quern.attention %q, %k, %v causal : tensor<?x?x2x3xf32>, tensor<?x?x2x3xf32>, tensor<?x?x2x3xf32>
    %m = quern.merge_heads %a : tensor<?x?x2x3xf32>
    %o = quern.linear %m, %w_proj : tensor<?x?x6xf32>, tensor<6x6xf32>
    %x1 = arith.addf %x, %o : tensor<?x?x6xf32>
    %n2 = quern.layer_norm %x1 weight %ln_2 epsilon 0.1 : tensor<?x?x6xf32>, tensor<6xf32>
    %h = quern.linear %n2, %w_fc bias %b_fc : tensor<?x?x6xf32>, tensor<6x8xf32>, tensor<8xf32>
    %g = quern.gelu %h tanh : tensor<?x?x8xf32>
    %f = quern.linear %g, %w_out : tensor<?x?x8xf32>, tensor<8x6xf32>
    %y = arith.addf %x1, %f : tensor<?x?x6xf32>
    quern.yield %y : tensor<?x?x6xf32>
  }
  quern.parameter @ln_f : tensor<6xf32> init(ones)
  quern.function @forward(%tokens: tensor<?x?xi32>) -> tensor<?x?x7xf32> {
    %token = quern.read @token : tensor<7x6xf32>
    %position = quern.read @position : tensor<9x6xf32>
    %e = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<7x6xf32>
    %p = quern.position_embedding %tokens, %position : tensor<?x?xi32>, tensor<9x6xf32>
    %x = arith.addf %e, %p : tensor<?x?x6xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
    %ln_f = quern.read @ln_f : tensor<6xf32>
    %n = quern.layer_norm %y weight %ln_f epsilon 0.1 : tensor<?x?x6xf32>, tensor<6xf32>
    %l = quern.linear %n, %token transposed : tensor<?x?x6xf32>, tensor<7x6xf32>
    quern.return %l : tensor<?x?x7xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> tensor<f32> {
    %l = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x7xf32>
    %loss = quern.cross_entropy %l, %targets : tensor<?x?x7xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
"""

# Attention with repeated groups, a mask by select and a softmax, written by hand; a gated unit by hand.
LLAMA = """
quern.model @llama kind("causal_lm") {
  quern.parameter @token : tensor<7x8xf32> init(ones)
  quern.layers @block count(2) (%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
    quern.parameter @norm : tensor<8xf32> init(ones)
    quern.parameter @wq : tensor<8x8xf32> init(ones)
    quern.parameter @wk : tensor<4x8xf32> init(ones)
    quern.parameter @wv : tensor<4x8xf32> init(ones)
    quern.parameter @wo : tensor<8x8xf32> init(ones)
    quern.parameter @norm_2 : tensor<8xf32> init(ones)
    quern.parameter @gate : tensor<5x8xf32> init(ones)
    quern.parameter @up : tensor<5x8xf32> init(ones)
    quern.parameter @down : tensor<8x5xf32> init(ones)
    %norm = quern.read @norm : tensor<8xf32>
    %wq = quern.read @wq : tensor<8x8xf32>
    %wk = quern.read @wk : tensor<4x8xf32>
    %wv = quern.read @wv : tensor<4x8xf32>
    %wo = quern.read @wo : tensor<8x8xf32>
    %norm_2 = quern.read @norm_2 : tensor<8xf32>
    %w_gate = quern.read @gate : tensor<5x8xf32>
    %w_up = quern.read @up : tensor<5x8xf32>
    %w_down = quern.read @down : tensor<8x5xf32>
    %n = quern.rms_norm %x weight %norm epsilon 0.1 : tensor<?x?x8xf32>, tensor<8xf32>
    %qs = quern.linear %n, %wq transposed : tensor<?x?x8xf32>, tensor<8x8xf32>
    %ks = quern.linear %n, %wk transposed : tensor<?x?x8xf32>, tensor<4x8xf32>
    %vs = quern.linear %n, %wv transposed : tensor<?x?x8xf32>, tensor<4x8xf32>
    %qh = quern.split_heads %qs heads 4 : tensor<?x?x8xf32>
    %kh = quern.split_heads %ks heads 2 : tensor<?x?x4xf32>
    %vh = quern.split_heads %vs heads 2 : tensor<?x?x4xf32>
    %qr = quern.rotary_embedding %qh : tensor<?x?x4x2xf32>
    %kr = quern.rotary_embedding %kh : tensor<?x?x2x2xf32>
    %kn = quern.repeat %kr dimension 2 times 2 : tensor<?x?x2x2xf32>
    %vn = quern.repeat %vh dimension 2 times 2 : tensor<?x?x2x2xf32>
    %q = quern.transpose %qr [0, 2, 1, 3] : tensor<?x?x4x2xf32>
    %k = quern.transpose %kn [0, 2, 1, 3] : tensor<?x?x4x2xf32>
    %v = quern.transpose %vn [0, 2, 1, 3] : tensor<?x?x4x2xf32>
    %s = quern.matmul %q, %k transpose_b : tensor<?x4x?x2xf32>, tensor<?x4x?x2xf32>
    %c = quern.full 0.7 like %s : tensor<?x4x?x?xf32>
    %scaled = arith.mulf %s, %c : tensor<?x4x?x?xf32>
    %low = quern.full -1.0e+30 like %s : tensor<?x4x?x?xf32>
    %may = quern.causal_mask like %s : tensor<?x4x?x?xf32>
    %masked = arith.select %may, %scaled, %low : tensor<?x4x?x?xi1>, tensor<?x4x?x?xf32>
    %p = quern.softmax %masked : tensor<?x4x?x?xf32>
    %a = quern.matmul %p, %v : tensor<?x4x?x?xf32>, tensor<?x4x?x2xf32>
    %t = quern.transpose %a [0, 2, 1, 3] : tensor<?x4x?x2xf32>
    %m = quern.merge_heads %t : tensor<?x?x4x2xf32>
    %o = quern.linear %m, %wo transposed : tensor<?x?x8xf32>, tensor<8x8xf32>
    %x1 = arith.addf %x, %o : tensor<?x?x8xf32>
    %n2 = quern.rms_norm %x1 weight %norm_2 epsilon 0.1 : tensor<?x?x8xf32>, tensor<8xf32>
    %gate = quern.linear %n2, %w_gate transposed : tensor<?x?x8xf32>, tensor<5x8xf32>
    %up = quern.linear %n2, %w_up transposed : tensor<?x?x8xf32>, tensor<5x8xf32>
    %silu = quern.silu %gate : tensor<?x?x5xf32>
    %h = arith.mulf %silu, %up : tensor<?x?x5xf32>
    %f = quern.linear %h, %w_down transposed : tensor<?x?x5xf32>, tensor<8x5xf32>
    %y = arith.addf %x1, %f : tensor<?x?x8xf32>
    quern.yield %y : tensor<?x?x8xf32>
  }
  quern.parameter @head : tensor<7x8xf32> init(ones)
  quern.function @forward(%tokens: tensor<?x?xi32>) -> tensor<?x?x7xf32> {
    %token = quern.read @token : tensor<7x8xf32>
    %head = quern.read @head : tensor<7x8xf32>
    %x = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<7x8xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    %l = quern.linear %y, %head transposed : tensor<?x?x8xf32>, tensor<7x8xf32>
    quern.return %l : tensor<?x?x7xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32>, %targets: tensor<?x?xi32>) -> tensor<f32> {
    %l = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x7xf32>
    %loss = quern.cross_entropy %l, %targets : tensor<?x?x7xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
"""

# Layers that carry two values and share two others, one of which has a gradient; two stacks of layers
# that use one parameter.
SHARED = """
quern.model @shared kind("other") {
  quern.parameter @scale : tensor<3xf32> init(ones)
  quern.parameter @start : tensor<3xf32> init(ones)
  quern.layers @up count(2) (%x: tensor<3xf32>, %y: tensor<3xf32>, %s: tensor<3xf32>, %c: tensor<3xf32>)
      -> (tensor<3xf32>, tensor<3xf32>) {
    quern.parameter @w : tensor<3x3xf32> init(ones) file("up.w")
    %w = quern.read @w : tensor<3x3xf32>
    %a = quern.linear %x, %w : tensor<3xf32>, tensor<3x3xf32>
    %b = arith.mulf %a, %s : tensor<3xf32>
    %d = arith.addf %b, %c : tensor<3xf32>
    %e = math.tanh %d : tensor<3xf32>
    %f = arith.mulf %y, %x : tensor<3xf32>
    quern.yield %f, %e : tensor<3xf32>, tensor<3xf32>
  }
  quern.layers @down count(1) (%x: tensor<3xf32>, %s: tensor<3xf32>) -> tensor<3xf32> {
    quern.parameter @w : tensor<3x3xf32> init(ones) file("down.w")
    %w = quern.read @w : tensor<3x3xf32>
    %a = quern.linear %x, %w transposed : tensor<3xf32>, tensor<3x3xf32>
    %b = arith.divf %a, %s : tensor<3xf32>
    %m = arith.mulf %w, %w : tensor<3x3xf32>
    %n = quern.sum %m dimensions [0] : tensor<3x3xf32>
    %y = arith.addf %b, %n : tensor<3xf32>
    quern.yield %y : tensor<3xf32>
  }
  quern.function @forward() {
    quern.return
  }
  quern.function @loss(%c: tensor<3xf32>) -> tensor<f32> {
    %scale = quern.read @scale : tensor<3xf32>
    %start = quern.read @start : tensor<3xf32>
    %e = math.exp %scale : tensor<3xf32>
    %x, %y = quern.apply @up(%start, %scale, %scale, %c)
        : (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> (tensor<3xf32>, tensor<3xf32>)
    %z = quern.apply @down(%x, %e) : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
    %p = arith.mulf %z, %y : tensor<3xf32>
    %loss = quern.sum %p dimensions [0] : tensor<3xf32>
    quern.return %loss : tensor<f32>
  }
}
"""

for passes in [(), ("--quern-fuse",)]:
    for batch, sequence in [(2, 5), (1, 1), (3, 4)]:
        check(
            [],
            texts=[GPT, LLAMA, SHARED],
            passes=passes,
            ranges={"tokens": (0, 7), "targets": (-1, 7)},
            dims={"batch": batch, "sequence": sequence},
            seed=4,
        )
