// minGPT's gpt-nano, trained to sort: 3 layers, 3 heads, width 48, vocabulary 3, context 11, untied
// head. Its weights are stored [out, in], as torch.nn.Linear's.
quern.model @gpt kind("causal_lm") context(11) {
  quern.parameter @token : tensor<3x48xf32> init(normal, 0.02) file("transformer.wte.weight")
  quern.parameter @position : tensor<11x48xf32> init(normal, 0.02) file("transformer.wpe.weight")
  quern.layers @block count(3) file("transformer.h.{layer}.") (%x: tensor<?x?x48xf32>) -> tensor<?x?x48xf32> {
    quern.parameter @ln_1 : tensor<48xf32> init(ones) file("ln_1.weight")
    quern.parameter @ln_1_bias : tensor<48xf32> init(zeros) file("ln_1.bias")
    quern.parameter @qkv : tensor<144x48xf32> init(normal, 0.02) decay file("attn.c_attn.weight")
    quern.parameter @qkv_bias : tensor<144xf32> init(zeros) file("attn.c_attn.bias")
    quern.parameter @proj : tensor<48x48xf32> init(residual, 0.02) decay file("attn.c_proj.weight")
    quern.parameter @proj_bias : tensor<48xf32> init(zeros) file("attn.c_proj.bias")
    quern.parameter @ln_2 : tensor<48xf32> init(ones) file("ln_2.weight")
    quern.parameter @ln_2_bias : tensor<48xf32> init(zeros) file("ln_2.bias")
    quern.parameter @fc : tensor<192x48xf32> init(normal, 0.02) decay file("mlp.c_fc.weight")
    quern.parameter @fc_bias : tensor<192xf32> init(zeros) file("mlp.c_fc.bias")
    quern.parameter @out : tensor<48x192xf32> init(residual, 0.02) decay file("mlp.c_proj.weight")
    quern.parameter @out_bias : tensor<48xf32> init(zeros) file("mlp.c_proj.bias")

    %ln_1 = quern.read @ln_1 : tensor<48xf32>
    %ln_1_bias = quern.read @ln_1_bias : tensor<48xf32>
    %qkv_w = quern.read @qkv : tensor<144x48xf32>
    %qkv_b = quern.read @qkv_bias : tensor<144xf32>
    %n1 = quern.layer_norm %x weight %ln_1 bias %ln_1_bias : tensor<?x?x48xf32>, tensor<48xf32>, tensor<48xf32>
    %qkv = quern.linear %n1, %qkv_w bias %qkv_b transposed : tensor<?x?x48xf32>, tensor<144x48xf32>, tensor<144xf32>
    %qs, %ks, %vs = quern.split %qkv dimension 2 sizes [48, 48, 48] : tensor<?x?x144xf32>
    %q = quern.split_heads %qs heads 3 : tensor<?x?x48xf32>
    %k = quern.split_heads %ks heads 3 : tensor<?x?x48xf32>
    %v = quern.split_heads %vs heads 3 : tensor<?x?x48xf32>
    %a = quern.attention %q, %k, %v causal : tensor<?x?x3x16xf32>, tensor<?x?x3x16xf32>, tensor<?x?x3x16xf32>
    %m = quern.merge_heads %a : tensor<?x?x3x16xf32>
    %proj_w = quern.read @proj : tensor<48x48xf32>
    %proj_b = quern.read @proj_bias : tensor<48xf32>
    %o = quern.linear %m, %proj_w bias %proj_b transposed : tensor<?x?x48xf32>, tensor<48x48xf32>, tensor<48xf32>
    %x1 = arith.addf %x, %o : tensor<?x?x48xf32>

    %ln_2 = quern.read @ln_2 : tensor<48xf32>
    %ln_2_bias = quern.read @ln_2_bias : tensor<48xf32>
    %fc_w = quern.read @fc : tensor<192x48xf32>
    %fc_b = quern.read @fc_bias : tensor<192xf32>
    %out_w = quern.read @out : tensor<48x192xf32>
    %out_b = quern.read @out_bias : tensor<48xf32>
    %n2 = quern.layer_norm %x1 weight %ln_2 bias %ln_2_bias : tensor<?x?x48xf32>, tensor<48xf32>, tensor<48xf32>
    %h = quern.linear %n2, %fc_w bias %fc_b transposed : tensor<?x?x48xf32>, tensor<192x48xf32>, tensor<192xf32>
    %g = quern.gelu %h tanh : tensor<?x?x192xf32>
    %f = quern.linear %g, %out_w bias %out_b transposed : tensor<?x?x192xf32>, tensor<48x192xf32>, tensor<48xf32>
    %y = arith.addf %x1, %f : tensor<?x?x48xf32>
    quern.yield %y : tensor<?x?x48xf32>
  }
  quern.parameter @ln_f : tensor<48xf32> init(ones) file("transformer.ln_f.weight")
  quern.parameter @ln_f_bias : tensor<48xf32> init(zeros) file("transformer.ln_f.bias")
  quern.parameter @head : tensor<3x48xf32> init(normal, 0.02) decay file("lm_head.weight")

  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<?x?x3xf32> {quern.name = "logits"}) {
    %token = quern.read @token : tensor<3x48xf32>
    %position = quern.read @position : tensor<11x48xf32>
    %e = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<3x48xf32>
    %p = quern.position_embedding %tokens, %position : tensor<?x?xi32>, tensor<11x48xf32>
    %x = arith.addf %e, %p : tensor<?x?x48xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x48xf32>) -> tensor<?x?x48xf32>
    %ln_f = quern.read @ln_f : tensor<48xf32>
    %ln_f_bias = quern.read @ln_f_bias : tensor<48xf32>
    %n = quern.layer_norm %y weight %ln_f bias %ln_f_bias : tensor<?x?x48xf32>, tensor<48xf32>, tensor<48xf32>
    %head = quern.read @head : tensor<3x48xf32>
    %logits = quern.linear %n, %head transposed : tensor<?x?x48xf32>, tensor<3x48xf32>
    quern.return %logits : tensor<?x?x3xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]},
                       %targets: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<f32> {quern.name = "loss"}) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x3xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x3xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
