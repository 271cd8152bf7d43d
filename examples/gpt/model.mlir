// A GPT-2 (Radford et al. 2019): 12 layers of width 768 with 12 heads, context 1024, vocabulary 50257.
// Compile it with: quern compile FILE -o gpt
quern.model @gpt kind("causal_lm") context(1024) {
  // Embeddings of tokens and of positions. The file's names follow Hugging Face's GPT-2.
  quern.parameter @token : tensor<50257x768xf32> init(normal, 0.02) decay file("wte.weight")
  quern.parameter @position : tensor<1024x768xf32> init(normal, 0.02) decay file("wpe.weight")
  quern.parameter @ln_f : tensor<768xf32> init(ones) file("ln_f.weight")
  quern.parameter @ln_f_bias : tensor<768xf32> init(zeros) file("ln_f.bias")

  // 12 equal layers; {layer} in names of the file is the layer's number. Matrices are stored
  // input x output, as GPT-2's Conv1D does.
  quern.layers @block count(12) file("h.{layer}.") (%x: tensor<?x?x768xf32>) -> tensor<?x?x768xf32> {
    quern.parameter @ln_1 : tensor<768xf32> init(ones) file("ln_1.weight")
    quern.parameter @ln_1_bias : tensor<768xf32> init(zeros) file("ln_1.bias")
    quern.parameter @attn : tensor<768x2304xf32> init(normal, 0.02) decay file("attn.c_attn.weight")
    quern.parameter @attn_bias : tensor<2304xf32> init(zeros) file("attn.c_attn.bias")
    quern.parameter @attn_proj : tensor<768x768xf32> init(residual, 0.02) decay file("attn.c_proj.weight")
    quern.parameter @attn_proj_bias : tensor<768xf32> init(zeros) file("attn.c_proj.bias")
    quern.parameter @ln_2 : tensor<768xf32> init(ones) file("ln_2.weight")
    quern.parameter @ln_2_bias : tensor<768xf32> init(zeros) file("ln_2.bias")
    quern.parameter @fc : tensor<768x3072xf32> init(normal, 0.02) decay file("mlp.c_fc.weight")
    quern.parameter @fc_bias : tensor<3072xf32> init(zeros) file("mlp.c_fc.bias")
    quern.parameter @fc_proj : tensor<3072x768xf32> init(residual, 0.02) decay file("mlp.c_proj.weight")
    quern.parameter @fc_proj_bias : tensor<768xf32> init(zeros) file("mlp.c_proj.bias")

    // Attention(Q, K, V) = softmax(Q K^T / sqrt(64)) V, a position sees those before it.
    %ln_1 = quern.read @ln_1 : tensor<768xf32>
    %ln_1_bias = quern.read @ln_1_bias : tensor<768xf32>
    %n1 = quern.layer_norm %x weight %ln_1 bias %ln_1_bias epsilon 1.0e-05 : tensor<?x?x768xf32>, tensor<768xf32>, tensor<768xf32>
    %attn = quern.read @attn : tensor<768x2304xf32>
    %attn_bias = quern.read @attn_bias : tensor<2304xf32>
    %qkv = quern.linear %n1, %attn bias %attn_bias : tensor<?x?x768xf32>, tensor<768x2304xf32>, tensor<2304xf32>
    %q, %k, %v = quern.split %qkv dimension 2 sizes [768, 768, 768] : tensor<?x?x2304xf32>
    %q_heads = quern.split_heads %q heads 12 : tensor<?x?x768xf32>
    %k_heads = quern.split_heads %k heads 12 : tensor<?x?x768xf32>
    %v_heads = quern.split_heads %v heads 12 : tensor<?x?x768xf32>
    %a = quern.attention %q_heads, %k_heads, %v_heads causal : tensor<?x?x12x64xf32>, tensor<?x?x12x64xf32>, tensor<?x?x12x64xf32>
    %a_merged = quern.merge_heads %a : tensor<?x?x12x64xf32>
    %attn_proj = quern.read @attn_proj : tensor<768x768xf32>
    %attn_proj_bias = quern.read @attn_proj_bias : tensor<768xf32>
    %a_out = quern.linear %a_merged, %attn_proj bias %attn_proj_bias : tensor<?x?x768xf32>, tensor<768x768xf32>, tensor<768xf32>
    %x1 = arith.addf %x, %a_out : tensor<?x?x768xf32>

    // The feed-forward network, at each position for itself.
    %ln_2 = quern.read @ln_2 : tensor<768xf32>
    %ln_2_bias = quern.read @ln_2_bias : tensor<768xf32>
    %n2 = quern.layer_norm %x1 weight %ln_2 bias %ln_2_bias epsilon 1.0e-05 : tensor<?x?x768xf32>, tensor<768xf32>, tensor<768xf32>
    %fc = quern.read @fc : tensor<768x3072xf32>
    %fc_bias = quern.read @fc_bias : tensor<3072xf32>
    %f = quern.linear %n2, %fc bias %fc_bias : tensor<?x?x768xf32>, tensor<768x3072xf32>, tensor<3072xf32>
    %g = quern.gelu %f tanh : tensor<?x?x3072xf32>
    %fc_proj = quern.read @fc_proj : tensor<3072x768xf32>
    %fc_proj_bias = quern.read @fc_proj_bias : tensor<768xf32>
    %f_out = quern.linear %g, %fc_proj bias %fc_proj_bias : tensor<?x?x3072xf32>, tensor<3072x768xf32>, tensor<768xf32>
    %x2 = arith.addf %x1, %f_out : tensor<?x?x768xf32>
    quern.yield %x2 : tensor<?x?x768xf32>
  }

  // Token ids to logits: one score for each token that may come next, at each position.
  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<?x?x50257xf32> {quern.name = "logits", quern.dims = ["batch", "sequence", ""]}) {
    %token = quern.read @token : tensor<50257x768xf32>
    %t = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<50257x768xf32>
    %position = quern.read @position : tensor<1024x768xf32>
    %p = quern.position_embedding %tokens, %position : tensor<?x?xi32>, tensor<1024x768xf32>
    %x = arith.addf %t, %p : tensor<?x?x768xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x768xf32>) -> tensor<?x?x768xf32>
    %ln_f = quern.read @ln_f : tensor<768xf32>
    %ln_f_bias = quern.read @ln_f_bias : tensor<768xf32>
    %n = quern.layer_norm %y weight %ln_f bias %ln_f_bias epsilon 1.0e-05 : tensor<?x?x768xf32>, tensor<768xf32>, tensor<768xf32>
    // The output matrix is the token table again (tied weights).
    %logits = quern.linear %n, %token transposed : tensor<?x?x768xf32>, tensor<50257x768xf32>
    quern.return %logits : tensor<?x?x50257xf32>
  }

  // The mean of -log p(target) over all positions whose target is not -1.
  quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]},
                       %targets: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<f32> {quern.name = "loss"}) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x50257xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x50257xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
