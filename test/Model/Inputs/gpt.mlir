// A GPT of two layers: position table, tied head, one attention a layer.
quern.model @gpt kind("causal_lm") context(8) {
  quern.parameter @token : tensor<11x6xf32> init(normal, 0.02) decay file("wte.weight")
  quern.parameter @place : tensor<8x6xf32> init(normal, 0.02) file("wpe.weight")
  quern.layers @block count(2) file("h.{layer}.") (%x: tensor<?x?x6xf32>) -> tensor<?x?x6xf32> {
    quern.parameter @ln : tensor<6xf32> init(ones) file("ln.weight")
    quern.parameter @ln_bias : tensor<6xf32> init(zeros) file("ln.bias")
    quern.parameter @qkv : tensor<6x18xf32> init(normal, 0.02) decay file("qkv.weight")
    quern.parameter @fc : tensor<6x6xf32> init(residual, 0.02) decay file("fc.weight")
    quern.parameter @fc_bias : tensor<6xf32> init(zeros) file("fc.bias")
    %g = quern.read @ln : tensor<6xf32>
    %b = quern.read @ln_bias : tensor<6xf32>
    %n = quern.layer_norm %x weight %g bias %b : tensor<?x?x6xf32>, tensor<6xf32>, tensor<6xf32>
    %w = quern.read @qkv : tensor<6x18xf32>
    %qkv = quern.linear %n, %w : tensor<?x?x6xf32>, tensor<6x18xf32>
    %q, %k, %v = quern.split %qkv dimension 2 sizes [6, 6, 6] : tensor<?x?x18xf32>
    %qh = quern.split_heads %q heads 2 : tensor<?x?x6xf32>
    %kh = quern.split_heads %k heads 2 : tensor<?x?x6xf32>
    %vh = quern.split_heads %v heads 2 : tensor<?x?x6xf32>
    %a = quern.attention %qh, %kh, %vh causal : tensor<?x?x2x3xf32>, tensor<?x?x2x3xf32>, tensor<?x?x2x3xf32>
    %m = quern.merge_heads %a : tensor<?x?x2x3xf32>
    %f = quern.read @fc : tensor<6x6xf32>
    %fb = quern.read @fc_bias : tensor<6xf32>
    %p = quern.linear %m, %f bias %fb : tensor<?x?x6xf32>, tensor<6x6xf32>, tensor<6xf32>
    %h = quern.gelu %p tanh : tensor<?x?x6xf32>
    %r = arith.addf %x, %h : tensor<?x?x6xf32>
    quern.yield %r : tensor<?x?x6xf32>
  }
  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}) -> tensor<?x?x11xf32> {
    %table = quern.read @token : tensor<11x6xf32>
    %e = quern.embedding %tokens, %table : tensor<?x?xi32>, tensor<11x6xf32>
    %places = quern.read @place : tensor<8x6xf32>
    %p = quern.position_embedding %tokens, %places : tensor<?x?xi32>, tensor<8x6xf32>
    %x = arith.addf %e, %p : tensor<?x?x6xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
    %logits = quern.linear %y, %table transposed : tensor<?x?x6xf32>, tensor<11x6xf32>
    quern.return %logits : tensor<?x?x11xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]}, %targets: tensor<?x?xi32>) -> tensor<f32> {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x11xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x11xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
