// llama2.c's stories260K: 5 layers, width 64, 8 heads that share 4 of keys and values, hidden 172,
// vocabulary 512, tied head, interleaved rotary embedding. Its file stacks the layers.
quern.model @llama kind("causal_lm") context(512) {
  quern.parameter @token : tensor<512x64xf32> init(normal, 0.02) decay file("tok_embeddings")
  quern.layers @block count(5) (%x: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
    quern.parameter @attention_norm : tensor<64xf32> init(ones) file("attention_norm")
    quern.parameter @wq : tensor<64x64xf32> init(normal, 0.02) decay file("wq")
    quern.parameter @wk : tensor<32x64xf32> init(normal, 0.02) decay file("wk")
    quern.parameter @wv : tensor<32x64xf32> init(normal, 0.02) decay file("wv")
    quern.parameter @wo : tensor<64x64xf32> init(residual, 0.02) decay file("wo")
    quern.parameter @ffn_norm : tensor<64xf32> init(ones) file("ffn_norm")
    quern.parameter @w1 : tensor<172x64xf32> init(normal, 0.02) decay file("w1")
    quern.parameter @w2 : tensor<64x172xf32> init(residual, 0.02) decay file("w2")
    quern.parameter @w3 : tensor<172x64xf32> init(normal, 0.02) decay file("w3")

    %attention_norm = quern.read @attention_norm : tensor<64xf32>
    %wq = quern.read @wq : tensor<64x64xf32>
    %wk = quern.read @wk : tensor<32x64xf32>
    %wv = quern.read @wv : tensor<32x64xf32>
    %wo = quern.read @wo : tensor<64x64xf32>
    %n1 = quern.rms_norm %x weight %attention_norm epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32>
    %qs = quern.linear %n1, %wq transposed : tensor<?x?x64xf32>, tensor<64x64xf32>
    %ks = quern.linear %n1, %wk transposed : tensor<?x?x64xf32>, tensor<32x64xf32>
    %vs = quern.linear %n1, %wv transposed : tensor<?x?x64xf32>, tensor<32x64xf32>
    %qh = quern.split_heads %qs heads 8 : tensor<?x?x64xf32>
    %kh = quern.split_heads %ks heads 4 : tensor<?x?x32xf32>
    %v = quern.split_heads %vs heads 4 : tensor<?x?x32xf32>
    %q = quern.rotary_embedding %qh interleaved base 10000.0 : tensor<?x?x8x8xf32>
    %k = quern.rotary_embedding %kh interleaved base 10000.0 : tensor<?x?x4x8xf32>
    %a = quern.attention %q, %k, %v causal : tensor<?x?x8x8xf32>, tensor<?x?x4x8xf32>, tensor<?x?x4x8xf32>
    %m = quern.merge_heads %a : tensor<?x?x8x8xf32>
    %o = quern.linear %m, %wo transposed : tensor<?x?x64xf32>, tensor<64x64xf32>
    %x1 = arith.addf %x, %o : tensor<?x?x64xf32>

    %ffn_norm = quern.read @ffn_norm : tensor<64xf32>
    %w1 = quern.read @w1 : tensor<172x64xf32>
    %w2 = quern.read @w2 : tensor<64x172xf32>
    %w3 = quern.read @w3 : tensor<172x64xf32>
    %n2 = quern.rms_norm %x1 weight %ffn_norm epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32>
    %gate = quern.linear %n2, %w1 transposed : tensor<?x?x64xf32>, tensor<172x64xf32>
    %up = quern.linear %n2, %w3 transposed : tensor<?x?x64xf32>, tensor<172x64xf32>
    %h = quern.swiglu %gate, %up : tensor<?x?x172xf32>, tensor<?x?x172xf32>
    %f = quern.linear %h, %w2 transposed : tensor<?x?x172xf32>, tensor<64x172xf32>
    %y = arith.addf %x1, %f : tensor<?x?x64xf32>
    quern.yield %y : tensor<?x?x64xf32>
  }
  quern.parameter @norm : tensor<64xf32> init(ones) file("norm")

  quern.function @forward(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<?x?x512xf32> {quern.name = "logits"}) {
    %token = quern.read @token : tensor<512x64xf32>
    %x = quern.embedding %tokens, %token : tensor<?x?xi32>, tensor<512x64xf32>
    %y = quern.apply @block(%x) : (tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
    %norm = quern.read @norm : tensor<64xf32>
    %n = quern.rms_norm %y weight %norm epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32>
    %logits = quern.linear %n, %token transposed : tensor<?x?x64xf32>, tensor<512x64xf32>
    quern.return %logits : tensor<?x?x512xf32>
  }
  quern.function @loss(%tokens: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]},
                       %targets: tensor<?x?xi32> {quern.dims = ["batch", "sequence"]})
      -> (tensor<f32> {quern.name = "loss"}) {
    %logits = quern.call @forward(%tokens) : (tensor<?x?xi32>) -> tensor<?x?x512xf32>
    %loss = quern.cross_entropy %logits, %targets : tensor<?x?x512xf32>, tensor<?x?xi32>
    quern.return %loss : tensor<f32>
  }
}
