// A Llama (Touvron et al. 2023): 8 layers of width 512 with 8 heads, context 1024, vocabulary 32000.
// Compile it with: quern compile FILE -o llama
quern.model @llama kind("causal_lm") context(1024) {
  // The embeddings of tokens. Positions need none: queries and keys are rotated by them.
  quern.parameter @token : tensor<32000x512xf32> init(normal, 0.02) decay file("model.embed_tokens.weight")
  quern.parameter @norm : tensor<512xf32> init(ones) file("model.norm.weight")

  // 8 equal layers. Matrices are stored output x input (PyTorch's nn.Linear), hence `transposed`.
  // {layer} in names of the file is the layer's number.
  quern.layers @block count(8) file("model.layers.{layer}.") (%x: tensor<?x?x512xf32>) -> tensor<?x?x512xf32> {
    quern.parameter @attention_norm : tensor<512xf32> init(ones) file("input_layernorm.weight")
    quern.parameter @wq : tensor<512x512xf32> init(normal, 0.02) decay file("self_attn.q_proj.weight")
    quern.parameter @wk : tensor<512x512xf32> init(normal, 0.02) decay file("self_attn.k_proj.weight")
    quern.parameter @wv : tensor<512x512xf32> init(normal, 0.02) decay file("self_attn.v_proj.weight")
    quern.parameter @wo : tensor<512x512xf32> init(residual, 0.02) decay file("self_attn.o_proj.weight")
    quern.parameter @feed_forward_norm : tensor<512xf32> init(ones) file("post_attention_layernorm.weight")
    quern.parameter @gate : tensor<1376x512xf32> init(normal, 0.02) decay file("mlp.gate_proj.weight")
    quern.parameter @up : tensor<1376x512xf32> init(normal, 0.02) decay file("mlp.up_proj.weight")
    quern.parameter @down : tensor<512x1376xf32> init(residual, 0.02) decay file("mlp.down_proj.weight")

    // Grouped-query attention: 8 heads of queries share 8 of keys and values.
    %attention_norm = quern.read @attention_norm : tensor<512xf32>
    %n1 = quern.rms_norm %x weight %attention_norm epsilon 1.0e-05 : tensor<?x?x512xf32>, tensor<512xf32>
    %wq = quern.read @wq : tensor<512x512xf32>
    %q = quern.linear %n1, %wq transposed : tensor<?x?x512xf32>, tensor<512x512xf32>
    %q_heads = quern.split_heads %q heads 8 : tensor<?x?x512xf32>
    %q_rotated = quern.rotary_embedding %q_heads base 10000.0 : tensor<?x?x8x64xf32>
    %wk = quern.read @wk : tensor<512x512xf32>
    %k = quern.linear %n1, %wk transposed : tensor<?x?x512xf32>, tensor<512x512xf32>
    %k_heads = quern.split_heads %k heads 8 : tensor<?x?x512xf32>
    %k_rotated = quern.rotary_embedding %k_heads base 10000.0 : tensor<?x?x8x64xf32>
    %wv = quern.read @wv : tensor<512x512xf32>
    %v = quern.linear %n1, %wv transposed : tensor<?x?x512xf32>, tensor<512x512xf32>
    %v_heads = quern.split_heads %v heads 8 : tensor<?x?x512xf32>
    %a = quern.attention %q_rotated, %k_rotated, %v_heads causal : tensor<?x?x8x64xf32>, tensor<?x?x8x64xf32>, tensor<?x?x8x64xf32>
    %a_merged = quern.merge_heads %a : tensor<?x?x8x64xf32>
    %wo = quern.read @wo : tensor<512x512xf32>
    %a_out = quern.linear %a_merged, %wo transposed : tensor<?x?x512xf32>, tensor<512x512xf32>
    %x1 = arith.addf %x, %a_out : tensor<?x?x512xf32>

    // The feed-forward network: silu(x W_gate) * (x W_up), then back (Shazeer 2020).
    %feed_forward_norm = quern.read @feed_forward_norm : tensor<512xf32>
    %n2 = quern.rms_norm %x1 weight %feed_forward_norm epsilon 1.0e-05 : tensor<?x?x512xf32>, tensor<512xf32>
    %gate = quern.read @gate : tensor<1376x512xf32>
    %g = quern.linear %n2, %gate transposed : tensor<?x?x512xf32>, tensor<1376x512xf32>
    %up = quern.read @up : tensor<1376x512xf32>
    %u = quern.linear %n2, %up transposed : tensor<?x?x512xf32>, tensor<1376x512xf32>
    %h = quern.swiglu %g, %u : tensor<?x?x1376xf32>, tensor<?x?x1376xf32>
    %down = quern.read @down : tensor<512x1376xf32>
    %f_out = quern.linear %h, %down transposed : tensor<?x?x1376xf32>, tensor<512x1376xf32>
    %x2 = arith.addf %x1, %f_out : tensor<?x?x512xf32>
    quern.yield %x2 : tensor<?x?x512xf32>
  }

  // Token ids to logits: one score for each token that may come next, at each position.
  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<?x?x32000xf32> {quern.name = "logits", quern.dims = ["batch", "sequence", ""]}) {
    %token = quern.read @token : tensor<32000x512xf32>
    %x = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<32000x512xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x512xf32>) -> tensor<?x?x512xf32>
    %norm = quern.read @norm : tensor<512xf32>
    %n = quern.rms_norm %y weight %norm epsilon 1.0e-05 : tensor<?x?x512xf32>, tensor<512xf32>
    // The output matrix is the token table again (tied weights).
    %logits = quern.linear %n, %token transposed : tensor<?x?x512xf32>, tensor<32000x512xf32>
    quern.return %logits : tensor<?x?x32000xf32>
  }

  // The mean of -log p(target) over all positions whose target is not -1.
  quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]},
                       %targets: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<f32> {quern.name = "loss"}) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x32000xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x32000xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
